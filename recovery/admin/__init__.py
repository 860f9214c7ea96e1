"""Recovery's pages in the admin."""

from recovery.admin import (
    audit_files,
    audits,
    cases,
    certificates,
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
    *audit_files.urlpatterns,
    *certificates.urlpatterns,
    *cases.urlpatterns,
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
