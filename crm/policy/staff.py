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
