"""Accounts that customers make and change by themselves: whose they are, what opens to them, and what the old address is told.

An address that somebody typed proves nothing. Proved in the session that asks, it makes the account the customer's, and shows what
starts from then on; the history opens after a second proof (C04). A new address is told to the old one, which can take it back for
a day; until then nothing follows it (C07).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from crm import history
from crm.actions import customers, identity, letters, outgoing, persons
from crm.models import AddressChange, ContactPoint, Customer, SecondProof, User
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import accounts

UNDO_LINK = "crm.address_change"
CODE = "crm.second_proof"
SETTLED_AT_ONCE = 200


class NoSecondWay(Exception):
    """There is no other proved address to which a code could go."""

    code = "no_second_way"


class CodesUsedUp(Exception):
    """Enough codes were sent for today."""

    code = "codes_used_up"


class WrongCode(Exception):
    """That is not the code that was sent, or it was too long ago."""

    code = "wrong_code"


class SecondProofMissing(Exception):
    """The history opens only to somebody who has shown a second proof just now."""

    code = "second_proof_missing"


class AddressIsNew(Exception):
    """The address was changed a short while ago."""

    code = "address_is_new"


class NotToUndo(Exception):
    """A change of address that cannot be taken back by this link, or not any more."""

    code = "not_to_undo"


def vouch(user: User) -> None:
    """Count an account's address as proved, because whoever made the account knows whose it is."""
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})


# --- whose an account is ------------------------------------------------------------------------------------------------


@transaction.atomic
def prove_address(user_id: int, *, email: str, proved_here: bool, at: datetime) -> User:
    """Note that somebody has typed in the code that we sent to an address; whatever others began with the account ends (C05).

    The first time it makes an account that somebody made by themselves the customer's whose address that is, or a new customer's.
    proved_here: by the session that asked for the code. Raises User.DoesNotExist.
    """
    user: User = User.objects.select_for_update().get(pk=user_id)
    drop_unproved(user, keep=email)
    EmailAddress.objects.filter(email=email.lower(), verified=False).exclude(user=user).delete()
    if user.signed_up and user.customer_id is None:
        _make_theirs(user, email=email, proved_here=proved_here, at=at)
    user.sessions_ended += 1
    user.save(update_fields=["sessions_ended", "customer", "sees_since"])
    return user


def _make_theirs(user: User, *, email: str, proved_here: bool, at: datetime) -> None:
    address = identity.normalised(ContactKind.EMAIL, email)
    points = ContactPoint.objects.select_for_update(of=("self",)).select_related("customer")
    point = points.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).first()
    facts = accounts.SightFacts(
        proved_here=proved_here,
        is_living=point is None or point.customer.status in (CustomerStatus.ACTIVE, CustomerStatus.CLOSED),
        second_proof=False,
        address_changed_at=user.address_changed_at,
    )
    if not proved_here:
        return
    if point is not None and accounts.sight(facts, at=at) != accounts.Sight.NOTHING:
        customer = point.customer
        if point.verified_at is None:
            point.verified_at = at
            point.save(update_fields=["verified_at"])
    else:
        customer = customers.welcome(user.display_name, at=at)
        if point is None:
            ContactPoint.objects.create(
                customer=customer, kind=ContactKind.EMAIL, address=address, verified_at=at, created_at=at
            )
    ContactPoint.objects.create(
        customer=customer, kind=ContactKind.APP, address=str(user.public_id), verified_at=at, created_at=at
    )
    user.customer, user.sees_since = customer, at
    history.record(customer, "account.signed_up", ref=f"user:{user.public_id}", by=user, at=at)


def drop_unproved(user: User, *, keep: str = "") -> None:
    """Forget every address of an account that nobody has proved, and every change that was begun and not finished (C05)."""
    EmailConfirmation.objects.filter(email_address__user=user).delete()
    EmailAddress.objects.filter(user=user, verified=False).exclude(email=keep.lower()).delete()


