"""Ten thousand random stories of making one, taking apart and parting: nothing is lost and nothing is earned by it (G19, N12).

EVENHAND_SEQUENCES says how many are played; `make sequences` plays 10,000. A story that fails is named by its number.
"""

from __future__ import annotations

import os
import time

import pytest
from django.db import connection

from tests.crm.stories import colleague
from tests.recovery import sequences

pytestmark = pytest.mark.django_db
STORIES = int(os.environ.get("EVENHAND_SEQUENCES", "150"))
PARTS = 20 if STORIES >= 1000 else 1


@pytest.mark.parametrize("part", range(PARTS))
def test_no_story_of_records_loses_or_earns_anything_G19_N12(part: int) -> None:
    by = colleague()
    births, oracle, tally = sequences.start(by), sequences.Oracle(), sequences.Tally()
    first, began = oracle.look(), time.monotonic()
    broken = []
    for number in range(part, STORIES, PARTS):
        try:
            sequences.play(number, oracle, first, births=births, by=by, tally=tally)
        except sequences.Broken as found:
            broken.append(str(found))
            print(found, flush=True)
    print(f"{tally.stories} stories in {time.monotonic() - began:.0f} s, {tally.undone} taken back, {dict(tally.acts)}")
    assert broken == []
    assert min(tally.acts[act] for act in (*dict.fromkeys(sequences.ACTS), "refused")) > 0


@pytest.mark.parametrize("number", [3454, 4572, 9408])
def test_a_story_that_once_earned_a_card_earns_none_any_more_G19(number: int) -> None:
    births, oracle = sequences.start(by := colleague()), sequences.Oracle()
    sequences.play(number, oracle, oracle.look(), births=births, by=by, tally=sequences.Tally())


def test_the_oracle_sees_every_column_that_refers_to_a_customer() -> None:
    """A new relation is looked at by itself; it shares no table with the product."""
    from evenhand.belongings import BELONGINGS

    named = {name.split(".")[1].lower() for name in BELONGINGS}
    assert {table.split("_")[1] for table, _column in sequences.columns()} == named


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM crm_contactpoint WHERE kind = 'phone'", "lost"),
        ("UPDATE crm_conversation SET customer_id = (SELECT max(id) FROM crm_customer WHERE merged_into_id IS NOT NULL)", "nobody"),
        ("UPDATE recovery_grant SET kind = 'goodwill'", "given changed"),
        (
            "INSERT INTO crm_contactpoint (customer_id, kind, address, created_at, unconfirmed_because)"
            " SELECT id, 'phone', '+49300000000', now(), '' FROM crm_customer WHERE merged_into_id IS NULL LIMIT 1",
            "out of nothing",
        ),
    ],
)  # fmt: skip
def test_the_oracle_sees_what_is_lost_moved_or_earned(damage: str, said: str) -> None:
    from crm.actions import persons
    from crm.models import Customer
    from tests.conftest import NOON

    by = colleague()
    births, oracle = sequences.start(by), sequences.Oracle()
    keys = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    persons.merge(keys[0], kept_id=keys[1], because="x", by=by, at=NOON, opens_to_account=True)
    before = oracle.look()
    sequences.check(before, oracle.look(), act="merge", births=births)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE recovery_grant DISABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(damage)
    with pytest.raises(sequences.Broken, match=said):
        sequences.check(before, oracle.look(), act="merge", births=births)
