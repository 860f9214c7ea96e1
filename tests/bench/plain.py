"""The plain view that the inbox is measured against: the same account check, the same rows, `values()`, and nothing else."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from crm.models import Conversation
from evenhand import urls
from evenhand.api.authentication import AppTokenAuthentication


def inbox(request: HttpRequest) -> JsonResponse:
    """The first 50 rows of the queue as they come out of the database."""
    user, _token = AppTokenAuthentication().authenticate(request)  # type: ignore[arg-type, misc]
    if not user.has_perm("crm.view_conversation"):
        return JsonResponse({}, status=403)
    rows = (
        Conversation.objects.filter(state="open")
        .order_by("queue_class", "due_at", "spoke_at", "id")
        .values(
            *("public_id", "subject", "state", "spoke_at", "due_at", "owner__display_name", "owner__email"),
            *("customer__public_id", "customer__display_name"),
        )[:50]
    )
    return JsonResponse({"results": list(rows)})


urlpatterns = [path("api/v1/plain/inbox/", inbox), *urls.urlpatterns]
handler404, handler500 = urls.handler404, urls.handler500
