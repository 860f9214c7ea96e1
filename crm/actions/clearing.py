"""What erasing does to rows, by the one table in evenhand/personal.py."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Cast, Concat

from crm.actions import channel_accounts, channel_raw
from crm.models import (
    ChannelAccount,
    ContactPoint,
    Customer,
    Interaction,
    MessageChange,
    OutgoingMessage,
    RawItem,
    User,
)
from crm.models.channels import HOOK
from crm.models.people import ContactKind
from crm.policy import WorkState
from crm.policy.privacy import without_words

AT_ONCE = 500
RAW_AT_ONCE = 2000
GONE = "erased"
SHORTEST_NAME = 5
"""A name below this length, or of one word, is not searched for: it would be found in what others said."""


def identifiers(records: Collection[int]) -> list[str]:
    """What names the person in writing: every address they have or had, and their whole name, in lower case."""
    points = ContactPoint.objects.filter(customer__in=records).exclude(kind=ContactKind.KEY)
    accounts = User.objects.filter(customer__in=records)
    sent = OutgoingMessage.objects.filter(customer__in=records)
    people = Customer.objects.filter(pk__in=records)
    told = points.values_list("address", Value(False)).union(
        accounts.values_list("email", Value(False)),
        sent.order_by().values_list("address", Value(False)),
        people.values_list("display_name", Value(True)),
    )
    found = set()
    for said, is_name in told:
        text = said.strip().lower()
        if len(text) < SHORTEST_NAME or text == GONE or text.startswith(f"{GONE}:") or (is_name and " " not in text):
            continue
        found |= {text, text.removeprefix("+")}
    return sorted(found)


def rows_of(label: str, records: Collection[int], named: Collection[str] = ()) -> models.QuerySet[Any]:
    """The rows of one table that are the person's. named: addresses by which rows without a relation are found."""
    model, table = apps.get_model(label), settings.EVENHAND_PERSONAL[label]
    ways = [Q(**{f"{way}__in": list(records)}) for way in table.whose]
    if named:
        ways += [Q(**{f"{way}__in": list(named)}) for way in table.by_address]
    rows: models.QuerySet[Any] = model._default_manager.filter(reduce(or_, ways))
    return rows


def keys_of(label: str, records: Collection[int], named: Collection[str] = ()) -> list[Any]:
    """The keys of those rows, each once, in order."""
    return sorted(set(rows_of(label, records, named).values_list("pk", flat=True)))


def numbers(records: Collection[int], named: Collection[str]) -> dict[str, int]:
    """How many rows of each table are the person's, by its label, in one statement."""
    parts, values = [], []
    for label in settings.EVENHAND_PERSONAL:
        rows = rows_of(label, records, named)
        if label == "crm.RawItem":
            said = Interaction.objects.filter(conversation__customer__in=list(records)).values("raw")
            rows = rows | RawItem.objects.filter(pk__in=said)
        try:
            sql, given = rows.order_by().values("pk").distinct().query.sql_with_params()
        except EmptyResultSet:  # a way by address where there is no address
            continue
        parts.append(f"SELECT %s, count(*) FROM ({sql}) one")  # noqa: S608  (Django's own statement)
        values += [label, *given]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return dict.fromkeys(settings.EVENHAND_PERSONAL, 0) | dict(cursor.fetchall())


def clear(label: str, keys: Sequence[Any]) -> int:
    """Clear rows of one table as the table says. In a transaction of the caller's, who has named the erasure to the guards."""
    model, table = apps.get_model(label), settings.EVENHAND_PERSONAL[label]
    rows = model._default_manager.filter(pk__in=keys)
    _remove_files(rows, table.files)
    if table.removed:
        return len(keys) if rows._raw_delete(rows.db) is not None else 0
    changes: dict[str, Any] = {name: _value(model, name, value) for name, value in table.empties.items()}
    changes |= {name: Case(When(**{name: ""}, then=Value("")), default=Value(GONE)) for name in table.words}
    changes |= dict.fromkeys(table.files, "")
    for name in table.own:
        changes[name] = Concat(Value(f"{GONE}:"), Cast(F("pk"), models.TextField()))
    if table.shrinks:
        _shrink(model, keys, table.shrinks, changes)
    elif changes:
        rows.update(**changes)
    return len(keys)


def _value(model: type[models.Model], name: str, value: Any) -> Any:
    """A JSON value is written as such; a dict would be taken for one by no other column."""
    is_json = isinstance(model._meta.get_field(name), models.JSONField)
    return Value(value, models.JSONField()) if is_json else value


def _remove_files(rows: models.QuerySet[Any], names: Sequence[str]) -> None:
    for name in names:
        for row in rows.exclude(**{name: ""}):
            file = getattr(row, name)
            file.storage.delete(file.name)


def _shrink(model: type[models.Model], keys: Sequence[Any], names: Sequence[str], changes: dict[str, Any]) -> None:
    """Leave of JSON what names nobody; each row by itself, since each is different. Rows that lose nothing are not touched."""
    for row in model._default_manager.filter(pk__in=keys).order_by("pk"):
        kept = {name: without_words(getattr(row, name)) for name in names}
        if not changes and all(getattr(row, name) == value for name, value in kept.items()):
            continue
        shrunk = {name: Value(value, models.JSONField()) for name, value in kept.items()}
        model._default_manager.filter(pk=row.pk).update(**changes, **shrunk)