@transaction.atomic
def secured(user_id: int, *, at: datetime) -> None:
    """Note that the owner of the address has set a new password by the link we sent there: nothing of anybody else remains (C05).

    A second factor of an account whose address was never proved goes, too: whoever set it up never showed that they are its owner.
    """
    user: User = User.objects.select_for_update().get(pk=user_id)
    drop_unproved(user)
    if user.signed_up and user.customer_id is None:
        Authenticator.objects.filter(user=user).delete()
    user.sessions_ended += 1
    user.save(update_fields=["sessions_ended"])
    history.record(user.customer, "account.password_reset", ref=f"user:{user.public_id}", by=user, at=at)


def forget_unproved(*, at: datetime) -> int:
    """Remove accounts whose address nobody proved within three days; nothing hangs on them. Returns how many."""
    stale = User.objects.filter(
        signed_up=True, customer=None, last_login=None, date_joined__lt=at - accounts.SIGN_UP_LASTS
    )
    count = 0
    for key in list(stale.order_by("pk").values_list("pk", flat=True)[:SETTLED_AT_ONCE]):
        with transaction.atomic():
            user = User.objects.select_for_update().filter(pk=key, customer=None).first()
            if user is not None:
                user.delete()
                count += 1
    return count


# --- the second proof ---------------------------------------------------------------------------------------------------


def other_addresses(user: User) -> QuerySet[ContactPoint]:
    """Proved mail addresses of the account's customer beside its own, the latest proved first; what it brought itself is none."""
    points = ContactPoint.objects.filter(
        customer=user.customer_id, kind=ContactKind.EMAIL, unlinked_at=None, unconfirmed_since=None
    ).exclude(address=user.email.lower())
    known = points.filter(verified_at__isnull=False)
    if user.sees_since is not None:
        known = known.filter(verified_at__lt=user.sees_since)
    return known.order_by("-verified_at", "-pk")


@transaction.atomic
def send_code(user_id: int, *, at: datetime) -> SecondProof:
    """Send a code to another proved address of the customer, by which the history opens. At most three a day.

    Raises NoSecondWay, CodesUsedUp; then nothing has changed.
    """
    user: User = User.objects.select_for_update(of=("self",)).select_related("customer").get(pk=user_id)
    point = other_addresses(user).first() if user.customer_id else None
    if point is None or user.customer is None:
        raise NoSecondWay(_("We know no other proved address of yours. Please set up a second factor, or write to us."))
    if SecondProof.objects.filter(user=user, at__gt=at - timedelta(days=1)).count() >= accounts.CODES_A_DAY:
        raise CodesUsedUp(_("We have sent you enough codes for today. Please try again tomorrow, or write to us."))
    code = f"{secrets.randbelow(10**8):08d}"
    proof = SecondProof.objects.create(user=user, contact_point=point, digest=_digest(user, code), at=at)
    _tell(user.customer, "second_code", key=f"{CODE}:{proof.pk}", address=point.address, at=at, code=code)
    return proof


def _digest(user: User, code: str) -> str:
    return salted_hmac(CODE, f"{user.pk} {code}", algorithm="sha256").hexdigest()


def open_history(user_id: int, *, code: str = "", at: datetime) -> User:
    """Show an account all of its customer's matters, after a code or a second factor that was shown just now (C04).

    code: "" where a second factor was shown. Every wrong code counts, and the fifth ends it.
    Raises WrongCode, SecondProofMissing, AddressIsNew; then nothing is shown that was not before.
    """
    if code and not _is_right(user_id, code=code, at=at):
        raise WrongCode(_("That is not the code, or it was too long ago. Please have another one sent."))
    with transaction.atomic():
        user: User = User.objects.select_for_update(of=("self",)).select_related("customer").get(pk=user_id)
        if user.customer is None:
            raise SecondProofMissing(_("Please prove your address first."))
        if user.sees_since is None:
            return user
        facts = accounts.SightFacts(
            proved_here=True,
            is_living=user.customer.status in (CustomerStatus.ACTIVE, CustomerStatus.CLOSED),
            second_proof=accounts.is_within(accounts.PROOF_LASTS, since=user.second_factor_at, at=at),
            address_changed_at=user.address_changed_at,
        )
        if accounts.sight(facts, at=at) != accounts.Sight.HISTORY:
            if accounts.is_within(accounts.UNDONE_WITHIN, since=user.address_changed_at, at=at):
                raise AddressIsNew(_("Your address was changed a short while ago. Please try again tomorrow."))
            raise SecondProofMissing(_("Please log in with your second factor, or have a code sent to you."))
        user.sees_since, user.history_opened_at = None, at
        user.save(update_fields=["sees_since", "history_opened_at"])
        history.record(user.customer, "account.history_opened", ref=f"user:{user.public_id}", by=user, at=at)
    return user


