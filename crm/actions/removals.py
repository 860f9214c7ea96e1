"""Words of customers taken away where everybody could read them: asked for with a coded reason, agreed to by another (R029).

Nothing here reaches a platform: somebody does it by hand there, once a second person agreed, and notes where. So every use is on
record, and the one way to it leads past another pair of eyes. The post keeps its place, its words and its clocks with us: whoever
wrote it is still answered.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts
from crm.models import PublicPost, Removal, User
from crm.policy import AlertKind
from crm.policy.removals import REMOVAL_NEXT, RemovalKind, RemovalReason, RemovalState


class WrongStep(Exception):
    """Not from here, or not by this person."""

    code = "wrong_step"


class SamePerson(Exception):
    """Somebody else decides than who asked."""

    code = "same_person"


class WordsMissing(ValueError):
    """This has to be said in words."""

    code = "words_missing"


class NotALink(ValueError):
    """Not an address at the platform."""

    code = "not_a_link"


def ask(
    interaction_id: int, *, kind: RemovalKind, reason: RemovalReason, words: str, by: User, at: datetime
) -> Removal:
    """Ask that a public post be hidden or deleted, or its author blocked; nothing is until somebody else agrees.

    interaction_id: what was posted. words: what in it is unlawful, endangering or degrading, and by which law where there is one.
    Raises PublicPost.DoesNotExist, WordsMissing, WrongStep (it is asked for already); then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please write what in it is unlawful, endangering or degrading. Criticism is no reason."))
    post = PublicPost.objects.select_related("conversation__customer").get(interaction=interaction_id)
    try:
        with transaction.atomic():
            removal = Removal.objects.create(
                post=post, kind=kind, reason=reason, words=words.strip()[:600], asked_by=by, asked_at=at
            )
            _record(removal, "removal.asked", by=by, at=at)
            alerts.write(
                [
                    alerts.told(
                        AlertKind.SECOND_PERSON, key=f"removal:{removal.pk}", at=at, conversation=post.conversation
                    )
                ]
            )
    except IntegrityError:
        raise WrongStep(_("This was asked for already, or is done.")) from None
    return removal


@transaction.atomic
def decide(removal_id: int, *, agree: bool, because: str, by: User, at: datetime) -> Removal:
    """Agree, or refuse so that it stays. Raises Removal.DoesNotExist, WordsMissing, SamePerson, WrongStep."""
    if not because.strip():
        raise WordsMissing(_("Please write why."))
    removal = _locked(removal_id, RemovalState.AGREED if agree else RemovalState.REFUSED)
    if removal.asked_by_id == by.pk:
        raise SamePerson(_("You asked for it yourself; somebody else decides."))
    removal.state = RemovalState.AGREED if agree else RemovalState.REFUSED
    removal.decided_by, removal.decided_at, removal.decided_because = by, at, because.strip()[:600]
    removal.save(update_fields=["state", "decided_by", "decided_at", "decided_because"])
    _record(removal, f"removal.{removal.state}", by=by, at=at)
    return removal


@transaction.atomic
def note_done(removal_id: int, *, link: str, by: User, at: datetime) -> Removal:
    """Note that it was carried out at the platform, and where. Raises Removal.DoesNotExist, NotALink, WrongStep."""
    link = link.strip()
    if not link.startswith(("https://", "http://")) or len(link) > 500 or len(link.split()) > 1:
        raise NotALink(_("Please give the address of the post at the platform, beginning with https://."))
    removal = _locked(removal_id, RemovalState.DONE)
    removal.state, removal.done_by, removal.done_at, removal.link = RemovalState.DONE, by, at, link
    removal.save(update_fields=["state", "done_by", "done_at", "link"])
    _record(removal, "removal.done", by=by, at=at)
    return removal


@transaction.atomic
def note_undone(removal_id: int, *, by: User, at: datetime) -> Removal:
    """Note that it was taken back at the platform; that it was done stays. Raises Removal.DoesNotExist, WrongStep."""
    removal = _locked(removal_id, RemovalState.UNDONE)
    removal.state, removal.undone_at = RemovalState.UNDONE, at
    removal.save(update_fields=["state", "undone_at"])
    _record(removal, "removal.undone", by=by, at=at)
    return removal


def _locked(removal_id: int, wanted: RemovalState) -> Removal:
    removal = (
        Removal.objects.select_for_update(of=("self",))
        .select_related("post__conversation__customer")
        .get(pk=removal_id)
    )
    if wanted not in REMOVAL_NEXT[RemovalState(removal.state)]:
        raise WrongStep(
            _("What is “%(now)s” cannot become “%(wanted)s”.")
            % {"now": removal.get_state_display(), "wanted": wanted.label}
        )
    return removal


def _record(removal: Removal, verb: str, *, by: User, at: datetime) -> None:
    conversation = removal.post.conversation
    history.record(
        conversation.customer,
        verb,
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={
            "removal": str(removal.public_id),
            "kind": removal.kind,
            "reason": removal.reason,
            "channel": removal.post.channel,
        },
    )
