"""What stands in the house's own fields of a case. No fact of any decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from crm import history
from crm.actions import custom_fields
from crm.models import User
from crm.policy.fields import FieldOf
from recovery.actions.cases import ref_of
from recovery.models import Case


@transaction.atomic
def set_values(case_id: int, values: Mapping[str, Any], *, by: User | None, at: datetime) -> Case:
    """Write values into fields of a case; None or "" takes one away, fields that are not named stay as they are.

    A case that has ended can still be described. Raises Case.DoesNotExist, UnusableValue; then nothing has changed.
    """
    case = Case.objects.select_for_update(of=("self",)).select_related("customer").get(pk=case_id)
    detail = custom_fields.write(case, FieldOf.CASE, values)
    if detail:
        history.record(case.customer, "case.fields", ref=ref_of(case), by=by, at=at, detail=detail)
    return case
