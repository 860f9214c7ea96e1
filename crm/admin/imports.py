"""Bringing in files: call records of a phone system, exports of review sites. First it is tried, then it is brought in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import call_records as call_actions
from crm.actions import rejected as rejections
from crm.actions import review_files as review_actions
from crm.admin import pages
from crm.channels import call_records, review_files
from crm.channels.rows import NotThisShape, Rejected

CALLS, REVIEWS = "crm.import_calls", "crm.import_reviews"
LARGEST = 5_000_000
SHOWN = 50
EXAMPLE = """site = "reviews.example"
language = "en"
zone = "Europe/Berlin"
dates = ["%d.%m.%Y %H:%M"]
rated_out_of = 5

[columns]
id = "Review ID"
url = "Link"
author = "Author"
rating = "Rating"
title = "Title"
text = "Review"
date = "Date"
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How it went: sentences for people, and the first rows that were not taken in."""

    said: list[str]
    rejected: list[Rejected]
    more: int


class FileForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        allow_empty_file=True,
        help_text=gettext_lazy("CSV, up to 5 MB; larger ones are brought in with manage.py."),
    )
    only_count = forms.BooleanField(label=gettext_lazy("Only count what is in it; follow up nothing"), required=False)

    def clean_file(self) -> UploadedFile[Any]:
        """A file that is read while somebody waits is not large."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST:
            raise forms.ValidationError(_("This file is larger than 5 MB. Please bring it in with manage.py."))
        return file


class CallsForm(FileForm):
    """What `manage.py import_calls` takes."""

    system = forms.SlugField(
        label=gettext_lazy("Phone system"),
        max_length=60,
        initial="asterisk",
        help_text=gettext_lazy("The name by which its calls are known; the same as where it reports them itself."),
    )
    zone = forms.CharField(
        label=gettext_lazy("Time zone of the file"),
        max_length=64,
        help_text=gettext_lazy("Such as Europe/Berlin; UTC where usegmtime is on."),
    )
    contexts = forms.CharField(
        label=gettext_lazy("Where customers' calls arrive"),
        max_length=500,
        required=False,
        help_text=gettext_lazy(
            "The dcontext, such as from-trunk, several with spaces between. Empty: told by the number."
        ),
    )

    def clean_zone(self) -> ZoneInfo:
        """A zone that there is."""
        try:
            return ZoneInfo(self.cleaned_data["zone"].strip())
        except (ZoneInfoNotFoundError, ValueError) as trouble:
            raise forms.ValidationError(_("There is no time zone of this name.")) from trouble


class ReviewsForm(FileForm):
    """What `manage.py import_reviews` takes."""

    columns = forms.CharField(
        label=gettext_lazy("Which column is which"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 15, "spellcheck": "false"}),
        help_text=gettext_lazy("A table in TOML. Keep one for each site; on the right stand the names in the file."),
    )


@pages.page(CALLS)
def import_calls(request: HttpRequest) -> HttpResponse:
    """Bring in call records: "try" says what would be new."""
    posted, files = _posted(request)
    form = CallsForm(posted, files, initial={"system": "asterisk", "zone": settings.EVENHAND_ZONE})
    done = _calls(request, form) if request.method == "POST" and form.is_valid() else None
    about = _(
        "Asterisk's Master.csv. Calls of the last 24 hours are followed up as if the phone system had reported them now: whoever "
        "reached nobody is called back. Older calls are only counted. A file may be brought in twice; nothing comes twice."
    )
    return _shown(request, _("Bring in calls"), form, about=about, done=done)


@pages.page(REVIEWS)
def import_reviews(request: HttpRequest) -> HttpResponse:
    """Bring in reviews: "try" says what would be new."""
    posted, files = _posted(request)
    form = ReviewsForm(posted, files, initial={"columns": EXAMPLE})
    done: Done | None = None
    if request.method == "POST" and form.is_valid():
        try:
            done = _reviews(request, form)
        except NotThisShape as refusal:
            form.add_error("columns", str(refusal))
    about = _(
        "A review site's export. What was published since the last export opens a matter; older reviews are only counted. A file "
        "may be brought in twice; nothing comes twice."
    )
    return _shown(request, _("Bring in reviews"), form, about=about, done=done)


