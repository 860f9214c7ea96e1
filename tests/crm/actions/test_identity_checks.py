"""Asked, shown, not shown, asked no more: each is a step, nothing shown is kept, and codes reach proved addresses alone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from crm.actions import (
    desk,
    erasure,
    identity_checks,
    intake,
    joining,
    package_contents,
    partings,
    persons,
    retention,
)
from crm.channels import Channel
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    Doubt,
    HistoryEntry,
    IdentityCheck,
    Interaction,
    OutgoingMessage,
    RetentionRule,
    User,
)
from crm.policy.identity_checks import CODES_A_DAY, TRIES, CheckKind, CheckNeed, CheckState
from crm.policy.privacy import AskedBy
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once
from tests.recovery.test_joining import posted, visited

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.django_db


def told(channel: str = "phone", *, mail: str = "carla@home.example", **changes: Any) -> Conversation:
    """A matter of a customer of whom a mail address is proved; mail "": of whom nothing is."""
    said = intake.receive(message(channel=channel, spoke_at=NOON, **changes), at=NOON, origin="test")
    if mail:
        ContactPoint.objects.create(
            customer=said.conversation.customer,
            kind="email",
            address=mail,
            verified_at=NOON - DAY,
            created_at=NOON - DAY,
        )
    return said.conversation


def ask(
    matter: Conversation,
    kind: str = "document",
    need: str = "release",
    *,
    by: User | None = None,
    at: Any = NOON,
    because: str = "",
) -> IdentityCheck:
    return identity_checks.ask(
        matter.pk, kind=CheckKind(kind), need=CheckNeed(need), because=because, by=by or colleague(), at=at
    )


def letter(check: IdentityCheck) -> OutgoingMessage:
    return OutgoingMessage.objects.get(key=f"identity-code:{check.public_id}")


def code_in(check: IdentityCheck) -> str:
    found = re.search(r"^\d{8}$", letter(check).text, re.MULTILINE)
    assert found
    return found[0]


# --- asked ------------------------------------------------------------------------------------------------------------


def test_it_is_noted_who_asked_what_and_why_and_history_tells_it() -> None:
    matter, ada = told(), colleague()
    check = ask(matter, by=ada)
    assert (check.state, check.asked_by, check.asked_at, check.is_beyond) == (CheckState.ASKED, ada, NOON, False)
    entry = HistoryEntry.objects.get(verb="identity_check.asked")
    assert (entry.customer, entry.by) == (matter.customer, ada)
    assert entry.detail == {"check": str(check.public_id), "kind": "document", "need": "release", "beyond": False}


@pytest.mark.parametrize("channel", Channel)
def test_the_same_need_asks_for_the_same_steps_on_every_channel_R048(channel: Channel) -> None:
    """Without proof of who speaks, and with a proved address of theirs: which channel it was makes no difference."""
    matter = told(channel.value)
    assert [(one.need, one.steps, one.kinds, one.is_enough) for one in identity_checks.asks(matter)] == [
        ("release", 1, {"code", "document"}, False),
        ("money", 2, {"code", "document", "reference"}, False),
        ("address", 2, {"code", "document", "reference"}, False),
        ("act_for", 2, {"authority", "code", "document"}, False),
    ]
    for kind in ("document", "reference"):
        assert not ask(matter, kind, "money").is_beyond
    assert ask(matter, "code", "money", because="The account is abroad.").is_beyond


def test_words_from_a_proved_address_ask_for_less_and_a_doubt_about_them_for_as_much_again() -> None:
    matter = told("email", mail="")
    assert [one.steps for one in identity_checks.asks(matter)] == [1, 2, 2, 2]
    ContactPoint.objects.update(verified_at=NOON - DAY)
    assert [one.steps for one in identity_checks.asks(matter)] == [0, 1, 1, 1]
    said = Interaction.objects.get(conversation=matter)
    doubt = Doubt.objects.create(interaction=said, code=Doubt._meta.get_field("code").choices[0][0], raised_at=NOON)  # type: ignore[index]
    assert [one.steps for one in identity_checks.asks(matter)] == [1, 2, 2, 2]
    Doubt.objects.filter(pk=doubt.pk).delete()
    Interaction.objects.update(other_address="someone@else.example")
    assert [one.steps for one in identity_checks.asks(matter)] == [1, 2, 2, 2]


def test_a_caller_s_number_is_a_claim_even_where_it_is_a_known_one_H10() -> None:
    matter = told("phone", mail="", sender_kind="phone", sender_address="+49301234567")
    ContactPoint.objects.update(verified_at=NOON - DAY)
    first = identity_checks.asks(matter)[0]
    assert (first.steps, first.kinds) == (1, {"call_back", "document"})


def test_more_than_the_rules_ask_for_needs_a_reason_and_counts_like_every_step() -> None:
    matter = told()
    ask(matter, "document")
    with pytest.raises(identity_checks.ReasonNeeded):
        ask(matter, "reference")
    with pytest.raises(identity_checks.ReasonNeeded):
        ask(matter, "reference", because="   ")
    assert IdentityCheck.objects.count() == 1
    more = ask(matter, "reference", because=" The photo\nwas blurred. ")
    assert (more.is_beyond, more.because) == (True, "The photo was blurred.")
    assert ask(told(mail=""), because="Not needed to say").because == ""


def test_one_thing_is_asked_once_at_a_time_and_again_once_it_failed() -> None:
    matter, ada = told(), colleague()
    check = ask(matter)
    with pytest.raises(identity_checks.AlreadyAsked):
        ask(matter)
    identity_checks.failed(check.pk, by=ada, at=NOON)
    assert not ask(matter).is_beyond
    assert IdentityCheck.objects.count() == 2


def test_in_a_closed_matter_nothing_is_asked() -> None:
    matter = told()
    Conversation.objects.update(state="closed", due_at=None)
    with pytest.raises(desk.WrongState):
        ask(matter)
    assert not IdentityCheck.objects.exists()


def test_asking_at_once_asks_once(transactional_db: None) -> None:
    matter, ada = told(), colleague()
    troubles = at_once(*[lambda: ask(matter, by=ada)] * 4)
    assert sum(isinstance(one, identity_checks.AlreadyAsked) for one in troubles) == 3
    assert IdentityCheck.objects.count() == 1


# --- codes ------------------------------------------------------------------------------------------------------------


def test_a_code_goes_to_a_proved_address_in_their_language_and_is_kept_as_a_digest_alone() -> None:
    matter = told()
    Customer.objects.filter(pk=matter.customer_id).update(language="de-AT")
    check = ask(matter, "code")
    sent = letter(check)
    assert (sent.address, sent.kind, sent.conversation, sent.meets) == ("carla@home.example", "notice", matter, [])
    assert "ein Code" in sent.subject
    assert check.message == sent
    code = code_in(check)
    check.refresh_from_db()
    assert code not in str(IdentityCheck.objects.values())
    assert code not in str(HistoryEntry.objects.values())
    assert len(check.digest) == 64


def test_an_address_that_they_did_not_write_from_comes_first() -> None:
    matter = told("email", mail="")
    ContactPoint.objects.update(verified_at=NOON - HOUR)
    assert (
        letter(ask(matter, "code", "money")).address
        == Interaction.objects.get(conversation=matter).contact_point.address
    )  # type: ignore[union-attr]
    other = told("email", mail="work@home.example")
    ContactPoint.objects.filter(customer=other.customer, verified_at=None).update(verified_at=NOON - HOUR)
    assert letter(ask(other, "code", "money")).address == "work@home.example"


@pytest.mark.parametrize(
    "changes",
    [
        {"verified_at": None},
        {"unlinked_at": NOON - HOUR},
        {"unconfirmed_since": NOON - HOUR, "unconfirmed_because": "It came back."},
        {"verified_at": NOON + HOUR},  # proved in this very matter: it shows nothing for itself (C04)
        {"kind": "phone"},
    ],
)
def test_no_code_goes_to_what_is_not_proved_any_more_or_was_brought_along_C04(changes: dict[str, Any]) -> None:
    matter = told()
    ContactPoint.objects.filter(address="carla@home.example").update(**changes)
    with pytest.raises(identity_checks.NothingProved):
        ask(matter, "code", at=NOON + 2 * HOUR)
    assert not OutgoingMessage.objects.filter(key__startswith="identity-code:").exists()
    assert not IdentityCheck.objects.exists()


def test_the_code_that_is_told_shows_who_they_are_and_is_forgotten() -> None:
    matter, ada = told(), colleague()
    check = ask(matter, "code")
    code = code_in(check)
    OutgoingMessage.objects.filter(pk=letter(check).pk).update(state="accepted", accepted_at=NOON)
    with pytest.raises(identity_checks.CodeAlone):
        identity_checks.passed(check.pk, by=ada, at=NOON)
    done = identity_checks.try_code(check.pk, code=f" {code[:4]} {code[4:]} ", by=ada, at=NOON + HOUR)
    assert (done.state, done.settled_by, done.settled_at, done.digest) == ("passed", ada, NOON + HOUR, "")
    assert (letter(check).text, letter(check).html) == ("", "")
    assert identity_checks.asks(matter)[0].is_enough
    with pytest.raises(identity_checks.CheckSettled):
        identity_checks.try_code(check.pk, code=code, by=ada, at=NOON + HOUR)


def test_five_wrong_codes_end_it_and_each_is_counted_C09() -> None:
    check, ada = ask(told(), "code"), colleague()
    wrong = f"{(int(code_in(check)) + 1) % 10**8:08d}"
    for left in range(TRIES - 1, 0, -1):
        with pytest.raises(identity_checks.NotThatCode, match=f"{left} more"):
            identity_checks.try_code(check.pk, code=wrong, by=ada, at=NOON)
    with pytest.raises(identity_checks.NotThatCode, match="fifth"):
        identity_checks.try_code(check.pk, code=wrong, by=ada, at=NOON)
    check.refresh_from_db()
    assert (check.state, check.tries, check.digest) == ("failed", TRIES, "")
    assert letter(check).state == "cancelled"  # it had not left


def test_tries_at_once_are_counted_one_by_one_C09(transactional_db: None) -> None:
    check, ada = ask(told(), "code"), colleague()
    troubles = at_once(*[lambda: identity_checks.try_code(check.pk, code="x", by=ada, at=NOON)] * 8)
    assert all(isinstance(one, identity_checks.NotThatCode | identity_checks.CheckSettled) for one in troubles)
    check.refresh_from_db()
    assert (check.tries, check.state) == (TRIES, "failed")


def test_a_code_of_yesterday_shows_nothing_and_costs_no_try() -> None:
    check, ada = ask(told(), "code"), colleague()
    with pytest.raises(identity_checks.NotThatCode, match="a day old"):
        identity_checks.try_code(check.pk, code=code_in(check), by=ada, at=NOON + DAY)
    check.refresh_from_db()
    assert (check.tries, check.state) == (0, "asked")


def test_codes_to_one_person_are_three_a_day_over_all_their_matters_and_records() -> None:
    matter, ada = told(), colleague()
    others = [told(mail=f"c{number}@home.example") for number in range(3)]
    for other in others:
        persons.merge(other.customer.pk, kept_id=matter.customer.pk, because="x", by=ada, at=NOON)
    for one in (matter, *others)[:CODES_A_DAY]:
        ask(one, "code")
    with pytest.raises(identity_checks.TooManyCodes):
        ask(others[-1], "code")
    assert (
        IdentityCheck.objects.count() == OutgoingMessage.objects.filter(key__startswith="identity-code:").count() == 3
    )
    ask(others[-1], "code", at=NOON + DAY)


def test_codes_asked_for_at_once_are_three(transactional_db: None) -> None:
    first, ada = told(), colleague()
    others = [told(mail="") for _ in range(5)]
    Conversation.objects.update(customer=first.customer)
    troubles = at_once(*[lambda one=one: ask(one, "code", by=ada) for one in others])  # type: ignore[misc]
    assert sum(isinstance(one, identity_checks.TooManyCodes) for one in troubles) == 2
    assert IdentityCheck.objects.count() == CODES_A_DAY


# --- what came of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "state"), [("passed", "passed"), ("failed", "failed"), ("withdraw", "withdrawn")])
def test_each_end_is_noted_once_with_who_and_when(act: str, state: str) -> None:
    check, ada = ask(told()), colleague()
    done = getattr(identity_checks, act)(check.pk, by=ada, at=NOON + HOUR)
    assert (done.state, done.settled_by, done.settled_at) == (state, ada, NOON + HOUR)
    assert HistoryEntry.objects.filter(verb=f"identity_check.{state}", by=ada).count() == 1
    for other in ("passed", "failed", "withdraw"):
        with pytest.raises(identity_checks.CheckSettled):
            getattr(identity_checks, other)(check.pk, by=ada, at=NOON + 2 * HOUR)
    check.refresh_from_db()
    assert (check.state, check.settled_at) == (state, NOON + HOUR)


def test_taken_back_before_it_left_the_letter_stays_here() -> None:
    check = ask(told(), "code")
    identity_checks.withdraw(check.pk, by=colleague(), at=NOON)
    assert letter(check).state == "cancelled"
    assert letter(check).text == ""


def test_what_nobody_showed_for_two_weeks_is_asked_no_more() -> None:
    check, fresh = ask(told()), ask(told(mail=""), at=NOON + DAY)
    assert identity_checks.tend(NOON + 14 * DAY - HOUR) == 0
    assert identity_checks.tend(NOON + 14 * DAY) == 1
    assert identity_checks.tend(NOON + 14 * DAY) == 0
    check.refresh_from_db()
    fresh.refresh_from_db()
    assert (check.state, check.settled_by, fresh.state) == ("withdrawn", None, "asked")


# --- what the table refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "passed"},
        {"state": "passed", "settled_at": NOON},
        {"state": "withdrawn"},
        {"settled_at": NOON},
        {"state": "withdrawn", "settled_at": NOON - HOUR},
        {"is_beyond": True},
        {"because": "x"},
        {"kind": "code"},
        {"digest": "x"},
        {"tries": 1},
    ],
)
def test_impossible_states_are_refused(changes: dict[str, Any]) -> None:
    check = ask(told())
    with pytest.raises(IntegrityError), transaction.atomic():
        IdentityCheck.objects.filter(pk=check.pk).update(**changes)


def test_the_same_thing_cannot_stand_open_twice() -> None:
    check = ask(told())
    with pytest.raises(IntegrityError), transaction.atomic():
        IdentityCheck.objects.create(
            conversation=check.conversation, kind="document", need="money", asked_by=check.asked_by, asked_at=NOON
        )


def test_no_column_could_hold_what_they_showed() -> None:
    """Free words are the reason of ours alone; everything else is a code, a time, a number or a row of ours."""
    wordy = [
        field.name
        for field in IdentityCheck._meta.concrete_fields
        if field.get_internal_type() in ("CharField", "TextField", "JSONField", "FileField") and not field.choices
    ]
    assert wordy == ["because", "digest"]


# --- with the matter and its customer ------------------------------------------------------------------------------------


def test_steps_go_with_their_matter_when_records_are_made_one_taken_apart_and_parted() -> None:
    matter, ada = told(), colleague()
    check = ask(matter, "code")
    kept = Customer.objects.create(display_name="Carla", created_at=NOON)

    def whose() -> tuple[int, int]:
        found = IdentityCheck.objects.select_related("conversation", "message").get(pk=check.pk)
        assert found.message
        return found.conversation.customer_id, found.message.customer_id

    made = persons.merge(matter.customer_id, kept_id=kept.pk, because="x", by=ada, at=NOON)
    assert whose() == (kept.pk, kept.pk)
    persons.undo(made.pk, by=ada, at=NOON + HOUR)
    assert whose() == (matter.customer_id, matter.customer_id)
    parting = partings.part(
        matter.customer_id, points=[], conversations=[matter.pk], name="Bea", because="x", by=ada, at=NOON + HOUR
    )
    assert whose() == (parting.made_id, parting.made_id)


def test_joined_matters_have_all_steps_and_parted_again_each_its_own() -> None:
    post, visit = posted(), visited()
    ada = colleague()
    here, twice = ask(post, "document"), ask(post, "reference", because="x")
    other = ask(visit, "document")
    joined = joining.join(post.pk, into_id=visit.pk, because="The same.", by=ada, at=NOON + 2 * DAY)
    assert matters_of(here, twice, other) == [post.pk, visit.pk, visit.pk]  # asked in both: it stays where it is
    joining.undo(joined.pk, by=ada, at=NOON + 3 * DAY)
    assert matters_of(here, twice, other) == [post.pk, post.pk, visit.pk]


def matters_of(*checks: IdentityCheck) -> list[int]:
    return [IdentityCheck.objects.get(pk=check.pk).conversation_id for check in checks]


def test_erased_with_the_person_the_step_stays_without_a_word(settings: Any, tmp_path: Any) -> None:
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"
    matter, boss = told(), colleague()
    ask(matter, "document")
    ask(matter, "reference", because="Carla sounded unlike herself.")
    ask(matter, "code", "money", because="She wants it sent to Malta.")
    Conversation.objects.update(state="closed", due_at=None)
    wanted = erasure.ask(
        matter.customer_id, asked_by=AskedBy.CUSTOMER, words="Please.", reason="They asked.", by=boss, at=NOON
    )
    erasure.carry_out(wanted.pk, by=boss, at=NOON)
    while erasure.work_batch(at=NOON):
        pass
    rows = IdentityCheck.objects.order_by("pk")
    assert [row.because for row in rows] == ["", "erased", "erased"]
    assert [row.digest for row in rows] == ["", "", ""]
    assert [row.kind for row in rows] == ["document", "reference", "code"]


def test_their_copy_tells_what_was_asked_and_no_digest() -> None:
    matter = told()
    ask(matter, "code")
    target = io.BytesIO()
    package_contents.write(target, matter.customer, at=NOON, progress=lambda _done, _all: None)
    with zipfile.ZipFile(target) as archive:
        (row,) = json.loads(archive.read("data.json"))["tables"]["crm.IdentityCheck"]
    assert (row["kind"], row["need"], row["state"], row["asked_by"]) == ("code", "release", "asked", "Ada Agent")
    assert "digest" not in row


def test_the_reason_goes_with_the_words_of_a_closed_matter_P19() -> None:
    matter = told()
    check = ask(matter, "reference", because="Carla sounded unlike herself.")
    Conversation.objects.update(state="closed", due_at=None)
    Interaction.objects.update(text="", full_text="", html="", subject="")
    RetentionRule.objects.filter(kind="words").update(keep_days=30, basis="x", is_active=True)
    late = NOON + 60 * DAY
    assert rows_of(IdentityCheck.objects.filter(pk=check.pk)) == ["Carla sounded unlike herself."]
    retention.remove_due(late)
    assert rows_of(IdentityCheck.objects.filter(pk=check.pk)) == ["erased"]
    assert retention.look("words", keep_days=30, at=late).number == 0  # type: ignore[arg-type]


def rows_of(rows: QuerySet[IdentityCheck]) -> list[str]:
    return list(rows.values_list("because", flat=True))
