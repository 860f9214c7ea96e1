"""Uploaded files of customers, worked on by a lane: tried, brought in, taken back. The row says what is due and how far it is.

Whoever claims the row goes on behind the last portion; a worker that slept past its lease finds another attempt and changes
nothing. The file and what was found in it are removed some days after.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import customer_imports, import_portions, import_undo, lease
from crm.channels import contact_files
from crm.channels.contact_columns import FIELDS, KINDS, Mapped, checked_encoding, field_of
from crm.channels.rows import NotThisShape, Rejected
from crm.models import CustomerFile, CustomerImport, ImportFinding, User
from crm.models.customer_files import FileState, FileWork, Found
from crm.policy import ATTEMPTS_BEFORE_PARKING

logger = logging.getLogger(__name__)

LARGEST: Final = 50_000_000
"""Bytes that are taken by upload; larger files are brought in with manage.py."""
COLUMNS_AT_MOST: Final = 150
WORKS_FOR: Final = 240.0
"""Seconds after which a worker lets a file go, so that it does not run into the end of its task; the next goes on at once."""
KINDS_TAKEN: Final = (".csv", ".txt", ".tsv", ".tab", ".xlsx", ".vcf", ".vcard")
_NEXT: Final = {
    FileWork.TRY: (FileState.NEW, FileState.TRIED, FileState.REFUSED, FileState.PARKED),
    FileWork.KEEP: (FileState.NEW, FileState.TRIED, FileState.REFUSED, FileState.PARKED),
    FileWork.UNDO: (FileState.KEPT, FileState.PARKED, FileState.REFUSED),
}


class NotUploadable(Exception):
    """A file of a kind or a size that is not taken by upload."""

    code = "not_uploadable"


class NotThen(Exception):
    """What is wanted does not go with how far the file is."""

    code = "file_not_then"


class _Fenced(Exception):
    """Somebody else has this file by now."""

    code = "file_fenced"


def upload(name: str, content: File[Any], *, by: User, at: datetime) -> CustomerFile:
    """Keep an uploaded file and look at its first rows. Raises NotUploadable, NotThisShape; then nothing is kept."""
    suffix = Path(name).suffix.lower()
    if suffix not in KINDS_TAKEN:
        raise NotUploadable(_("Files of this kind cannot be read. CSV, TSV, XLSX and vCard can."))
    if (content.size or 0) > LARGEST:
        raise NotUploadable(_("This file is larger than 50 MB. Please bring it in with manage.py import_customers."))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"file{suffix}"
        with place.open("wb") as copy:
            for piece in content.chunks():
                copy.write(piece)
        found = contact_files.look(place)
        looked = _looked(found)
        with transaction.atomic(), place.open("rb") as copy:
            kept = CustomerFile(
                file_name=Path(name).name[:300], size=content.size or 0, by=by, uploaded_at=at, looked=looked,
                rows_expected=found.rows,
            )  # fmt: skip
            kept.file.save(f"{kept.public_id}{suffix}", File(copy), save=False)
            kept.save(force_insert=True)
            history.record(None, "customer_file.uploaded", ref=_ref(kept), by=by, at=at, detail={"bytes": kept.size})
    return kept


def _looked(found: contact_files.Looked) -> dict[str, Any]:
    if len(found.columns) > COLUMNS_AT_MOST:
        raise NotUploadable(
            _("This file has more than 150 columns. Please bring it in with manage.py import_customers.")
        )
    return {
        "kind": found.kind,
        "columns": found.columns,
        "samples": [[one[:200] for one in each] for each in found.samples],
        "guessed": {ours: list(theirs) for ours, theirs in found.guessed.items()},
        "encoding": found.encoding,
        "delimiter": found.delimiter,
        "date_format": found.date_format,
    }


@transaction.atomic
def look_again(file_id: int, *, encoding: str, delimiter: str) -> CustomerFile:
    """Look at a file's first rows again, read in another way.

    Raises NotThen, NotUploadable, NotThisShape, CustomerFile.DoesNotExist; then nothing has changed.
    """
    kept = CustomerFile.objects.select_for_update().get(pk=file_id)
    if kept.state not in _NEXT[FileWork.TRY] or kept.brought_by_id is not None or not kept.file:
        raise NotThen(_("This file is %(state)s; that is not possible now.") % {"state": kept.get_state_display()})
    checked_encoding(encoding)
    with tempfile.TemporaryDirectory() as folder:
        path = _copied(kept, Path(folder))
        kept.looked = _looked(contact_files.look(path, encoding=encoding, delimiter=delimiter))
    kept.table = {}
    kept.save(update_fields=["looked", "table"])
    return kept


def _copied(kept: CustomerFile, folder: Path) -> Path:
    """The file where it can be read more than once, whichever storage keeps it."""
    path = folder / f"file{Path(str(kept.file.name)).suffix}"
    with kept.file.open("rb") as stored, path.open("wb") as copy:
        shutil.copyfileobj(stored, copy)
    return path


def _ref(kept: CustomerFile) -> str:
    return f"customer_file:{kept.public_id}"


def mapped(table: Mapping[str, Any]) -> Mapped:
    """How a file is read, by the table that was made for it on a page. Raises NotThisShape."""
    columns = {ours: tuple(theirs) for ours, theirs in table.get("columns", {}).items()}
    if any(ours not in FIELDS and (ours.partition(".")[0] not in KINDS or field_of(ours) != ours) for ours in columns):
        raise NotThisShape(_("A column is to be something that we do not know."))
    if len(table.get("delimiter", "")) > 1:
        raise NotThisShape(_("Its id, source, delimiter or encoding cannot be read."))
    return Mapped(
        columns=columns,
        verified=tuple(table.get("verified", ())),
        id=table.get("id", ""),
        source=table.get("source", ""),
        delimiter=table.get("delimiter", ""),
        encoding=checked_encoding(table.get("encoding", "")),
        date_formats=tuple(table.get("date_formats", ())),
    )


@transaction.atomic
def ask(file_id: int, *, wanted: str, by: User, at: datetime, table: Mapping[str, Any] | None = None) -> CustomerFile:
    """Have a file tried, brought in or taken back (a FileWork); table: how it is read from now on, else as before.

    What is brought in goes on where it was. Raises NotThen, NotThisShape, CustomerFile.DoesNotExist; then nothing has changed.
    """
    kept = CustomerFile.objects.select_for_update().get(pk=file_id)
    work = FileWork(wanted)
    begun = kept.brought_by_id is not None
    if kept.state not in _NEXT[work] or (begun and work == FileWork.TRY) or (work == FileWork.UNDO and not begun):
        raise NotThen(_("This file is %(state)s; that is not possible now.") % {"state": kept.get_state_display()})
    if work != FileWork.UNDO and not kept.file:
        raise NotThen(_("This file was removed some days after; please upload it again."))
    if table is not None and not begun:
        mapped(table)
        kept.table = dict(table)
    if not begun:
        kept.rows_done, kept.counts = 0, {}
    kept.state, kept.wanted, kept.reason = FileState.READY, work, ""
    kept.asked_at = kept.due_at = at
    kept.failed, kept.lease_until = 0, None
    kept.save()
    history.record(None, f"customer_file.{work.value}", ref=_ref(kept), by=by, at=at, detail={"name": work.value})
    dispatch.after_commit("customer_file.ready")
    return kept


def work_batch(*, at: datetime) -> int:
    """Work on the next file that is due. Returns 1 when it is settled, 0 when none is due or one is let go for the next sweep."""
    due = CustomerFile.objects.filter(due_at__lte=at).filter(
        lease.claimable(ready=FileState.READY, claimed=FileState.CLAIMED)
    )
    for kept in lease.claim(due.order_by("due_at", "id"), size=1, claimed_state=FileState.CLAIMED):
        if kept.failed >= ATTEMPTS_BEFORE_PARKING:
            _settle(kept, FileState.PARKED, at=at, reason=_("The worker stopped without a word several times."))
            return 1
        # Counted before the work: a file that ends its worker must not end every worker.
        CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt).update(failed=kept.failed + 1)
        done = False

        def work(kept: CustomerFile = kept) -> None:
            nonlocal done
            done = _WORK[FileWork(kept.wanted)](kept, at)

        lease.guarded(work, failed=lambda trouble, kept=kept: _failed(kept, trouble, at=at))  # type: ignore[misc]
        return int(done)
    return 0


def _failed(kept: CustomerFile, trouble: Exception, *, at: datetime) -> None:
    if isinstance(trouble, _Fenced):
        return
    if isinstance(trouble, NotThisShape | customer_imports.NotGoingOn | import_undo.NotTakenBack):
        _settle(kept, FileState.REFUSED, at=at, reason=str(trouble))
        return
    logger.exception("File of customers %s stopped.", kept.public_id, exc_info=trouble)
    standing = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt).values_list("failed", flat=True).first()
    if standing is not None and standing >= ATTEMPTS_BEFORE_PARKING:
        _settle(kept, FileState.PARKED, at=at, reason=type(trouble).__name__)
        return
    CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED).update(
        state=FileState.READY, lease_until=None, due_at=at + timedelta(seconds=30)
    )


def _settle(kept: CustomerFile, state: FileState, *, at: datetime, reason: str = "", **more: Any) -> None:
    changed = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED).update(
        state=state, lease_until=None, due_at=None, reason=reason[:300], settled_at=at, **more
    )
    if not changed:
        raise _Fenced
    counts = CustomerFile.objects.values_list("counts", flat=True).get(pk=kept.pk)
    history.record(None, f"customer_file.{state.value}", ref=_ref(kept), by=None, at=at, detail={"counts": counts})


class _LetGo(Exception):
    """The worker has had this file long enough; the next one goes on."""

    code = "file_let_go"


def _read_in(kept: CustomerFile, at: datetime) -> bool:
    """Try a file or bring it in. Returns whether it is settled."""
    dry, began = kept.wanted == FileWork.TRY, time.monotonic()
    mapping = mapped(kept.table)
    source = mapping.source or Path(kept.file_name).stem
    start = kept.brought_by.rows_done if kept.brought_by else 0
    if not start:
        ImportFinding.objects.filter(upload=kept).delete()  # of an earlier try
        CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt).update(rows_done=0, counts={})

    def opens() -> None:
        """Hold the row while a portion is compared, however long that takes: whoever looks for due rows passes it over."""
        mine = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED)
        if mine.select_for_update().values_list("pk", flat=True).first() is None:
            raise _Fenced

    def each(part: import_portions.Outcome, rejected: Sequence[Rejected]) -> None:
        mine = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED)
        standing = mine.select_for_update(no_key=True).first()
        if standing is None:
            raise _Fenced
        mine.update(
            lease_until=Now() + settings.EVENHAND_LEASE,
            rows_done=standing.rows_done + part.rows,
            counts=customer_imports.added(standing.counts, part.counts),
            failed=0,
        )
        _keep_findings(kept, part, rejected)

    def going(path: Path) -> Any:
        """The rows, until the worker has had the file long enough; a trial is not interrupted, since it writes nothing."""
        for number, one in enumerate(contact_files.parse(path, mapping)):
            if number % 5_000 == 0 and not dry and number > start and time.monotonic() - began > WORKS_FOR:
                raise _LetGo
            if number % 20_000 == 0:
                _renew(kept)
            yield one

    with tempfile.TemporaryDirectory() as folder:
        path = _copied(kept, Path(folder))
        try:
            customer_imports.bring_in(
                going(path), source=source, file_name=kept.file_name, at=at, by=kept.by, dry=dry, going_on=kept.brought_by,
                begins=lambda: _begun(kept, source=source, at=at), opens=opens, each=each,
            )  # fmt: skip
        except _LetGo:
            CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED).update(
                state=FileState.READY, lease_until=None, due_at=at, failed=0
            )
            return False
    with transaction.atomic():
        _settle(kept, FileState.TRIED if dry else FileState.KEPT, at=at)
    return True


def _renew(kept: CustomerFile) -> None:
    mine = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, state=FileState.CLAIMED)
    if not mine.update(lease_until=Now() + settings.EVENHAND_LEASE):
        raise _Fenced


@transaction.atomic
def _begun(kept: CustomerFile, *, source: str, at: datetime) -> CustomerImport:
    """The import that a file is brought in by, one for all workers that have it in turn."""
    brought_by = customer_imports.begin(source=source, file_name=kept.file_name, by=kept.by, at=at)
    mine = CustomerFile.objects.filter(pk=kept.pk, attempt=kept.attempt, brought_by=None)
    if not mine.update(brought_by=brought_by):
        raise _Fenced
    return brought_by


def _keep_findings(kept: CustomerFile, part: import_portions.Outcome, rejected: Sequence[Rejected]) -> None:
    found = [
        ImportFinding(
            upload=kept, kind=Found.REJECTED, line=one.line, code=one.code, reason=one.reason[:300],
            content=one.text.replace("\x00", "\ufffd")[:20_000],
        )
        for one in rejected
    ]  # fmt: skip
    found += [
        ImportFinding(upload=kept, kind=Found.SAME, one=str(one), other=str(other)) for one, other in part.automatic
    ]
    found += [
        ImportFinding(
            upload=kept, kind=Found.ALIKE, one=str(like.id), other="" if like.other is None else str(like.other),
            known=like.known, likelihood=like.score, evidence=[list(each) for each in like.evidence],
        )
        for like in part.suggested
    ]  # fmt: skip
    ImportFinding.objects.bulk_create(found, batch_size=1_000)


def _undo(kept: CustomerFile, at: datetime) -> bool:
    with transaction.atomic():
        mine = CustomerFile.objects.select_for_update().filter(pk=kept.pk, attempt=kept.attempt)
        if kept.brought_by is None or not mine.exists():
            raise _Fenced
        back = import_undo.undo(str(kept.brought_by.public_id), at=at, by=kept.by)
        _settle(kept, FileState.TAKEN_BACK, at=at, counts={**kept.counts, "removed": back.removed, "stayed": back.kept})
    return True


_WORK = {FileWork.TRY: _read_in, FileWork.KEEP: _read_in, FileWork.UNDO: _undo}


def forget(*, at: datetime) -> int:
    """Remove the bytes of files that were settled or left lying some days ago, and what was found in them. Returns how many."""
    before = at - timedelta(days=settings.EVENHAND_CUSTOMER_FILES_DAYS)
    old = CustomerFile.objects.filter(~Q(file=""), uploaded_at__lt=before).exclude(
        state__in=[FileState.READY, FileState.CLAIMED]
    )
    forgotten = 0
    for kept in old.filter(Q(settled_at=None) | Q(settled_at__lt=before)).order_by("pk")[:500]:
        name, storage = kept.file.name, kept.file.storage
        with transaction.atomic():
            ImportFinding.objects.filter(upload=kept).delete()
            CustomerFile.objects.filter(pk=kept.pk).update(file="", looked={})
        storage.delete(str(name))
        forgotten += 1
    return forgotten
