"""The places where customers talk: listed by a lead, looked at by colleagues, and seen to that somebody listens (R027)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts
from crm.channels import Channel, feeds
from crm.models import ChannelAccount, Feed, ListeningGap, ListeningPlace, Mailbox, PlaceCheck, User
from crm.policy import AlertKind, Cover, is_listening_gap


class UnusablePlace(ValueError):
    """Something about a place that customers talk at is missing or cannot be."""

    code = "unusable_place"


class PlaceKnown(Exception):
    """This place is listed already."""

    code = "place_known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """How a place shall be listed. cover: a Cover; covered_by: which account, feed or mailbox, by its public id; None by hand."""

    name: str
    channel: str
    url: str = ""
    cover: str = Cover.BY_HAND.value
    covered_by: uuid.UUID | None = None


@transaction.atomic
def add(draft: Draft, *, by: User, at: datetime) -> ListeningPlace:
    """List a place. Nobody listens there until something does, or somebody has looked. Raises UnusablePlace, PlaceKnown."""
    place = ListeningPlace(created_at=at)
    _put(place, draft)
    _save(place)
    _record(place, "place.listed", by=by, at=at, detail={"channel": place.channel, "cover": place.cover})
    return place


@transaction.atomic
def change(place_id: int, draft: Draft, *, by: User, at: datetime) -> ListeningPlace:
    """Say something else about a place. Raises ListeningPlace.DoesNotExist, UnusablePlace, PlaceKnown; then nothing has changed."""
    place = _locked(place_id)
    before = place.cover
    _put(place, draft)
    _save(place)
    _record(place, "place.changed", by=by, at=at, detail={"before": before, "cover": place.cover})
    return place


@transaction.atomic
def list_or_unlist(place_id: int, *, is_listed: bool, by: User, at: datetime) -> ListeningPlace:
    """Take a place off the list, or put it back; its looks and gaps stay. Raises ListeningPlace.DoesNotExist."""
    place = _locked(place_id)
    if place.is_active != is_listed:
        place.is_active = is_listed
        place.save(update_fields=["is_active"])
        if not is_listed:
            ListeningGap.objects.filter(place=place, ended_at=None).update(ended_at=at)
        _record(place, "place.relisted" if is_listed else "place.unlisted", by=by, at=at, detail={})
    return place


@transaction.atomic
def checked(place_id: int, *, found: int, by: User, at: datetime) -> PlaceCheck:
    """Note that somebody looked at a place by hand, and how much they noted from there; a gap ends with it.

    Raises ListeningPlace.DoesNotExist, UnusablePlace; then nothing has changed.
    """
    if not 0 <= found <= 1_000:
        raise UnusablePlace(_("Please give a whole number, from 0 to 1000."))
    place = _locked(place_id)
    if not place.is_active:
        raise UnusablePlace(_("This place is not listed any more."))
    look = PlaceCheck.objects.create(place=place, by=by, at=at, found=found)
    place.checked_at = at if place.checked_at is None else max(place.checked_at, at)
    place.save(update_fields=["checked_at"])
    ListeningGap.objects.filter(place=place, ended_at=None, began_at__lte=at).update(ended_at=at)
    _record(place, "place.looked_at", by=by, at=at, detail={"found": found})
    return look


@transaction.atomic
def watch(at: datetime) -> int:
    """Write down where nobody listens, end what is over, and tell the leads once a gap. Returns how many there are."""
    places = list(covered(ListeningPlace.objects.filter(is_active=True).select_for_update(of=("self",)).order_by("id")))
    known = {gap.place_id: gap for gap in ListeningGap.objects.filter(ended_at=None).order_by("id")}
    told, count = [], 0
    for place in places:
        heard_at = listened_at(place, at=at)
        gap = known.get(place.pk)
        if not is_listening_gap(heard_at, at=at):
            if gap is not None:
                gap.ended_at = max(heard_at or at, gap.began_at)
                gap.save(update_fields=["ended_at"])
            continue
        count += 1
        if gap is None:
            gap = ListeningGap.objects.create(place=place, began_at=heard_at or place.created_at, seen_at=at)
            told.append(
                alerts.told(
                    AlertKind.PLACE_UNHEARD, key=f"{place.public_id}:{gap.pk}", at=at, detail={"name": place.name}
                )
            )
            _record(place, "place.unheard", by=None, at=at, detail={"since": gap.began_at.isoformat()})
    alerts.write(told)
    return count


def covered(places: QuerySet[ListeningPlace]) -> QuerySet[ListeningPlace]:
    """The same places with what listens there, read together."""
    return places.select_related("account", "feed", "mailbox")


def listened_at(place: ListeningPlace, *, at: datetime) -> datetime | None:
    """When somebody or something last listened there: a look by hand, or the last good answer to what asks by itself.

    An account that is posted to has no answers; it listens while it is switched on and believed nothing wrong.
    """
    moments = [place.checked_at]
    if place.account is not None and place.account.is_active:
        is_well = not place.account.is_asked and place.account.failing_since is None
        moments.append(at if is_well else place.account.last_good_at)
    asks = (place.feed, place.mailbox)
    moments += [one.last_good_at for one in asks if one is not None and one.is_active]
    return max((moment for moment in moments if moment is not None), default=None)


def gaps(*, since: datetime, until: datetime) -> QuerySet[ListeningGap]:
    """The listening gaps that touch a time, newest first. until: exclusive."""
    touches = Q(ended_at=None) | Q(ended_at__gt=since)
    return ListeningGap.objects.filter(touches, began_at__lt=until).select_related("place").order_by("-began_at", "-id")


def unheard(at: datetime) -> list[ListeningPlace]:
    """The listed places where nobody listens at this moment, whether or not that was written down yet; one statement."""
    return [
        place
        for place in covered(ListeningPlace.objects.filter(is_active=True).order_by("name", "id"))
        if is_listening_gap(listened_at(place, at=at), at=at)
    ]


def what_may_listen(cover: str) -> Iterable[tuple[uuid.UUID, str]]:
    """The accounts, feeds or mailboxes that are switched on, by name; what a place can be covered by."""
    if cover == Cover.ACCOUNT:
        return ChannelAccount.objects.filter(is_active=True).order_by("name", "pk").values_list("public_id", "name")
    if cover == Cover.FEED:
        return Feed.objects.filter(is_active=True).order_by("name", "pk").values_list("public_id", "name")
    if cover == Cover.MAILBOX:
        return Mailbox.objects.filter(is_active=True).order_by("address", "pk").values_list("public_id", "address")
    return ()


def _put(place: ListeningPlace, draft: Draft) -> None:
    name, url = " ".join(draft.name.split())[:120], draft.url.strip()
    if not name:
        raise UnusablePlace(_("Please give the place a name."))
    if draft.channel not in Channel.values:
        raise UnusablePlace(_("Please say what kind of place it is."))
    if url and not feeds.web_link(url):
        raise UnusablePlace(_("This link cannot be kept; please copy it whole, with https:// in front."))
    if draft.cover not in Cover.values:
        raise UnusablePlace(_("Please say how we listen there."))
    place.name, place.channel, place.url, place.cover = name, draft.channel, url, draft.cover
    place.account = _found(ChannelAccount, draft, Cover.ACCOUNT)
    place.feed = _found(Feed, draft, Cover.FEED)
    place.mailbox = _found(Mailbox, draft, Cover.MAILBOX)


def _found(model: Any, draft: Draft, cover: Cover) -> Any:
    if draft.cover != cover:
        return None
    found = model.objects.filter(public_id=draft.covered_by, is_active=True).first()
    if found is None:
        raise UnusablePlace(_("Please choose what listens there; it has to be switched on."))
    return found


def _save(place: ListeningPlace) -> None:
    try:
        with transaction.atomic():
            place.save()
    except IntegrityError as collision:
        constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
        if constraint != "listening_place_once":
            raise
        raise PlaceKnown(_("This place is listed already.")) from collision


def _locked(place_id: int) -> ListeningPlace:
    return ListeningPlace.objects.select_for_update(of=("self",)).get(pk=place_id)


def _record(place: ListeningPlace, verb: str, *, by: User | None, at: datetime, detail: dict[str, object]) -> None:
    history.record(None, verb, ref=f"place:{place.public_id}", by=by, at=at, detail=detail)
