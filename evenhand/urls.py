"""Every address of the product."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from crm import asking_pages, closing_line_pages, preference_pages, service_pages
from crm import hooks as crm_hooks
from crm import pages as crm_pages
from crm.api import urls as crm_api
from evenhand import health
from loyalty import pages as loyalty_pages
from recovery import api as recovery_api
from recovery import pages as recovery_pages

# Set before the admin's addresses are read: its log-in is the one of everybody, with its limits and second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    # First what is asked most: addresses are tried from the top.
    path("api/v1/", include([*crm_api.urlpatterns, *recovery_api.urlpatterns])),
    *crm_hooks.urlpatterns,
    path("", RedirectView.as_view(url="/admin/")),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    *crm_pages.urlpatterns,
    *service_pages.urlpatterns,
    *asking_pages.urlpatterns,
    *closing_line_pages.urlpatterns,
    *preference_pages.urlpatterns,
    *loyalty_pages.urlpatterns,
    *recovery_pages.urlpatterns,
    path("admin/", admin.site.urls),
]
handler404 = "evenhand.api.problems.not_found"
handler500 = "evenhand.api.problems.server_error"