# --- what no relation leads to ------------------------------------------------------------------------------------------


def search(named: Collection[str]) -> int:
    """Clear what names the person in tables that belong to nobody. Returns how many rows."""
    count = 0
    for label, (columns, _because) in settings.EVENHAND_PERSONAL_SEARCHED.items():
        model = apps.get_model(label)
        for column in columns:
            for one in named:
                rows = model._default_manager.filter(**{f"{column}__icontains": one})
                count += rows.update(**{column: GONE})
    return count


def end_sessions(records: Collection[int], named: Collection[str]) -> int:
    """End the person's log-ins and whatever is half-way to one. Returns how many."""
    accounts = {str(number) for number in User.objects.filter(customer__in=records).values_list("pk", flat=True)}
    if not accounts and not named:
        return 0
    gone = []
    for session in Session.objects.order_by("pk").iterator(chunk_size=AT_ONCE):
        told = session.get_decoded()
        text = json.dumps(told, default=str).lower()
        if str(told.get("_auth_user_id")) in accounts or any(one in text for one in named):
            gone.append(session.pk)
    return Session.objects.filter(pk__in=gone).delete()[0]


def empty_cache(named: Collection[str]) -> int:
    """Remove what the cache holds of the person, and whatever is past its time. Returns how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM evenhand_cache WHERE expires < now() OR EXISTS (SELECT 1 FROM unnest(%s::text[]) one "
            "WHERE strpos(lower(cache_key), one) > 0 OR strpos(lower(encode(decode(value, 'base64'), 'escape')), one) > 0)",
            [list(named)],
        )
        return int(cursor.rowcount)


# --- raw input ------------------------------------------------------------------------------------------------------------


def raw_of(records: Collection[int]) -> list[int]:
    """The raw items that brought what the person said, or that are about a matter of theirs."""
    theirs = {"conversation__customer__in": list(records)}
    found = set(Interaction.objects.filter(**theirs, raw__isnull=False).values_list("raw_id", flat=True))
    changes = MessageChange.objects.filter(interaction__conversation__customer__in=list(records), raw__isnull=False)
    found |= set(changes.values_list("raw_id", flat=True))
    found |= set(RawItem.objects.filter(about__customer__in=list(records)).values_list("pk", flat=True))
    return sorted(number for number in found if number is not None)


def raw_that_names(named: Collection[str], *, after: int) -> tuple[list[int], int | None]:
    """Of the next portion of raw items: those that name the person and brought nobody's words; and where to go on, or None."""
    ids = list(RawItem.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:RAW_AT_ONCE])
    if not ids or not named:
        return [], None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id FROM crm_rawitem r WHERE r.id BETWEEN %s AND %s AND r.state IN ('done', 'parked') "
            "AND NOT EXISTS (SELECT 1 FROM crm_interaction i WHERE i.raw_id = r.id) "
            "AND EXISTS (SELECT 1 FROM unnest(%s::text[]) one WHERE strpos(lower(r.label), one) > 0 "
            "OR strpos(lower(r.facts::text), one) > 0 OR strpos(lower(r.reason), one) > 0 "
            "OR strpos(lower(encode(r.content, 'escape')), one) > 0) ORDER BY r.id",
            [ids[0], ids[-1], list(named)],
        )
        found = [number for (number,) in cursor.fetchall()]
    return found, ids[-1] if len(ids) == RAW_AT_ONCE else None


def clear_raw(keys: Sequence[int], records: Collection[int], named: Collection[str]) -> int:
    """Let go of raw items; of one that brought the words of others as well, only this person's part."""
    items = RawItem.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("pk")
    others = set(
        Interaction.objects.filter(raw__in=keys)
        .exclude(conversation__customer__in=list(records))
        .values_list("raw_id", flat=True)
    )
    alone = [item.pk for item in items if item.pk not in others]
    for portion in portions(alone):
        clear("crm.RawItem", portion)
        parked = RawItem.objects.filter(pk__in=portion, state=WorkState.PARKED)
        parked.update(state=WorkState.DONE, kind="erased")
    for item in items:
        if item.pk in others:
            _let_go_of_a_part(item, records, named)
    return len(items)


def _let_go_of_a_part(item: RawItem, records: Collection[int], named: Collection[str]) -> None:
    if item.source.startswith(HOOK):
        account = next((one for one in ChannelAccount.objects.order_by("pk") if one.source == item.source), None)
        theirs = Interaction.objects.filter(raw=item, conversation__customer__in=list(records))
        gone = list(theirs.values_list("external_id", flat=True))
        if account is not None and gone:
            channel_raw.let_go(item, account, channel_accounts.described(account), gone)
    content = bytes(item.content)
    for one in named:
        content = _covered(content, one)
    RawItem.objects.filter(pk=item.pk).update(content=content)


def _covered(content: bytes, one: str) -> bytes:
    """Bytes in which a name or an address is covered by as many letters x, however it is written there."""
    for form in {one.encode(), json.dumps(one)[1:-1].encode()}:
        place = content.lower().find(form.lower())
        while place >= 0:
            content = content[:place] + b"x" * len(form) + content[place + len(form) :]
            place = content.lower().find(form.lower(), place + len(form))
    return content


def portions(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut into portions that one transaction takes."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]
