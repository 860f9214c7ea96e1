"""Colleagues: what each is here for."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    """What a colleague is here for; the rights of each are one table in crm/actions/staff.py."""

    AGENT = "agent", _("agent")
    LEAD = "lead", _("lead")
    LOYALTY_MANAGER = "loyalty_manager", _("loyalty manager")
    AUDITOR = "auditor", _("auditor")
    ADMINISTRATOR = "administrator", _("administrator")


class LineOfWork(TextChoices):
    """What somebody mainly does here, whatever their rights."""

    SERVICE = "service", _("customer service")
    IT = "it", _("IT")
    DEVELOPMENT = "development", _("development")
    INTERN = "intern", _("intern")


PUBLIC_WRITING = "public_writing"
"""The skill of writing where everybody can read it; one for all media, never per channel (domain.md C.6)."""


def may_write_publicly(line: str, *, is_certified: bool, is_demanded: bool) -> bool:
    """Say whether somebody may write where everybody can read it.

    line: a LineOfWork. is_demanded: this installation asks everybody for the certificate. IT, developers and interns need
    it everywhere (R113).
    """
    return is_certified or (line == LineOfWork.SERVICE and not is_demanded)
