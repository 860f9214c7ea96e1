"""What stands in a copy of a person's data: data.json for programs, index.html for people, and the files themselves.

Everything that the one table of what is personal (evenhand/personal.py) leads to is in it, so nothing new can be forgotten. Not in
it: what other people wrote into the person's matters, who colleagues are beyond the name they show, secrets, fingerprints, and what
is not told yet (`told_once` in that table): a copy is made and handed over by colleagues who may not know of it before.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.template.loader import render_to_string
from django.utils import translation

from crm.actions import clearing, letters
from crm.actions.belongings import records_of, standing
from crm.models import Attachment, Customer, Interaction, RawItem, User
from crm.models.talk import AttachmentState

SCHEMA_VERSION = 1
MASKED = "[written by somebody else, not part of this copy]"
_SECRET = {
    "crm.User": {"password"},
    "crm.ReplyToken": {"nonce", "digest"},
    "crm.OutgoingMessage": {"headers"},
    "mfa.Authenticator": {"data"},
    "account.EmailConfirmation": {"key"},
    "crm.RawItem": {"content", "external_id"},
    "crm.DataPackage": {"file"},
    "crm.Attachment": {"file"},
    "crm.Reach": {"avatar"},
    "crm.SecondProof": {"digest"},
    "crm.IdentityCheck": {"digest"},
    "crm.ConsentQuestion": {"key"},
}
"""Columns that are keys or hold bytes; bytes are among the files."""
_INWARD = {
    "lease_until",
    "attempt",
    "failures",
    "due_at",
    "uid",
    "uid_validity",
    "step",
    "raw_cursor",
    "is_staff",
    "is_superuser",
}
_OF_TWO = {
    "crm.PersonSuggestion", "crm.Merge", "crm.Parting", "crm.Representative", "crm.Placement", "recovery.CaseLink",
}  # fmt: skip
"""Rows about two records, of which the other may be another person: only that there is one is told."""
_OF_THE_OTHER = {"evidence", "fields", "moved", "because", "one", "other"}
_OF_MANY = {"crm.CustomerFile", "crm.ImportFinding", "recovery.ProbeEvidence"}
"""Rows about files in which many people stand; what a file said of this person stands in its own row of them. And rows that compare
this person with another.
"""
_WORDS = ("text", "full_text", "html", "subject")
Progress = Callable[[int, int], None]


def write(target: IO[bytes], customer: Customer, *, at: datetime, progress: Progress) -> None:
    """Write the copy as a ZIP file. progress: called with parts done and parts in all; may raise to stop."""
    records = records_of(standing(customer))
    named = clearing.identifiers(records)
    labels = [label for label in settings.EVENHAND_PERSONAL if label not in _OF_MANY]
    parts = len(labels) + 2
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        files = list(_files(archive, records))
        progress(1, parts)
        shown: dict[str, list[dict[str, Any]]] = {}
        with archive.open("data.json", "w") as out:
            head = {
                "schema": SCHEMA_VERSION,
                "made_at": at.isoformat(),
                "person": str(customer.public_id),
                "files": files,
            }
            out.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "tables": {')
            for number, label in enumerate(labels):
                out.write((", " if number else "").encode() + json.dumps(label).encode() + b": [")
                for place, row in enumerate(_rows(label, records, named)):
                    out.write((",\n" if place else "\n").encode() + json.dumps(row, ensure_ascii=False).encode())
                    if label in _SHOWN:
                        shown.setdefault(label, []).append(row)
                out.write(b"]")
                progress(number + 2, parts)
            out.write(b"}}\n")
        archive.writestr("index.html", _page(customer, shown, files, at=at))
        progress(parts, parts)


def _rows(label: str, records: Collection[int], named: Collection[str]) -> Iterator[dict[str, Any]]:
    model = apps.get_model(label)
    keys = clearing.raw_of(records) if label == "crm.RawItem" else clearing.keys_of(label, records, named)
    left_out, once = _SECRET.get(label, set()) | _INWARD, settings.EVENHAND_PERSONAL[label].told_once
    fields = [field for field in model._meta.concrete_fields if field.name not in left_out]
    if label in _OF_TWO:
        fields = [field for field in fields if not _is_of_a_customer(field) and field.name not in _OF_THE_OTHER]
    people = [field.name for field in fields if field.is_relation and issubclass(field.related_model, User)]
    for portion in clearing.portions(keys):
        rows = model._default_manager.filter(pk__in=portion, **once).order_by("pk")
        for row in rows.select_related(*people) if people else rows:
            yield _masked(label, {field.name: _told(row, field) for field in fields})


def _is_of_a_customer(field: Any) -> bool:
    return bool(field.is_relation and issubclass(field.related_model, Customer))


def _told(row: models.Model, field: Any) -> Any:
    if field.is_relation:
        if issubclass(field.related_model, User):
            one = getattr(row, field.name)
            return None if one is None else str(one.display_name) or "somebody"
        return getattr(row, field.attname)
    value = getattr(row, field.attname)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return None
    if isinstance(value, str | int | float | bool | list | dict) or value is None:
        return value
    return str(value)


def _masked(label: str, row: dict[str, Any]) -> dict[str, Any]:
    """Without what another person wrote into the matter: that there is something is told, not what, nor by whom."""
    if label == "crm.Interaction" and row["other_address"]:
        return (
            row
            | dict.fromkeys(_WORDS, "")
            | {"text": MASKED, "other_address": MASKED, "message_id": "", "contact_point": None}
        )
    return row


def _files(archive: zipfile.ZipFile, records: Collection[int]) -> Iterator[dict[str, Any]]:
    """Put the files in that came with the person's own words: attachments that are kept, and the bytes of mails as they came."""
    theirs = {"conversation__customer__in": list(records)}
    said = Interaction.objects.filter(**theirs, other_address="")
    kept = Attachment.objects.filter(interaction__in=said, state=AttachmentState.STORED).exclude(file="")
    for attachment in kept.order_by("pk").iterator(chunk_size=100):
        place = f"files/{attachment.public_id}{_ending(attachment.name)}"
        try:
            with attachment.file.open("rb") as source, archive.open(place, "w") as out:
                for chunk in source.chunks():
                    out.write(chunk)
        except FileNotFoundError:
            continue
        yield {"file": place, "name": attachment.name, "interaction": attachment.interaction_id}
    shared = Interaction.objects.exclude(**theirs).filter(raw__isnull=False).values("raw")
    raw = RawItem.objects.filter(pk__in=said.values("raw"), source__startswith="mail").exclude(pk__in=shared)
    for item in raw.exclude(content=b"").order_by("pk").iterator(chunk_size=50):
        place = f"mails/{item.public_id}.eml"
        archive.writestr(place, bytes(item.content))
        yield {"file": place, "name": "", "raw": item.pk}


