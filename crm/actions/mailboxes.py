"""The mailboxes we fetch from: set up, changed, switched and tried by people. `actions.fetching` asks them."""

from __future__ import annotations

import threading
import time as clock
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Field
from django.utils.translation import gettext as _

from crm import history
from crm.actions import identity
from crm.channels import imap
from crm.channels.imap import MailboxTrouble, Place
from crm.models import Mailbox, User
from crm.policy import AfterFetch, MailboxSecurity

TRIED_WITHIN = 15.0
"""Seconds that somebody waits for the test of a connection."""
KEPT_FOR = 60.0
"""Seconds for which a process remembers the addresses."""


class UnusableMailbox(ValueError):
    """Something that a mailbox needs is missing or cannot be."""

    code = "unusable_mailbox"


class MailboxKnown(Exception):
    """The same folder of the same account is fetched from already."""

    code = "mailbox_known"


@dataclass(frozen=True, slots=True)
class Draft:
    """How a mailbox shall be set up; the fields are those of crm.models.Mailbox."""

    address: str
    host: str
    port: int
    security: MailboxSecurity
    ca_file: str
    username: str
    secret_from: str
    uses_token: bool
    folder: str
    after_fetch: AfterFetch
    move_to: str
    border_host: str


FIELDS = tuple(each.name for each in fields(Draft))
_PLACE = ("host", "username", "folder")  # another one of these is another mailbox, with numbers of its own


@dataclass(frozen=True, slots=True)
class Tried:
    """How the test of a connection went. code: "" when all is well; said: for people, without any secret; waiting: mails there."""

    code: str
    said: str
    waiting: int = 0


@transaction.atomic
def add(draft: Draft, *, by: User, at: datetime) -> Mailbox:
    """Begin to fetch from a mailbox, from now on. Raises UnusableMailbox, MailboxKnown; then nothing has changed."""
    draft = checked(draft)
    mailbox = Mailbox(created_at=at, **_columns(draft))
    _save(mailbox, adding=True)
    _record(mailbox, "mailbox.added", by=by, at=at, detail=_columns(draft))
    transaction.on_commit(forget)
    return mailbox


@transaction.atomic
def change(mailbox_id: int, draft: Draft, *, by: User, at: datetime) -> Mailbox:
    """Set a mailbox up differently; a poller that is at it now writes nothing more, and it is due at once.

    Raises Mailbox.DoesNotExist, UnusableMailbox, MailboxKnown; then nothing has changed.
    """
    draft = checked(draft)
    mailbox = Mailbox.objects.select_for_update().get(pk=mailbox_id)
    new = _columns(draft)
    changed = {name: [getattr(mailbox, name), new[name]] for name in FIELDS if getattr(mailbox, name) != new[name]}
    if not changed:
        return mailbox
    if any(name in changed for name in _PLACE):
        mailbox.uid_validity, mailbox.last_uid = None, 0
    for name, value in new.items():
        setattr(mailbox, name, value)
    _begin_afresh(mailbox)
    _save(mailbox)
    _record(mailbox, "mailbox.changed", by=by, at=at, detail=changed)
    transaction.on_commit(forget)
    return mailbox


@transaction.atomic
def switch(mailbox_id: int, *, on: bool, by: User, at: datetime) -> Mailbox:
    """Begin or stop to fetch from a mailbox; what is there stays there. Raises Mailbox.DoesNotExist."""
    mailbox = Mailbox.objects.select_for_update().get(pk=mailbox_id)
    if mailbox.is_active != on:
        mailbox.is_active = on
        _begin_afresh(mailbox)
        _save(mailbox)
        _record(mailbox, "mailbox.switched", by=by, at=at, detail={"on": on})
    return mailbox


def try_now(draft: Draft) -> Tried:
    """Log in and look, as a poller would, within 15 seconds; nothing is fetched, changed there or written here.

    Raises UnusableMailbox.
    """
    draft = checked(draft)
    try:
        with imap.opened(_place(draft), within=TRIED_WITHIN) as session:
            session.look_for_move_folder()
            waiting = session.count
    except MailboxTrouble as trouble:
        return Tried(trouble.code, str(trouble))
    return Tried(
        "", _("It works: we can log in and open the folder. Mails there now: %(count)d.") % {"count": waiting}, waiting
    )