def _posted(request: HttpRequest) -> tuple[Any, Any]:
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _shown(request: HttpRequest, title: str, form: FileForm, *, about: str, done: Done | None) -> HttpResponse:
    return pages.render(
        request, "admin/desk/import.html", title, form=form, about=about, done=done, is_fullwidth="",
        status=400 if form.errors else 200,
    )  # fmt: skip


def _lines(file: UploadedFile[Any]) -> Iterator[bytes]:
    yield from file


def _calls(request: HttpRequest, form: CallsForm) -> Done:
    at, given, dry = timezone.now(), form.cleaned_data, request.POST.get("do") != "keep"
    records: list[call_records.CallRecord] = []
    rejected: list[Rejected] = []
    contexts = given["contexts"].split()
    for found in call_records.parse(_lines(given["file"]), zone=given["zone"], not_after=at, contexts=contexts):
        (rejected if isinstance(found, Rejected) else records).append(found)  # type: ignore[arg-type]
    if call_records.wrong_zone_share(rejected, len(records) + len(rejected)) > 0.5:
        form.add_error("zone", _("Most calls carry an id of another time than this zone says. Nothing was brought in."))
        return _done([], rejected)
    every = call_records.calls(records)
    theirs = [one for one in every if not one.is_ours]
    brought = call_actions.Brought()
    for batch in call_actions.batches(theirs):
        brought += call_actions.bring_in(
            batch, system=given["system"], by=pages.colleague(request), at=at, only_count=given["only_count"], dry=dry
        )
    if not dry:
        source = call_actions.source_of(given["system"])
        rejections.keep(rejected, source=source, kind="call_record", file_name=given["file"].name or "", at=at)
    new = _("calls answered: %(answered)d, not answered: %(missed)d; to follow up: %(up)d, only counted: %(old)d") % {
        "answered": brought.talked,
        "missed": brought.missed,
        "up": brought.followed_up,
        "old": brought.remembered,
    }
    ours = _("Left out – from our own phones: %(ours)d, known before: %(known)d.") % {
        "ours": len(every) - len(theirs),
        "known": brought.known,
    }
    return _done([_new(new, dry=dry), ours], rejected)


def _reviews(request: HttpRequest, form: ReviewsForm) -> Done:
    at, given, dry = timezone.now(), form.cleaned_data, request.POST.get("do") != "keep"
    mapping = review_files.mapped(given["columns"])
    reviews: list[review_files.Review] = []
    rejected: list[Rejected] = []
    for found in review_files.parse(_lines(given["file"]), mapping, not_after=at):
        (rejected if isinstance(found, Rejected) else reviews).append(found)  # type: ignore[arg-type]
    last, brought = review_actions.last_good_at(mapping.site), review_actions.Brought()
    for batch in review_actions.batches(reviews):
        brought += review_actions.bring_in(
            batch,
            site=mapping.site,
            last_good_at=last,
            by=pages.colleague(request),
            at=at,
            only_count=given["only_count"],
            dry=dry,
        )
    rejected += brought.refused
    if not dry:
        source = review_actions.source_of(mapping.site)
        rejections.keep(rejected, source=source, kind="review_row", file_name=given["file"].name or "", at=at)
        review_actions.brought(mapping.site, at=at)
    new = _("reviews that open a matter: %(news)d, only counted: %(old)d") % {
        "news": brought.news,
        "old": brought.old,
    }
    return _done([_new(new, dry=dry), _("Known before: %(known)d.") % {"known": brought.known}], rejected)


def _new(what: str, *, dry: bool) -> str:
    return (_("Would be new – %(what)s. Nothing was written.") if dry else _("New – %(what)s.")) % {"what": what}


def _done(said: list[str], rejected: list[Rejected]) -> Done:
    return Done(said, rejected[:SHOWN], max(0, len(rejected) - SHOWN))


urlpatterns: list[URLPattern] = [
    path("import/calls/", import_calls, name="import_calls"),
    path("import/reviews/", import_reviews, name="import_reviews"),
]
