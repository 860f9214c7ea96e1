"""How many random stories a metamorphic test tells: 1,000, or as many as EVENHAND_STORIES says (`make metamorphic`)."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

STORIES = int(os.environ.get("EVENHAND_STORIES", "1000"))


def _many(number: int) -> settings:
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=number, deadline=None, suppress_health_check=quiet, database=None)


many = _many(STORIES)
fewer = _many(max(STORIES // 50, 1))
"""For stories that are told to the database, which takes a hundred times as long."""
metamorphic = pytest.mark.metamorphic
