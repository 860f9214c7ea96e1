"""Recovery's pages in the admin."""

from recovery.admin import cases, policies, rules

urlpatterns = [*cases.urlpatterns, *policies.urlpatterns, *rules.urlpatterns]
