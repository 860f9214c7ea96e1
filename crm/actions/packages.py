"""A copy of everything about one person: asked for, made by a lane, fetched by a short link, removed after a week (P05, P06)."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.files import File
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import lease, letters, outgoing, package_contents
from crm.actions.belongings import records_of, standing
from crm.models import ContactPoint, Customer, DataPackage, User
from crm.models.people import ContactKind, CustomerStatus
from crm.models.privacy import package_name
from crm.policy.privacy import (
    FILE_LINK_FOR,
    PACKAGE_KEPT_FOR,
    PackageState,
    address_is_settled,
    proved_lately,
)

TRIED_AGAIN_AFTER = timedelta(minutes=5)
TRIES = 5
TOLD_AT_MOST = 20
_LINK = "crm.package"
BY_THEMSELVES = "asked in the app, with a second factor"


class NotProved(Exception):
    """The log-in is not fresh, or had no second factor."""

    code = "not_proved"


class AddressIsNew(Exception):
    """An address changed lately; somebody else may have taken the account over."""

    code = "address_is_new"


class NoteMissing(ValueError):
    """Nobody wrote down how they know who asks."""

    code = "identity_note_missing"


class NoPackage(Exception):
    """The customer is erased, or the copy is not there (any more)."""

    code = "no_package"


@transaction.atomic
def ask(customer_id: int, *, note: str, by: User, at: datetime) -> DataPackage:
    """Have a copy of a customer's data made. note: how we know who asks; for a colleague it is asked, never made up.

    Everybody who can be reached at a known address is told. One that is on its way already is given back.
    Raises Customer.DoesNotExist, NoteMissing, NoPackage.
    """
    if not note.strip():
        raise NoteMissing(_("Please write down how you made sure who asks."))
    customer = standing(Customer.objects.get(pk=customer_id))
    customer = Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer.pk)
    if customer.status == CustomerStatus.ERASED:
        raise NoPackage(_("This customer is erased; there is nothing to copy."))
    waiting = DataPackage.objects.filter(
        customer=customer, state__in=[PackageState.READY, PackageState.CLAIMED]
    ).first()
    if waiting is not None:
        return waiting
    package = DataPackage.objects.create(
        customer=customer, asked_by=by, note=note.strip()[:300], asked_at=at, due_at=at
    )
    _tell_everybody(customer, package, at=at)
    _record(package, "package.asked", by=by, at=at)
    dispatch.after_commit("package.asked")
    return package


def ask_for_oneself(user: User, *, methods: Collection[Mapping[str, Any]], at: datetime) -> DataPackage:
    """Have a copy of one's own data made. methods: what the log-in proved and when (`policy.privacy.proved_lately`).

    Raises NotProved, AddressIsNew, NoPackage.
    """
    if user.customer_id is None:
        raise NoPackage(_("This account belongs to no customer."))
    if not proved_lately(methods, at=at):
        raise NotProved(
            _("Please prove once more that it is you, with your second factor. Then ask again within ten minutes.")
        )
    if not address_is_settled(address_changed_at(user.customer_id), at=at):
        raise AddressIsNew(
            _("An address of yours changed within the last seven days. For your safety, please ask again later.")
        )
    return ask(user.customer_id, note=BY_THEMSELVES, by=user, at=at)


def address_changed_at(customer_id: int) -> datetime | None:
    """When an address of a customer, or that of their account, last came or went after they had become known; None when never."""
    customer = standing(Customer.objects.get(pk=customer_id))
    points = ContactPoint.objects.filter(
        customer__in=records_of(customer), kind__in=[ContactKind.EMAIL, ContactKind.PHONE, ContactKind.POSTAL]
    ).values_list("created_at", "unlinked_at")
    moments = [moment for row in points for moment in row if moment is not None]
    changes = [moment for moment in moments if moment - customer.created_at > timedelta(hours=1)]
    accounts = User.objects.filter(customer__in=records_of(customer)).exclude(address_changed_at=None)
    return max([*changes, *accounts.values_list("address_changed_at", flat=True)], default=None)


def _tell_everybody(customer: Customer, package: DataPackage, *, at: datetime) -> None:
    """Write to every address we know or knew: whoever did not ask for this learns of it while it can be stopped (P06)."""
    points = ContactPoint.objects.filter(customer__in=records_of(customer), kind=ContactKind.EMAIL).order_by("pk")
    addresses = dict.fromkeys(points.values_list("address", flat=True))
    for number, address in enumerate(list(addresses)[:TOLD_AT_MOST]):
        letter = letters.render("crm/data_asked_for", language=customer.language, zone=customer.zone, asked_at=at)
        draft = outgoing.notice(letter, key=f"package:{package.public_id}:{number}", address=address)
        outgoing.queue(draft, customer=customer, at=at)


# --- making it ------------------------------------------------------------------------------------------------------------


def work_batch(*, at: datetime) -> int:
    """Make one copy, or one whose worker was lost anew. Returns how many were taken up."""
    due = DataPackage.objects.filter(
        lease.claimable(ready=PackageState.READY, claimed=PackageState.CLAIMED), due_at__lte=at
    )
    taken = lease.claim(due.order_by("due_at", "pk"), size=1, claimed_state=PackageState.CLAIMED)
    for one in taken:
        lease.guarded(partial(_make, one, at=at), failed=partial(_failed, one, at=at))
    return len(taken)


def _failed(package: DataPackage, trouble: Exception, *, at: datetime) -> None:
    failures = package.failures + (0 if lease.is_trouble_of_the_database(trouble) else 1)
    DataPackage.objects.filter(pk=package.pk, attempt=package.attempt, state=PackageState.CLAIMED).update(
        state=PackageState.PARKED if failures >= TRIES else PackageState.READY,
        failures=failures,
        due_at=at + TRIED_AGAIN_AFTER,
        lease_until=None,
        reason=type(trouble).__name__,  # its words may name the person
    )


def _make(package: DataPackage, *, at: datetime) -> None:
    mine = DataPackage.objects.filter(pk=package.pk, attempt=package.attempt, state=PackageState.CLAIMED)

    def progress(done: int, parts: int) -> None:
        if not mine.update(parts_done=done, parts=parts, lease_until=Now() + settings.EVENHAND_LEASE):
            raise NoPackage

    with tempfile.TemporaryFile() as written:
        package_contents.write(written, package.customer, at=at, progress=progress)
        size = written.tell()
        written.seek(0)
        storage = DataPackage._meta.get_field("file").storage
        name = storage.save(f"packages/{package_name(package, at)}", File(written))
    done = mine.update(
        state=PackageState.DONE, file=name, size=size, made_at=at, lease_until=None, reason="", parts_done=1, parts=1
    )
    if not done:  # another worker has it, or the person was erased meanwhile
        storage.delete(name)
        return
    _record(package, "package.made", by=None, at=at)


@transaction.atomic
def again(public_id: str, *, by: User, at: datetime) -> None:
    """Make a copy anew that got stuck. Raises NoPackage."""
    package = DataPackage.objects.select_for_update(of=("self",)).filter(public_id=public_id).first()
    if package is None or package.state != PackageState.PARKED:
        raise NoPackage(_("There is nothing to try again."))
    package.state, package.failures, package.due_at = PackageState.READY, 0, at
    package.save(update_fields=["state", "failures", "due_at"])
    _record(package, "package.again", by=by, at=at)
    dispatch.after_commit("package.asked")


# --- fetching and removing it -----------------------------------------------------------------------------------------------


def link_of(package: DataPackage, user: User) -> str:
    """Make the part of an address by which this account, and no other, fetches a copy within the next minutes."""
    return signing.dumps([str(package.public_id), user.pk], salt=_LINK)


def fetched(link: str, *, by: User, at: datetime) -> DataPackage:
    """Give the copy that a link leads to, and note that it was fetched. Raises NoPackage for a link of another or that ran out."""
    try:
        public_id, number = signing.loads(link, salt=_LINK, max_age=FILE_LINK_FOR)
    except (signing.BadSignature, ValueError, TypeError) as wrong:
        raise NoPackage(_("This link has run out. Please open the page anew.")) from wrong
    package = (
        DataPackage.objects.filter(public_id=public_id, state=PackageState.DONE).select_related("customer").first()
    )
    if package is None or number != by.pk:
        raise NoPackage(_("This copy is not there any more, or not yours to fetch."))
    _record(package, "package.fetched", by=by, at=at)
    return package


def remove_old(at: datetime) -> int:
    """Remove copies that are a week old. Returns how many."""
    count = 0
    old = DataPackage.objects.filter(state=PackageState.DONE, made_at__lt=at - PACKAGE_KEPT_FOR)
    for number in old.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            package = DataPackage.objects.select_for_update(of=("self",)).get(pk=number)
            package.file.delete(save=False)
            package.state, package.removed_at = PackageState.GONE, at
            package.save(update_fields=["file", "state", "removed_at"])
            _record(package, "package.removed", by=None, at=at)
            count += 1
    return count


def _record(package: DataPackage, verb: str, *, by: User | None, at: datetime) -> None:
    history.record(package.customer, verb, ref=f"package:{package.public_id}", by=by, at=at)
