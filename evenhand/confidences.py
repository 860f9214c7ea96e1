"""Who knows something of a customer that may not stand in public, beside crm itself. crm reads this table through settings."""

from __future__ import annotations

CONFIDENCES = ("recovery.actions.confidences.of", "loyalty.actions.not_for_public")
"""Each is called with the keys of the customers that are one person (a query) and gives query sets made by
`crm.actions.in_public.row`; all of them are read in one statement with what crm knows."""
