"""What a month's comparisons add up to: nothing is certified that was not shown (R070, domain.md D.4)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class CertificateResult(TextChoices):
    SHOWN = "shown", _("treated alike on every channel")
    SHOWN_IN_GROUPS = "shown_in_groups", _("treated alike in pooled groups")
    NOT_SHOWN = "not_shown", _("not shown")
    DIFFERS = "differs", _("treated differently")
    NOTHING = "nothing", _("nothing to compare")

    @property
    def says(self) -> str:
        """The same in words that say what is meant where nothing stands around them."""
        return str(_("equal treatment not shown") if self is CertificateResult.NOT_SHOWN else self.label)


class Pool(TextChoices):
    """Groups of places for houses that have too few matters in each."""

    LIVE = "live", _("live: by phone, in a chat, at the counter, on a visit")
    WRITTEN = "written", _("in writing: mail, web form, app, text message, letter, direct message")
    PUBLIC = "public", _("in public: posts, reviews, blogs, videos")

    @property
    def short(self) -> str:
        """Its name alone, without what is in it."""
        return str(self.label).partition(":")[0].strip()


def metric_result(alone: Iterable[str], pooled: Iterable[str]) -> CertificateResult:
    """Say what one thing shows. alone: verdicts ("red", "amber", "green", "grey") one for each place, pooled: of groups of them.

    Intersection and union (Berger 1982): every verdict is a test at 5 % of its own, and all have to be green. A red one anywhere
    is a difference. Groups stand in only where no place by itself is red; likeness of groups says nothing of those within.
    """
    alone, pooled = list(alone), list(pooled)
    if "red" in alone or "red" in pooled:
        return CertificateResult.DIFFERS
    if alone and set(alone) == {"green"}:
        return CertificateResult.SHOWN
    if pooled and set(pooled) == {"green"}:
        return CertificateResult.SHOWN_IN_GROUPS
    return CertificateResult.NOT_SHOWN if alone else CertificateResult.NOTHING


def whole_result(results: Iterable[CertificateResult]) -> CertificateResult:
    """Say what all of them show together: one difference is a difference; one thing that is not shown leaves the whole unshown."""
    found = {result for result in results if result != CertificateResult.NOTHING}
    for result in (CertificateResult.DIFFERS, CertificateResult.NOT_SHOWN, CertificateResult.SHOWN_IN_GROUPS):
        if result in found:
            return result
    return CertificateResult.SHOWN if found else CertificateResult.NOTHING