def checked(draft: Draft) -> Draft:
    """Bring a draft into the form in which it is kept. Raises UnusableMailbox."""
    try:
        address = identity.normalised("email", draft.address)
    except identity.UnusableAddress as trouble:
        raise UnusableMailbox(str(trouble)) from trouble
    tidy: dict[str, Any] = {**_columns(draft), "address": address}
    for name, value in tidy.items():
        if isinstance(value, str):
            tidy[name] = value.strip()
            if any(ord(character) < 32 or ord(character) == 127 for character in value.strip()):
                raise UnusableMailbox(_("Please write each field on one line."))
            if len(tidy[name]) > (_column(name).max_length or 0):
                raise UnusableMailbox(_("One of the fields is longer than we can keep."))
    tidy["host"], tidy["border_host"] = tidy["host"].lower().rstrip("."), tidy["border_host"].lower().rstrip(".")
    for name in ("host", "username", "secret_from", "folder"):
        if not tidy[name]:
            raise UnusableMailbox(_("Something is missing: %(field)s.") % {"field": _column(name).verbose_name})
    if not 0 < draft.port < 65536:
        raise UnusableMailbox(_("A port is a number from 1 to 65535."))
    if tidy["after_fetch"] != AfterFetch.MOVE:
        tidy["move_to"] = ""
    elif not tidy["move_to"]:
        raise UnusableMailbox(_("Please name the folder into which fetched mails are moved."))
    elif tidy["move_to"] == tidy["folder"]:
        raise UnusableMailbox(_("Fetched mails have to go to another folder than the one they are fetched from."))
    return Draft(**tidy)


def draft_of(mailbox: Mailbox) -> Draft:
    """How a mailbox is set up now."""
    return Draft(**{name: getattr(mailbox, name) for name in FIELDS})


def place_of(mailbox: Mailbox) -> Place:
    """What the channel needs to get there."""
    return _place(draft_of(mailbox))


def source_of(address: str) -> str:
    """The source of what comes from the mailbox with this address; begins as `intake.MAIL`."""
    return f"mail:{address}"[:120]


class _Known:
    """The addresses this process has read; read again after a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: frozenset[str] = frozenset()
        self._read_at = -KEPT_FOR

    def addresses(self) -> frozenset[str]:
        if clock.monotonic() - self._read_at >= KEPT_FOR:
            with self._lock:
                if clock.monotonic() - self._read_at >= KEPT_FOR:
                    found = Mailbox.objects.order_by("pk").values_list("address", flat=True)
                    self._addresses, self._read_at = frozenset(found), clock.monotonic()
        return self._addresses

    def hold_none(self) -> None:
        """Begin as in a database without any mailbox."""
        self._addresses, self._read_at = frozenset(), clock.monotonic()

    def forget(self) -> None:
        self._read_at = -KEPT_FOR


_known = _Known()
forget = _known.forget
hold_none = _known.hold_none


def own_addresses() -> frozenset[str]:
    """Every address that is ours: those of the settings and of all mailboxes, read at most once a minute in each process."""
    return _known.addresses() | settings.EVENHAND_OWN_ADDRESSES


def _place(draft: Draft) -> Place:
    return Place(
        host=draft.host,
        port=draft.port,
        starts_tls=draft.security == MailboxSecurity.STARTTLS,
        ca_file=draft.ca_file,
        username=draft.username,
        secret_from=draft.secret_from,
        uses_token=draft.uses_token,
        folder=draft.folder,
        move_to=draft.move_to,
        only_reads=draft.after_fetch == AfterFetch.LEAVE,
    )


def _columns(draft: Draft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in FIELDS}


def _column(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", Mailbox._meta.get_field(name))


def _begin_afresh(mailbox: Mailbox) -> None:
    """Due at once, without an incident; the number of the attempt turns away a poller that works by the old settings."""
    mailbox.error, mailbox.failing_since, mailbox.last_tried_at, mailbox.lease_until = "", None, None, None
    mailbox.attempt += 1


def _save(mailbox: Mailbox, *, adding: bool = False) -> None:
    try:
        with transaction.atomic():
            mailbox.save(force_insert=adding)
    except IntegrityError as collision:
        constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
        if constraint != "mailbox_once":
            raise
        raise MailboxKnown(_("We fetch from this folder of this account already.")) from collision


def _record(mailbox: Mailbox, verb: str, *, by: User, at: datetime, detail: dict[str, Any]) -> None:
    history.record(None, verb, ref=f"mailbox:{mailbox.public_id}", by=by, at=at, detail=detail)
