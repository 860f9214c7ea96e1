"""What must be right before Evenhand starts; each finding names the setting to change."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.utils.module_loading import import_string

from crm import hooks


@register()
def settings_make_sense(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Zones exist, and every task that the table of duties names is a real one."""
    found: list[CheckMessage] = []
    try:
        ZoneInfo(settings.EVENHAND_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(Error(f"EVENHAND_ZONE names no time zone: {settings.EVENHAND_ZONE!r}.", id="evenhand.E001"))
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
def mail_provider_is_usable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The provider's settings are those that sending through it and hearing from it need."""
    name = settings.EVENHAND_MAIL_PROVIDER
    if not name:
        return []
    try:
        if settings.EMAIL_BACKEND.startswith("anymail."):
            get_connection()
        if settings.ANYMAIL["WEBHOOK_SECRET"]:
            hooks.views(name)
    except (AnymailError, ImproperlyConfigured, ImportError, ValueError) as mistake:
        missing = next(iter(re.findall(rf"{name.upper()}_[A-Z_]+", str(mistake))), type(mistake).__name__)
        return [Error(f"EVENHAND_MAIL_PROVIDER_SETTINGS does not fit {name}: {missing}.", id="evenhand.E003")]
    return []
