"""The words of a matter without what tells by which channel they came: for colleagues who judge them again (R005, R111).

Quotes, signatures, greetings, addresses, handles, tags, links, names of platforms, words for ways of talking, and tone go; what is
left comes sentence by sentence, because the shape of a letter is told from that of a post. One mark stands for all that was taken
out, so that the mark itself says nothing. Words of the languages of our letters; they are looked for in every text, for what
language it is in is often not known. A word too many costs the reader little; a word too few tells them the channel.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from crm.language import quoting
from crm.language.mail_words import DEVICE_LINES, HEADER_LABELS

LONGEST: Final = 20_000
"""Characters of one message that are looked at; what follows is not shown."""
MARK: Final = "…"
"""What stands where something was taken out."""
_GONE: Final = "\ue000"
"""Stands for a handle, a tag, a link or an address until it is known whether it stood inside a sentence or at its edge."""
LONGEST_GREETING: Final = 60
"""A line that begins like a greeting and is longer is a sentence."""
LINES_OF_FAREWELL: Final = 12
"""A farewell stands among the last lines; what follows it is a name and its trimmings."""
SHOUTED: Final = 0.6
"""From this share of capital letters on a text was written in capitals, which is tone."""

_PREFIX: Final = re.compile(
    r"\s*(?:\[[^\]\n]{1,40}\]\s*|\(?\b(?:re|fwd?|aw|wg|antw|betr|betreff|tr|rv|res|i|r|odp|pd|doorst|sv|vs)\s?(?:\[\d+\])?\s?:\s*)",
    re.IGNORECASE,
)
_LABELS: Final = "|".join(
    sorted({each for names in HEADER_LABELS.values() for each in names.split("|")}, key=len)[::-1]
)
_HEADER_LINE: Final = re.compile(rf"^[\s*>]{{0,4}}(?:{_LABELS})\*?\s?[:：].{{0,300}}$", re.IGNORECASE | re.MULTILINE)
_QUOTE_MARK: Final = re.compile(
    r"^[^\S\n]{0,4}(?:[>|][^\S\n]?)+|^\s*(?:re|fwd?|aw|wg|betr)\s?:", re.IGNORECASE | re.MULTILINE
)
_MACHINE_LINE: Final = re.compile(
    r"^.{0,300}\b(?:wrote|writes|schrieb|a écrit|escribió|ha scritto|schreef|napisał\(?a?\)?)\s?[:：]\s*$"
    r"|^[\W_]{2,80}(?:original|forwarded|ursprüngliche|weitergeleitete).{0,60}$",
    re.IGNORECASE | re.MULTILINE,
)
_DEVICE_LINE: Final = re.compile(rf"^[\s*_(\[<«|-]{{0,4}}(?:{'|'.join(DEVICE_LINES)})$", re.IGNORECASE)
_DEVICE_TAIL: Final = re.compile(
    r"\b(?:sent|written|dictated|gesendet|envoyé|enviado|inviato|verzonden|wysłane?o?)\s+"
    r"(?:from|via|with|by|using|von|depuis|desde|da|vanaf|z)\s+(?:my|meinem|meiner|mon|mi|mio|mijn|mojego)\s+\S+",
    re.IGNORECASE,
)
_INITIALS: Final = re.compile(r"\s[\^/*~-]{1,2}\s?[A-Z][A-Za-z]{0,2}\s*$")
"""By which we sign public answers."""
_GREETING: Final = re.compile(
    r"^\W{0,3}(?:dear|hi|hello|hey|good (?:morning|afternoon|evening|day)|to whom it may concern|sirs?|ladies|"
    r"sehr geehrte\w*|liebe[rs]?|hallo|guten (?:tag|morgen|abend)|moin|servus|gr(?:ü|ue)(?:ß|ss) gott|"
    r"bonjour|bonsoir|madame|monsieur|cher|chère|chers|salut|"
    r"estimad[oa]s?|hola|buen[oa]s (?:días|tardes|noches)|muy señor(?:es)? mí?i?os?|querid[oa]s?|"
    r"gentil[ei]\w*|spett\w*|egregi[oa]?|buongiorno|buonasera|salve|ciao|car[oaie]|"
    r"geachte|beste|goede(?:morgen|middag|navond|ndag)|dag|"
    r"szanown[iya]\w*|dzień dobry|dobry wieczór|cześć|witam)\b",
    re.IGNORECASE,
)
_FAREWELL: Final = re.compile(
    r"^\W{0,3}(?:(?:kind(?:est)?|best|warm(?:est)?|with (?:kind )?(?:best )?|many) (?:regards|wishes|thanks)|regards|sincerely|"
    r"yours (?:sincerely|faithfully|truly)|faithfully|cheers|thanks(?: and regards| in advance)?|"
    r"thank you(?: in advance)?|xx+|"
    r"(?:mit )?(?:freundlich\w*|beste[nr]?|viele[nr]?|liebe[nr]?|herzlich\w*|sch(?:ö|oe)ne[nr]?) gr(?:u|ü|ue)(?:ß|ss)e?n?|"
    r"mfg|lg|vg|"
    r"hochachtungsvoll|danke(?: im voraus)?|vielen dank(?: im voraus)?|"
    r"(?:bien )?cordialement|(?:meilleures )?salutations\w*|sincères salutations|merci(?: d.avance)?|bien à vous|"
    r"respectueusement|"
    r"(?:un )?(?:cordial )?saludos?\b|atentamente|atte\.?|gracias(?: de antemano| por adelantado)?|"
    r"(?:cordiali|distinti|cari) saluti|saluti|cordialmente|grazie(?: in anticipo)?|"
    r"(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|groet(?:en|jes)?|hoogachtend|(?:alvast )?(?:bedankt|dank)|"
    r"m\.?v\.?g\.?|"
    r"z poważaniem|pozdrawiam|z wyrazami szacunku|(?:z góry )?dziękuję)[\s,.!–-]*(?:\S+\s?){0,3}$",
    re.IGNORECASE,
)

_LINK: Final = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,12}://|\bwww\.|\bmailto:|\btel:)[^\s<>\"]+"
    r"|\b(?:[a-z0-9-]{1,40}\.){1,3}(?:com|net|org|co|io|de|fr|es|it|nl|pl|eu|uk|me|ly|gl)(?:/[^\s<>\"]*)?\b(?!@)",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"[^\s<>@:;,()\[\]\"]{1,64}@[^\s<>@,;()\[\]\"]{1,255}")
_HANDLE: Final = re.compile(r"(?:\.\s?)?[@＠]\s?[\w.\-]{1,60}")
_TAG: Final = re.compile(r"[#＃](?!\d+\b)\w{1,80}")
_REFERENCE: Final = re.compile(
    r"\[[^\]\n]{0,20}\b(?:ref|ticket|case|id)\b[^\]\n]{0,60}\]|\{[#\w:-]{4,80}\}", re.IGNORECASE
)
_COUNTED: Final = re.compile(
    r"(?:^|\s)[(\[]?(?:part\s)?\d{1,2}\s?/\s?(?:\d{1,2}|[nx])[)\]]?(?=\s*(?:$|\n))|\b(?:cont|contd)\b\.?", re.I
)
_PLATFORMS: Final = (
    r"twitter|x\.com|facebook|fb|meta business|messenger|instagram|insta(?:gram)?|whats\s?app|telegram|tik\s?tok|"
    r"you\s?tube|linked\s?in|"
    r"mastodon|blue\s?sky|reddit|trust\s?pilot|yelp|trip\s?advisor|pinterest|snap\s?chat|viber|we\s?chat|skype|"
    r"discord|line app|"
    r"google (?:maps|reviews?|play)|app store|play store|g\s?mail|outlook|hotmail|icloud|zendesk|freshdesk|intercom|"
    r"slack|teams chat"
)
_WAYS: Final = (
    # English
    r"e-?mail(?:s|ed|ing)?|mail(?:s|ed|ing|box)?|in-?box|letters?|fax(?:es|ed)?|(?:snail|royal) mail|"
    r"(?:by|on|off|over|via|through|per) (?:the |your |my )?(?:tele)?phone|(?:tele)?phon(?:ed|ing)|"
    r"(?:tele)?phone (?:calls?|lines?|numbers?)|"
    r"(?:phone )?calls?(?:[- ]backs?)?|call(?:ed|ing|ers?)|(?:rang|rung|ringing)(?= (?:you|your|up|in|them|and))|"
    r"hot-?lines?|help-?lines?|call centres?|call centers?|"
    r"on[- ]hold|hold (?:music|time)|holding (?:time|for)|put (?:me )?through|dial(?:led|ed|ling|ing)?|"
    r"voice-?\s?mails?|answer(?:ing)? ?(?:phone|machine)s?|hung up|"
    r"hang(?:ing)? up|cut (?:me )?off|text(?:s|ed|ing)?(?: messages?)?|sms(?:es)?|"
    r"(?:live |web |online )?chat(?:s|ted|ting|bots?)?|"
    r"d\.?m\.?(?:s|[’']?d|ed|ing|[’']s)?|direct messages?|p\.?m\.?[’']?e?d(?= )|pm (?:me|us|you)|private messages?|"
    r"inbox(?:ed|ing)?|"
    r"(?:re)?tweet(?:s|ed|ing|ers?)?|rt|q[ru]t|followers?|following you|hash-?tags?|threads?|timeline|newsfeed|"
    r"post(?:s|ed|ing)?|comment(?:s|ed|ing)?|review(?:s|ed|ing)?|(?:\d|one|two|three|four|five|zero)[- ]stars?|"
    r"web-?\s?(?:sites?|pages?|forms?)|(?:contact|online|enquiry) forms?|(?:your|the|mobile|phone|an) app|in-app|apps|"
    r"(?:at|over|across) (?:the|your) (?:counter|desk|till)|"
    r"(?:walked|came|went) in(?:to)? (?:the|your) (?:shop|store|branch)|"
    # German
    r"e-?mails?|(?:ge|an)?mailt|an(?:ge)?rufen|anrufe?[sn]?|"
    r"r(?:ie|u)f(?:en)? (?:sie |ich |mich |uns |euch )?(?:\w+ )?an|"
    r"(?:am|per|übers?|das) telefon\w*|telefonisch\w*|telefonier\w*|telefonat\w*|warteschleife\w*|"
    r"anrufbeantworter\w*|aufgelegt|durchgestellt|"
    r"(?:ein(?:en)?|mein(?:en|em)?|ihr(?:en|em)?|de[nmr]|per) brief|briefes?|briefe|brieflich|schreiben vom|"
    r"chatt?e?n?|gechattet|"
    r"(?:ge)?twitter[tn]?|gepostet|posting|kommentar\w*|bewertung\w*|sterne[n]?|webseite\w*|internetseite\w*|"
    r"(?:kontakt)?formular\w*|"
    r"direktnachricht\w*|privatnachricht\w*|pn|"
    # French
    r"courriels?|courriers?|mél|lettres?|télécopie|(?:au|par|de) téléphone|téléphon\w*|"
    r"appel(?:é|ée|er|ez|ons|le|s)?|répondeur|"
    r"messagerie|raccroch\w*|mise? en attente|tchat\w*|textos?|commentaires?|avis|étoiles?|site (?:web|internet)|"
    r"formulaires?|appli(?:cation)?s?|message privé|mp|"
    # Spanish
    r"correos?(?: electrónicos?)?|llam(?:é|ado|adas?|ar|amos|aron)|(?:por|al) teléfono|telefónic\w*|en espera|"
    r"buzón de voz|cartas?|"
    r"colg(?:ó|aron|ado)|tuit\w*|publi(?:qué|cado)|comentarios?|reseñas?|estrellas?|página web|sitio web|"
    r"formularios?|aplicación|mensajes? (?:directos?|privados?)|"
    # Italian
    r"posta elettronica|pec|telefonat[aoe]|(?:al|per) telefono|telefonic\w*|chiamat[aoie]|chiamare|segreteria|"
    r"in attesa|letter[ae]|"
    r"raccomandata|commento|commenti|recension[ei]|stelle|sito(?: web)?|modulo|messaggi? (?:privati?|dirett[oi])|"
    # Dutch
    r"mailtje\w*|gemaild|gebeld|bel(?:de|len)|telefonisch|(?:aan|via|per) de telefoon|in de wacht|brieven|per brief|"
    r"getweet|gepost|"
    r"reactie|recensies?|sterren|formulier\w*|privébericht\w*|"
    # Polish
    r"mail(?:em|a|e|i|owo)|telefon(?:icznie|em|ował\w*|ował\w*|u)|(?:za)?dzwoni\w*|infolini\w*|na linii|"
    r"poczt\w+ głosow\w+|listem|listownie|"
    r"czat\w*|komentarz\w*|opini[aeięąo]\w*|gwiazdk\w*|stron\w+ internetow\w+|formularz\w*|aplikacj\w*|"
    r"wiadomoś\w+ prywatn\w+|esemes\w*"
)
_CUES: Final = re.compile(rf"(?<![^\W_])(?:{_PLATFORMS}|{_WAYS})(?![^\W_])", re.IGNORECASE)
_FACE: Final = re.compile(
    r"(?<!\w)[:;=8xX][-o^']?[)(\]\[DPp/\\|3*]+(?!\w)|<3+|\^_*\^|\b(?:lol|lmao|rofl|smh|omg|wtf|ffs|fml|imho|tbh|ikr|xoxo)\b",
    re.IGNORECASE,
)
_SHOUT: Final = re.compile(r"\b[^\W\d_a-z]{4,}\b")
_LOUD: Final = re.compile(r"([!?])[!?\s]*[!?]")
_DOTS: Final = re.compile(r"\.{2,}|(?:\.\s){2,}\.?")
_EDGES: Final = re.compile(
    rf"(?:^|(?<=[.!?\n]))(?:[^\w{MARK}.!?\n]*{_GONE})+[\s,.:;!–-]*|(?:\s*[,:;–-]?\s*{_GONE})+\s*(?=[.!?\n]|$)"
)
"""At the edge of a sentence they go without a trace: only posts begin with a handle."""
_MARKS: Final = re.compile(rf"{MARK}(?:[\s,;:.()\[\]<>|/–-]*{MARK})+")
_LEFT_OVER: Final = re.compile(r"^[\s|>*_~`#=–—-]+|[\s|>*_~`#=–—-]+$")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_BLANK: Final = re.compile(r"[^\S\n]+")


def without_cues(text: str, *, subject: str = "", names: Iterable[str] = ()) -> tuple[str, ...]:
    """Give what a message says, sentence by sentence, without what tells its channel. Never raises.

    subject: of a mail or a form; it is read as a first sentence unless the text begins with it. names: what would give it away
    beside the general words: their handles and addresses, our accounts. Returns () when nothing is left.
    """
    said, _quoted = quoting.split(_plain(text)[:LONGEST])
    said = _body(_HEADER_LINE.sub("", _MACHINE_LINE.sub("", _QUOTE_MARK.sub("", said))))
    title = _title(_plain(subject))
    if title and not said.casefold().lstrip().startswith(title.casefold()):
        said = f"{title}\n{said}"
    said = _calm(_inside(said, names))
    sentences = (_tidy(one) for one in _SENTENCE.split(said))
    return tuple(one for one in sentences if any(sign.isalnum() for sign in one) or MARK in one)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", html.unescape(html.unescape(text))).replace("\r\n", "\n").replace("\r", "\n")


def _title(subject: str) -> str:
    before = None
    while before != subject:
        before, subject = subject, _PREFIX.sub("", subject, count=1) if _PREFIX.match(subject) else subject
    return " ".join(subject.split())


def _body(text: str) -> str:
    """Without the greeting, the farewell and what stands below it, and what a device added."""
    lines = [line for line in text.split("\n") if not (len(line) <= 110 and _DEVICE_LINE.match(line.strip()))]
    lines = [_INITIALS.sub("", _DEVICE_TAIL.sub(MARK, line)) for line in lines]
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if lines and len(lines[first]) <= LONGEST_GREETING and _GREETING.match(lines[first]) and len(lines) > first + 1:
        lines = lines[first + 1 :]
    elif lines:
        lines[first] = _opened(lines[first])
    spoken = [at for at, line in enumerate(lines) if line.strip()]
    for at in spoken[1:][-LINES_OF_FAREWELL:]:
        if len(lines[at]) <= LONGEST_GREETING and _FAREWELL.match(lines[at]):
            return "\n".join(lines[:at])
    return "\n".join(lines)


def _opened(line: str) -> str:
    """The first line without "Dear Sir or Madam," before its sentence."""
    begun = re.match(rf"[^,:!\n]{{1,{LONGEST_GREETING}}}[,:!]\s*", line)
    return line[begun.end() :] if begun and _GREETING.match(line) else line


def _inside(text: str, names: Iterable[str]) -> str:
    for one in (_LINK, _ADDRESS, _HANDLE, _TAG, _REFERENCE, _COUNTED):
        text = one.sub(f" {_GONE} ", text)
    given = sorted({name.strip() for name in names if len(name.strip()) > 2}, key=len, reverse=True)
    if given:
        known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, given))})(?!\w)", re.IGNORECASE)
        text = known.sub(f" {_GONE} ", text)
    return _CUES.sub(MARK, _EDGES.sub(" ", text).replace(_GONE, MARK))


def _calm(text: str) -> str:
    """Without pictures, faces, repeated signs and capitals: how loudly it was said is no fact of the matter."""
    text = "".join(
        " " if unicodedata.category(sign) in {"So", "Sk", "Cs", "Co", "Cn"} or sign in "\u200d\ufe0f" else sign
        for sign in text
    )
    text = _DOTS.sub(". ", _LOUD.sub(r"\1 ", _FACE.sub(" ", text)))
    letters = [sign for sign in text if sign.isalpha() and sign.upper() != sign.lower()]
    if len(letters) >= 12 and sum(sign.isupper() for sign in letters) >= SHOUTED * len(letters):
        return text.lower()
    return _SHOUT.sub(lambda word: word[0].lower(), text)


def _tidy(sentence: str) -> str:
    one = _QUOTE_MARK.sub("", _LEFT_OVER.sub("", _MARKS.sub(MARK, _BLANK.sub(" ", sentence)))).lstrip()
    one = re.sub(r"\s+([,.;:!?])", r"\1", one)
    return one[:1].upper() + one[1:]
