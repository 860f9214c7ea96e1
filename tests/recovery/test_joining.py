"""A public post and the visit it tells of are one matter once a person says so: nothing lost, earliest clock, undoable (R108)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.actions import answers, capture, deadlines, desk, elsewhere, endings, intake, joining, outgoing
from crm.channels import Channel
from crm.models import (
    ContactPoint,
    Conversation,
    HistoryEntry,
    Hold,
    Interaction,
    Joining,
    Promise,
    PublicPost,
    User,
)
from crm.policy import MatchReason, PromiseKind, Role, references
from recovery import actions
from recovery.actions import joining as cases
from recovery.models import Case
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
COMPLAINT = "Your shop sold me a broken lamp and nobody answers me for three days."


def visited(said: str = "Order RX-204815 does not work.", *, at: datetime = NOON, **changes: Any) -> Conversation:
    """Said at the counter, noted by a colleague."""
    plain = {"key": said, "channel": Channel.STORE, "said": said, "name": "Carla", "phone": "030 1234567"}
    note = capture.Capture(**{**plain, **changes})
    return capture.write_down(note, by=colleague(takes=False), at=at).conversation


def posted(said: str = "My lamp RX-204815 is broken!", *, at: datetime = NOON + DAY, **changes: Any) -> Conversation:
    """Read in public, on a place that is not ours."""
    plain = {"channel": Channel.SOCIAL_PUBLIC, "source": "feed:f.example/1", "sender_kind": "handle"}
    told = message(said, **{**plain, "sender_address": "f.example/lamps", "subject": "", **changes})
    return intake.receive(told, at=at, origin="test").conversation


def joined(
    post: Conversation, visit: Conversation, *, at: datetime = NOON + DAY + HOUR, by: User | None = None
) -> Joining:
    by = by or colleague(takes=False)
    return cases.join(post.pk, into_id=visit.pk, because="the same order", by=by, at=at)


def now(row: Any) -> Any:
    row.refresh_from_db()
    return row


def triaged(at: datetime) -> None:
    while actions.work_batch("triage", at=at):
        pass


# --- what is suggested -------------------------------------------------------------------------------------------------


def why(post: Conversation) -> dict[int, tuple[MatchReason, ...]]:
    return {one.conversation.pk: one.reasons for one in joining.suggest(post)}


def test_facts_suggest_the_visit_and_nothing_else_does_R108():
    same_order = visited("Order RX-204815 does not work.")
    visited("Another lamp, order RX-999999.", phone="030 1111111")
    post = posted()
    assert why(post) == {same_order.pk: (MatchReason.REFERENCE,)}


def test_an_address_in_the_post_or_noted_with_it_suggests_R108():
    by_phone = visited("It does not work.", phone="030 7654321")
    by_mail = visited("It does not work either.", phone="", email="carla@home.example", at=NOON + HOUR)
    post = posted("Nobody calls me back at 030 7654321 nor writes to Carla@home.example")
    assert why(post) == {by_mail.pk: (MatchReason.ADDRESS,), by_phone.pk: (MatchReason.ADDRESS,)}
    noted = capture.write_down(
        capture.Capture(
            key="n",
            channel=Channel.BLOG,
            said="Bad lamps.",
            url="https://b.example/1",
            account="c",
            phone="030 7654321",
        ),
        by=colleague(),
        at=NOON + DAY,
    )
    assert why(noted.conversation) == {by_phone.pk: (MatchReason.ADDRESS,)}


def test_the_same_customer_and_the_same_order_come_first_R108():
    post = posted()
    known = post.customer
    twice = visited("Order RX-204815 again.", phone="030 2222222", at=NOON + HOUR)
    Conversation.objects.filter(pk=twice.pk).update(customer=known)
    once = visited("Order RX-204815, said somebody else.", phone="030 3333333", at=NOON + 2 * HOUR)
    assert list(why(post).items()) == [
        (twice.pk, (MatchReason.CUSTOMER, MatchReason.REFERENCE)),
        (once.pk, (MatchReason.REFERENCE,)),
    ]


@pytest.mark.parametrize("days", [-31, 3])
def test_a_visit_too_long_before_or_after_is_no_match_R108(days):
    visited(at=NOON + days * DAY)
    assert why(posted(at=NOON)) == {}


def test_what_is_a_reference_and_what_is_none_R108():
    found = references(
        "Order rx-204815, invoice 2026-00417, in 2026 on 2026-03-02 for 1200 euros, call it B4, RX-204815!"
    )
    assert found == ["RX-204815", "2026-00417"]


# --- joining ------------------------------------------------------------------------------------------------------------


def test_both_are_one_conversation_and_it_counts_from_the_visit_R108():
    ada = colleague(name="Ada")
    visit, post = visited(), posted()
    row = PublicPost.objects.get()
    coverage = (row.spoke_at, row.due_at, row.is_first, row.channel)

    one = joined(post, visit, by=ada)

    assert now(visit).spoke_at == NOON
    assert set(Interaction.objects.values_list("conversation", flat=True)) == {visit.pk}
    assert now(post).state == "closed"
    assert (visit.state, visit.last_inbound_at) == ("open", NOON + DAY)
    now(row)
    assert (row.spoke_at, row.due_at, row.is_first, row.channel) == coverage
    assert row.conversation == visit
    # Whoever posts under that name is known from now on.
    assert ContactPoint.objects.get(kind="handle").customer == visit.customer
    told = HistoryEntry.objects.filter(verb="conversation.joined").order_by("id")
    assert [(entry.customer, entry.by) for entry in told] == [(post.customer, ada), (visit.customer, ada)]
    assert (one.because, one.by) == ("the same order", ada)
    # What comes under that name goes on with that customer.
    assert posted("Hello?", at=NOON + 2 * DAY).customer == visit.customer


def test_the_earliest_clock_wins_and_one_answer_keeps_both_R108():
    ada = colleague(name="Ada")
    visit, post = visited(at=NOON + 20 * HOUR), posted(at=NOON + 21 * HOUR)
    first, second = now(visit).due_at, now(post).due_at
    assert first < second

    joined(post, visit, at=NOON + 22 * HOUR)

    assert now(visit).due_at == first
    running = Promise.objects.filter(kind=PromiseKind.FIRST_RESPONSE, state="running")
    assert set(running.values_list("conversation", "due_at")) == {(visit.pk, first), (visit.pk, second)}
    assert Promise.objects.get(conversation=post).state == "released"
    given = elsewhere.Given(url="https://f.example/2", text="We mend it.", out_of_order="on_the_line")
    elsewhere.log(visit.pk, given, by=ada, at=NOON + 23 * HOUR)
    assert not running.exists()
    assert set(
        Promise.objects.filter(kind=PromiseKind.FIRST_RESPONSE, met_at__isnull=False).values_list("met_at", flat=True)
    ) == {NOON + 23 * HOUR}
    assert PublicPost.objects.get().answered_at == NOON + 23 * HOUR


def test_an_earlier_clock_of_the_post_counts_too_R108():
    """Noted from memory: the visit is dated a little after the post, and had been answered already."""
    post = posted(at=NOON)
    visit = visited(at=NOON + HOUR)
    due_at = now(post).due_at
    joined(post, visit, at=NOON + 2 * HOUR)
    assert (now(visit).due_at, visit.spoke_at) == (due_at, NOON)


def test_a_missed_promise_stays_one_miss_R108_Q6():
    visit, post = visited(), posted(at=NOON + HOUR)
    due_at = now(post).due_at
    deadlines.tick(at=due_at + MINUTE)
    missed = Promise.objects.exclude(breached_at=None).exclude(state="released").count()
    joined(post, visit, at=due_at + HOUR)
    assert Promise.objects.exclude(breached_at=None).exclude(state="released").count() == missed
    assert deadlines.tick(at=due_at + 2 * HOUR) == 0
    assert set(Promise.objects.filter(conversation=visit, kind="first_response").values_list("state", flat=True)) == {
        "breached"
    }


def test_a_closed_visit_comes_back_with_the_post_R108():
    visit, ada = visited(email="carla@home.example"), colleague(name="Ada")
    desk.answer(visit.pk, text="Here is a new one.", by=ada, at=NOON + HOUR, out_of_order="on_the_line")
    assert outgoing.send_batch(at=NOON + HOUR)
    Promise.objects.filter(conversation=visit).unmet().update(state="released")
    desk.close(visit.pk, by=ada, at=NOON + 2 * HOUR)
    post = posted()
    due_at = now(post).due_at
    joined(post, visit)
    assert (now(visit).state, visit.due_at) == ("open", due_at)


def test_what_cannot_be_joined_is_refused_and_nothing_has_changed_R108():
    visit, post = visited(), posted()
    mail = intake.receive(message(), at=NOON, origin="test").conversation
    for one, into in ((post, post), (post, mail), (visit, post), (mail, visit)):
        with pytest.raises(joining.NotJoinable):
            joined(one, into)
    with pytest.raises(endings.ReasonMissing):
        cases.join(post.pk, into_id=visit.pk, because=" ", by=colleague(), at=NOON + DAY)
    assert not Joining.objects.exists()
    assert now(post).state == "open"
    joined(post, visit)
    with pytest.raises(joining.NotJoinable):
        joined(post, visit)
    other = visited("Something else.", phone="030 5555555")
    with pytest.raises(joining.NotJoinable):
        joined(visit, other)


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_join_once_X4():
    visit, post, by = visited(), posted(), colleague(takes=False)
    found = at_once(*[lambda: joined(post, visit, by=by).pk] * 2)
    assert sorted(type(one).__name__ for one in found) == ["NotJoinable", "int"]
    assert Joining.objects.count() == 1
    assert Promise.objects.filter(given_by__startswith="joining:").count() == 1


def test_the_page_costs_the_same_for_one_suggestion_and_for_ten_R108():
    visited()
    post, client = posted(), client_of(colleague())
    page = f"/admin/conversation/{post.public_id}/join/"
    client.get(page)

    def statements() -> int:
        with CaptureQueriesContext(connection) as told:
            client.get(page)
        return len(told)

    one = statements()
    for number in range(9):
        visited(f"Order RX-204815, the {number}. time.", phone=f"030 20000{number}0", at=NOON + number * MINUTE)
    assert statements() == one


# --- taking it back -----------------------------------------------------------------------------------------------------


def state_of(conversation: Conversation) -> Any:
    now(conversation)
    return (
        conversation.state,
        conversation.due_at,
        conversation.spoke_at,
        conversation.last_inbound_at,
        conversation.last_outbound_at,
        conversation.first_answer_at,
        conversation.owner_id,
        sorted(Interaction.objects.filter(conversation=conversation).values_list("pk", flat=True)),
        sorted(PublicPost.objects.filter(conversation=conversation).values_list("pk", flat=True)),
        sorted(conversation.customer.contact_points.values_list("pk", flat=True)),
        sorted(
            Promise.objects.filter(conversation=conversation)
            .exclude(given_by__startswith="joining:")
            .values_list("kind", "state", "due_at", "breached_at")
        ),
    )


def test_taken_back_at_once_everything_stands_as_before_R108():
    colleague(name="Ada")
    visit, post = visited(), posted()
    before = state_of(visit), state_of(post)
    one = joined(post, visit)

    cases.undo(one.pk, by=colleague(), at=NOON + DAY + 2 * HOUR)

    assert (state_of(visit), state_of(post)) == before
    assert not Promise.objects.filter(given_by__startswith="joining:").unmet().exists()
    assert HistoryEntry.objects.filter(verb="conversation.parted").count() == 2
    with pytest.raises(joining.NotJoinable):
        cases.undo(one.pk, by=colleague(), at=NOON + DAY + 2 * HOUR)
    assert joined(post, visit).pk != one.pk  # and joined again


def test_what_was_answered_meanwhile_answered_both_R108():
    visit, post, ada = visited(), posted(), colleague(name="Ada")
    one = joined(post, visit)
    given = elsewhere.Given(url="https://f.example/2", text="We mend it.", out_of_order="on_the_line")
    elsewhere.log(visit.pk, given, by=ada, at=NOON + DAY + 2 * HOUR)
    cases.undo(one.pk, by=ada, at=NOON + DAY + 3 * HOUR)
    assert (now(post).state, post.due_at) == ("waiting_customer", None)
    promise = Promise.objects.get(conversation=post, kind="first_response")
    assert (promise.state, promise.met_at) == ("met_late" if promise.breached_at else "met", NOON + DAY + 2 * HOUR)
    assert PublicPost.objects.get().answered_at == NOON + DAY + 2 * HOUR
    assert Interaction.objects.get(direction="out").conversation == visit


def test_a_promise_missed_meanwhile_is_missed_in_its_own_matter_R108():
    visit, post = visited(), posted()
    one = joined(post, visit)
    due_at = Promise.objects.get(conversation=post).due_at
    deadlines.tick(at=due_at + MINUTE)
    cases.undo(one.pk, by=colleague(), at=due_at + HOUR)
    promise = Promise.objects.get(conversation=post, kind="first_response")
    assert (promise.state, promise.breached_at) == ("breached", due_at + MINUTE)
    assert (now(post).state, post.due_at) == ("open", due_at)


def test_when_something_new_was_said_in_the_earlier_matter_it_stays_R108():
    visit, post = visited(), posted()
    one = joined(post, visit)
    endings.open_again(post.pk, by=colleague(), at=NOON + 2 * DAY)
    with pytest.raises(joining.NotJoinable):
        cases.undo(one.pk, by=colleague(), at=NOON + 2 * DAY)


# --- with a case ----------------------------------------------------------------------------------------------------------


def test_the_case_of_the_post_goes_on_as_the_one_case_of_the_visit_R108():
    visit, post = visited("I asked about order RX-204815."), posted(COMPLAINT)
    triaged(NOON + DAY)
    own = Case.objects.get()
    assert own.conversation == post

    one = joined(post, visit)

    assert now(own).status == "dismissed"
    case = Case.objects.get(conversation=visit)
    assert (case.status, case.customer, case.spoke_at) == ("detected", visit.customer, NOON)
    assert case.seen_because == own.seen_because
    assert Hold.objects.filter(until=None).get().customer == visit.customer

    cases.undo(one.pk, by=colleague(), at=NOON + DAY + 2 * HOUR)

    assert (now(own).status, now(case).status) == ("detected", "dismissed")
    assert Hold.objects.filter(until=None).get().customer == post.customer
    left = Promise.objects.filter(conversation=visit).unmet().values_list("given_by", flat=True)
    assert set(left) == {"everybody"}


def test_two_cases_of_one_visit_become_one_R108_E03():
    visit, post = visited(COMPLAINT), posted(COMPLAINT)
    triaged(NOON + DAY)
    assert Case.objects.count() == 2
    one = joined(post, visit)
    assert Case.objects.get(status="detected").conversation == visit
    cases.undo(one.pk, by=colleague(), at=NOON + DAY + 2 * HOUR)
    assert Case.objects.filter(status="detected").count() == 2


def test_a_case_that_somebody_has_taken_on_stays_where_it_is_R108():
    visit, post = visited("I asked about order RX-204815."), posted(COMPLAINT)
    triaged(NOON + DAY)
    actions.own(Case.objects.get().pk, by=colleague(), at=NOON + DAY)
    with pytest.raises(actions.CaseTakenOn):
        joined(post, visit)
    assert now(post).state == "open"


def test_words_that_are_read_after_the_joining_open_the_case_of_the_visit_R108():
    visit, post = visited("I asked about order RX-204815."), posted(COMPLAINT)
    joined(post, visit)
    triaged(NOON + DAY + 2 * HOUR)
    assert Case.objects.get().conversation == visit


# --- the pages --------------------------------------------------------------------------------------------------------------


def test_a_person_confirms_by_a_press_and_takes_it_back_R108():
    visit, post, client = visited("<b>Order</b> RX-204815 does not work."), posted(), client_of(colleague())
    here = f"/admin/conversation/{post.public_id}/"
    assert f'href="{here}join/"' in client.get(here).content.decode()
    page = client.get(f"{here}join/").content.decode()
    assert "&lt;b&gt;Order" in page
    assert "both name the same order or invoice" in page
    assert client.post(f"{here}join/", {"into": "nonsense", "because": "x"}).status_code == 409
    assert client.post(f"{here}join/", {"into": str(visit.public_id), "because": ""}).status_code == 409

    done = client.post(
        f"{here}join/", {"into": f"https://x/admin/conversation/{visit.public_id}/", "because": "I asked."}
    )

    assert done.url == f"/admin/conversation/{visit.public_id}/"
    assert client.get(here).url == done.url  # whoever follows an old link finds it
    shown = client.get(done.url).content.decode()
    assert "joined a public post" in shown
    assert "I asked." in shown
    back = client.post(f"/admin/joining/{Joining.objects.get().public_id}/take-back/")
    assert back.url == here
    assert client.get(here).status_code == 200


def test_who_may_join_Q8():
    visit, post = visited(), posted()
    page = f"/admin/conversation/{post.public_id}/join/"
    assert Client().get(page).status_code == 302
    assert client_of(app_user()).get(page).status_code == 403
    assert client_of(colleague(Role.AUDITOR)).get(page).status_code == 403
    assert (
        client_of(colleague(Role.AUDITOR)).post(page, {"into": str(visit.public_id), "because": "x"}).status_code == 403
    )
    one = joined(post, visit)
    back = f"/admin/joining/{one.public_id}/take-back/"
    assert client_of(colleague(Role.AUDITOR)).post(back).status_code == 403
    assert client_of(colleague()).get(back).status_code == 405


# --- what follows for whoever never wrote to us -------------------------------------------------------------------------


def test_whoever_complains_elsewhere_is_written_to_first_with_what_we_know_and_fills_in_no_form_R044():
    """They told the world, not us. We hold their address from the visit: we write, in the words we have, and ask for nothing."""
    ada = colleague(name="Ada")
    visit = visited(email="carla@home.example", phone="")
    post = posted(COMPLAINT + " RX-204815")
    triaged(NOON + DAY)
    assert Case.objects.filter(conversation=post).exists()  # detected from what they said, not from a form
    with pytest.raises(answers.NoWayBack):  # by itself it names nobody to whom we may write
        answers.answer(post.pk, text="We are sorry.", by=ada, at=NOON + DAY)

    joined(post, visit)
    sent = answers.answer(visit.pk, text="We are sorry. A new lamp is on its way.", by=ada, at=NOON + DAY + 2 * HOUR)
    assert outgoing.send_batch(at=NOON + DAY + 2 * HOUR)

    assert (sent.channel, sent.address) == ("email", "carla@home.example")
    [mail] = [one for one in django_mail.outbox if "A new lamp is on its way." in str(one.body)]
    assert mail.to == ["carla@home.example"]
    written = str(mail.body) + "".join(str(content) for content, _kind in mail.alternatives)
    assert "/contact/" not in written
    assert "<form" not in written
    assert now(PublicPost.objects.get()).answered_at is not None
    assert (
        not Promise.objects.running().filter(conversation__in=[post, visit], kind=PromiseKind.FIRST_RESPONSE).exists()
    )


def test_to_whom_we_may_not_write_we_do_not_write_first_either_R044():
    """Whoever gave no address is answered where they wrote, by hand, or not at all; nobody is looked up."""
    ada, post = colleague(), posted(COMPLAINT)
    triaged(NOON + DAY)
    with pytest.raises(answers.NoWayBack):
        answers.answer(post.pk, text="We are sorry.", by=ada, at=NOON + DAY)
    told = elsewhere.Given(url="https://f.example/1#2", text="We are sorry. Please tell us where to send a new one.")
    elsewhere.log(post.pk, told, by=ada, at=NOON + DAY + HOUR)
    assert now(PublicPost.objects.get()).answered_at == NOON + DAY + HOUR
    assert not outgoing.send_batch(at=NOON + DAY + 2 * HOUR)
