"""Certificates: one a month whatever it shows, never changed, and checkable from the file of rows (R070)."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import Error, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import Channel
from crm.models import Conversation, HistoryEntry
from crm.policy import Role
from recovery import actions
from recovery.actions import certificates
from recovery.models import Disclosure, ParityCertificate, ParityFinding
from recovery.policy import CertificateResult, Pool, metric_result, whole_result
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import many

LATER = datetime(2026, 4, 9, 6, tzinfo=UTC)
"""More than a week after the end of March, in which `many` is told."""
VERDICTS = st.sampled_from(["red", "amber", "green", "grey"])


def issued(count: int = 600) -> ParityCertificate:
    many(count)
    assert actions.certificate_monthly(LATER) == 1
    return ParityCertificate.objects.get()


def seen(client, role: Role):
    client.force_login(colleague(role))
    return client


# --- what the months show ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_month_with_a_difference_is_certified_as_one_with_margins_counts_and_fingerprints_R070():
    made = issued()
    assert (made.month, made.result) == (date(2026, 3, 1), CertificateResult.DIFFERS)
    assert made.until.astimezone(UTC) - made.since.astimezone(UTC) == timedelta(days=31) - timedelta(
        hours=1
    )  # summer time
    assert made.at == made.until + certificates.MATURES
    assert sum(made.counts.values()) == made.matters > 500
    first = next(each for each in made.metrics if each["metric"] == "first_response")
    assert first["margin"] == {"effect": "time_ratio", "low": 0.8, "high": 1.25}
    assert {one["name"]: one["verdict"] for one in first["channels"]}["phone"] == "red"
    assert {one["name"] for one in first["groups"]} == {"live", "written", "public"}
    assert len(made.content_hash) == len(made.rows_hash) == 64
    assert HistoryEntry.objects.filter(verb="parity.certified", ref=f"certificate:{made.public_id}").exists()


@pytest.mark.django_db
def test_one_a_month_a_week_after_its_end_and_what_was_missed_is_made_up_for_as_of_the_same_moment():
    many(60)
    assert actions.certificate_monthly(datetime(2026, 4, 7, 6, tzinfo=UTC)) == 0  # not a week yet
    assert [actions.certificate_monthly(LATER), actions.certificate_monthly(LATER)] == [1, 0]
    march = ParityCertificate.objects.get()
    assert actions.certificate_monthly(LATER + timedelta(days=62)) == 2  # nobody worked for two months
    assert [each.month.month for each in ParityCertificate.objects.order_by("month")] == [3, 4, 5]
    assert {each.result for each in ParityCertificate.objects.exclude(pk=march.pk)} == {CertificateResult.NOTHING}
    late = ParityCertificate.objects.get(month=date(2026, 4, 1))
    assert (late.at, late.issued_at) == (late.until + certificates.MATURES, LATER + timedelta(days=62))


@pytest.mark.django_db
def test_before_the_first_matter_there_is_nothing_to_certify():
    assert actions.certificate_monthly(LATER) == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_issue_one():
    many(60)
    assert sorted(at_once(*[lambda: actions.certificate_monthly(LATER)] * 2)) == [0, 1]
    assert ParityCertificate.objects.count() == 1


@pytest.mark.django_db
def test_a_certificate_is_never_changed_or_removed():
    issued(60)
    for act in (
        lambda: ParityCertificate.objects.update(result="shown"),
        lambda: ParityCertificate.objects.all().delete(),
    ):
        with pytest.raises(Error), transaction.atomic():
            act()


@pytest.mark.django_db
def test_the_file_of_rows_has_its_fingerprint_and_the_report_on_it_says_the_same(client, tmp_path):
    made = issued()
    seen(client, Role.AUDITOR)
    rows = b"".join(client.get(reverse("admin:certificate_csv", args=[made.public_id])).streaming_content)
    assert hashlib.sha256(rows).hexdigest() == made.rows_hash
    (tmp_path / "c.csv").write_bytes(rows)
    (tmp_path / "c.toml").write_bytes(client.get(reverse("admin:certificate_map", args=[made.public_id])).content)
    call_command(
        "parity_report",
        str(tmp_path / "c.csv"),
        map=str(tmp_path / "c.toml"),
        strata="load",
        json=tmp_path / "c.json",
        stdout=io.StringIO(),
    )
    outside = json.loads((tmp_path / "c.json").read_text())["contrasts"]
    said = {(line["metric"], line["channel"]): line["verdict"] for line in reversed(outside) if line["n"]}
    for metric in made.metrics:
        if metric["metric"] not in ("dismissed", "gesture_sent"):
            assert {one["name"]: one["verdict"] for one in metric["channels"]} == {
                channel: verdict for (name, channel), verdict in said.items() if name == metric["metric"]
            }


@pytest.mark.django_db
def test_reading_the_rows_again_says_whether_they_are_still_the_same(client):
    made = issued(60)
    seen(client, Role.LEAD)
    page = reverse("admin:certificate", args=[made.public_id])
    assert "Read the rows again" in client.get(page).content.decode()
    assert "byte for byte" in client.get(page, {"check": "1"}).content.decode()
    one = Conversation.objects.filter(first_answer_at__isnull=False, first_answer_at__lt=made.at).first()
    one.first_answer_at += timedelta(minutes=1)
    one.save(update_fields=["first_answer_at"])
    assert "not the same rows any more" in client.get(page, {"check": "1"}).content.decode()


# --- what adds up ------------------------------------------------------------------------------------------------------


@given(st.lists(VERDICTS), st.lists(VERDICTS))
def test_likeness_is_certified_only_where_every_single_verdict_is_green(alone, pooled):
    found = metric_result(alone, pooled)
    assert (found == CertificateResult.DIFFERS) == ("red" in alone or "red" in pooled)
    if found == CertificateResult.SHOWN:
        assert set(alone) == {"green"}
    if found == CertificateResult.SHOWN_IN_GROUPS:
        assert set(pooled) == {"green"}
        assert "red" not in alone
    assert (found == CertificateResult.NOTHING) <= (not alone)


@given(st.lists(st.sampled_from(CertificateResult)))
def test_the_whole_is_no_better_than_its_worst_part(results):
    worst = [
        CertificateResult.DIFFERS,
        CertificateResult.NOT_SHOWN,
        CertificateResult.SHOWN_IN_GROUPS,
        CertificateResult.SHOWN,
    ]
    there = [each for each in worst if each in results]
    assert whole_result(results) == (there[0] if there else CertificateResult.NOTHING)


def test_every_channel_is_in_one_group():
    assert set(certificates.GROUPS) == set(Channel.values)
    assert set(certificates.GROUPS.values()) == set(Pool.values)


# --- who sees and shows them -------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.AGENT, 403), (Role.LOYALTY_MANAGER, 403), (Role.LEAD, 200), (Role.AUDITOR, 200), (Role.ADMINISTRATOR, 200)],
)
def test_leads_auditors_and_administrators_read_them(client, role, status):
    made = issued(60)
    seen(client, role)
    pages = [reverse("admin:certificates")]
    pages += [
        reverse(f"admin:{name}", args=[made.public_id])
        for name in ("certificate", "certificate_json", "certificate_csv", "certificate_map")
    ]
    assert {client.get(page).status_code for page in pages} == {status}


@pytest.mark.django_db
def test_nothing_stands_in_public_until_somebody_with_the_right_says_so_R070(client):
    made = issued()
    public = [reverse(name) for name in ("equal-treatment", "equal-treatment-json", "equal-treatment-badge")]
    assert {client.get(page).status_code for page in public} == {404}
    seen(client, Role.AUDITOR)
    assert client.post(reverse("admin:certificates"), {"public": "yes"}).status_code == 403
    seen(client, Role.LEAD)
    client.post(reverse("admin:certificates"), {"public": "yes"})
    client.post(reverse("admin:certificates"), {"public": "yes"})
    assert Disclosure.objects.count() == 1
    client.logout()
    page = client.get(public[0])
    assert page["Cache-Control"] == "public, max-age=600"
    assert "treated differently" in page.content.decode()  # the red month stands there like a good one
    said = client.get(public[1]).json()
    assert said["certificates"][0]["rows_sha256"] == made.rows_hash
    assert said["now"]["result"] == "differs"
    picture = client.get(public[2])
    assert picture["Content-Type"] == "image/svg+xml"
    assert "difference found · March 2026" in picture.content.decode()
    seen(client, Role.LEAD)
    assert client.get(public[0])["Cache-Control"] == "no-store"
    client.post(reverse("admin:certificates"), {"public": "no"})
    assert {client.get(page).status_code for page in public} == {404}
    assert [entry.verb for entry in HistoryEntry.objects.filter(ref="certificates").order_by("pk")] == [
        "parity.published", "parity.unpublished",
    ]  # fmt: skip


@pytest.mark.django_db
def test_the_badge_says_that_a_finding_stands_whatever_last_month_was(client):
    issued(60)
    certificates.publish(is_public=True, by=colleague(Role.LEAD), at=NOON)
    assert "not shown" in client.get(reverse("equal-treatment-badge")).content.decode()
    many()
    actions.parity_nightly(NOON + timedelta(days=12))
    assert ParityFinding.objects.exists()
    assert "difference found" in client.get(reverse("equal-treatment-badge")).content.decode()
    assert "a difference stands" in client.get(reverse("equal-treatment")).content.decode()


@pytest.mark.django_db
def test_the_public_page_names_no_person_and_speaks_seven_languages(client):
    issued(60)
    certificates.publish(is_public=True, by=colleague(Role.LEAD, name="Lena Weiss"), at=NOON)
    page = reverse("equal-treatment")
    assert "Lena" not in client.get(page).content.decode()
    for language, words in {"de": "Gleichbehandlung", "fr": "Égalité de traitement", "pl": "Równe traktowanie"}.items():
        assert words in client.get(page, {"language": language}).content.decode()
    assert client.get(page, {"month": "2026-03"}).status_code == 200
    assert {client.get(page, {"month": month}).status_code for month in ("2020-01", "x")} == {404}
    assert client.post(page).status_code == 405


@pytest.mark.django_db
def test_a_month_that_proves_nothing_says_what_was_not_shown_and_what_its_numbers_are(client):
    assert issued(60).result == CertificateResult.NOT_SHOWN
    certificates.publish(is_public=True, by=colleague(Role.LEAD), at=NOON)
    page = client.get(reverse("equal-treatment")).content.decode()
    assert "March 2026: equal treatment not shown" in page  # and not “March 2026: not shown”, as if it were kept back
    assert ": not shown" not in page
    assert "The number in brackets is how many matters were compared." in page
    listed = seen(client, Role.LEAD).get(reverse("admin:certificates")).content.decode()
    assert "equal treatment not shown" in listed


@pytest.mark.django_db
def test_what_nobody_had_on_any_channel_keeps_no_month_from_being_certified():
    made = issued(1200)
    found = {each["metric"]: each for each in made.metrics}
    assert found["hand_offs"]["result"] == CertificateResult.NOTHING
    assert {one["verdict"] for one in found["hand_offs"]["channels"]} == {"grey"}
    assert found["handed_over"]["result"] != CertificateResult.NOTHING  # whether it happened at all is told by itself


@pytest.mark.django_db
def test_a_customer_who_is_logged_in_reads_what_everybody_reads(client):
    certificates.publish(is_public=True, by=colleague(Role.LEAD), at=NOON)
    client.force_login(app_user())
    answer = client.get(reverse("equal-treatment"))
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
