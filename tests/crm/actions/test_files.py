"""Files are checked before anybody gets them, and what is kept apart is fetched knowingly (M23, X34)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models.functions import Now

from crm.actions import files, intake, lease
from crm.channels import Part
from crm.models import Alert, Attachment, HistoryEntry
from crm.models.talk import AttachmentState
from crm.policy import Role
from tests.conftest import NOON
from tests.crm import scanner
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db
CHECKING, STORED, APART = AttachmentState.CHECKING, AttachmentState.STORED, AttachmentState.QUARANTINED


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with scanner.running() as address:
        yield address


def attached(content: bytes = b"hello", *, state: str = CHECKING, reason: str = "", **columns: object) -> Attachment:
    heard = intake.receive(message(), at=NOON, origin="test").interaction
    found = Attachment(
        interaction=heard, name="a.txt", content_type="text/plain", size=len(content), state=state, reason=reason
    )
    for name, value in columns.items():
        setattr(found, name, value)
    found.file.save("a", ContentFile(content), save=True)
    return found


def now(found: Attachment) -> Attachment:
    return Attachment.objects.get(pk=found.pk)


def let_time_pass() -> None:
    Attachment.objects.filter(state=CHECKING).update(lease_until=Now() - timedelta(seconds=1))


def part(state: str = "stored", content: bytes = b"x") -> Part:
    return Part("a", "text/plain", "text/plain", 1, content, state, "" if state == "stored" else "Why.")  # type: ignore[arg-type]


def test_with_a_scanner_every_file_that_is_kept_is_checked_first_M23(settings) -> None:
    settings.EVENHAND_CLAMD = None
    assert [files.state_of(part(s)) for s in ("stored", "quarantined", "refused")] == [
        "stored",
        "quarantined",
        "refused",
    ]
    settings.EVENHAND_CLAMD = "/somewhere"
    assert [files.state_of(part(s)) for s in ("stored", "quarantined")] == ["checking", "checking"]
    assert files.state_of(part("refused", b"")) == "refused"


def test_a_clean_file_is_kept_and_one_that_looked_odd_stays_apart_for_its_reason_M23(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    clean, odd = attached(), attached(reason="Its name has two endings.")
    assert files.scan_batch(at=NOON) == 1
    assert files.scan_batch(at=NOON) == 1
    assert files.scan_batch(at=NOON) == 0
    assert (now(clean).state, now(clean).scanned_at, now(clean).lease_until) == (STORED, NOON, None)
    assert (now(odd).state, now(odd).reason, now(odd).scanned_at) == (APART, "Its name has two endings.", NOON)
    assert not Alert.objects.exists()


def test_an_infected_file_is_kept_apart_written_down_and_told_to_the_leads_M23(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    bad = attached(scanner.EICAR)
    files.scan_batch(at=NOON)
    found = now(bad)
    assert (found.state, found.is_infected, found.scanned_at) == (APART, True, NOON)
    assert "Evenhand.Test.File" in found.reason
    alert = Alert.objects.get(kind="file_infected")
    assert (alert.to, alert.conversation) == (None, bad.interaction.conversation)
    assert HistoryEntry.objects.get(verb="file.infected").customer == bad.interaction.conversation.customer


def test_a_scanner_that_is_away_delays_and_loses_nothing_F31_M23(settings, tmp_path, place) -> None:
    settings.EVENHAND_CLAMD = str(tmp_path / "nobody")
    one, two = attached(), attached()
    for _sweep in range(5):
        assert files.scan_batch(at=NOON + timedelta(hours=1)) == 0
        let_time_pass()
    assert {now(found).state for found in (one, two)} == {CHECKING}
    assert {now(found).attempt for found in (one, two)} == {0}
    settings.EVENHAND_CLAMD = place
    while files.scan_batch(at=NOON):
        pass
    assert {now(found).state for found in (one, two)} == {STORED}


def test_while_the_scanner_is_away_a_file_is_not_tried_again_at_once_F31(settings, tmp_path) -> None:
    settings.EVENHAND_CLAMD = str(tmp_path / "nobody")
    waits = attached()
    files.scan_batch(at=NOON)
    assert Attachment.objects.filter(pk=waits.pk, lease_until__gt=Now() + timedelta(seconds=20)).exists()


def test_a_file_that_waited_a_day_for_a_scanner_is_kept_apart_unchecked_M23(settings, tmp_path) -> None:
    settings.EVENHAND_CLAMD = str(tmp_path / "nobody")
    waits = attached()
    files.scan_batch(at=NOON + timedelta(hours=25))
    assert (now(waits).state, now(waits).reason) == (APART, "It could not be checked for viruses.")
    assert now(waits).scanned_at is None


def test_a_file_the_scanner_gives_no_verdict_on_is_parked_after_three_attempts_M23(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    huge, after = attached(bytes(scanner.STREAM_LIMIT_BYTES * 2)), attached()
    for attempt in (1, 2, 3):
        assert now(huge).state == CHECKING
        assert files.scan_batch(at=NOON) == 1
        assert now(huge).attempt == attempt
        let_time_pass()
        if attempt == 1:
            Attachment.objects.filter(pk=huge.pk).update(lease_until=Now() + timedelta(hours=1))
            assert files.scan_batch(at=NOON) == 1  # the next one does not wait for it
            assert now(after).state == STORED
            let_time_pass()
    assert (now(huge).state, now(huge).reason) == (APART, "It could not be checked for viruses.")


def test_a_file_whose_bytes_are_gone_is_parked_and_stops_nobody_F24(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    lost = attached()
    Path(lost.file.path).unlink()
    for _attempt in range(3):
        files.scan_batch(at=NOON)
        let_time_pass()
    assert now(lost).state == APART


def test_a_file_that_stopped_its_worker_each_time_is_parked_F24(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    deadly = attached(attempt=3)
    files.scan_batch(at=NOON)
    assert (now(deadly).state, now(deadly).reason) == (APART, "It could not be checked for viruses.")


def test_a_worker_that_slept_past_its_lease_changes_nothing_F09(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    waits = attached(scanner.EICAR)
    due = Attachment.objects.filter(pk=waits.pk)
    (mine,) = lease.claim(due, size=1, claimed_state=CHECKING)
    lease.claim(due, size=1, claimed_state=CHECKING)  # somebody else has taken it over meanwhile
    before = Attachment.objects.values().get(pk=waits.pk)
    files._scan(mine, at=NOON)
    assert Attachment.objects.values().get(pk=waits.pk) == before
    assert not Alert.objects.exists()


def test_two_workers_do_not_check_the_same_file(settings, place) -> None:
    settings.EVENHAND_CLAMD = place
    waits = attached()
    due = Attachment.objects.filter(state=CHECKING)
    lease.claim(due, size=1, claimed_state=CHECKING)
    assert files.scan_batch(at=NOON) == 0
    assert now(waits).state == CHECKING


def test_without_a_scanner_what_still_waits_for_one_is_let_go(settings) -> None:
    settings.EVENHAND_CLAMD = None
    clean, odd = attached(), attached(reason="Its name has two endings.")
    while files.scan_batch(at=NOON):
        pass
    assert (now(clean).state, now(odd).state) == (STORED, APART)
    assert now(clean).scanned_at is None


# --- kept apart ---------------------------------------------------------------------------------------------------------


def test_fetching_what_is_kept_apart_is_written_down_M23() -> None:
    lead = colleague(Role.LEAD)
    apart = attached(state=APART, reason="It is packed with a password.")
    assert files.open_kept_apart(apart.pk, by=lead, at=NOON) == apart
    entry = HistoryEntry.objects.get(verb="file.fetched_apart")
    assert (entry.by, entry.ref, entry.customer) == (
        lead,
        f"attachment:{apart.public_id}",
        apart.interaction.conversation.customer,
    )


@pytest.mark.parametrize(
    ("columns", "refusal"),
    [
        ({"state": APART, "reason": "Bad.", "is_infected": True}, files.FileInfected),
        ({"state": STORED}, files.NotKeptApart),
        ({"state": CHECKING}, files.NotKeptApart),
    ],
)
def test_an_infected_file_is_never_fetched_nor_one_that_is_not_apart_M23(columns, refusal) -> None:
    found = attached(**columns)
    lead = colleague(Role.LEAD)
    before = (HistoryEntry.objects.count(), Attachment.objects.values().get(pk=found.pk))
    with pytest.raises(refusal):
        files.open_kept_apart(found.pk, by=lead, at=NOON)
    assert (HistoryEntry.objects.count(), Attachment.objects.values().get(pk=found.pk)) == before


def test_the_database_itself_lets_no_infected_file_go() -> None:
    from django.db import IntegrityError, transaction

    found = attached(state=APART, reason="Bad.", is_infected=True)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE crm_attachment SET state = 'stored' WHERE id = %s", [found.pk])
