"""Recovery's pages in the admin."""

from recovery.admin import cases

urlpatterns = [*cases.urlpatterns]
