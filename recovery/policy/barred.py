"""What may never influence what somebody is owed, and why. The test of every proposed fact: could the agent write in the public
reply “you get this because of …”, and would a bystander find it fair?"""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

BARRED = (
    (
        r"channel|device|(^|_)app($|_)|source|provider|medium|inbox|(^|_)door($|_)",
        gettext_lazy("How somebody reached us says nothing about what went wrong."),
    ),
    (
        r"audience|follow|(^|_)reach|view|verified|badge|avatar|handle|influenc|klout|press|journalist|lawyer|viral|public",
        gettext_lazy("How many people listen to somebody, or who, says nothing about their harm."),
    ),
    (
        r"caps|shout|loud|swear|tone|sentiment|message_count|threat|anger|angry|escalat|aggress",
        gettext_lazy("If being loud earned more, those who ask quietly would pay for it."),
    ),
    (
        r"tenure|years_with|member_since|loyal|first_order",
        gettext_lazy(
            "The same harm costs a new customer the same. Loyalty is thanked with gestures, not with remedies."
        ),
    ),
    (
        r"value|spend|spent|revenue|clv|rfm|stage|nps|segment|tier|vip|worth",
        gettext_lazy("What somebody is worth to us is no measure of what we did to them."),
    ),
    (
        r"(^|_)age($|_)|birth|generation|gender|sex|religio|race|ethnic|nationality|marital|postcode|zip|city|country|language"
        r"|(^|_)name($|_)",
        gettext_lazy("Who somebody is, and what stands for it, may not change what they are owed."),
    ),
)


def why_barred(name: str) -> str:
    """Say why a rule may not ask for something that is no fact."""
    for words, reason in BARRED:
        if re.search(words, name, re.IGNORECASE):
            return _("It asks for “%(name)s”. %(reason)s") % {"name": name, "reason": reason}
    return _("It asks for “%(name)s”, which is no fact that rules may read.") % {"name": name}
