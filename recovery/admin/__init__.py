"""Recovery's pages in the admin."""

from recovery.admin import audits, cases, effort, given, held, joining, ledger, policies, queue, reviews, rules

urlpatterns = [
    *audits.urlpatterns,
    *cases.urlpatterns,
    *given.urlpatterns,
    *held.urlpatterns,
    *effort.urlpatterns,
    *joining.urlpatterns,
    *ledger.urlpatterns,
    *reviews.urlpatterns,
    *policies.urlpatterns,
    *queue.urlpatterns,
    *rules.urlpatterns,
]
