"""Does an answer send the customer to another medium? Word patterns in English and German."""

from __future__ import annotations

import re

_MOVES = re.compile(
    r"\b(?:please )?(?:d\.?m\.?|pm|call|phone|ring|e-?mail|message|text|write to|contact|visit) (?:us|our|me)\b"
    r"|\b(?:send|drop|shoot) (?:us|me) (?:a |an )?(?:d\.?m\.?|pm|e-?mail|(?:direct|private) message|text|letter)\b"
    r"|\b(?:fill (?:in|out)|use|complete) (?:our|the|this) (?:\w+ )?(?:form|app|chat|website|portal)\b"
    r"|\bgive us a (?:call|ring)\b|\bcome (?:in|by|to (?:our|the) (?:shop|store|desk))\b"
    r"|\b(?:rufen sie|ruf) (?:uns |bitte )*an\b|\b(?:schreiben|schicken|senden) sie (?:uns )?(?:bitte )?(?:eine?n? )?"
    r"(?:dm|pn|e-?mail|mail|direktnachricht|privatnachricht|nachricht|brief)\b"
    r"|\b(?:nutzen|füllen|verwenden) sie (?:bitte )?(?:unser|das|die)\w* (?:\w+ )?(?:formular|app|chat|portal)\b"
    r"|\bkommen sie (?:bitte )?(?:vorbei|in (?:den|unseren) laden)\b",
    re.IGNORECASE,
)


def sends_elsewhere(text: str) -> bool:
    """Say whether an answer asks the customer to come by another medium."""
    return bool(_MOVES.search(" ".join(text.split())))
