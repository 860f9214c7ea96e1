"""Recovery's pages in the admin."""

from recovery.admin import cases, queue

urlpatterns = [*cases.urlpatterns, *queue.urlpatterns]
