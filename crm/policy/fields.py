"""Fields that a house adds of its own: what may be written into one, and in which form it is kept.

Nothing here is a fact of any decision: recovery's Facts and the order of the queue do not know that such fields exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""What a field's code looks like; it stands in addresses and in the heads of files."""
TEXT_AT_MOST = 500
DIGITS_AT_MOST = 15
"""As many digits as a number of JSON keeps in every program."""
CHOICES_AT_MOST = 100
CHOICE_AT_MOST = 80
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_YES, _NO = frozenset({"yes", "true", "1", "on"}), frozenset({"no", "false", "0", "off"})


class FieldOf(TextChoices):
    """Whose record has the field."""

    CUSTOMER = "customer", gettext_lazy("customers")
    CASE = "case", gettext_lazy("cases")


class FieldKind(TextChoices):
    TEXT = "text", gettext_lazy("words")
    NUMBER = "number", gettext_lazy("number")
    DATE = "date", gettext_lazy("date")
    CHOICE = "choice", gettext_lazy("one of a list")
    YES_NO = "yes_no", gettext_lazy("yes or no")


class UnusableValue(ValueError):
    """What cannot stand in this field. field: its code."""

    code = "unusable_value"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class UnusableField(ValueError):
    """A field that cannot be set up like this."""

    code = "unusable_field"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field takes. choices: what may be chosen, for CHOICE alone."""

    code: str
    label: str
    kind: FieldKind
    choices: tuple[str, ...] = ()


def checked(rules: Iterable[FieldRule], values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring values by code into the form in which they are kept; None where a value is to be taken away.

    A number, a date and yes or no may come as text, as a file or an address has them. Kept are: text, an int or a float, a day
    as YYYY-MM-DD, one of the list, a bool. Raises UnusableValue for the first that cannot stand, and for an unknown code.
    """
    known = {rule.code: rule for rule in rules}
    kept = {}
    for code, value in values.items():
        rule = known.get(code)
        if rule is None:
            raise UnusableValue(_("There is no field “%(code)s”.") % {"code": str(code)[:40]}, field=str(code)[:40])
        kept[code] = None if value is None or value == "" else _READ[rule.kind](rule, value)
    return kept


def merged(before: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What stands after writing checked values over what stood."""
    return {code: value for code, value in {**before, **kept}.items() if value is not None}


def written(rule: FieldRule, value: Any) -> str:
    """A kept value as people read it, and as `checked` takes it again; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


def change_of(
    rules: Iterable[FieldRule], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, dict[str, Any] | list[str]]:
    """What history keeps of a change: the codes, and what stood before and after except where somebody may have written words."""
    kinds = {rule.code: rule.kind for rule in rules}
    codes = sorted(code for code in {*before, *after} if before.get(code) != after.get(code))
    plain = [code for code in codes if kinds.get(code, FieldKind.TEXT) != FieldKind.TEXT]
    return {
        "changed": codes,
        "before": {code: before.get(code) for code in plain},
        "after": {code: after.get(code) for code in plain},
    }


def usable_code(code: str) -> str:
    """A code as it is kept. Raises UnusableField."""
    if not CODE.fullmatch(code):
        raise UnusableField(
            _("A code begins with a letter and has small letters a to z, figures and _ only, 40 at most.")
        )
    return code


def usable_choices(kind: FieldKind, choices: Sequence[str]) -> list[str]:
    """The list of a field as it is kept: without empty lines and doubles. Raises UnusableField."""
    found = list(dict.fromkeys(one for choice in choices if (one := " ".join(choice.split()))))
    if kind == FieldKind.CHOICE:
        if not 1 <= len(found) <= CHOICES_AT_MOST:
            raise UnusableField(_("Please give between 1 and %(most)s choices.") % {"most": CHOICES_AT_MOST})
        if any(len(one) > CHOICE_AT_MOST or _UNSEEN.search(one) for one in found):
            raise UnusableField(_("A choice may have %(most)s characters.") % {"most": CHOICE_AT_MOST})
    elif found:
        raise UnusableField(_("Only a field of the kind “one of a list” has choices."))
    return found


def _refuse(rule: FieldRule, words: str) -> UnusableValue:
    return UnusableValue(f"{rule.label}: {words}", field=rule.code)


def _text(rule: FieldRule, value: Any) -> str | None:
    if not isinstance(value, str) or _UNSEEN.search(value):
        raise _refuse(rule, _("please write words."))
    found = value.strip()
    if len(found) > TEXT_AT_MOST:
        raise _refuse(rule, _("please write %(most)s characters at most.") % {"most": TEXT_AT_MOST})
    return found or None


def _number(rule: FieldRule, value: Any) -> int | float:
    given = str(value).strip() if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool) else ""
    try:
        found = Decimal(given) if _NUMBER.fullmatch(given) else None
    except InvalidOperation:  # figures of other scripts in unlucky places
        found = None
    if found is None:
        raise _refuse(rule, _("please give a number such as 12 or 3.5."))
    if len(found.normalize().as_tuple().digits) > DIGITS_AT_MOST:
        raise _refuse(rule, _("please give a number of %(most)s figures at most.") % {"most": DIGITS_AT_MOST})
    return int(found) if found == found.to_integral_value() else float(found)


def _date(rule: FieldRule, value: Any) -> str:
    try:
        found = value if type(value) is date else date.fromisoformat(value.strip())
    except (AttributeError, TypeError, ValueError):
        raise _refuse(rule, _("please give a day such as 2026-03-31.")) from None
    return found.isoformat()


def _choice(rule: FieldRule, value: Any) -> str:
    found = " ".join(value.split()) if isinstance(value, str) else ""
    if found not in rule.choices:
        raise _refuse(rule, _("please choose from the list."))
    return found


def _yes_no(rule: FieldRule, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = value.strip().casefold() if isinstance(value, str) else ""
    if found not in _YES | _NO:
        raise _refuse(rule, _("please say yes or no."))
    return found in _YES


_READ = {
    FieldKind.TEXT: _text,
    FieldKind.NUMBER: _number,
    FieldKind.DATE: _date,
    FieldKind.CHOICE: _choice,
    FieldKind.YES_NO: _yes_no,
}
