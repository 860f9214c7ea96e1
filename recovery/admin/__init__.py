"""Recovery's pages in the admin."""

from recovery.admin import cases, policies, queue, rules

urlpatterns = [*cases.urlpatterns, *policies.urlpatterns, *queue.urlpatterns, *rules.urlpatterns]