@transaction.atomic
def _is_right(user_id: int, *, code: str, at: datetime) -> bool:
    """Count one try at the newest code. The account is locked, so that tries at once are counted one by one (C09)."""
    user: User = User.objects.select_for_update().get(pk=user_id)
    proof = SecondProof.objects.filter(user=user).order_by("-pk").first()
    if proof is None or proof.used_at is not None or proof.tries >= accounts.TRIES:
        return False
    if not accounts.is_within(accounts.CODE_LASTS, since=proof.at, at=at):
        return False
    proof.tries += 1
    is_right = constant_time_compare(proof.digest, _digest(user, code))
    if is_right:
        proof.used_at = at
        user.second_factor_at = at
        user.save(update_fields=["second_factor_at"])
    proof.save(update_fields=["tries", "used_at"])
    return is_right


@transaction.atomic
def second_factor_shown(user_id: int, *, factor_id: int | None, at: datetime) -> None:
    """Note that a second factor was shown; one that was set up within the last day proves nothing of before, and is not noted."""
    factor = Authenticator.objects.filter(pk=factor_id, user=user_id).first()
    if factor is None or accounts.is_within(accounts.FACTOR_STANDS_FOR, since=factor.created_at, at=at):
        return
    User.objects.filter(pk=user_id).update(second_factor_at=at)


def may_ask_for_their_data(user: User, *, at: datetime) -> bool:
    """Whether everything known about the customer may be handed to this account now (P06)."""
    return accounts.may_ask_for_their_data(
        address_changed_at=user.address_changed_at, second_factor_at=user.second_factor_at, at=at
    )


# --- another address ----------------------------------------------------------------------------------------------------


@transaction.atomic
def address_changed(user_id: int, *, before: str, after: str, at: datetime) -> User:
    """Note that an account has another proved address, end its other sessions, and tell the old address with a link to undo (C07).

    Contact points follow when the day has passed (`settle_changes`). Raises User.DoesNotExist.
    """
    user: User = User.objects.select_for_update(of=("self",)).select_related("customer").get(pk=user_id)
    if before.lower() == after.lower():
        return user
    change = AddressChange.objects.create(
        user=user, before=before.lower(), after=after.lower(), at=at, undo_until=at + accounts.UNDONE_WITHIN
    )
    user.address_changed_at = at
    user.sessions_ended += 1
    user.save(update_fields=["address_changed_at", "sessions_ended"])
    history.record(user.customer, "account.address_changed", ref=_ref(change), by=user, at=at)
    if user.customer is not None:
        link = f"{settings.PUBLIC_URL}/account/address/{token_of(change)}/"
        _tell(
            user.customer,
            "address_changed",
            key=f"address-change:{change.public_id}",
            address=change.before,
            at=at,
            link=link,
            undo_until=change.undo_until,
        )
    return user


def token_of(change: AddressChange) -> str:
    """What takes one change back, and does nothing else."""
    return signing.Signer(salt=UNDO_LINK).sign(str(change.public_id))


