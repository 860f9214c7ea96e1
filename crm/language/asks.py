"""What words that ask for a public review must not say: a reward for it, a wish for a good one, or that one should go (L12, L13).

Patterns on purpose strict, in the languages that the house writes in: a sentence that trips one can be said another way.
Sources: Directive 2005/29/EC annex I 23c; 16 CFR 465.4; Consumer Review Fairness Act 2016.
"""

from __future__ import annotations

import re
from typing import Final

_REWARDS: Final = re.compile(
    r"\b(?:"
    r"rewards?|prizes?|gifts?|vouchers?|coupons?|discounts?|free|raffles?|lotter(?:y|ies)|sweepstakes?|"
    r"win|cash\s?back|refunds?|bonus(?:es)?|"
    r"points?|in return|in exchange|thank[- ]you gift|"  # en
    r"belohn\w*|preise?|gewinn\w*|geschenk\w*|gutschein\w*|rabatt\w*|gratis|kostenlos\w*|verlos\w*|"
    r"prämie\w*|punkte?|gegenleistung|"  # de
    r"récompense\w*|cadeaux?|bons? d['’]achat|réductions?|remises?|gratuit\w*|tirage\w*|gagne\w*|en échange|prime|"  # fr
    r"recompensas?|premios?|regalos?|vales?|cup[oó]n(?:es)?|descuentos?|sorteos?|gan[ae]\w*|a cambio|puntos|"  # es
    r"ricompens\w*|premi[oa]?|regal[oi]|buon[oi] (?:sconto|regalo|acquisto)|scont[oi]|omaggi\w*|"
    r"estrazion\w*|vinc\w+|in cambio|punti|"  # it
    r"beloning\w*|prijzen|prijs|cadeau\w*|tegoedbon\w*|kortings?\w*|win(?:nen|t)?|loting|verloting|in ruil|punten|"  # nl
    r"nagrod\w*|nagród|prezent\w*|upomin\w*|bon(?:y|u|ów)?|rabat\w*|zniżk\w*|darmow\w*|za darmo|"
    r"losowani\w*|wygra\w*|w zamian|punkt\w*"  # pl
    r")\b|[%€$£]|\bPLN\b|\bzł\b",
    re.IGNORECASE,
)
_GOOD_ONES: Final = re.compile(
    r"(?:\b(?:5|five|fünf|cinq|cinco|cinque|vijf|pięć)[\s-]*(?:stars?|sterne?n?|étoiles?|estrellas|stelle|"
    r"sterren|gwiazd\w*))|[★⭐]|\b(?:"
    r"positive (?:reviews?|words)|good reviews?|if you (?:were|are|liked|enjoyed|love)|"
    r"satisfied customers?|happy customers?|"  # en
    r"positive\w* (?:bewertung\w*|worte)|gute bewertung\w*|wenn sie zufrieden|zufriedene\w* kund\w*|"
    r"wenn es ihnen gefallen|"  # de
    r"avis positifs?|bon avis|si vous (?:êtes|avez été) (?:satisfait|content)\w*|si vous avez aimé|"  # fr
    r"(?:reseña|opinión)\w* positiva\w*|buena (?:reseña|opinión)|si (?:está|ha quedado) (?:satisfech|"
    r"content)\w*|si le ha gustado|"  # es
    r"recension\w* positiv\w*|buona recension\w*|se (?:è|sei|siete) (?:soddisfatt|content)\w*|se le è piaciut\w*|"  # it
    r"positieve (?:recensie\w*|beoordeling\w*)|goede (?:recensie\w*|beoordeling\w*)|als u tevreden|tevreden klant\w*|"  # nl
    r"pozytywn\w* (?:opini\w*|recenzj\w*)|dobr\w* opini\w*|jeśli (?:jest|są) \w* ?zadowol\w*|jeśli się podobało"  # pl
    r")",
    re.IGNORECASE,
)
_TAKEN_DOWN: Final = re.compile(
    r"\b(?:"
    r"(?:remove|delete|change|take down)\s+(?:your|the|a)\s+(?:\w+\s+)?review|lawyers?|legal (?:action|steps)|"  # en
    r"bewertung\w*\s+(?:\w+\s+)?(?:lösch|entfern|änder)\w*|anwält\w*|anwalt\w*|rechtliche\w* schritt\w*|"  # de
    r"(?:supprim|retir|modifi)\w*\s+(?:votre|l['’])\s*avis|avocats?|poursuites?|"  # fr
    r"(?:borr|elimin|retir|cambi)\w*\s+(?:su|la|tu)\s+(?:reseña|opinión)|abogad\w*|acciones legales|"  # es
    r"(?:cancell|rimuov|elimin|modific)\w*\s+(?:la|la sua|la tua)\s+recension\w*|avvocat\w*|azioni legali|"  # it
    r"(?:recensie|beoordeling)\w*\s+(?:te\s+)?(?:verwijder|wijzig)\w*|advoca\w*|juridische stappen|"  # nl
    r"(?:usun|skasow|zmien|zmień|usuń)\w*\s+(?:\w+\s+)?(?:opini|recenzj)\w*|adwokat\w*|kroki prawne"  # pl
    r")",
    re.IGNORECASE,
)


def not_to_be_said(text: str) -> tuple[str, str] | None:
    """Find what must not stand in words that ask for a public review.

    Returns a code, "reward", "good_ones" or "taken_down", with the words that trip it; None when there is nothing.
    """
    for code, pattern in (("reward", _REWARDS), ("good_ones", _GOOD_ONES), ("taken_down", _TAKEN_DOWN)):
        if found := pattern.search(text):
            return code, found[0].strip()
    return None
