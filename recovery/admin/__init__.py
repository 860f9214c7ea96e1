"""Recovery's pages in the admin."""

from recovery.admin import (
    audits,
    cases,
    corrections,
    effort,
    fields,
    given,
    held,
    joining,
    ledger,
    links,
    policies,
    queue,
    reviews,
    rules,
)

urlpatterns = [
    *audits.urlpatterns,
    *cases.urlpatterns,
    *corrections.urlpatterns,
    *given.urlpatterns,
    *held.urlpatterns,
    *effort.urlpatterns,
    *fields.urlpatterns,
    *joining.urlpatterns,
    *ledger.urlpatterns,
    *links.urlpatterns,
    *reviews.urlpatterns,
    *policies.urlpatterns,
    *queue.urlpatterns,
    *rules.urlpatterns,
]
