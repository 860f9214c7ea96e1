"""Our accounts at providers of channels: set up, changed and switched by people; how each fares is noted beside the work."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Field, Q, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from crm import history
from crm.channels import Channel, http, kept_secrets, providers
from crm.channels.provided import NoSuchProvider, by_name
from crm.models import ChannelAccount, User
from crm.together import columns_of, prepared, read

NOTED_EVERY = timedelta(seconds=5)
"""How often at most a row notes that all is well, so that many events at once do not wait for each other."""
Secret = Literal["secret_from", "other_secret_from", "credential_from"]


class UnusableAccount(ValueError):
    """Something that a channel account needs is missing or cannot be."""

    code = "unusable_channel_account"


class AccountKnown(Exception):
    """The same number or account there is set up already."""

    code = "channel_account_known"


@dataclass(frozen=True, slots=True)
class Draft:
    """How an account shall be set up; the fields are those of crm.models.ChannelAccount."""

    provider: str
    channel: Channel
    name: str
    own_id: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    secret_from: str = ""
    other_secret_from: str = ""
    credential_from: str = ""
    is_sandbox: bool = True


FIELDS = tuple(each.name for each in fields(Draft))
_SECRETS: tuple[Secret, ...] = ("secret_from", "other_secret_from", "credential_from")


@transaction.atomic
def add(draft: Draft, *, by: User | None, at: datetime) -> ChannelAccount:
    """Set up an account; its hook works at once. Raises UnusableAccount, AccountKnown; then nothing has changed."""
    draft = checked(draft)
    account = ChannelAccount(created_at=at, **_columns(draft))
    account.ask_at = at if by_name(draft.provider).polled_every is not None else None
    _save(account, adding=True)
    _record(account, "channel_account.added", by=by, at=at, detail=_columns(draft))
    return account


@transaction.atomic
def change(account_id: int, draft: Draft, *, by: User | None, at: datetime) -> ChannelAccount:
    """Set an account up differently; its provider and its medium stay, since messages came that way.

    Raises ChannelAccount.DoesNotExist, UnusableAccount, AccountKnown; then nothing has changed.
    """
    draft = checked(draft)
    account = ChannelAccount.objects.select_for_update().get(pk=account_id)
    if (draft.provider, draft.channel) != (account.provider, account.channel):
        raise UnusableAccount(_("Please set up a further account for another provider or medium."))
    new = _columns(draft)
    changed = {name: [getattr(account, name), new[name]] for name in FIELDS if getattr(account, name) != new[name]}
    if not changed:
        return account
    for name, value in new.items():
        setattr(account, name, value)
    if "own_id" in changed:
        account.cursor = ""
    _begin_afresh(account, at=at)
    _save(account)
    _record(account, "channel_account.changed", by=by, at=at, detail=changed)
    return account


@transaction.atomic
def switch(account_id: int, *, on: bool, by: User | None, at: datetime) -> ChannelAccount:
    """Begin or stop to take in and send through an account. Raises ChannelAccount.DoesNotExist."""
    account = ChannelAccount.objects.select_for_update().get(pk=account_id)
    if account.is_active != on:
        account.is_active = on
        _begin_afresh(account, at=at)
        _save(account)
        _record(account, "channel_account.switched", by=by, at=at, detail={"on": on})
    return account


def checked(draft: Draft) -> Draft:
    """Bring a draft into the form in which it is kept. Raises UnusableAccount."""
    try:
        provider = by_name(draft.provider)
    except NoSuchProvider:
        raise UnusableAccount(_("We do not know this provider.")) from None
    if draft.channel not in provider.channels:
        raise UnusableAccount(_("This provider does not carry that medium."))
    named = {setting.name for setting in provider.settings}
    given = {name: str(value).strip() for name, value in draft.settings.items() if name in named}
    tidy: dict[str, Any] = {**_columns(draft), "settings": {name: value for name, value in given.items() if value}}
    for name in ("name", "own_id", *_SECRETS):
        tidy[name] = tidy[name].strip()
        if any(ord(character) < 32 or ord(character) == 127 for character in tidy[name]):
            raise UnusableAccount(_("Please write each field on one line."))
        if len(tidy[name]) > (_column(name).max_length or 0):
            raise UnusableAccount(_("One of the fields is longer than we can keep."))
    if any("\x00" in value or len(value) > 5000 for value in given.values()):
        raise UnusableAccount(_("One of the fields is longer than we can keep."))
    missing = [str(_("name"))] if not tidy["name"] else []
    missing += [str(one.label) for one in provider.settings if one.is_required and not given.get(one.name)]
    if missing:
        raise UnusableAccount(_("Something is missing: %(field)s.") % {"field": ", ".join(missing)})
    for setting in provider.settings:
        choices = {value for value, _label in setting.choices}
        if choices and given.get(setting.name) and given[setting.name] not in choices:
            raise UnusableAccount(_("Please choose one of the values: %(field)s.") % {"field": setting.label})
    _check_secrets(tidy, needs_secret=bool(provider.secret_help))
    found = Draft(**tidy)
    told = described(ChannelAccount(**_columns(found)))
    trouble = provider.trouble_with(told) or next(filter(None, map(_trouble_at, provider.addresses(told))), "")
    if trouble:
        raise UnusableAccount(trouble)
    return found


def _trouble_at(address: str) -> str:
    """Why we do not go to an address, in a sentence for whoever named it; "" when we may (O01, O02)."""
    why = http.forbidden(address)
    if not why:
        return ""
    parts = urlsplit(address) if why != "no_address" else None
    host = parts.hostname if parts else address[:100]
    if parts is None:
        return _("“%(host)s” is no web address.") % {"host": host}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    told = {"host": host, "allowed": f"{host}:{port}"}
    if why == "plain":
        return (
            _(
                "“%(host)s” is not encrypted: please write https://. Who runs this installation may allow it by naming "
                "“%(allowed)s” in EVENHAND_OUTBOUND_HOSTS."
            )
            % told
        )
    return (
        _(
            "“%(host)s” is inside a private network. Who runs this installation may allow it by naming “%(allowed)s” in "
            "EVENHAND_OUTBOUND_HOSTS."
        )
        % told
    )


def _check_secrets(tidy: dict[str, Any], *, needs_secret: bool) -> None:
    if needs_secret and not tidy["secret_from"]:
        raise UnusableAccount(_("Please say where the secret for receiving stands."))
    for name in _SECRETS:
        if tidy[name]:
            try:
                kept_secrets.read(tidy[name], prefix=kept_secrets.CHANNEL_PREFIX)
            except kept_secrets.NoSecret as trouble:
                raise UnusableAccount(str(trouble)) from trouble


def draft_of(account: ChannelAccount) -> Draft:
    """How an account is set up now."""
    given = {name: getattr(account, name) for name in FIELDS}
    return Draft(**{**given, "channel": Channel(account.channel)})


def hook_url(account: ChannelAccount) -> str:
    """The address that its provider posts to; by the configured address, never by a request's (W08)."""
    return f"{settings.PUBLIC_URL}/hooks/channel/{account.public_id}/"


