"""Where relationships stand: derived from rows, said by people, written once, never shown to what gives (R087)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm import history
from crm.actions import holds, intake, persons, stages
from crm.models import Customer, HistoryEntry, Promise, RelationshipRole, RelationshipStage
from crm.policy.stages import RelationshipKind, Stage
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
CASE = "00000000-0000-4000-8000-000000000000"


def heard(**changes) -> Customer:
    return intake.receive(message(**changes), at=NOON, origin="test").conversation.customer


def newest(customer: Customer) -> RelationshipStage | None:
    return RelationshipStage.objects.filter(customer=customer).order_by("-pk").first()


def happened(customer: Customer, verb: str, *, ref: str = "case:c", at=NOON) -> None:
    history.record(customer, verb, ref=ref, by=None, at=at)


def test_the_night_says_where_everybody_stands_and_a_second_run_changes_nothing_R087():
    spoke = heard()
    silent = Customer.objects.create(display_name="From a file", created_at=NOON)
    assert stages.derive_all(NOON) == 2
    assert (newest(spoke).stage, newest(spoke).rule) == (Stage.NEW, "first_heard")
    assert newest(spoke).evidence == [f"conversation:{spoke.conversations.get().public_id}"]
    assert newest(silent).stage == Stage.PROSPECT
    assert stages.derive_all(NOON + timedelta(minutes=1)) == 0
    assert stages.derive_all(NOON + 400 * DAY) == 1
    assert (newest(spoke).before, newest(spoke).stage) == (Stage.NEW, Stage.LAPSED)


def test_missed_promises_and_a_case_strain_it_and_time_heals_R087():
    customer = heard()
    matter = customer.conversations.get()
    stages.derive_all(NOON)
    Promise.objects.filter(conversation=matter).update(state="breached", breached_at=NOON)
    happened(customer, "promise.missed", ref=f"conversation:{matter.public_id}")
    assert stages.derive_all(NOON + DAY) == 0  # one alone strains nothing
    holds.place(customer, key="case:1", reason="open_case", at=NOON)
    assert stages.follow(NOON + timedelta(minutes=5)) == 1
    assert (newest(customer).stage, newest(customer).rule) == (Stage.STRAINED, "missed_with_case")
    assert newest(customer).evidence == [f"conversation:{matter.public_id}"]
    happened(customer, "case.reopened")
    happened(customer, "case.reopened")
    stages.derive_all(NOON + DAY)
    assert newest(customer).stage == Stage.ADVERSARY
    assert newest(customer).evidence == ["case:1", "case:c"]
    holds.lift("case:1", at=NOON + DAY)
    stages.derive_all(NOON + 2 * DAY)
    assert newest(customer).stage == Stage.NEW
    chain = list(RelationshipStage.objects.filter(customer=customer).order_by("pk"))
    assert [row.previous_id for row in chain] == [None, *(row.pk for row in chain[:-1])]


def test_whoever_was_away_and_writes_again_is_back_R087():
    customer = heard(sender_address="carla@home.example")
    stages.derive_all(NOON + 400 * DAY)
    intake.receive(message(sender_address="carla@home.example"), at=NOON + 401 * DAY, origin="test")
    stages.derive_all(NOON + 402 * DAY)
    assert newest(customer).stage == Stage.WON_BACK
    stages.derive_all(NOON + 600 * DAY)
    assert newest(customer).stage == Stage.ACTIVE


def test_a_closed_record_is_ended_and_records_that_are_part_of_another_have_none_of_their_own_R087_N12():
    closed, gone, kept = heard(), heard(), heard()
    Customer.objects.filter(pk=closed.pk).update(status="deceased")
    happened(gone, "promise.missed")
    happened(gone, "promise.missed")
    made = persons.merge(gone.pk, kept_id=kept.pk, because="told us", by=colleague(), at=NOON)
    assert stages.derive_all(NOON) == 2
    assert newest(closed).stage == Stage.ENDED
    assert newest(kept).stage == Stage.STRAINED  # what was missed before counts for the person
    assert newest(gone) is None
    persons.undo(made.pk, by=colleague(), at=NOON)
    stages.derive_all(NOON)
    assert (newest(kept).stage, newest(gone).stage) == (Stage.NEW, Stage.STRAINED)


def test_a_colleague_says_where_it_stands_and_that_counts_until_a_case_or_promise_changes_R087():
    customer, agent = heard(), colleague()
    stages.derive_all(NOON)
    said = stages.note(
        customer.pk, Stage.ADVOCATE, because="Sent two neighbours to us.", evidence=f"/admin/case/{CASE}/",
        by=agent, at=NOON + DAY,
    )  # fmt: skip
    assert (said.before, said.by, said.rule) == (Stage.NEW, agent, "")
    assert said.evidence == [f"case:{CASE}"]
    assert HistoryEntry.objects.filter(verb="customer.stage_noted", by=agent).exists()
    assert stages.derive_all(NOON + 30 * DAY) == 0
    happened(customer, "case.opened", at=NOON + 31 * DAY)
    stages.derive_all(NOON + 32 * DAY)
    assert newest(customer).rule == "first_heard"


@pytest.mark.parametrize(("stage", "because"), [(Stage.NEW, "Why not."), (Stage.LOYAL, " ")])
def test_the_same_again_or_without_a_reason_is_refused_and_changes_nothing_R087(stage, because):
    customer = heard()
    stages.derive_all(NOON)
    with pytest.raises((stages.StageStands, stages.WordsNeeded)):
        stages.note(customer.pk, stage, because=because, by=colleague(), at=NOON)
    assert RelationshipStage.objects.count() == 1


def test_roles_are_several_at_once_said_with_evidence_and_end_R087():
    customer, agent = heard(), colleague()
    for role in (RelationshipKind.INFLUENCER, RelationshipKind.SUPPLIER):
        stages.add_role(customer.pk, role, evidence="Told us on the phone.", by=agent, at=NOON)
    with pytest.raises(stages.RoleStands):
        stages.add_role(customer.pk, RelationshipKind.SUPPLIER, evidence="Again.", by=agent, at=NOON)
    with pytest.raises(stages.WordsNeeded):
        stages.add_role(customer.pk, RelationshipKind.PRESS, evidence=" ", by=agent, at=NOON)
    first = RelationshipRole.objects.get(role=RelationshipKind.INFLUENCER)
    stages.end_role(first.pk, customer_id=customer.pk, by=agent, at=NOON)
    with pytest.raises(stages.RoleStands):
        stages.end_role(first.pk, customer_id=customer.pk, by=agent, at=NOON)
    stages.add_role(customer.pk, RelationshipKind.INFLUENCER, evidence="Asked again.", by=agent, at=NOON)
    assert RelationshipRole.objects.filter(ended_at=None).count() == 2
    stages.derive_all(NOON)
    assert newest(customer).stage == Stage.NEW  # no stage follows from a role


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError:
        return True
    return False


def test_the_database_keeps_every_change_and_lets_the_chain_never_fork_R087():
    customer = heard()
    stages.derive_all(NOON)
    row = newest(customer)
    assert refused("UPDATE crm_relationshipstage SET because = 'x'")
    assert refused("DELETE FROM crm_relationshipstage")
    insert = (
        "INSERT INTO crm_relationshipstage (customer_id, previous_id, before, stage, since, rule, by_id, because, evidence)"
        " VALUES ({c}, {previous}, '{before}', '{stage}', now(), '{rule}', NULL, '{because}', '[]')"
    )
    fine = {"c": customer.pk, "previous": row.pk, "before": "new", "stage": "loyal", "rule": "r", "because": "b"}
    for change in (
        {"previous": "NULL", "before": ""},  # a second beginning
        {"stage": "new"},  # no change
        {"rule": ""},  # neither a rule nor a person
        {"because": ""},
        {"before": ""},
    ):
        assert refused(insert.format(**{**fine, **change})), change
    assert not refused(insert.format(**fine))
    assert refused(insert.format(**fine))  # two from the same one


def test_many_customers_are_one_statement_to_read_and_one_to_write_R087():
    few = [heard().pk for _ in range(2)]
    many = [heard().pk for _ in range(20)]
    with CaptureQueriesContext(connection) as first:
        assert stages.derive_batch(few, at=NOON) == 2
    with CaptureQueriesContext(connection) as second:
        assert stages.derive_batch(many, at=NOON) == 20
    assert len(first) == len(second)
    assert len([one for one in second if not one["sql"].startswith(("SAVEPOINT", "RELEASE"))]) == 2


def test_the_night_and_a_colleague_at_once_leave_one_chain_R087(transactional_db: None):
    agent = colleague()
    for _round in range(4):
        customer = heard()
        results = at_once(
            partial(stages.derive_batch, [customer.pk], at=NOON),
            partial(stages.derive_batch, [customer.pk], at=NOON),
            partial(stages.note, customer.pk, Stage.LOYAL, because="Known for years.", by=agent, at=NOON),
        )
        assert not [r for r in results if isinstance(r, Exception) and not isinstance(r, stages.StageStands)], results
        chain = list(RelationshipStage.objects.filter(customer=customer).order_by("pk"))
        assert [row.previous_id for row in chain] == [None, *(row.pk for row in chain[:-1])]
        assert 1 <= len(chain) <= 2
