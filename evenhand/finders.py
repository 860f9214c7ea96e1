"""Who finds what beside crm's own messages and customers. crm reads this table through settings and never imports it."""

from __future__ import annotations

FINDERS = {"case": "recovery.actions.finding.cases"}
"""Kind of find -> a function (user, search, *, place, most) -> Found, which looks through its own `visible_to`."""