KNOWN_FOR = 1.0
"""Seconds for which a process goes on with what it has read of an account whose hook is posted to again and again."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """An account whose hook is posted to, what its provider may know of it, and when this was read (by `time.monotonic`)."""

    account: ChannelAccount
    told: providers.Account
    read_at: float

    @property
    def is_fresh(self) -> bool:
        """Whether it has been read within this moment, so that reading it again would tell nothing new."""
        return time.monotonic() - self.read_at < 0.01


_known: dict[uuid.UUID, Hooked] = {}


def hooked(public_id: uuid.UUID, *, again: bool = False) -> Hooked | None:
    """The account whose hook has this id; None when there is none or it is switched off.

    What was read up to KNOWN_FOR before is taken; another process's change is seen after that. again: read it now.
    """
    known = _known.get(public_id)
    if known is not None and not again and 0 <= time.monotonic() - known.read_at < KNOWN_FOR:
        return known
    read_at = time.monotonic()
    found = prepared(_HOOKED.format(columns_of(ChannelAccount, "a")), {"public_id": public_id})
    if not found:
        _known.pop(public_id, None)
        return None
    account = read(ChannelAccount, found[0])
    known = _known[public_id] = Hooked(account, described(account), read_at)
    return known


def forget() -> None:
    """Let what this process knows of accounts be read again."""
    _known.clear()


_HOOKED = "SELECT {} FROM crm_channelaccount a WHERE public_id = %(public_id)s AND is_active"


def described(account: ChannelAccount) -> providers.Account:
    """What its provider may know of an account, with its secrets, each where it can be read now."""
    receiving = tuple(filter(None, (_secret(account.secret_from), _secret(account.other_secret_from))))
    return providers.Account(
        provider=account.provider,
        channel=Channel(account.channel),
        public_id=str(account.public_id),
        name=account.name,
        own_id=account.own_id,
        settings=dict(account.settings),
        receiving=receiving,
        sending=_secret(account.credential_from),
        hook_url=hook_url(account),
        source=account.source,
    )


def _secret(place: str) -> str:
    if not place:
        return ""
    try:
        return kept_secrets.read(place, prefix=kept_secrets.CHANNEL_PREFIX)
    except kept_secrets.NoSecret:
        return ""


_SOURCE = re.compile(r"^hook:[a-z0-9_]+:([0-9a-f-]{36})$")


def of_sources(sources: list[str]) -> dict[str, ChannelAccount]:
    """The accounts that these sources of interactions name, by source; asks the database only when one does."""
    ids = {match[1] for match in map(_SOURCE.match, sources) if match}
    if not ids:
        return {}
    return {account.source: account for account in ChannelAccount.objects.filter(public_id__in=ids).order_by("pk")}


# --- how it fares -----------------------------------------------------------------------------------------------------


def went_well(account: ChannelAccount, *, at: datetime, sent: bool = False) -> None:
    """Note that something of this account went well; at most every few seconds."""
    name = "last_sent_at" if sent else "last_good_at"
    noted_at = getattr(account, name)
    if noted_at is not None and at - NOTED_EVERY <= noted_at <= at:
        return
    before = Q(**{name: None}) | Q(**{f"{name}__lt": at - NOTED_EVERY})
    noted: dict[str, Any] = {name: at} if sent else {name: at, "last_event_at": at}
    if not sent and not account.is_asked:
        before, noted["failing_since"] = before | Q(failing_since__isnull=False), None
    ChannelAccount.objects.filter(before, pk=account.pk).update(**noted)
    for each, value in noted.items():
        setattr(account, each, value)


def went_wrong(account: ChannelAccount, error: str, *, at: datetime, sent: bool = False) -> None:
    """Note what went wrong with an event or an answer of this account; no customer's words and no secret stand in it."""
    noted: dict[str, Any] = {"error": error[:300] or "unknown", "error_at": at}
    if not sent and not account.is_asked:
        noted["failing_since"] = Coalesce("failing_since", Value(at))
    ChannelAccount.objects.filter(pk=account.pk).update(**noted if sent else {**noted, "last_event_at": at})


def not_believed(account: ChannelAccount, code: str, *, at: datetime) -> None:
    """Count a post that was refused; nothing else of it is kept (H01)."""
    ChannelAccount.objects.filter(pk=account.pk).update(
        refused_count=F("refused_count") + 1, refused_at=at, refused_because=code
    )


def _begin_afresh(account: ChannelAccount, *, at: datetime) -> None:
    account.error, account.error_at, account.failing_since, account.lease_until = "", None, None, None
    account.ask_at = at if by_name(account.provider).polled_every is not None else None
    account.attempt += 1


def _columns(draft: Draft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in FIELDS}


def _column(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", ChannelAccount._meta.get_field(name))


def _save(account: ChannelAccount, *, adding: bool = False) -> None:
    try:
        with transaction.atomic():
            account.save(force_insert=adding)
    except IntegrityError as collision:
        constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
        if constraint != "channel_account_once":
            raise
        raise AccountKnown(_("This number or account is set up already.")) from collision
    forget()
    transaction.on_commit(forget)


def _record(account: ChannelAccount, verb: str, *, by: User | None, at: datetime, detail: dict[str, Any]) -> None:
    history.record(None, verb, ref=f"channel_account:{account.public_id}", by=by, at=at, detail=detail)
