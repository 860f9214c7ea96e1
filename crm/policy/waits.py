"""Waiting inside the house: whom a matter waits for. It is our time; no clock of the customer's stops for it (R148)."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Department(TextChoices):
    LEGAL = "legal", _("legal")
    FINANCE = "finance", _("finance")
    WAREHOUSE = "warehouse", _("warehouse")
    WORKSHOP = "workshop", _("workshop")
    TECHNOLOGY = "technology", _("technology")
    MANAGEMENT = "management", _("management")
    SUPPLIER = "supplier", _("a supplier of ours")
