"""Recovery's pages in the admin."""

from recovery.admin import cases, effort, given, ledger, reviews

urlpatterns = [
    *cases.urlpatterns,
    *given.urlpatterns,
    *effort.urlpatterns,
    *ledger.urlpatterns,
    *reviews.urlpatterns,
]
