"""What must be right before Evenhand starts; each finding names the setting to change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.db import ProgrammingError
from django.utils.module_loading import import_string
from django.utils.translation import to_locale

from crm.actions import journal
from crm.hooks import mail as mail_hooks
from crm.language import tags


@register()
def settings_make_sense(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Zones exist, and every task that the table of duties names is a real one."""
    found: list[CheckMessage] = []
    try:
        ZoneInfo(settings.EVENHAND_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(Error(f"EVENHAND_ZONE names no time zone: {settings.EVENHAND_ZONE!r}.", id="evenhand.E001"))
    for tag in settings.EVENHAND_CUSTOMER_LANGUAGES:
        if tags.normalised(tag) != tag:
            found.append(Error(f"EVENHAND_CUSTOMER_LANGUAGES names no language: {tag!r}.", id="evenhand.E003"))
        elif tag != "en" and not any(
            (Path(folder) / to_locale(tag) / "LC_MESSAGES" / "django.mo").is_file() for folder in settings.LOCALE_PATHS
        ):
            found.append(
                Error(
                    f"EVENHAND_CUSTOMER_LANGUAGES names {tag!r}, for which there are no words; "
                    f"customers would read half of every letter in another language.",
                    id="evenhand.E004",
                )
            )
    tasks = {
        name: entry.task
        for table in (settings.EVENHAND_LANES, settings.EVENHAND_DUTIES)
        for name, entry in table.items()
    }
    for name, task in tasks.items():
        try:
            import_string(task)
        except ImportError:
            found.append(
                Error(f"evenhand/duties.py: “{name}” names a task that does not exist: {task}.", id="evenhand.E002")
            )
    return found


@register()
def mail_can_be_trusted(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Our reply addresses live on a domain where nobody has a mailbox, and something tells us who wrote (M08, M13)."""
    found: list[CheckMessage] = []
    domain = settings.EVENHAND_INBOUND_DOMAIN
    ours = {address.rpartition("@")[2] for address in settings.EVENHAND_OWN_ADDRESSES}
    if domain in ours:
        found.append(
            Error(
                f"EVENHAND_INBOUND_DOMAIN is {domain}, on which our own addresses are. Whoever can register at a service "
                "with an address there could pass for one of us; take a domain of its own, such as in." + domain + ".",
                id="evenhand.E005",
            )
        )
    if domain and ("." not in domain or "@" in domain or domain != domain.strip()):
        found.append(Error(f"EVENHAND_INBOUND_DOMAIN is no domain: {domain!r}.", id="evenhand.E006"))
    if not domain and not settings.EVENHAND_BORDER_HOSTS:
        found.append(
            Warning(
                "Neither EVENHAND_INBOUND_DOMAIN nor EVENHAND_BORDER_HOSTS is set. Answers to our mails then open a matter "
                "of their own and only suggest where they belong, unless their mailbox names its server.",
                id="evenhand.W001",
            )
        )
    return found


@register(Tags.database)
def nobody_works_on_the_inbound_domain(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """No colleague's account has an address on the domain of our reply addresses (M08). Runs with every migration."""
    from crm.models import User

    domain = settings.EVENHAND_INBOUND_DOMAIN
    if not domain or not databases:
        return []
    try:
        there = User.objects.filter(is_staff=True, email__iendswith=f"@{domain}").count()
    except ProgrammingError:  # before the first migration
        return []
    if not there:
        return []
    return [
        Error(
            f"EVENHAND_INBOUND_DOMAIN is {domain}, on which {there} colleagues have their address. Take a domain of its own.",
            id="evenhand.E007",
        )
    ]


@register(Tags.database)
def nobody_erased_is_back(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The database knows every erasure that the journal knows; a restored backup does not (P08). Runs with every migration."""
    if not databases:
        return []
    try:
        shut = journal.shut_because()
    except ProgrammingError:  # before the first migration
        return []
    if shut == "erasures_to_replay":
        return [
            Warning(
                "The erasure journal knows erasures that the database does not: this is a restored backup. "
                "Run `manage.py replay_erasures` before anybody uses it.",
                id="evenhand.W002",
            )
        ]
    if shut:
        return [Error(f"The erasure journal cannot be trusted: {journal.path()}.", id="evenhand.E009")]
    return []


@register()
def mail_provider_is_usable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The provider's settings are those that sending through it and hearing from it need."""
    name = settings.EVENHAND_MAIL_PROVIDER
    if not name:
        return []
    try:
        if settings.EMAIL_BACKEND.startswith("anymail."):
            get_connection()
        if settings.ANYMAIL["WEBHOOK_SECRET"]:
            mail_hooks.views(name)
    except (AnymailError, ImproperlyConfigured, ImportError, ValueError) as mistake:
        missing = next(iter(re.findall(rf"{name.upper()}_[A-Z_]+", str(mistake))), type(mistake).__name__)
        return [Error(f"EVENHAND_MAIL_PROVIDER_SETTINGS does not fit {name}: {missing}.", id="evenhand.E008")]
    return []