def _ending(name: str) -> str:
    ending = name.rpartition(".")[2].lower()
    return f".{ending}" if ending.isalnum() and ending.isascii() and len(ending) <= 5 and "." in name else ""


# --- for people ---------------------------------------------------------------------------------------------------------------

_NOTHING: tuple[Any, ...] = (None, "", [], {})
_SHOWN = (
    "crm.Customer", "crm.ContactPoint", "crm.Conversation", "crm.Interaction", "crm.Promise", "recovery.Case", "recovery.Grant",
    "recovery.Decision", "crm.Consent", "crm.ConsentProof", "loyalty.Gesture", "crm.LifeEvent", "crm.Representative",
    "crm.ServiceChange", "crm.RelationshipStage", "crm.RelationshipRole", "crm.Reach", "crm.ReachLook", "crm.Hold",
    "crm.HistoryEntry", "crm.Attachment",
)  # fmt: skip
"""The tables that the page for people shows, in its order; all others are in data.json."""
_LEFT_OUT = {"id", "public_id", "raw", "external_id", "message_id", "full_text", "html", "customer", "content_id"}


def _page(
    customer: Customer, shown: Mapping[str, list[dict[str, Any]]], files: list[dict[str, Any]], *, at: datetime
) -> str:
    language = letters.language_for(customer.language)
    with translation.override(language):
        sections = []
        for label in _SHOWN:
            rows = shown.get(label, [])
            if rows:
                model = apps.get_model(label)
                names = {field.name: str(field.verbose_name) for field in model._meta.concrete_fields}
                told = [
                    [
                        (names[name], value)
                        for name, value in row.items()
                        if name not in _LEFT_OUT and value not in (None, "", [], {})
                    ]
                    for row in rows
                ]
                sections.append((str(model._meta.verbose_name_plural), told))
        return render_to_string(
            "package/index.html",
            {"name": customer.display_name, "sections": sections, "files": files, "at": at, "language": language,
             "shop": settings.EVENHAND_MAIL_NAME},
        )  # fmt: skip
