"""Files of customers in the admin: uploaded, their columns named, tried, brought in by the worker, taken back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import customer_files
from crm.admin import pages, words
from crm.channels import contact_files, handles
from crm.channels.contact_columns import DATE_FORMATS, FIELDS, IDS, plain
from crm.channels.rows import NotThisShape, line
from crm.models import CustomerFile, CustomField, ImportFinding
from crm.models.customer_files import FileState, FileWork, Found
from crm.policy.fields import FieldOf

IMPORT = "crm.import_customers"
PAGE_SIZE = 50
SHOWN = 10
LABELS = {
    "name": gettext_lazy("Name"),
    "given_name": gettext_lazy("Given name"),
    "family_name": gettext_lazy("Family name"),
    "company": gettext_lazy("Company"),
    "email": gettext_lazy("Mail address"),
    "phone": gettext_lazy("Phone number"),
    "handle": gettext_lazy("Account, with its network"),
    "device": gettext_lazy("Device"),
    "postal": gettext_lazy("Whole postal address"),
    "street": gettext_lazy("Street"),
    "more_street": gettext_lazy("Rest of the address"),
    "house_number": gettext_lazy("House number"),
    "city": gettext_lazy("Place"),
    "postcode": gettext_lazy("Postcode"),
    "region": gettext_lazy("Region or state"),
    "country": gettext_lazy("Country"),
    "birth_date": gettext_lazy("Date of birth (only to tell people apart)"),
    "language": gettext_lazy("Language"),
}
ENCODINGS = (
    ("utf-8", "UTF-8"),
    ("utf-8-sig", "UTF-8 (BOM)"),
    ("utf-16", "UTF-16"),
    ("cp1252", "Windows-1252"),
    ("iso-8859-15", "Latin-9"),
    ("cp1250", "Windows-1250"),
    ("mac-roman", "Mac"),
)
DELIMITERS = (
    (",", gettext_lazy("comma")),
    (";", gettext_lazy("semicolon")),
    ("\t", gettext_lazy("tabulator")),
    ("|", gettext_lazy("bar")),
)
LEVELS = {
    0: gettext_lazy("differs"),
    1: gettext_lazy("somewhat alike"),
    2: gettext_lazy("alike"),
    3: gettext_lazy("same"),
}
LEFT_OUT = {
    "unusable_email": gettext_lazy("mail address that cannot be one"),
    "unusable_phone": gettext_lazy("phone number that cannot be one"),
    "unusable_device": gettext_lazy("device without a number"),
    "unusable_handle": gettext_lazy("account that cannot be one"),
    "name_of_account": gettext_lazy("name of an account, which is no key; kept as a claim"),
    "no_such_field": gettext_lazy("value for a field of our own that there is not"),
}
REFUSALS = (*pages.REFUSALS, customer_files.NotUploadable, customer_files.NotThen, NotThisShape)


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        allow_empty_file=True,
        help_text=gettext_lazy("CSV, TSV, XLSX or vCard, up to 50 MB; larger ones are brought in with manage.py."),
    )


class ColumnsForm(forms.Form):
    """Which column is which; one select box and one box to tick for each."""

    def __init__(self, *args: Any, kept: CustomerFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = kept
        looked, table = kept.looked, kept.table
        stands = {
            theirs: ours for ours, each in table.get("columns", looked.get("guessed", {})).items() for theirs in each
        }
        own_id = table["id"] if "id" in table else next(
            (name for name in looked.get("columns", []) if plain(name) in IDS), ""
        )  # fmt: skip
        choices = _choices()
        for number, name in enumerate(looked.get("columns", [])):
            chosen = "id" if name and name == own_id else stands.get(name, "")
            chosen = "consent" if chosen.startswith("consent.") else chosen
            self.fields[f"column_{number}"] = forms.ChoiceField(
                label=name or _("without a name"), choices=choices, required=False, initial=chosen,
                widget=forms.Select(attrs={"class": "eh-input"}),
            )  # fmt: skip
            self.fields[f"verified_{number}"] = forms.BooleanField(
                label=_("Every value in “%(name)s” is one person's") % {"name": name},
                required=False,
                initial=name in table.get("verified", []),
            )
        formats = [("", _("2001-12-31 or 20011231")), *((one, _example(one)) for one in DATE_FORMATS)]
        self.fields["source"] = forms.CharField(
            label=_("From which program"), max_length=120, required=False,
            initial=table.get("source", "") or kept.file_name.rpartition(".")[0],
            help_text=_("Ids and keys are compared within one program; use the same name for its next file."),
        )  # fmt: skip
        if looked.get("kind") == "table":
            self.fields["date_format"] = forms.ChoiceField(
                label=_("Days are written"), choices=formats, required=False,
                initial=next(iter(table.get("date_formats", [])), looked.get("date_format", "")),
            )  # fmt: skip
        if looked.get("encoding"):
            self.fields["encoding"] = forms.ChoiceField(
                label=_("Encoding"), choices=ENCODINGS, initial=table.get("encoding") or looked["encoding"]
            )
            self.fields["delimiter"] = forms.ChoiceField(
                label=_("Between columns"), choices=DELIMITERS, initial=table.get("delimiter") or looked["delimiter"]
            )

    def rows(self) -> Iterator[dict[str, Any]]:
        """The columns with their first values and their two boxes."""
        for number, name in enumerate(self.kept.looked.get("columns", [])):
            samples = self.kept.looked["samples"][number]
            yield {
                "name": name,
                "samples": samples,
                "field": self[f"column_{number}"],
                "verified": self[f"verified_{number}"],
            }

    def options(self) -> list[Any]:
        """How the file is written."""
        return [self[name] for name in ("source", "date_format", "encoding", "delimiter") if name in self.fields]

    def table(self) -> dict[str, Any]:
        """What was chosen, as the table of columns is kept."""
        given = self.cleaned_data
        columns: dict[str, list[str]] = {}
        verified, own = [], ""
        for number, name in enumerate(self.kept.looked.get("columns", [])):
            chosen = given[f"column_{number}"]
            if chosen == "consent":
                chosen = "consent." + (re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:60] or "said")
            if chosen == "id":
                own = name
            elif chosen:
                columns.setdefault(chosen, []).append(name)
            if given[f"verified_{number}"] and name:
                verified.append(name)
        return {
            "columns": columns,
            "verified": verified,
            "id": own,
            "source": given["source"].strip(),
            "delimiter": given.get("delimiter", ""),
            "encoding": given.get("encoding", ""),
            "date_formats": [given["date_format"]] if given.get("date_format") else [],
        }


def _example(shape: str) -> str:
    return shape.replace("%d", "31").replace("%m", "12").replace("%Y", "2001")


def _choices() -> list[Any]:
    own = [(f"custom.{one.code}", one.label) for one in CustomField.objects.in_use(FieldOf.CUSTOMER)]
    accounts = [(f"handle.{one}", _("Id at %(network)s") % {"network": one}) for one in handles.PROVIDERS]
    return [
        ("", _("leave out")),
        ("id", _("Its id there")),
        (_("Who and where"), [(name, LABELS[name]) for name in FIELDS]),
        (_("Accounts"), accounts),
        *([(_("Fields of our own"), own)] if own else []),
        (_("Permissions"), [("consent", _("Said of a permission (stays unknown)"))]),
    ]


@pages.page(IMPORT)
def customer_file_list(request: HttpRequest) -> HttpResponse:
    """Files that were uploaded, the newest first; a POST uploads one."""
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method == "POST" and form.is_valid():
        file: UploadedFile[Any] = form.cleaned_data["file"]
        kept, refused = pages.tried(
            lambda: customer_files.upload(file.name or "", file, by=pages.colleague(request), at=timezone.now()),
            refusals=REFUSALS,
        )
        if kept is not None:
            return redirect("admin:customer_file", public_id=kept.public_id)
        form.add_error("file", refused)
    key = pages.read_key(request, int)
    found = CustomerFile.objects.select_related("by").defer("looked").order_by("-pk")
    if key is not None:
        found = found.filter(pk__lt=key[0])
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request, "admin/desk/customer_files.html", _("Bring in customers"), form=form, rows=rows,
        next_key=pages.write_key(rows[-1].pk) if more else "", is_first=key is None,
    )  # fmt: skip


def _kept(public_id: uuid.UUID) -> CustomerFile:
    found = CustomerFile.objects.select_related("by", "brought_by").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


@pages.page(IMPORT)
def customer_file(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One file: its columns to be named, how far it is, what came of it. A POST has it tried, brought in or taken back."""
    kept, refused = _kept(public_id), ""
    has_form = kept.state in (FileState.NEW, FileState.TRIED, FileState.REFUSED, FileState.PARKED) and bool(kept.file)
    posted = request.POST if request.method == "POST" else None
    wanted = request.POST.get("do", "")
    form = ColumnsForm(posted if wanted != FileWork.UNDO else None, kept=kept) if has_form else None
    if request.method == "POST":
        number, by, at = kept.pk, pages.colleague(request), timezone.now()
        if wanted not in FileWork.values and wanted != "again":
            refused = _("Please choose what is to be done.")
        elif wanted == "again" and form is not None and form.is_valid():
            given = form.cleaned_data
            _done, refused = pages.tried(
                lambda: customer_files.look_again(
                    number, encoding=given.get("encoding", ""), delimiter=given.get("delimiter", "")
                ),
                refusals=REFUSALS,
            )
        elif wanted == FileWork.UNDO or form is None or form.is_valid():
            table = form.table() if form is not None and wanted != FileWork.UNDO else None
            _done, refused = pages.tried(
                lambda: customer_files.ask(number, wanted=wanted, by=by, at=at, table=table), refusals=REFUSALS
            )
        if not refused and (form is None or not form.is_bound or form.is_valid()):
            return redirect("admin:customer_file", public_id=kept.public_id)
    return pages.render(
        request, "admin/desk/customer_file.html", kept.file_name, form=form, refused=refused, is_fullwidth="",
        status=409 if refused else 200, **_shown(kept),
    )  # fmt: skip


