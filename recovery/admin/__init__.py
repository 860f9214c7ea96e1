"""Recovery's pages in the admin."""

from recovery.admin import (
    audits,
    cases,
    effort,
    fields,
    given,
    held,
    joining,
    ledger,
    links,
    policies,
    probes,
    queue,
    regrading,
    reviews,
    rules,
)

urlpatterns = [
    *audits.urlpatterns,
    *cases.urlpatterns,
    *given.urlpatterns,
    *held.urlpatterns,
    *effort.urlpatterns,
    *fields.urlpatterns,
    *joining.urlpatterns,
    *ledger.urlpatterns,
    *links.urlpatterns,
    *probes.urlpatterns,
    *regrading.urlpatterns,
    *reviews.urlpatterns,
    *policies.urlpatterns,
    *queue.urlpatterns,
    *rules.urlpatterns,
]
