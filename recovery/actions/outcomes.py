"""What became of every matter of a window, in one statement: the rows that the audit compares.

The database gives whole numbers of fixed width (COPY in binary), so that a million
matters are read about as fast as it can say them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from crm.channels import Channel
from crm.models import RequiredSkill, ServiceCalendar
from loyalty.policy import Occasion
from recovery.policy import ComplaintType, Severity

if TYPE_CHECKING:
    import numpy as np

    from recovery.parity.own import Matters, Whole

OTHER = "other"
NO_FAILURE = "no failure"
_AT_ONCE = 8 * 1024 * 1024
"""Bytes that are taken apart at once."""
_HEADER = 19
"""Bytes before the first row of a binary COPY: signature, flags, length of an extension (PostgreSQL manual, COPY)."""


def read(*, since: datetime, until: datetime, at: datetime, of: Sequence[int | None] | None = None) -> Matters:
    """Read every matter whose customer spoke from since to before until (aware), with what had become of it at `at`.

    What came in with an import of the past is left out: nothing was promised for it. Files of one customer that were made one count
    as one customer. Matters that were dismissed or judged to need no answer count among dismissals alone. Those of agreed test
    pairs are left out (R051); of: read these conversations alone, whosesoever they are, those that
    ended without an answer too.
    """
    from recovery.parity import own

    text, values = statement(since=since, until=until, at=at, of=of)
    made = _matters(_columns(text, values, _names()), values, any_ending=of is not None)
    kindly = {**values, "occasions": list(Occasion.values)}
    return replace(made, gestures=_columns(_KINDNESSES, kindly, own.GESTURES), occasions=tuple(Occasion.values))


def changed(
    *, since: datetime, at: datetime, spans: Sequence[tuple[datetime, datetime]]
) -> list[tuple[Matters, Matters]]:
    """Read matters to which something happened since a moment: as they stood then, and as they stand at `at`.

    spans: when their customers spoke, from and before, each following the last one; there is a pair for each. What counts as
    happened: a first answer, an end, coming back, a case that was opened, and that the time came by which an answer was promised.
    The columns are those of `recovery.parity.cells.LIVE` alone. What was written down later than it happened, made one with another
    or judged anew is for the next count.
    """
    from recovery.parity import cells, own

    values = _values(since=spans[0][0], until=spans[-1][1], at=at)
    touched = _columns(_CHANGED.format(whose=_NO_TEST), {**values, "then": since}, ("number",), by_index=True)["number"]
    values["of"] = touched.tolist()
    names = (*cells.LIVE, own.NO_ANSWER_NEEDED)
    text = _SELECT.format(
        whose=_THESE,
        cases=" AND c.opened_at <= %(at)s",
        columns=",\n".join(f"({(_SAYS | _AS_OF)[name]})::bigint" for name in names),
    )
    then, now = (_columns(text, {**values, "at": moment}, names, by_index=True) for moment in (since, at))
    return [
        (_matters(_spoke(then, *span), {**values, "at": since}), _matters(_spoke(now, *span), values)) for span in spans
    ]


def _spoke(columns: Mapping[str, Whole], since: datetime, until: datetime) -> dict[str, Whole]:
    within = (columns["spoke_at"] >= int(since.timestamp())) & (columns["spoke_at"] < until.timestamp())
    return {name: values[within] for name, values in columns.items()}


def _matters(columns: dict[str, Whole], values: Mapping[str, Any], *, any_ending: bool = False) -> Matters:
    """Make matters of the columns of a statement. any_ending: with those that were dismissed or needed no answer."""
    from recovery.parity import own

    is_dismissed = columns.pop(own.NO_ANSWER_NEEDED)
    dismissed = {name: columns[name] for name in ("number", "channel", "type")} | {"is": is_dismissed}
    needed = is_dismissed == (is_dismissed if any_ending else 0)
    kept = {name: columns.pop(name)[needed] for name in list(columns)}
    return own.Matters(
        columns=kept,
        dismissed=dismissed,
        channels=tuple(Channel.values),
        types=tuple(values["types"]),
        severities=tuple(values["severities"]),
        at=values["at"],
        languages=tuple(values["languages"]),
        regions=tuple(values["regions"]),
    )


def statement(
    *, since: datetime, until: datetime, at: datetime, of: Sequence[int | None] | None = None
) -> tuple[str, dict[str, Any]]:
    """The statement that `read` sends, and its values. Its columns are whole numbers, by the names of own.COLUMNS and one more."""
    text = _SELECT.format(
        whose=_NO_TEST if of is None else _THESE,
        cases="",
        columns=",\n".join(f"({_SAYS[name]})::bigint" for name in _names()),
    )
    return text, {**_values(since=since, until=until, at=at), "of": list(of or ())}


def _values(*, since: datetime, until: datetime, at: datetime) -> dict[str, Any]:
    skills = RequiredSkill.objects.order_by("skill").values_list("skill", flat=True).distinct()
    types = (NO_FAILURE, *ComplaintType.values, *(each for each in skills if each not in ComplaintType.values), OTHER)
    languages = dict.fromkeys(tag.lower()[:2] for tag in settings.EVENHAND_CUSTOMER_LANGUAGES)
    return {
        "since": since, "until": until, "at": at, "channels": list(Channel.values), "types": list(types),
        "severities": ["", *Severity.values], "regions": _regions(), "languages": list(languages),
    }  # fmt: skip


def _regions() -> list[str]:
    """Regions with a service calendar of their own: when people are there decides how long an answer takes, so like is of one."""
    return [
        "",
        *ServiceCalendar.objects.exclude(region="").order_by("region").values_list("region", flat=True).distinct(),
    ]


def _names() -> tuple[str, ...]:
    from recovery.parity import own

    return (*own.COLUMNS, own.NO_ANSWER_NEEDED)


def _columns(
    text: str, values: Mapping[str, Any], names: tuple[str, ...], *, by_index: bool = False
) -> dict[str, Whole]:
    """Read whole numbers into columns while the database goes on; what is no key and no time takes four bytes a row."""
    import numpy as np

    from recovery.parity import own

    row, wide = _shape(names), {"number", "customer", *own.TIMES, *own.NUMBERS}
    parts: dict[str, list[Whole]] = {name: [] for name in names}
    left, began = bytearray(), False
    for block in copied(text, values, by_index=by_index):
        left += block
        if len(left) < _AT_ONCE:
            continue
        whole = (len(left) - (0 if began else _HEADER)) // row.itemsize
        _split(left, row, whole, 0 if began else _HEADER, parts, wide)
        del left[: (0 if began else _HEADER) + whole * row.itemsize]
        began = True
    rest = (len(left) - (0 if began else _HEADER)) // row.itemsize  # the end is marked by two bytes
    _split(left, row, rest, 0 if began else _HEADER, parts, wide)
    del left
    return {name: np.concatenate(parts.pop(name)) for name in names}


def _split(
    block: bytearray, row: np.dtype[Any], count: int, offset: int, parts: dict[str, list[Whole]], wide: set[str]
) -> None:
    import numpy as np

    made = np.frombuffer(bytes(block), dtype=row, count=count, offset=offset)
    for name, held in parts.items():
        held.append(made[name].astype(np.int64 if name in wide else np.int32))


def _shape(names: tuple[str, ...]) -> np.dtype[Any]:
    """A row of a binary COPY whose fields are all eight bytes wide: their number, then each with its length before it."""
    import numpy as np

    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name in names:
        fields += [(f"length of {name}", ">i4"), (name, ">i8")]
    return np.dtype(fields)


def copied(text: str, values: Mapping[str, Any], *, by_index: bool = False) -> Iterator[bytes | bytearray | memoryview]:
    """Yield what a statement gives as a binary COPY, block by block as it comes. by_index: few rows of large tables are asked for.

    It is read in a transaction, which ends when all has been read.
    """
    connection.ensure_connection()
    # The cursor of psycopg itself: Django's own, while it counts statements, takes no values with a COPY.
    with connection.connection.transaction(), connection.connection.cursor() as cursor:
        cursor.execute(_PLANNED, {"seqscan": "off" if by_index else "on"})
        with cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT BINARY)", values) as copy:
            yield from copy


_PLANNED = "SELECT set_config('jit', 'off', true), set_config('enable_seqscan', %(seqscan)s, true)"
"""To compile so many expressions takes a second, which is never earned back; and for few rows whole tables may look no dearer."""

_EPOCH = "floor(date_part('epoch', {}))"  # as a double: extract() counts in decimal numbers, which are slow


def _moment(column: str) -> str:
    """A moment in whole seconds, -1 where there is none or it is still to come as of `at`."""
    return f"coalesce(CASE WHEN {column} <= %(at)s THEN {_EPOCH.format(column)} END, -1)"


def _flag(known: str, yes: str) -> str:
    return f"CASE WHEN {known} THEN CASE WHEN {yes} THEN 1 ELSE 0 END ELSE -1 END"


_DECIDED = "r.resolved_at <= %(at)s AND r.same_as_id IS NULL AND d.case_id IS NOT NULL"

_SAYS: dict[str, str] = {
    "number": "m.id",
    "customer": "m.customer",
    "channel": "array_position(%(channels)s::text[], m.channel::text) - 1",
    "type": (
        "coalesce(array_position(%(types)s::text[], coalesce(r.complaint_type, nullif(m.skill, ''))::text),"
        " CASE WHEN m.skill = '' THEN 1 ELSE cardinality(%(types)s::text[]) END) - 1"
    ),
    "severity": "coalesce(array_position(%(severities)s::text[], r.severity::text), 1) - 1",
    "region": "coalesce(array_position(%(regions)s::text[], m.region::text), 1) - 1",
    "spoke_at": _EPOCH.format("m.spoke_at"),
    "reached_us_at": _moment("f.reached_us_at"),
    "answer_due_at": f"coalesce({_EPOCH.format('p.answer_due_at')}, -1)",
    "answered_at": _moment("m.first_answer_at"),
    "settled_at": _moment("coalesce(r.resolved_at, CASE WHEN r.id IS NULL AND e.how = 'closed' THEN e.at END)"),
    "answered_as_promised": _flag(
        "p.answer_due_at IS NOT NULL AND (p.answer_due_at <= %(at)s OR m.first_answer_at <= %(at)s)",
        "m.first_answer_at <= p.answer_due_at AND m.first_answer_at <= %(at)s",
    ),
    "confirmed_as_promised": _flag(
        "p.confirm_due_at IS NOT NULL AND (p.confirm_due_at <= %(at)s OR p.confirmed_at <= %(at)s)",
        "p.confirmed_at <= p.confirm_due_at AND p.confirmed_at <= %(at)s",
    ),
    "remedy_in_full": _flag(
        "r.resolved_at <= %(at)s AND r.same_as_id IS NULL AND d.owed > 0", "coalesce(g.given, 0) >= d.owed"
    ),
    "came_back": _flag("coalesce(z.settled, 0) > 0", "z.came_back > 0"),
    "handed_over": _flag("true", "coalesce(h.accepted, 0) > 0"),
    "went_quiet": _flag("m.state = 'closed' OR e.how IS NOT NULL", "e.how = 'went_quiet'"),
    "exception_approved": _flag("coalesce(x.decided, 0) > 0", "x.approved > 0"),
    "promises_kept": _flag("p.came_due > 0", "p.kept = p.came_due"),
    "language": "coalesce(array_position(%(languages)s::text[], lower(left(m.language, 2))), 0) - 1",
    "remedy_owed": f"CASE WHEN {_DECIDED} THEN round(d.owed * 100) ELSE -1 END",
    "remedy_given": f"CASE WHEN {_DECIDED} THEN round(coalesce(g.given, 0) * 100) ELSE -1 END",
    "remedy_currency": (
        f"CASE WHEN {_DECIDED} AND d.currency ~ '^[A-Z]{{3}}$' THEN (ascii(d.currency) - 65) * 676"
        " + (ascii(substr(d.currency, 2)) - 65) * 26 + ascii(substr(d.currency, 3)) - 65 ELSE -1 END"
    ),
    "hand_offs": "coalesce(h.accepted, 0)",
    "verification_steps": "coalesce(v.asked, 0)",
    "survey_answered": _flag("q.asked_at IS NOT NULL", "q.answered_at IS NOT NULL"),
    "csat": "coalesce(q.csat, -1)",
    "fair_outcome": "coalesce(q.outcome, -1)",
    "fair_process": "coalesce(q.process, -1)",
    "fair_manner": "coalesce(q.manner, -1)",
    "effort": "coalesce(q.effort, -1)",
    "no_answer_needed": "CASE WHEN e.how IN ('dismissed', 'no_answer') THEN 1 ELSE 0 END",
}
"""What each column says of a matter, in SQL over the tables below."""

_SEEN_SINCE = "r.id IS NULL AND EXISTS (SELECT 1 FROM recovery_case o WHERE o.conversation_id = m.id)"
_DUE = """coalesce(p.answer_due_at, (
  SELECT min(u.due_at) FROM crm_promise u WHERE u.conversation_id = m.id AND u.kind = 'first_response' AND u.state = 'released'
    AND EXISTS (SELECT 1 FROM crm_closing x WHERE x.conversation_id = m.id AND x.at > %(at)s) AND e.how IS NULL
))"""
_AS_OF = {
    "type": f"CASE WHEN {_SEEN_SINCE} THEN 0 ELSE {_SAYS['type']} END",
    "answer_due_at": f"coalesce({_EPOCH.format(_DUE)}, -1)",
    "settled_at": _moment(
        "coalesce((SELECT s.at FROM recovery_settlement s WHERE s.case_id = r.id AND s.at <= %(at)s"
        " AND (s.reopened_at IS NULL OR s.reopened_at > %(at)s) ORDER BY s.id DESC LIMIT 1), r.resolved_at,"
        " CASE WHEN r.id IS NULL AND e.how = 'closed' THEN e.at END)"
    ),
}
"""What of a past moment has to be looked up matter by matter: before its case was opened a matter was no failure of ours as far as
anybody saw, an end lets go of what was promised, and a case that came back no longer says itself when it was settled."""

_NO_TEST = "NOT EXISTS (SELECT 1 FROM recovery_probeside t WHERE t.customer_id = c.customer_id)"
_THESE = "c.id = ANY(%(of)s::bigint[])"
_SELECT = """
WITH m AS MATERIALIZED (
  SELECT c.id, coalesce(k.merged_into_id, k.id) AS customer, k.language, k.region, c.channel, c.skill, c.state, c.spoke_at,
         c.first_answer_at
  FROM crm_conversation c JOIN crm_customer k ON k.id = c.customer_id
  WHERE c.spoke_at >= %(since)s AND c.spoke_at < %(until)s AND NOT c.imported
    AND {whose}
), r AS MATERIALIZED (
  SELECT c.id, c.conversation_id, c.complaint_type, c.severity, c.resolved_at, c.same_as_id
  FROM recovery_case c JOIN m ON m.id = c.conversation_id{cases}
)
SELECT {columns}
FROM m
LEFT JOIN r ON r.conversation_id = m.id
LEFT JOIN (
  SELECT conversation_id,
         min(due_at) FILTER (WHERE kind = 'first_response') AS answer_due_at,
         min(due_at) FILTER (WHERE kind = 'confirmation') AS confirm_due_at,
         min(met_at) FILTER (WHERE kind = 'confirmation') AS confirmed_at,
         count(*) FILTER (WHERE kind <> 'confirmation' AND least(due_at, met_at) <= %(at)s) AS came_due,
         count(*) FILTER (WHERE kind <> 'confirmation' AND met_at <= due_at AND met_at <= %(at)s) AS kept
  FROM crm_promise WHERE state <> 'released'
    AND conversation_id IN (SELECT id FROM m)
  GROUP BY conversation_id
) p ON p.conversation_id = m.id
LEFT JOIN (
  SELECT i.conversation_id, min(i.ingested_at) AS reached_us_at
  FROM crm_interaction i JOIN m ON m.id = i.conversation_id AND i.direction = 'in' AND i.spoke_at = m.spoke_at
  GROUP BY i.conversation_id
) f ON f.conversation_id = m.id
LEFT JOIN (
  SELECT DISTINCT ON (conversation_id) conversation_id, how, at FROM crm_closing
  WHERE at <= %(at)s AND (reopened_at IS NULL OR reopened_at > %(at)s) AND conversation_id IN (SELECT id FROM m)
  ORDER BY conversation_id, id DESC
) e ON e.conversation_id = m.id
LEFT JOIN (
  SELECT conversation_id, count(*) AS settled, count(*) FILTER (WHERE reopened_at <= %(at)s) AS came_back FROM (
    SELECT conversation_id, reopened_at FROM crm_closing
    WHERE how = 'closed' AND at <= %(at)s AND conversation_id IN (SELECT id FROM m)
    UNION ALL
    SELECT r.conversation_id, s.reopened_at FROM recovery_settlement s JOIN r ON r.id = s.case_id WHERE s.at <= %(at)s
  ) ended GROUP BY conversation_id
) z ON z.conversation_id = m.id
LEFT JOIN (
  SELECT conversation_id, count(*) AS accepted FROM crm_handoff
  WHERE state = 'accepted' AND settled_at <= %(at)s AND conversation_id IN (SELECT id FROM m) GROUP BY conversation_id
) h ON h.conversation_id = m.id
LEFT JOIN (
  SELECT conversation_id, count(*) AS asked FROM (
    SELECT conversation_id FROM crm_identitycheck WHERE asked_at <= %(at)s AND conversation_id IN (SELECT id FROM m)
    UNION ALL
    SELECT m.id FROM crm_secondproof s JOIN crm_user u ON u.id = s.user_id JOIN crm_customer k ON k.id = u.customer_id
    JOIN m ON m.customer = coalesce(k.merged_into_id, k.id) AND m.spoke_at <= s.at
    WHERE s.at >= %(since)s AND s.at <= %(at)s AND NOT EXISTS (
      SELECT 1 FROM crm_closing z
      WHERE z.conversation_id = m.id AND z.at <= s.at AND (z.reopened_at IS NULL OR z.reopened_at > s.at)
    )
  ) steps GROUP BY conversation_id
) v ON v.conversation_id = m.id
LEFT JOIN (
  SELECT DISTINCT ON (case_id) case_id, (entitlement->>'owed')::numeric AS owed, entitlement->>'currency' AS currency
  FROM recovery_decision WHERE decided_at <= %(at)s AND case_id IN (SELECT id FROM r) ORDER BY case_id, id DESC
) d ON d.case_id = r.id
LEFT JOIN (
  SELECT case_id, currency, sum(amount) AS given FROM recovery_grant
  WHERE at <= %(at)s AND case_id IN (SELECT id FROM r) GROUP BY case_id, currency
) g ON g.case_id = r.id AND g.currency = d.currency
LEFT JOIN (
  SELECT case_id, count(*) AS decided, count(*) FILTER (WHERE state = 'approved') AS approved
  FROM recovery_treatmentexception WHERE decided_at <= %(at)s AND case_id IN (SELECT id FROM r) GROUP BY case_id
) x ON x.case_id = r.id
LEFT JOIN (
  SELECT a.conversation_id, o.accepted_at AS asked_at, s.at AS answered_at, s.csat, s.outcome, s.process, s.manner, s.effort
  FROM crm_ask a JOIN crm_outgoingmessage o ON o.id = a.message_id AND o.accepted_at <= %(at)s
  LEFT JOIN crm_surveyanswer s ON s.ask_id = a.id AND s.at <= %(at)s
  WHERE a.kind = 'survey' AND a.conversation_id IN (SELECT id FROM m)
) q ON q.conversation_id = m.id
ORDER BY m.id
"""

_CHANGED = """
SELECT c.id::bigint FROM crm_conversation c WHERE c.id IN (
  SELECT id FROM crm_conversation WHERE first_answer_at > %(then)s AND first_answer_at <= %(at)s
  UNION ALL SELECT conversation_id FROM crm_closing WHERE at > %(then)s AND at <= %(at)s
  UNION ALL SELECT conversation_id FROM crm_closing WHERE reopened_at > %(then)s AND reopened_at <= %(at)s
  UNION ALL SELECT conversation_id FROM recovery_case WHERE opened_at > %(then)s AND opened_at <= %(at)s
  UNION ALL SELECT r.conversation_id FROM recovery_settlement s JOIN recovery_case r ON r.id = s.case_id
  WHERE s.at > %(then)s AND s.at <= %(at)s
  UNION ALL SELECT r.conversation_id FROM recovery_settlement s JOIN recovery_case r ON r.id = s.case_id
  WHERE s.reopened_at > %(then)s AND s.reopened_at <= %(at)s
  UNION ALL SELECT conversation_id FROM crm_promise
  WHERE due_at > %(then)s AND due_at <= %(at)s AND kind = 'first_response'
) AND c.spoke_at >= %(since)s AND c.spoke_at < %(until)s AND NOT c.imported AND {whose}
"""
"""Numbers of the matters to which something happened after a moment (`then`)."""

_KINDNESSES = """
SELECT f.id::bigint, (array_position(%(channels)s::text[], f.channel::text) - 1)::bigint,
       (array_position(%(occasions)s::text[], p.occasion::text) - 1)::bigint,
       (CASE WHEN g.state = 'sent' AND g.sent_at <= %(at)s THEN 1 ELSE 0 END)::bigint
FROM loyalty_gesture g
JOIN loyalty_programme p ON p.id = g.programme_id
JOIN crm_customer k ON k.id = g.customer_id
JOIN LATERAL (
  SELECT c.id, c.channel FROM crm_conversation c
  WHERE c.customer_id IN (
    SELECT record.id FROM crm_customer record
    WHERE record.id = coalesce(k.merged_into_id, k.id) OR record.merged_into_id = coalesce(k.merged_into_id, k.id)
  )
  ORDER BY c.spoke_at, c.id LIMIT 1
) f ON true
WHERE g.send_at >= %(since)s AND g.send_at < least(%(until)s, %(at)s)
  AND NOT EXISTS (SELECT 1 FROM recovery_probeside t WHERE t.customer_id = g.customer_id)
ORDER BY g.id
"""
"""Kindnesses with the channel by which their customer first came; left out is who never spoke to us, and who is a tester."""
