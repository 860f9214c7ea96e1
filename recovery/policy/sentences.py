"""Rules and facts in plain sentences, for the people who answer for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.policy import PromiseKind
from recovery.policy.comparing import Difference
from recovery.policy.entitlement import ComplaintType, Facts, RemedyKind

FACT_LABELS = {
    "complaint_type": gettext_lazy("what went wrong"),
    "loss": gettext_lazy("money lost"),
    "currency": gettext_lazy("currency"),
    "days_without": gettext_lazy("days without what they paid for"),
    "our_failures": gettext_lazy("failures of ours in this matter"),
    "safety": gettext_lazy("somebody is or was in danger"),
    "essential": gettext_lazy("something they need to live"),
    "vulnerable": gettext_lazy("waiting would hit them harder than others"),
}


def condition(when: Mapping[str, Mapping[str, Any]]) -> str:
    """Say when a rule applies: “always”, or its conditions joined."""
    parts = [_one(name, test, wanted) for name, tests in when.items() for test, wanted in tests.items()]
    return _(" and ").join(parts) if parts else _("always")


def _one(name: str, test: str, wanted: Any) -> str:
    label = str(FACT_LABELS.get(name, name))
    if isinstance(wanted, bool):
        return label if wanted else _("not: %(fact)s") % {"fact": label}
    if test == "at_least":
        return _("%(fact)s: %(number)s or more") % {"fact": label, "number": wanted}
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    return _("%(fact)s: %(values)s") % {
        "fact": label,
        "values": _(" or ").join(_value(name, value) for value in values),
    }


def _value(name: str, value: Any) -> str:
    return str(dict(ComplaintType.choices).get(value, value)) if name == "complaint_type" else str(value)


def remedy(kind: str) -> str:
    """Say what a remedy is."""
    return str(dict(RemedyKind.choices).get(kind, kind))


def promise(kind: str) -> str:
    """Say what is promised."""
    return str(dict(PromiseKind.choices).get(kind, kind))


def length(duration: timedelta) -> str:
    """Say an amount of service time exactly, in hours where they are whole: “24 h”, “90 min”; a day of it has no fixed length."""
    minutes = int(duration.total_seconds() // 60)
    if minutes and minutes % 60 == 0:
        return _("%(hours)d h") % {"hours": minutes // 60}
    return _("%(minutes)d min") % {"minutes": minutes}


def known(facts: Facts) -> str:
    """Say the facts of one failure, as far as they say something."""
    parts = [str(facts.complaint_type.label)]
    if facts.loss:
        parts.append(_("%(amount)s %(currency)s lost") % {"amount": facts.loss, "currency": facts.currency})
    if facts.days_without:
        parts.append(_("%(days)d days without") % {"days": facts.days_without})
    if facts.our_failures != 1:
        parts.append(_("%(number)d failures of ours") % {"number": facts.our_failures})
    parts += [str(FACT_LABELS[name]) for name in ("safety", "essential", "vulnerable") if getattr(facts, name)]
    return ", ".join(parts)


def changes(found: Difference, *, currency: str) -> list[str]:
    """Say what a difference means to the customer, what is less first."""
    said = []
    if found.money < 0:
        said.append(_("%(amount)s %(currency)s less") % {"amount": -found.money, "currency": currency})
    said += [_("no longer: %(remedy)s") % {"remedy": remedy(kind)} for kind in found.lost]
    for kind, by in found.later.items():
        said.append(_later(kind, by))
    if found.severity < 0:
        said.append(_("counts as less grave"))
    if found.money > 0:
        said.append(_("%(amount)s %(currency)s more") % {"amount": found.money, "currency": currency})
    said += [_("new: %(remedy)s") % {"remedy": remedy(kind)} for kind in found.gained]
    for kind, by in found.sooner.items():
        said.append(_sooner(kind, by))
    if found.severity > 0:
        said.append(_("counts as graver"))
    return said


def _later(kind: str, by: timedelta | None) -> str:
    if by is None:
        return _("no longer promised: %(promise)s") % {"promise": promise(kind)}
    return _("%(promise)s: %(time)s later") % {"promise": promise(kind), "time": length(by)}


def _sooner(kind: str, by: timedelta | None) -> str:
    if by is None:
        return _("newly promised: %(promise)s") % {"promise": promise(kind)}
    return _("%(promise)s: %(time)s sooner") % {"promise": promise(kind), "time": length(by)}
