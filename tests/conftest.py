"""What every test may use."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


ON_REAL_SERVERS = (
    "tests/parity/",
    "tests/crm/actions/",
    "tests/crm/api/",
    "tests/recovery/",
    "tests/loyalty/",
    "tests/e2e/test_broker",
)
"""Where the marker `servers` is given: what talks to the database or a broker most, run again on other servers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(ROOT).as_posix().startswith(ON_REAL_SERVERS):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """The folder of real mails, tickets and webhooks: EVENHAND_TEST_DATA, else ../shared/data where it exists."""
    named = os.environ.get("EVENHAND_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of outside data is not here; name it with EVENHAND_TEST_DATA")
    return folder


NOT_EMPTIED = (
    ("crm_historyentry", "history_not_emptied"), ("crm_consent", "consent_not_emptied"),
    ("crm_consentproof", "consent_proof_not_emptied"), ("crm_suppression", "suppression_not_emptied"),
)  # fmt: skip


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Let transactional tests empty the tables; the test of that guard switches it on again for itself."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        for table, trigger in NOT_EMPTIED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


@pytest.fixture(autouse=True)
def _starter_rows(request: pytest.FixtureRequest) -> None:
    """Write what migrations seeded again when an earlier transactional test has emptied the tables."""
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or {"transactional_db", "live_server"} & set(request.fixturenames):
        request.getfixturevalue("transactional_db")
        from django.apps import apps

        from loyalty.models import Programme
        from recovery.models import PolicyVersion

        if not PolicyVersion.objects.exists():
            _write_starter_pack()
        if not Programme.objects.exists():
            importlib.import_module("loyalty.migrations.0002_birthday_programme").write(apps, None)


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    """Let no test go on with what an earlier one's process knew of rows that are gone."""
    from crm.actions import channel_accounts

    channel_accounts.forget()


def _write_starter_pack() -> None:
    from recovery.models import PolicyRule, PolicyVersion
    from recovery.policy import VersionState, content_hash

    version = PolicyVersion.objects.create(number=1, is_starter=True, note="The starter pack.")
    for position, row in enumerate(json.loads((ROOT / "recovery/starter_policy.json").read_text("utf-8")), start=1):
        PolicyRule.objects.create(version=version, position=position, **row)
    version.refresh_from_db()
    version.content_hash = content_hash(version.as_policy().rules)
    version.state, version.effective_from = VersionState.APPROVED, datetime(2000, 1, 1, tzinfo=UTC)
    version.save()


@pytest.fixture(autouse=True)
def _no_calendars() -> Iterator[None]:
    """A process keeps for a minute which calendars it has read; every test begins as in a database without any."""
    from crm.actions import calendars

    calendars.hold_none()
    yield
    calendars.hold_none()


@pytest.fixture(autouse=True)
def _no_mailboxes() -> Iterator[None]:
    """A process keeps for a minute which mailboxes there are, too."""
    from crm.actions import mailboxes

    mailboxes.hold_none()
    yield
    mailboxes.hold_none()


@pytest.fixture(autouse=True)
def _own_folders(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Files and mails of a test stay in its own folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MAIL_FOLDER = tmp_path / "mail"