def change_of(token: str, *, at: datetime) -> AddressChange:
    """Read a link to undo. Changes nothing. Raises NotToUndo for whatever is not one of ours, or not any more."""
    change = None
    try:
        number = signing.Signer(salt=UNDO_LINK).unsign(token)
        change = AddressChange.objects.filter(public_id=number).first()
    except signing.BadSignature:
        pass
    if change is None or change.undone_at is not None or at >= change.undo_until:
        raise NotToUndo(_("This link does not work, or not any more. Please write to us; we will help you."))
    return change


@transaction.atomic
def undo_change(token: str, *, at: datetime) -> User:
    """Give an account its old address back: every session ends, and a new password has to be set by a link to that address (C07).

    Later changes and second factors that were set up since are gone with it. Raises NotToUndo; then nothing has changed.
    """
    change = change_of(token, at=at)
    user: User = User.objects.select_for_update(of=("self",)).select_related("customer").get(pk=change.user_id)
    standing = AddressChange.objects.select_for_update().filter(user=user, undone_at=None, settled_at=None)
    since = [one for one in standing.order_by("pk") if one.pk >= change.pk]
    if change.pk not in {one.pk for one in since}:
        raise NotToUndo(_("This was taken back already."))
    for one in since:
        one.undone_at = at
        one.save(update_fields=["undone_at"])
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user, created_at__gte=change.at).delete()
    user.email, user.address_changed_at = change.before, at
    user.second_factor_at = None
    user.sessions_ended += 1
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "address_changed_at", "second_factor_at", "sessions_ended", "password"])
            vouch(user)
    except IntegrityError:
        raise NotToUndo(
            _("There is another account with this address now. Please write to us; we will help you.")
        ) from None
    history.record(user.customer, "account.address_restored", ref=_ref(change), by=None, at=at)
    return user


def settle_changes(*, at: datetime) -> int:
    """Let contact points follow the changes of address that nobody took back within a day. Returns how many. Safe to repeat."""
    due = AddressChange.objects.filter(undone_at=None, settled_at=None, undo_until__lte=at)
    keys = list(due.order_by("pk").values_list("pk", flat=True)[:SETTLED_AT_ONCE])
    return sum(_settle(key, at=at) for key in keys)


@transaction.atomic
def _settle(change_id: int, *, at: datetime) -> bool:
    change = AddressChange.objects.select_for_update(of=("self",)).get(pk=change_id)
    if change.undone_at is not None or change.settled_at is not None:
        return False
    change.settled_at = at
    change.save(update_fields=["settled_at"])
    user = User.objects.select_related("customer").get(pk=change.user_id)
    if user.customer is None:
        return True
    points = ContactPoint.objects.filter(kind=ContactKind.EMAIL, unlinked_at=None)
    others = User.objects.filter(customer=user.customer_id, email=change.before, is_active=True)
    if not others.exists():
        points.filter(customer=user.customer_id, address=change.before).update(unlinked_at=at)
    standing = points.filter(address=change.after).first()
    if standing is None and change.after == user.email:
        ContactPoint.objects.create(
            customer=user.customer,
            kind=ContactKind.EMAIL,
            address=change.after,
            verified_at=change.at,
            created_at=at,
        )
    elif standing is not None and standing.customer_id != user.customer_id:
        # Somebody else's address it stays; whether they are one person is for a colleague to say (C06).
        persons.told_both(user.customer.pk, standing.customer_id, kind=ContactKind.EMAIL, at=at)
    history.record(user.customer, "account.address_settled", ref=_ref(change), by=None, at=at)
    return True


def _ref(change: AddressChange) -> str:
    return f"address_change:{change.public_id}"


def _tell(customer: Customer, letter: str, *, key: str, address: str, at: datetime, **words: object) -> None:
    written = letters.render(f"crm/{letter}", language=customer.language, zone=customer.zone, **words)
    outgoing.queue(outgoing.notice(written, key=key, address=address), customer=customer, at=at)


def follow_up(*, at: datetime) -> int:
    """What has to happen to accounts by itself: changes that stand now, sign-ups that nobody proved. Returns how many."""
    return settle_changes(at=at) + forget_unproved(at=at)
