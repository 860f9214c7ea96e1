"""What must be right before Evenhand starts; each finding names the setting to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string
from django.utils.translation import to_locale

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
