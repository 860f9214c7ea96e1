"""What a colleague heard at the counter, found in a letter or read in public: written down, with a photo or the link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import identity, intake, persons, publications, talks
from crm.actions.intake import Received
from crm.channels import PUBLIC, Channel, Message, Part, SenderKind, feeds
from crm.models import ContactPoint, Interaction, Publication, User
from crm.models.people import ContactKind
from crm.policy import TimeFrom, trusted_spoke_at, why_not_said_then

SOURCE = "desk:captured"
KNOWN_ELSEWHERE = "contact_point.known_elsewhere"
"""Written down where an address was noted that another customer uses; it is linked to nobody by that."""
CAPTURED = (Channel.STORE, Channel.LETTER, Channel.FIELD, *sorted(PUBLIC))
"""What is written down this way; a talk that ends in an agreement is logged as a call is."""


class AlreadyHeard(Exception):
    """The same post is with us already; `conversation` is its matter's public id."""

    code = "already_heard"

    def __init__(self, words: str, *, conversation: str) -> None:
        super().__init__(words)
        self.conversation = conversation


class WrongRating(ValueError):
    """A rating outside its scale, or of something that nobody rates."""

    code = "wrong_rating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a colleague writes down.

    said: in the customer's words, "" when a scan says it. spoke_at: when it was said, published, or reached one of our sites,
    aware; None for now. spoke_at_known_from: how that is known, needed with spoke_at unless a link shows it. account: the
    name somebody uses in public. url: where a public post stands. files: judged. key: the same key twice is one.
    Without any address it counts all the same; then nobody can be answered yet.
    """

    key: str
    channel: Channel
    said: str
    name: str = ""
    email: str = ""
    phone: str = ""
    account: str = ""
    url: str = ""
    subject: str = ""
    language: str = ""
    rating: Decimal | None = None
    rated_out_of: Decimal | None = None
    spoke_at: datetime | None = None
    spoke_at_known_from: str = ""
    files: tuple[Part, ...] = ()


def write_down(capture: Capture, *, by: User, at: datetime, origin: str = "admin") -> Received:
    """Take in what was noted; it is promised what everything else is, counted from when it was said.

    Raises talks.NotYet, intake.NothingSaid, identity.UnusableAddress, intake.DifferentContent, AlreadyHeard, WrongRating;
    then nothing has changed.
    """
    check(capture, at=at)
    message = _message(capture, at=at)
    if capture.channel not in PUBLIC:
        with transaction.atomic():
            received = intake.receive(message, by=by, at=at, origin=origin)
            if received.created:
                _also_at(capture, message, received, by=by, at=at)
        return received
    _refuse_twice(capture, message)
    stands = publications.Stands(
        url=capture.url,
        rating=capture.rating,
        rated_out_of=capture.rated_out_of,
        published_at=message.spoke_at if capture.spoke_at is not None else None,
    )
    with transaction.atomic():
        received = publications.receive(message, stands, by=by, at=at, origin=origin)
        if received.created:
            _also_at(capture, message, received, by=by, at=at)
    return received


def check(capture: Capture, *, at: datetime) -> None:
    """Refuse what cannot be written down. Raises as `write_down` does; asks no database."""
    if capture.channel not in CAPTURED:
        raise intake.NothingSaid(_("Please say where it was said."))
    if not capture.said.strip() and not any(part.content for part in capture.files):
        raise intake.NothingSaid(_("Please note what the customer said, or add a photo of it."))
    is_public = capture.channel in PUBLIC
    if capture.url.strip() and not feeds.web_link(capture.url):
        raise identity.UnusableAddress(_("This link cannot be kept; please copy it whole, with https:// in front."))
    if is_public and not (capture.url.strip() or capture.account.strip()):
        raise identity.UnusableAddress(_("Please add the link, or the name under which it was written."))
    if capture.spoke_at is not None:
        if not capture.spoke_at_known_from.strip() and not (is_public and capture.url.strip()):
            raise talks.NotYet(_("Please say how you know when it was said, for example “stamp on the envelope”."))
        why = why_not_said_then(capture.spoke_at, at=at)
        if why == "future":
            raise talks.NotYet(_("It cannot have been said in the future."))
        if why:
            raise talks.NotYet(
                _("That is more than 90 days ago. Old things are brought in as a file, and only counted.")
            )
    if (capture.rating is None) is not (capture.rated_out_of is None) or (capture.rating is not None and not is_public):
        raise WrongRating(_("A rating is a number of a scale, and belongs to something public."))
    scale = capture.rated_out_of or Decimal(0)
    if capture.rating is not None and not (0 <= capture.rating <= scale <= 100 and scale):
        raise WrongRating(_("The rating lies outside its scale."))


def _message(capture: Capture, *, at: datetime) -> Message:
    kind, address = _who(capture)
    text = capture.said.strip()
    return Message(
        channel=capture.channel,
        source=SOURCE,
        external_id=capture.key,
        sender_kind=kind,
        sender_address=address,
        sender_name=capture.name.strip() or capture.account.strip(),
        subject=capture.subject.strip(),
        text=text,
        full_text=text,
        language=capture.language,
        spoke_at=trusted_spoke_at(TimeFrom.COLLEAGUE, claimed=capture.spoke_at, received_at=at, last_good_at=None),
        attachments=capture.files,
    )


def _who(capture: Capture) -> tuple[SenderKind, str]:
    """By what they are recognised: in public their name there; elsewhere an address they gave; else nobody we know."""
    if capture.channel in PUBLIC and (capture.account.strip() or not (capture.email.strip() or capture.phone.strip())):
        account = capture.account.strip().removeprefix("@")
        return "handle", feeds.handle_of(account, profile="", url=capture.url.strip(), key=capture.key)
    if capture.email.strip():
        return "email", capture.email
    if capture.phone.strip():
        return "phone", capture.phone
    return "handle", f"nobody/{capture.key}"


def _also_at(capture: Capture, message: Message, received: Received, *, by: User, at: datetime) -> None:
    """Keep where else they can be reached, unless somebody else uses it: so whoever wrote where we have no account can be
    answered by mail (R057). Raises identity.UnusableAddress.
    """
    given = ((ContactKind.EMAIL, capture.email), (ContactKind.PHONE, capture.phone))
    for kind, address in given:
        if not address.strip() or message.sender_kind == kind.value:
            continue
        known = identity.normalised(kind, address)
        customer = received.conversation.customer
        used = (
            ContactPoint.objects.filter(kind=kind, address=known, unlinked_at=None).select_related("customer").first()
        )
        if used is None:
            ContactPoint.objects.create(customer=customer, kind=kind, address=known, created_at=at)
        elif used.customer_id != customer.pk:
            history.record(
                customer,
                KNOWN_ELSEWHERE,
                ref=f"conversation:{received.conversation.public_id}",
                by=by,
                at=at,
                detail={"customer": str(used.customer.public_id)},
            )
            persons.told_both(customer.pk, used.customer_id, kind=kind, at=at)


def _refuse_twice(capture: Capture, message: Message) -> None:
    """The same link by the same author is the same post, whoever brought it first."""
    key = feeds.link_key(capture.url)
    if not key:
        return
    known = Publication.objects.filter(url_key=key, interaction__contact_point__address=message.sender_address)
    before = known.select_related("interaction__conversation").order_by("pk").first()
    if before is None or _is_this(before.interaction, capture):
        return
    raise AlreadyHeard(_("This post is with us already."), conversation=str(before.interaction.conversation.public_id))


def _is_this(interaction: Interaction, capture: Capture) -> bool:
    return (interaction.source, interaction.external_id) == (SOURCE, capture.key)
