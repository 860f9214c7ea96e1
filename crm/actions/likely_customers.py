"""Which customers we have are worth comparing with the rows of a file, beside those who share an address, a number or a key.

Found by indexes (crm/migrations/0024): letter addresses by the keys of `evenhand_home_keys` – a name with a postcode, a name with a
street, a street with a house number, each in a form that survives most slips of the pen – and mail addresses by what stands before
the @. It only says who is compared; `crm/policy/matching.py` says who is alike, and a person who is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from crm.actions.customer_rows import Prepared
from crm.models.people import ContactKind

AT_MOST = 60
"""Customers that one row is compared with by one of its addresses; a row of a big house is not compared with all of it."""
_AT_ONCE = 1_000

_HOMES = """
WITH told AS MATERIALIZED (
  SELECT number, evenhand_home_keys(address) AS keys FROM unnest(%s::int[], %s::text[]) AS told(number, address)
)
SELECT told.number, found.customer_id FROM told, LATERAL (
  SELECT customer_id FROM crm_contactpoint WHERE kind || '' = 'postal' AND unlinked_at IS NULL
  AND evenhand_home_keys(address) && told.keys LIMIT %s
) AS found
"""
_MAILS = """
SELECT told.number, found.customer_id FROM unnest(%s::int[], %s::text[]) AS told(number, name), LATERAL (
  SELECT customer_id FROM crm_contactpoint WHERE kind = 'email' AND unlinked_at IS NULL
  AND split_part(address, '@', 1) = told.name LIMIT %s
) AS found
"""
# Right after many rows came in, the planner has no figures of these indexes; reading all addresses once a row takes hours.
_BY_INDEX = "SELECT set_config('enable_seqscan', %s, true), set_config('jit', %s, true)"


def of_rows(rows: Sequence[Prepared]) -> set[tuple[int, int]]:
    """Pairs of a row's number and a customer's key that are worth comparing. Inside a transaction."""
    homes = [
        (number, address)
        for number, row in enumerate(rows)
        for kind, address in row.points
        if kind == ContactKind.POSTAL
    ]
    mails = [
        (number, address.partition("@")[0])
        for number, row in enumerate(rows)
        for kind, address in row.points
        if kind == ContactKind.EMAIL
    ]
    found: set[tuple[int, int]] = set()
    with connection.cursor() as cursor:
        cursor.execute(_BY_INDEX, ["off", "off"])
        for statement, told in ((_HOMES, homes), (_MAILS, mails)):
            for start in range(0, len(told), _AT_ONCE):
                part = told[start : start + _AT_ONCE]
                cursor.execute(statement, [[number for number, _ in part], [words for _, words in part], AT_MOST])
                found.update(cursor.fetchall())
        cursor.execute(_BY_INDEX, ["on", "on"])
    return found