@pages.page(IMPORT, methods=["GET"])
def customer_file_now(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """How far the file is, alone, for the page that renews itself."""
    return pages.render(request, "admin/desk/customer_file_now.html", "", **_shown(_kept(public_id)))


def _shown(kept: CustomerFile) -> dict[str, Any]:
    counts = kept.counts
    rejected = list(ImportFinding.objects.filter(upload=kept, kind=Found.REJECTED).order_by("pk")[:SHOWN])
    return {
        "kept": kept,
        "size": words.size(kept.size),
        "share": min(100, round(100 * kept.rows_done / kept.rows_expected)) if kept.rows_expected else 0,
        "counts": counts,
        "rejected": [(contact_files.REASONS.get(code, code), n) for code, n in counts.get("rejected", {}).items()],
        "left_out": [(LEFT_OUT.get(code, code.replace("_", " ")), n) for code, n in counts.get("left_out", {}).items()],
        "rows": rejected,
        "may_undo": kept.brought_by_id is not None
        and kept.state in (FileState.KEPT, FileState.PARKED, FileState.REFUSED),
        "is_try": kept.wanted == FileWork.TRY,
    }


@pages.page(IMPORT, methods=["GET"])
def customer_file_errors(request: HttpRequest, public_id: uuid.UUID) -> StreamingHttpResponse:
    """The rows that were not taken in, as CSV."""
    found = ImportFinding.objects.filter(upload=_kept(public_id), kind=Found.REJECTED).order_by("pk")
    rows = ([str(one.line), one.code, one.reason, one.content] for one in found.iterator(chunk_size=1_000))
    return _csv("errors.csv", ["line", "code", "reason", "row"], rows)


@pages.page(IMPORT, methods=["GET"])
def customer_file_duplicates(request: HttpRequest, public_id: uuid.UUID) -> StreamingHttpResponse:
    """Who is and who may be one person, as CSV."""
    found = ImportFinding.objects.filter(upload=_kept(public_id), kind__in=[Found.SAME, Found.ALIKE]).order_by("pk")
    rows = (
        [
            one.one, f"customer {one.known}" if one.known else one.other,
            "verified key" if one.kind == Found.SAME else "suggested", str(one.likelihood or ""),
            "; ".join(f"{name.replace('_', ' ')} {LEVELS[level]}" for name, level, _weight in one.evidence),
        ]
        for one in found.iterator(chunk_size=1_000)
    )  # fmt: skip
    return _csv("duplicates.csv", ["id", "other", "how", "score", "evidence"], rows)


def _csv(name: str, head: list[str], rows: Iterator[list[str]]) -> StreamingHttpResponse:
    def written() -> Iterator[bytes]:
        yield b"\xef\xbb\xbf" + line(head)
        for row in rows:
            yield line(row)

    return StreamingHttpResponse(
        written(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


urlpatterns: list[URLPattern] = [
    path("import/customers/", customer_file_list, name="customer_files"),
    path("import/customers/<uuid:public_id>/", customer_file, name="customer_file"),
    path("import/customers/<uuid:public_id>/now/", customer_file_now, name="customer_file_now"),
    path("import/customers/<uuid:public_id>/errors.csv", customer_file_errors, name="customer_file_errors"),
    path("import/customers/<uuid:public_id>/duplicates.csv", customer_file_duplicates, name="customer_file_duplicates"),
]
