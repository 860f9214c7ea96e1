"""Is somebody telling us that something went wrong? Read from their words alone, the same on every channel.

A word list and no model: every result names the words that led to it, and staff can open a case that it missed with one click.
English, German, French and Spanish. How often it is right on labelled public messages is measured by a test and printed there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What went wrong, said as a fact. One is enough.
_FAILURES = (
    # English
    r"broken", r"broke\b(?! the bank)", r"damaged?", r"cracked", r"smashed", r"defective", r"faulty", r"ripped", r"torn",
    r"(?:does|do|did|is|are|was|were|has|have|can|could|would|will)(?:n['’]?t| not) (?:work|arrive|show|come|get|got|been|receive|help|load|let|"
    r"answer|respond|reply|include|deliver|refund|honou?r|sit|book|change|access)\w*",
    r"not working", r"stopped working", r"still (?:no|not|haven['’]?t|hasn['’]?t|waiting|nothing|missing|broken|on hold)",
    r"never (?:arrived|came|got|received|heard|delivered|answered|again|called|showed|worked|gave|told|fly|flying)",
    r"(?:wrong|missing|lost|stolen|incorrect) (?:item|order|size|part|bag|bags|luggage|baggage|parcel|package|address|colou?r|amount|flight|seat|name|suitcase)",
    r"(?:lost|losing|misplaced|damaged|left|forgot|broke) (?:my|our|his|her|their)", r"(?:bags?|luggage|baggage) (?:is|are|was|were)? ?(?:lost|missing|delayed)",
    r"over ?charged", r"charged (?:me |us )?(?:twice|double|again|for something)", r"double[- ]charged", r"without (?:asking|my consent|permission|being asked|notice)",
    r"(?:too|so|very|hours?|days?|weeks?|minutes?|mins?|hrs?|min|hr|still|again|been|is|was|are|were|flight|always|being) (?:late|delayed|delay)",
    r"(?:\d+|an|one|two|three|four|five|six|several|many|few) ?\+? ?(?:hours?|hrs?|days?|weeks?|months?|mins?|minutes?) (?:late|delay\w*|wait\w*|on hold|ago|and counting|and no|now|for|later|hold|on the)",
    r"delayed? (?:again|for|\d+|over|by)", r"(?:was|were|been|got|is|just|have|you) (?:cancel+ed|bumped|stranded|stuck|ignored|denied|refused|hung up)",
    r"(?:cancel+ed|cancel+ing|cancel+ation|delayed|delays?)\b.{0,40}\b(?:flight|flights|order|booking|reservation)", r"(?:flight|flights|flt|order|booking)\b.{0,30}\b(?:cancel+ed|delayed|late|delay)",
    r"on hold", r"hung up", r"(?:no|zero|without any?|any) (?:response|answer|reply|refund|explanation|help|apology|communication|update|updates|info|information|announcement|one)",
    r"nobody|no one (?:answers?|helps?|responds?|cares?|knows?)", r"(?:been|keep|kept|still) (?:waiting|trying|sitting|calling|getting|stuck)",
    r"(?:want|need|demand|give me|where['’]?s|where is|get) (?:a|my|our|the)? ?(?:full )?refund", r"money back", r"waiting (?:for|on) (?:a|my|our|over|the|\d+|an)",
    r"where(?:['’]s| is| are) (?:my|our|the) (?:bag|bags|luggage|order|parcel|package|refund|money|flight|crew|plane|customer)",
    r"(?:can['’]?t|cannot|couldn['’]?t|unable to|impossible to|won['’]?t|wouldn['’]?t|trying to) (?:get|reach|find|book|log|check|use|change|access|speak|talk|even|believe|contact|connect)",
    r"(?:error|glitch|crash(?:es|ed|ing)?|bug) ?(?:message|page|when|every|on|in)?", r"(?:site|website|app|system|wifi|page|link) (?:is |was |has been |are |isn['’]t |not )?(?:down|broken|crash\w*|working|slow|useless|terrible)",
    r"(?:rude|unhelpful|disrespectful|unprofessional|incompetent|clueless|useless)", r"(?:missed|miss|missing) (?:my|our|the|a|his|her) (?:connection|connecting|flight|bag)",
    r"(?:stuck|stranded|sitting) (?:in|on|at|here|for)", r"no (?:wifi|tv|power|food|water|seat|seats|gate|crew|pilot|explanation|plane|excuse)",
    # German
    r"kaputt", r"beschädigt", r"defekt", r"zerbrochen", r"zerkratzt", r"fehlerhaft", r"funktioniert (?:\w+ ){0,3}nicht", r"(?:nicht|nie|noch immer nicht|immer noch nicht) "
    r"(?:angekommen|geliefert|erhalten|bekommen|beantwortet|gekommen|erreichbar)", r"falsch(?:e|er|es|en)? (?:artikel|ware|lieferung|größe|rechnung|betrag|farbe)",
    r"zu spät", r"verspätet", r"doppelt abgebucht", r"zu viel (?:abgebucht|berechnet)", r"ungefragt", r"warte (?:ich )?(?:immer noch|seit|noch immer)", r"keine (?:antwort|rückmeldung|hilfe)",
    r"geld zurück", r"unfreundlich", r"verloren gegangen",
    # French
    r"cassée?s?", r"endommagée?s?", r"abîmée?s?", r"défectueu(?:x|se)", r"ne (?:marche|fonctionne|répond)(?:nt)? (?:plus|pas)", r"(?:jamais|pas|toujours pas) (?:reçu|arrivé|livré|remboursé)e?s?",
    r"en retard", r"débitée? deux fois", r"sans mon accord", r"aucune réponse", r"rembours(?:ez|er|ement)", r"perdue?s?",
    # Spanish
    r"rot[oa]s?", r"dañad[oa]s?", r"defectuos[oa]s?", r"no (?:funciona|ha llegado|llegó|he recibido|recibí|responden?|contestan?)", r"nunca (?:llegó|recibí|contestan)", r"con retraso",
    r"cobrad[oa] dos veces", r"sin (?:mi permiso|pedirlo|avisar)", r"ninguna respuesta", r"(?:quiero|exijo) (?:un|el|mi) (?:reembolso|dinero)", r"perdid[oa]s?",
)  # fmt: skip
# How it felt. Two of these, or one beside a plain negative, are enough; one alone may be a joke.
_FEELINGS = (
    r"worst", r"terrible", r"horrible", r"awful", r"pathetic", r"ridiculous", r"unacceptable", r"disappoint\w*", r"frustrat\w*", r"annoy\w*", r"angry", r"furious", r"disgust\w*",
    r"upset", r"fail(?:ed|ing|ure|s)?\b", r"sucks?", r"poor(?:ly)?", r"joke", r"waste", r"complain\w*", r"unhappy", r"ruin\w*", r"hate", r"nightmare", r"shame", r"bad", r"not (?:happy|cool|good|ok|okay|impressed|helpful|acceptable)",
    r"never again", r"seriously", r"wtf", r"really\?", r"come on", r"fix (?:it|this|your)", r"problems?", r"issues?", r"trouble", r"mess", r"crap\w*", r"lost", r"lose", r"losing",
    r"delay(?:s|ed)?", r"cancel+ed", r"late", r"unfortunately", r"sad", r"no thanks", r"lied|lying|lies", r"lack", r"horrendous", r"dirty", r"uncomfortable", r"stop (?:sending|changing|doing)",
    r"schlecht\w*", r"enttäusch\w*", r"unverschämt\w*", r"ärger\w*", r"katastroph\w*", r"frechheit", r"beschwer\w*", r"inacceptable", r"déçue?s?", r"scandaleu\w*", r"pésim[oa]", r"decepcion\w*", r"vergüenza", r"queja",
)  # fmt: skip
# Thanks, and wishes about the future, speak of something else.
_KIND = (
    r"thanks?", r"thank you", r"thx", r"love", r"great", r"awesome", r"amazing", r"excellent", r"best", r"wonderful", r"appreciate", r"kudos", r"perfect", r"happy", r"good (?:job|work|flight)", r"well done", r"fantastic", r"glad",
    r"danke", r"super", r"toll", r"merci", r"génial\w*", r"gracias", r"genial",
)  # fmt: skip


def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(patterns) + r")(?!\w)", re.IGNORECASE)


_FAILED, _FELT, _THANKED = _one_of(_FAILURES), _one_of(_FEELINGS), _one_of(_KIND)

READ_AT_MOST = 20_000
"""Characters that are looked at; whoever has more to say has said what went wrong by then."""


@dataclass(frozen=True, slots=True)
class Spotted:
    """Whether somebody tells us of a failure, and the words that say so (at most ten, as they wrote them)."""

    is_complaint: bool
    because: tuple[str, ...]


def spot(text: str) -> Spotted:
    """Say whether a text tells of a failure of ours. Never raises; the same words always give the same result.

    Capitals, exclamation marks, threats and audience change nothing: only what happened and how it felt is looked for.
    """
    text = text[:READ_AT_MOST]
    failed = [match.group(0) for match in _FAILED.finditer(text)]
    felt = [match.group(0) for match in _FELT.finditer(text)]
    thanked = len(_THANKED.findall(text))
    weight = 2 * len(failed) + len(felt) - thanked
    return Spotted(is_complaint=weight >= 2 and bool(failed or len(felt) >= 2), because=tuple(dict.fromkeys(failed + felt))[:10])
