"""Recovery's pages in the admin."""

from recovery.admin import (
    answered,
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
    proactive,
    queue,
    reviews,
    rule_reviews,
    rules,
)

urlpatterns = [
    *answered.urlpatterns,
    *audits.urlpatterns,
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
    *proactive.urlpatterns,
    *queue.urlpatterns,
    *rule_reviews.urlpatterns,
    *rules.urlpatterns,
]
