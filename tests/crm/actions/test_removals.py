"""Public words taken away: three coded reasons, a second person, every use on record and counted (R029)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from crm.actions import capture, removals
from crm.channels import Channel
from crm.models import Alert, HistoryEntry, Interaction, Promise, PublicPost, Removal, User
from crm.policy import AlertKind, PromiseState, Role
from crm.policy.removals import REMOVAL_NEXT, RemovalKind, RemovalReason, RemovalState
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored
from tests.faults.threads import at_once

LINK = "https://forum.example/posts/7"
PAGE = "admin:removals"


def posted(by: User, *, key: str = "k") -> PublicPost:
    note = capture.Capture(
        key=key,
        channel=Channel.REVIEW,
        said="She lives at 7 Mill Lane.",
        url=f"https://r.example/{key}",
        account="jane",
    )
    return PublicPost.objects.get(interaction=capture.write_down(note, by=by, at=NOON).interaction)


def asked(by: User, *, post: PublicPost | None = None) -> Removal:
    return removals.ask(
        (post or posted(by)).interaction_id,
        kind=RemovalKind.HIDE,
        reason=RemovalReason.DOXXING,
        words="It names where she lives.",
        by=by,
        at=NOON,
    )


@pytest.mark.django_db
def test_it_takes_a_reason_a_second_person_and_where_it_was_and_each_step_is_on_record_R029() -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    removal = asked(ada)
    assert Alert.objects.filter(kind=AlertKind.SECOND_PERSON, to=None).count() == 1
    with pytest.raises(removals.WrongStep):
        removals.note_done(removal.pk, link=LINK, by=ada, at=NOON)
    removals.decide(removal.pk, agree=True, because="It does.", by=lead, at=NOON)
    removals.note_done(removal.pk, link=LINK, by=ada, at=NOON)
    removals.note_undone(removal.pk, by=ada, at=NOON)

    removal.refresh_from_db()
    assert (removal.state, removal.decided_by, removal.done_by, removal.link) == ("undone", lead, ada, LINK)
    entries = HistoryEntry.objects.filter(verb__startswith="removal.").order_by("pk")
    assert [(one.verb, one.by) for one in entries] == [
        ("removal.asked", ada), ("removal.agreed", lead), ("removal.done", ada), ("removal.undone", ada),
    ]  # fmt: skip
    assert {one.detail["channel"] for one in entries} == {"review"}
    assert "Mill Lane" not in str([one.detail for one in entries])


@pytest.mark.django_db
def test_nobody_agrees_to_what_they_asked_for_themselves_R029() -> None:
    lead = colleague(Role.LEAD)
    removal = asked(lead)
    with pytest.raises(removals.SamePerson):
        removals.decide(removal.pk, agree=True, because="I say so.", by=lead, at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Removal.objects.update(state="agreed", decided_by=lead, decided_at=NOON, decided_because="x")
    removal.refresh_from_db()
    assert removal.state == RemovalState.ASKED


@pytest.mark.django_db
def test_nothing_is_agreed_or_done_without_words_or_a_place_R029() -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    post = posted(ada)
    with pytest.raises(removals.WordsMissing):
        removals.ask(post.interaction_id, kind=RemovalKind.HIDE, reason=RemovalReason.ABUSE, words=" ", by=ada, at=NOON)
    removal = asked(ada, post=post)
    with pytest.raises(removals.WordsMissing):
        removals.decide(removal.pk, agree=True, because="", by=lead, at=NOON)
    removals.decide(removal.pk, agree=True, because="It does.", by=lead, at=NOON)
    for link in ("", "javascript:alert(1)", "https://a b", "https://" + "x" * 500):
        with pytest.raises(removals.NotALink):
            removals.note_done(removal.pk, link=link, by=ada, at=NOON)
    for change in ({"words": ""}, {"state": "done"}, {"state": "asked"}, {"link": LINK}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Removal.objects.update(**change)


@pytest.mark.django_db
def test_what_was_refused_stays_and_can_be_asked_for_again_but_not_twice_at_a_time_R029() -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    first = asked(ada)
    with pytest.raises(removals.WrongStep):
        asked(ada, post=first.post)
    removals.decide(first.pk, agree=False, because="It is criticism.", by=lead, at=NOON)
    with pytest.raises(removals.WrongStep):
        removals.note_done(first.pk, link=LINK, by=ada, at=NOON)
    asked(ada, post=first.post)
    assert Removal.objects.count() == 2


@pytest.mark.django_db
def test_the_words_their_clock_and_the_answer_we_owe_stay_with_us_R029() -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    removal = asked(ada)
    before = (PublicPost.objects.values().get(), Promise.objects.get().due_at)
    removals.decide(removal.pk, agree=True, because="It does.", by=lead, at=NOON)
    removals.note_done(removal.pk, link=LINK, by=ada, at=NOON)
    assert (PublicPost.objects.values().get(), Promise.objects.get().due_at) == before
    assert Promise.objects.get().state == PromiseState.RUNNING
    assert Interaction.objects.get().text == "She lives at 7 Mill Lane."


def test_criticism_is_no_reason_and_nothing_goes_back_to_asked_R029() -> None:
    assert set(RemovalReason.values) == {"unlawful", "doxxing", "abuse"}
    assert all(RemovalState.ASKED not in following for following in REMOVAL_NEXT.values())
    assert RemovalState.DONE not in REMOVAL_NEXT[RemovalState.ASKED]


def test_two_who_decide_at_once_do_not_both_decide_R029(transactional_db: None) -> None:
    ada, lead, other = colleague(), colleague(Role.LEAD), colleague(Role.LEAD, name="Bob")
    for number in range(3):
        removal = asked(ada, post=posted(ada, key=f"k{number}"))
        decide = partial(removals.decide, removal.pk, because="It does.", at=NOON)
        results = at_once(partial(decide, agree=True, by=lead), partial(decide, agree=False, by=other))
        assert sum(isinstance(result, removals.WrongStep) for result in results) == 1


def test_two_who_ask_at_once_ask_once_R029(transactional_db: None) -> None:
    ada = colleague()
    post = posted(ada)
    results = at_once(*[partial(asked, ada, post=post)] * 2)
    assert sum(isinstance(result, removals.WrongStep) for result in results) == 1
    assert Removal.objects.count() == 1


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
@pytest.mark.django_db
def test_who_sees_the_log_and_who_may_ask(who: str) -> None:
    removal = asked(colleague())
    client, sees = browser(who), who in (Role.AGENT, Role.LEAD, Role.AUDITOR)
    expected = 302 if who == NOBODY else 200 if sees else 403
    asking = reverse("admin:ask_removal", args=[removal.post.interaction.public_id])
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert client.get(asking).status_code == (403 if who == Role.AUDITOR else expected)
    assert stored() == before


@pytest.mark.django_db
def test_the_pages_ask_agree_and_note_and_count_by_channel_R029() -> None:
    ada, agent, lead = colleague(), browser(Role.AGENT), browser(Role.LEAD)
    post = posted(ada)
    asking = reverse("admin:ask_removal", args=[post.interaction.public_id])
    for wrong in (
        {"kind": "hide", "reason": "criticism", "words": "x"},
        {"kind": "hide", "reason": "abuse", "words": ""},
    ):
        assert agent.post(asking, wrong).status_code == 409
    assert agent.post(asking, {"kind": "hide", "reason": "abuse", "words": "A threat."}).status_code == 302
    removal = Removal.objects.get()
    Removal.objects.update(asked_at=timezone.now() - timedelta(hours=1))
    step = {"removal": removal.public_id, "because": "It is one.", "link": LINK}
    assert agent.post(reverse(PAGE), {**step, "do": "agree"}).status_code == 403
    assert lead.post(reverse(PAGE), {**step, "do": "done"}).status_code == 409
    assert lead.post(reverse(PAGE), {**step, "do": "other"}).status_code == 409
    assert lead.post(reverse(PAGE), {**step, "do": "agree", "removal": "x"}).status_code == 404
    assert lead.post(reverse(PAGE), {**step, "do": "agree"}).status_code == 302
    assert agent.post(reverse(PAGE), {**step, "do": "done"}).status_code == 302
    shown = agent.get(reverse(PAGE))
    assert [(row["channel"], row["asked"], row["done"], row["abuse"]) for row in shown.context["counted"]] == [
        ("Review", 1, 1, 1)
    ]
    assert LINK in shown.content.decode()


@pytest.mark.django_db
def test_the_log_costs_the_same_with_one_and_with_many_R029() -> None:
    ada, client = colleague(), browser(Role.LEAD)
    asked(ada)
    one = statements(client, reverse(PAGE))
    for number in range(20):
        asked(ada, post=posted(ada, key=f"k{number}"))
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
