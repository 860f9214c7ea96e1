"""How soon each channel answers, measured at night and read in public (R062); and who waits past a promise now (R032)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.db import Error, transaction
from django.urls import reverse

from crm.actions import forms, listening_places, promises
from crm.admin import neglect
from crm.channels import Channel
from crm.models import Conversation, Mailbox, Promise
from crm.policy import MissReason, Role
from recovery import actions
from recovery import pages as recovery_pages
from recovery.actions import response_times
from recovery.models import ResponseTimes
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import heard, many

NIGHT = NOON + timedelta(days=12)


def measured() -> dict[str, dict]:
    assert actions.measure_response_times(NIGHT) == 1
    return {line["channel"]: line for line in ResponseTimes.objects.get().lines}


@pytest.mark.django_db
def test_half_and_nine_in_ten_are_measured_and_who_still_waits_counts_as_waiting_R062():
    many()
    found = measured()["phone"]
    ours = Conversation.objects.filter(channel="phone", spoke_at__lt=ResponseTimes.objects.get().until)
    waits = [((one.first_answer_at or NIGHT + timedelta(days=99)) - one.spoke_at).total_seconds() / 60 for one in ours]
    assert found["n"] == len(waits) > 100
    assert found["median_minutes"] == pytest.approx(np.median(waits), rel=0.05)
    assert found["p90_minutes"] == pytest.approx(np.percentile(waits, 90), rel=0.1)


@pytest.mark.django_db
def test_where_more_than_a_tenth_was_never_answered_nobody_says_when_nine_in_ten_were_R062(client):
    many(200)
    Conversation.objects.filter(pk__in=Conversation.objects.filter(channel="phone").values("pk")[:12]).update(
        first_answer_at=None
    )
    found = measured()["phone"]
    assert found["median_minutes"]
    assert found["p90_minutes"] is None


@pytest.mark.django_db
def test_below_25_nothing_is_said_and_what_the_house_has_set_up_is_listed_all_the_same_R062(client):
    heard("phone", at=NOON)
    forms.add(forms.Draft("Shop", ("https://www.shop.example",)), by=colleague(Role.LEAD), at=NOON)
    place = listening_places.add(
        listening_places.Draft(name="Forum", channel=Channel.REVIEW.value), by=colleague(Role.LEAD), at=NOON
    )
    type(place).objects.filter(pk=place.pk).update(is_active=False)
    found = measured()
    assert set(found) == {"phone", "web_form", "review"}
    assert (found["phone"]["n"], found["phone"]["median_minutes"]) == (1, None)
    assert not found["phone"]["is_staffed"]  # its promise is over and nobody was answered there
    assert found["web_form"]["is_staffed"]
    assert not found["review"]["is_staffed"]
    page = client.get(reverse("response-times")).content.decode()
    assert "Nobody answers here at present" in page
    assert "too few to say" in page


@pytest.mark.django_db
def test_measured_once_a_day_and_never_changed():
    heard()
    assert [actions.measure_response_times(NIGHT), actions.measure_response_times(NIGHT + timedelta(hours=1))] == [1, 0]
    assert actions.measure_response_times(NIGHT + timedelta(days=1)) == 1
    with pytest.raises(Error), transaction.atomic():
        ResponseTimes.objects.update(lines=[])


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_measure_once():
    heard()
    assert sorted(at_once(*[lambda: actions.measure_response_times(NIGHT)] * 2)) == [0, 1]


@pytest.mark.django_db
def test_the_contact_page_shows_them_by_one_statement_and_measures_nothing_R062(client, django_assert_max_num_queries):
    many(300)
    page = reverse("contact")
    assert "How soon we answer" not in client.get(page).content.decode()
    measured()
    with django_assert_max_num_queries(2):  # the form's own count, and this
        shown = client.get(page).content.decode()
    assert "How soon we answer" in shown
    assert "Nine in ten within" in shown
    assert "Neun von zehn" in client.get(page, {"language": "de"}).content.decode()
    with django_assert_max_num_queries(1):
        answer = client.get(reverse("response-times"))
    assert answer["Cache-Control"] == "public, max-age=600"
    said = client.get(reverse("response-times-json")).json()
    assert {line["channel"] for line in said["channels"]} >= {"phone", "email"}
    assert said["fewest"] == 25


@pytest.mark.django_db
def test_a_form_on_another_site_shows_the_form_alone(client):
    many(100)
    measured()
    form = forms.add(forms.Draft("Shop", ("https://www.shop.example",)), by=colleague(Role.LEAD), at=NOON)
    assert "How soon we answer" not in client.get(reverse("contact"), {"frame": "1"}).content.decode()
    assert "How soon we answer" not in client.get(reverse("form", args=[form.public_id])).content.decode()


@pytest.mark.django_db
def test_before_the_first_measuring_the_page_says_so(client):
    assert "Nothing has been measured yet" in client.get(reverse("response-times")).content.decode()
    assert client.get(reverse("response-times-json")).json()["channels"] == []


@pytest.mark.django_db
def test_a_mailbox_that_is_switched_off_marks_the_channel_only_where_no_other_is_open():
    Mailbox.objects.create(address="a@s.example", host="m.example", username="a", is_active=False, created_at=NOON)
    assert response_times._doors()["email"] is False
    Mailbox.objects.create(address="b@s.example", host="m.example", username="b", is_active=True, created_at=NOON)
    assert response_times._doors()["email"] is True


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0.2, "1 min"),
        (59.4, "59 min"),
        (60, "1 h"),
        (69.3, "1 h 9 min"),
        (599, "9 h 59 min"),
        (3175, "53 h"),
        (None, ""),
    ],
)
def test_times_are_told_in_hours_and_minutes_and_long_ones_in_hours_alone(minutes, said):
    assert recovery_pages._time(minutes) == said


# --- past the promise (R032) -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_who_waits_past_the_promise_is_counted_by_channel_until_somebody_answers_or_says_why_R032(
    client, django_assert_num_queries
):
    first, _second = heard("phone"), heard("phone")
    heard("email")
    later = NOON + timedelta(days=3)
    with django_assert_num_queries(1):
        found = response_times.past_their_promise(later)
    assert [(line["channel"], line["number"], line["unexplained"]) for line in found] == [
        ("phone", 2, 2),
        ("email", 1, 1),
    ]
    assert response_times.past_their_promise(NOON) == []
    promise = Promise.objects.get(conversation=first, kind="first_response")
    Promise.objects.filter(pk=promise.pk).update(state="breached", breached_at=promise.due_at)
    promises.explain(promise.pk, reason=MissReason.values[0], words="Two were ill.", by=colleague(), at=later)
    assert response_times.past_their_promise(later)[0]["unexplained"] == 1
    Promise.objects.filter(pk=promise.pk).update(state="met_late", met_at=later)
    found = response_times.past_their_promise(later)
    assert {line["channel"]: line["number"] for line in found} == {"phone": 1, "email": 1}
    lena = colleague(Role.LEAD)
    assert {line.channel: line.number for line in neglect.by_channel(lena, at=later)} == {"Phone": 1, "Email": 1}
    client.force_login(colleague(Role.LEAD))
    assert "Past the promise" in client.get(reverse("admin:parity")).content.decode()
