"""Fetching mail: due mailboxes are asked under a lease, each mail is kept and committed, and only then deleted there."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from crm import dispatch, history
from crm.actions import alerts, lease, mailboxes, mails, rounds, sources
from crm.channels import Channel, imap
from crm.channels.email import parts
from crm.channels.imap import Fetched, Listed, MailboxTrouble
from crm.models import Mailbox, RawItem
from crm.policy import AfterFetch, AlertKind, WorkState
from crm.policy.mailboxes import is_told
from crm.together import Statement, run
from crm.together import new as new_row

logger = logging.getLogger(__name__)

ROUND_FOR = 20.0
"""Seconds after which a round begins nothing new; what is left is due at once."""
ROUND_ENDS = 90.0
"""Seconds after which the connection is cut whatever it is doing."""
LEASED_FOR = timedelta(seconds=ROUND_ENDS + 10)
CONNECTS_AGAIN = 3
"""Times a round that was cut off in the middle of a mail connects again."""


class LeaseLost(Exception):
    """Another poller has this mailbox by now, or somebody changed it; nothing more may be written or deleted."""

    code = "lease_lost"


@dataclass(slots=True)
class _Round:
    """One visit to one mailbox. asked: what was being fetched when the line broke; drops: by unique id, how often it did.

    left: unique ids of mails that stay in the mailbox for a person, too large to be kept whole. not_served: those the server
    would not give. goes_on: the time was over before the folder was at its end. done: the unique id up to which nothing is open.
    """

    mailbox: Mailbox
    at: datetime
    until: float
    cut_at: float
    asked: list[Listed] = field(default_factory=list)
    drops: Counter[int] = field(default_factory=Counter)
    left: set[int] = field(default_factory=set)
    not_served: set[int] = field(default_factory=set)
    goes_on: bool = False
    done: int = 0
    waiting: int = 0
    oldest: datetime | None = None

    @property
    def source(self) -> str:
        return mailboxes.source_of(self.mailbox.address)

    @property
    def clears(self) -> bool:
        return self.mailbox.after_fetch != AfterFetch.LEAVE


def poll_due(*, at: datetime, held_for: float = rounds.HELD_FOR) -> int:
    """Ask the mailboxes that are due, side by side, so that a server that hangs holds up no other. Returns how many."""
    return rounds.side_by_side(claim(at=at), partial(poll, at=at), held_for=held_for)


def claim(*, at: datetime) -> list[Mailbox]:
    """Lease mailboxes that are due, as `rounds.claim` does."""
    return rounds.claim(Mailbox.objects.due(at), leased_for=LEASED_FOR, last_tried_at=at)


def poll(mailbox: Mailbox, *, at: datetime) -> None:
    """Fetch what waits in one claimed mailbox and write down how it fared. Raises nothing but what the database raises.

    Mails are committed in batches before they are deleted or moved; the same mail again, from the same place or with the
    same bytes, is the same item (M18). What one mail breaks stops no other (M17).
    """
    now = time.monotonic()
    visit = _Round(mailbox, at, until=now + ROUND_FOR, cut_at=now + ROUND_ENDS)

    def failed(trouble: Exception) -> None:
        if isinstance(trouble, LeaseLost):
            return
        if lease.is_trouble_of_the_database(trouble):  # no fault of the mailbox; it is asked again after its lease
            logger.warning("Mailbox %s: the database did not answer (%s).", mailbox.public_id, type(trouble).__name__)
            return
        if not isinstance(trouble, MailboxTrouble):
            logger.error("Mailbox %s: unexpected %s.", mailbox.public_id, type(trouble).__name__)
            trouble = MailboxTrouble(
                "unexpected", _("Something unexpected went wrong (%(kind)s).") % {"kind": type(trouble).__name__}
            )
        _failed(visit, trouble)

    if lease.guarded(partial(_visit, visit), failed=failed):
        _fared_well(visit)


# --- one visit --------------------------------------------------------------------------------------------------------


def _visit(visit: _Round) -> None:
    """Fetch until nothing is left or the time is over; a line that breaks in the middle of a mail is opened again."""
    place = mailboxes.place_of(visit.mailbox)
    for connected in range(CONNECTS_AGAIN + 1):
        visit.asked, visit.left = [], set()
        try:
            with imap.opened(place, within=max(1.0, visit.cut_at - time.monotonic())) as session:
                _empty(visit, session)
                if visit.goes_on or visit.left or visit.not_served:
                    _look_what_waits(visit, session)
            break
        except MailboxTrouble as trouble:
            # Broken while mails were under way: perhaps one of them is the reason, so they are asked for one by one.
            if trouble.code not in ("cut_off", "no_answer") or not visit.asked or connected == CONNECTS_AGAIN:
                raise
            visit.drops.update(mail.uid for mail in visit.asked)
            if time.monotonic() > visit.until:
                raise
    if visit.not_served:
        raise MailboxTrouble(
            "not_served",
            _("The server did not give us %(count)d of its mails; the first has the number %(uid)d there.")
            % {"count": len(visit.not_served), "uid": min(visit.not_served)},
        )


def _empty(visit: _Round, session: imap.Session) -> None:
    mailbox = visit.mailbox
    if session.uid_validity != mailbox.uid_validity or 0 < session.uid_next <= mailbox.last_uid:
        _begin_again(visit, session)
    visit.done = 0 if visit.clears else mailbox.last_uid
    for page in session.listed(visit.done):
        known = _known(visit, page)
        if visit.clears:
            _clear(visit, session, known - visit.left)
        new = [mail for mail in page if mail.uid not in known and mail.uid not in visit.not_served]
        if mailbox.failing_since is not None and mailbox.attempt % 2:
            new.reverse()  # a mail at which the server falls silent must not keep the same others waiting every time
        for group in _careful_groups(visit, new):
            if time.monotonic() > visit.until:
                visit.goes_on = True
                return
            _take(visit, session, group)
        if not visit.clears:
            visit.done = min(page[-1].uid, min(visit.not_served, default=page[-1].uid + 1) - 1)
            _reached(visit)


def _careful_groups(visit: _Round, mails: Sequence[Listed]) -> Iterable[list[Listed]]:
    """Groups to fetch; a mail at which the line broke is fetched last and alone, and not again when it broke twice."""
    visit.not_served.update(mail.uid for mail in mails if visit.drops[mail.uid] > 1)
    yield from imap.groups(mail for mail in mails if not visit.drops[mail.uid])
    yield from ([mail] for mail in mails if visit.drops[mail.uid] == 1)


def _take(visit: _Round, session: imap.Session, group: list[Listed]) -> None:
    """Fetch some mails, keep them, and only then clear them away."""
    visit.asked = group
    try:
        fetched = session.fetch(group)
    except MailboxTrouble as trouble:
        if trouble.code != "not_served":
            raise
        fetched = []
    visit.asked = []
    got = {one.mail.uid for one in fetched}
    if len(got) < len(group):  # taken away by somebody meanwhile, or one of them cannot be had
        there = session.details(mail.uid for mail in group if mail.uid not in got)
        if len(group) == 1:
            visit.not_served.update(mail.uid for mail in there)
        for mail in there if len(group) > 1 else ():
            _take(visit, session, [mail])
    if fetched:
        with keeping(visit, fetched, uid_validity=session.uid_validity):
            if visit.clears:
                _clear(visit, session, got - visit.left)


def _clear(visit: _Round, session: imap.Session, uids: set[int]) -> None:
    if not uids:
        return
    if visit.mailbox.after_fetch == AfterFetch.MOVE:
        session.move(sorted(uids))
    else:
        session.remove(sorted(uids))


def _look_what_waits(visit: _Round, session: imap.Session) -> None:
    """Count what is still to be fetched there, and since when the first of it has waited."""
    session.select()
    for page in session.listed(visit.done):
        for mail in page:
            if mail.uid not in visit.left:
                visit.waiting = session.count - mail.number + 1 - sum(uid > mail.uid for uid in visit.left)
                visit.oldest = mail.internal_date
                return


# --- what is kept -----------------------------------------------------------------------------------------------------


def _known(visit: _Round, page: Sequence[Listed]) -> set[int]:
    """The unique ids of mails that were kept before from the very place; what is too large and stays there is noted.

    A place counts only with the size and time that were noted with it: a server that gives a number again, against the rules
    (RFC 3501 2.3.1.1), must not make us delete what we have never read.
    """
    found = RawItem.objects.filter(
        mailbox=visit.mailbox, uid_validity=visit.mailbox.uid_validity, uid__in=[mail.uid for mail in page]
    )
    facts = dict(found.values_list("uid", "facts"))
    known = {mail.uid for mail in page if mail.uid in facts and _facts(mail).items() <= facts[mail.uid].items()}
    if visit.mailbox.after_fetch == AfterFetch.DELETE:
        visit.left |= {uid for uid in known if facts[uid].get("stays_there")}
    return known


def _facts(mail: Listed) -> dict[str, Any]:
    return {
        "size": mail.size,
        "internaldate": mail.internal_date.isoformat() if mail.internal_date else "",
    }


def _item(visit: _Round, fetched: Fetched, *, uid_validity: int) -> RawItem:
    mail, facts = fetched.mail, _facts(fetched.mail)
    external_id, state, reason = parts.digest(fetched.content), WorkState.CLAIMED, ""
    if fetched.is_too_large:
        external_id = f"beginning:{external_id}:{mail.size}"
        state = WorkState.PARKED
        reason = f"too_large: It has {mail.size:,} bytes; at most {parts.MAX_RAW_BYTES:,} are read."
        if visit.mailbox.after_fetch != AfterFetch.MOVE:
            facts["stays_there"] = 1
            reason += " All of it is still in the mailbox."
    return new_row(
        RawItem,
        source=visit.source,
        external_id=external_id,
        content=fetched.content,
        label=f"{visit.mailbox.folder} {mail.uid}"[:300],
        received_at=visit.at,
        mailbox=visit.mailbox,
        uid_validity=uid_validity,
        uid=mail.uid,
        facts=facts,
        state=state,
        attempt=int(state == WorkState.CLAIMED),
        reason=reason,
    )


@contextmanager
def keeping(visit: _Round, fetched: Sequence[Fetched], *, uid_validity: int) -> Iterator[None]:
    """Keep and commit some mails, let the caller do what may be done then, and take them in; a process reads them meanwhile.

    Should this one die first, the lane takes them in once their lease is over. Raises LeaseLost; then nothing was kept.
    """
    items = [_item(visit, one, uid_validity=uid_validity) for one in fetched]
    with mails.reading_ahead([item for item in items if item.state == WorkState.CLAIMED]) as reading:
        _keep(visit, fetched, items)
        trouble: MailboxTrouble | None = None
        try:
            yield
        except MailboxTrouble as met:
            trouble = met  # of the mailbox, not of what is kept
        mails.take_in_claimed(reading, at=visit.at, until=visit.until)
        if trouble is not None:
            raise trouble


_MINE = "SELECT id FROM crm_mailbox WHERE id = %(mailbox)s AND attempt = %(attempt)s FOR UPDATE"
_KEEP = """
WITH kept AS (
  INSERT INTO crm_rawitem (public_id, source, external_id, content, label, received_at, mailbox_id, uid_validity, uid, facts,
                           state, kind, reason, attempt, lease_until)
  SELECT public_id, %(source)s, external_id, content, label, %(at)s, %(mailbox)s, %(uid_validity)s, uid, facts, state, '', reason,
         attempt,
         CASE state WHEN 'claimed' THEN statement_timestamp() + %(lease)s::interval END
  FROM unnest(%(public_ids)s::uuid[], %(external_ids)s::text[], %(contents)b::bytea[], %(labels)s::text[], %(uids)s::bigint[],
              %(facts)s::jsonb[], %(states)s::text[], %(reasons)s::text[],
              %(attempts)s::int[]) AS one(public_id, external_id, content, label, uid, facts, state, reason, attempt)
  ON CONFLICT DO NOTHING RETURNING id, external_id
), counted AS (
  UPDATE crm_mailbox SET fetched_count = fetched_count + (SELECT count(*) FROM kept),
                         lease_until = statement_timestamp() + %(leased_for)s::interval
  WHERE id = %(mailbox)s
)
SELECT id, external_id FROM kept
"""


@transaction.atomic
def _keep(visit: _Round, fetched: Sequence[Fetched], items: Sequence[RawItem]) -> None:
    """Commit some mails. Afterwards an item with each one's bytes exists, whatever happened before. Raises LeaseLost.

    Items that are new know their key then.
    """
    mailbox, by_id = visit.mailbox, {item.external_id: item for item in items}
    each = list(by_id.values())
    values = {
        "mailbox": Int8(mailbox.pk),
        "source": visit.source,
        "at": visit.at,
        "uid_validity": Int8(items[0].uid_validity or 0),
        "lease": settings.EVENHAND_LEASE,
        "leased_for": LEASED_FOR,
        "public_ids": [item.public_id for item in each],
        "external_ids": [item.external_id for item in each],
        "contents": [bytes(item.content) for item in each],
        "labels": [item.label for item in each],
        "uids": [Int8(item.uid or 0) for item in each],
        "facts": [Jsonb(item.facts) for item in each],
        "states": [str(item.state) for item in each],
        "reasons": [item.reason for item in each],
        "attempts": [item.attempt for item in each],
    }
    fence = {"mailbox": Int8(mailbox.pk), "attempt": Int8(mailbox.attempt)}
    mine, kept = run(Statement(_MINE, fence), Statement(_KEEP, values))
    if not mine:
        raise LeaseLost
    for key, external_id in kept:
        new = by_id.pop(external_id)
        new.pk, new._state.adding, new._state.db = key, False, DEFAULT_DB_ALIAS
    if by_id:
        _keep_the_known(mailbox, by_id, source=visit.source)
    if mailbox.after_fetch == AfterFetch.DELETE:
        visit.left |= {one.mail.uid for one in fetched if one.is_too_large}


def _keep_the_known(mailbox: Mailbox, items: dict[str, RawItem], *, source: str) -> None:
    """Mails whose bytes are kept already now lie here; another mail that was fetched from this place before is kept without it:
    the server gave its number again.
    """
    found = RawItem.objects.filter(source=source, external_id__in=items)
    before = {item.external_id: item for item in found.only("external_id", "mailbox_id", "uid_validity")}
    again = [item for external_id, item in items.items() if external_id not in before]
    validity = next(iter(items.values())).uid_validity or 0
    for item in again:
        item.mailbox = item.uid_validity = item.uid = None
        if item.state == WorkState.CLAIMED:
            item.state, item.attempt = WorkState.READY, 0  # the lane takes it in
    RawItem.objects.bulk_create(again, ignore_conflicts=True)
    if again:
        Mailbox.objects.filter(pk=mailbox.pk).update(fetched_count=F("fetched_count") + len(again))
        dispatch.after_commit("raw.kept")
    _found_elsewhere(mailbox, before, items, uid_validity=validity)


def _found_elsewhere(
    mailbox: Mailbox, before: dict[str, RawItem], items: dict[str, RawItem], *, uid_validity: int
) -> None:
    """The same bytes were kept under another numbering: from now on they are known to lie here."""
    moved = {
        external_id: item
        for external_id, item in before.items()
        if (item.mailbox_id, item.uid_validity) != (mailbox.pk, uid_validity)
    }
    uids = [items[external_id].uid for external_id in moved]
    places = RawItem.objects.filter(mailbox=mailbox, uid_validity=uid_validity, uid__in=uids)
    taken = set(places.values_list("uid", flat=True)) if moved else set()
    for external_id, item in list(moved.items()):
        found = items[external_id]
        item.mailbox, item.uid_validity, item.uid, item.facts = mailbox, uid_validity, found.uid, found.facts
        if found.uid in taken:
            del moved[external_id]
    RawItem.objects.bulk_update(moved.values(), ["mailbox", "uid_validity", "uid", "facts"])


def _mine(visit: _Round) -> Mailbox:
    """The mailbox, locked, while this visit may still write. Raises LeaseLost."""
    mailbox = Mailbox.objects.select_for_update().filter(pk=visit.mailbox.pk, attempt=visit.mailbox.attempt).first()
    if mailbox is None:
        raise LeaseLost
    return mailbox


@transaction.atomic
def _begin_again(visit: _Round, session: imap.Session) -> None:
    """The server numbers its mails anew: everything there is looked at again, and the same bytes are the same item."""
    mailbox = _mine(visit)
    if mailbox.uid_validity is not None:
        _record(
            mailbox,
            "mailbox.numbered_anew",
            at=visit.at,
            detail={"before": mailbox.uid_validity, "after": session.uid_validity},
        )
    visit.mailbox.uid_validity, visit.mailbox.last_uid = session.uid_validity, 0
    Mailbox.objects.filter(pk=mailbox.pk).update(uid_validity=session.uid_validity, last_uid=0)


@transaction.atomic
def _reached(visit: _Round) -> None:
    mailbox = _mine(visit)
    if visit.done > mailbox.last_uid:
        Mailbox.objects.filter(pk=mailbox.pk).update(last_uid=visit.done)


# --- how it fared -----------------------------------------------------------------------------------------------------


@transaction.atomic
def _fared_well(visit: _Round) -> None:
    mailbox = Mailbox.objects.select_for_update().filter(pk=visit.mailbox.pk, attempt=visit.mailbox.attempt).first()
    if mailbox is None:
        return
    if mailbox.failing_since is not None and is_told(visit.at - mailbox.failing_since):
        _record(mailbox, "mailbox.well_again", at=visit.at, detail={"since": mailbox.failing_since.isoformat()})
    mailbox.error, mailbox.failing_since, mailbox.lease_until = "", None, None
    mailbox.last_good_at = visit.at
    mailbox.waiting_count, mailbox.oldest_waiting_at = max(visit.waiting, 0), visit.oldest
    mailbox.save(
        update_fields=["error", "failing_since", "lease_until", "last_good_at", "waiting_count", "oldest_waiting_at"]
    )
    sources.polled(visit.source, channel=Channel.EMAIL, at=visit.at)


@transaction.atomic
def _failed(visit: _Round, trouble: MailboxTrouble) -> None:
    """Write down what is wrong; after five minutes leads and administrators are told, once an incident."""
    mailbox = Mailbox.objects.select_for_update().filter(pk=visit.mailbox.pk, attempt=visit.mailbox.attempt).first()
    if mailbox is None:
        return
    mailbox.error, mailbox.lease_until = str(trouble)[:300], None
    mailbox.failing_since = mailbox.failing_since or visit.at
    if visit.oldest is not None:
        mailbox.waiting_count, mailbox.oldest_waiting_at = visit.waiting, visit.oldest
    mailbox.save(update_fields=["error", "lease_until", "failing_since", "waiting_count", "oldest_waiting_at"])
    if is_told(visit.at - mailbox.failing_since) and alerts.tell_of_failure(
        AlertKind.MAILBOX_FAILS,
        of=str(mailbox.public_id),
        since=mailbox.failing_since,
        name=mailbox.address,
        code=trouble.code,
        at=visit.at,
    ):
        _record(mailbox, "mailbox.fails", at=visit.at, detail={"code": trouble.code})


def _record(mailbox: Mailbox, verb: str, *, at: datetime, detail: dict[str, Any]) -> None:
    history.record(None, verb, ref=f"mailbox:{mailbox.public_id}", by=None, at=at, detail=detail)
