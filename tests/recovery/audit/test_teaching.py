"""What we teach is looked at once a month, kept, and said in plain words; and going public that pays is a finding."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import Error, transaction

from crm.models import Closing, Conversation, Customer, Promise
from recovery import actions
from recovery.models import ParityFinding, Teaching
from recovery.policy import FindingState, Taught
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.recovery.audit.test_outcomes import heard

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def matter(customer: Customer, channel: str, at, *, answered=None, settled=None) -> Conversation:
    return Conversation(
        customer=customer, channel=channel, state="closed", spoke_at=at, skill="", first_answer_at=answered
    )


def kept(made: list[Conversation], ends: list) -> None:
    ada = colleague()
    Conversation.objects.bulk_create(made)
    Promise.objects.bulk_create(
        Promise(
            conversation=one, kind="first_response", given_by="everybody", starts_at=one.spoke_at,
            due_at=one.spoke_at + 8 * HOUR, warn_at=one.spoke_at + 6 * HOUR,
        )
        for one in made
    )  # fmt: skip
    Closing.objects.bulk_create(
        Closing(conversation=one, how="closed", closed_by=ada, at=end)
        for one, end in zip(made, ends, strict=True)
        if end
    )


def people(count: int) -> list[Customer]:
    heard()
    return Customer.objects.bulk_create([Customer(created_at=NOON) for _ in range(count)])


@pytest.mark.django_db
def test_once_a_month_it_is_said_what_answering_late_teaches_R076():
    assert actions.newest_teaching() is None
    dice, made = random.Random(3), []
    month = NOON.replace(day=1)
    for place, customer in enumerate(people(400)):
        first = month - timedelta(days=200) + place * HOUR
        late = place % 2 == 0
        aloud = dice.random() < (0.4 if late else 0.1)
        made += [
            matter(customer, "email", first, answered=first + (20 if late else 2) * HOUR),
            matter(customer, "social_public" if aloud else "email", first + 30 * DAY, answered=first + 31 * DAY),
        ]
    kept(made, [None] * len(made))

    assert [actions.what_we_teach(NOON), actions.what_we_teach(NOON + HOUR)] == [1, 0]
    found = actions.newest_teaching()
    assert found is not None
    assert (found.late, found.in_time, found.says) == (200, 200, Taught.PUBLIC)
    words = actions.in_words(found)
    assert (
        f"of 200 customers whose first private matter was answered late, {found.late_public / 200:.0%} spoke" in words
    )
    assert "answering late in private teaches customers to speak publicly" in words
    with pytest.raises(Error), transaction.atomic():
        Teaching.objects.update(late=0)


@pytest.mark.django_db
def test_a_house_with_few_customers_is_told_how_many_it_would_take_R076():
    actions.what_we_teach(NOON)
    found = actions.newest_teaching()
    assert found is not None
    assert found.says == Taught.UNKNOWN
    assert f"about {found.needed} customers answered late would tell" in actions.in_words(found)


@pytest.mark.django_db
def test_going_public_that_pays_is_a_finding_with_the_very_matters_and_ends_like_any_other_R061():
    dice, made, ends = random.Random(5), [], []
    for place, customer in enumerate(people(300)):
        spoke = NOON + place * HOUR
        wait = dice.expovariate(1 / 100) * HOUR
        post = dice.expovariate(1 / 30) * HOUR
        goes = place % 2 == 0 and post < wait
        made.append(matter(customer, "email", spoke, answered=spoke + HOUR))
        ends.append(spoke + (post + (wait - post) / 8 if goes else wait))  # eight times as soon, once it is public
        if goes:
            made.append(matter(customer, "social_public", spoke + post, answered=spoke + post + HOUR))
            ends.append(spoke + post + 30 * HOUR)
    kept(made, ends)
    night = NOON + 25 * DAY

    actions.parity_nightly(night)
    found = ParityFinding.objects.get(metric="went_public")
    assert (found.channel, found.versus, found.effect, found.is_favoured) == (
        "public", "private", "hazard_ratio", True,
    )  # fmt: skip
    assert found.low is not None
    assert 1 < found.low < found.value
    assert found.seen_by.red
    behind = actions.matters_behind("went_public", "public", since=NOON - DAY, until=night, at=night)
    assert set(Conversation.objects.filter(pk__in=behind).values_list("channel", flat=True)) == {"email"}

    shift = 60 * DAY
    Closing.objects.filter(conversation__in=[one.pk for one in made]).delete()
    for one in made:
        one.spoke_at += shift
    Conversation.objects.bulk_update(made, ["spoke_at"])
    ada = colleague()
    Closing.objects.bulk_create(
        Closing(conversation=one, how="closed", closed_by=ada, at=one.spoke_at + dice.expovariate(1 / 100) * HOUR)
        for one in made
    )
    actions.parity_nightly(night + shift)
    found.refresh_from_db()
    assert found.state == FindingState.VERIFIED
