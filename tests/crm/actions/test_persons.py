"""Two records that are one person: made one, taken back for 30 days, parted; nothing is lost by it (N12, R080)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from crm.actions import adverse, capture, consent, customers, endings, holds, identity, intake, partings, persons
from crm.actions.belongings import records_of, standing
from crm.channels import Channel
from crm.models import (
    Consent,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Hold,
    Interaction,
    LifeEvent,
    Merge,
    OutgoingMessage,
    PersonSuggestion,
    User,
)
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import AdverseKind, Direction
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import app_user, colleague, message
from tests.faults.threads import at_once

LATER = NOON + timedelta(days=3)


def wrote(address: str, **changes: object) -> Customer:
    return intake.receive(message(sender_address=address, **changes), at=NOON, origin="test").conversation.customer


def two() -> tuple[Customer, Customer]:
    return wrote("carla@home.example"), wrote("carla@work.example", sender_name="C. Customer")


def known(address: str) -> identity.Speaker:
    return identity.speaker("email", address, name="", language="", at=LATER)


def made_one(gone: Customer, kept: Customer, **more: object) -> Merge:
    return persons.merge(
        gone.pk,
        kept_id=kept.pk,
        because="she told us on the phone",
        by=colleague(),
        at=NOON,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.django_db
def test_what_belonged_to_both_belongs_to_the_kept_one_and_new_words_find_it_N12_R080():
    home, work = two()
    holds.place(work, key="case:1", reason="open_case", at=NOON)
    act = adverse.prepare(work.pk, kind=AdverseKind.CLOSURE, reason="fraud", by=colleague(), at=NOON)

    made = made_one(work, home)

    work.refresh_from_db()
    assert (work.status, work.merged_into) == (CustomerStatus.MERGED, home)
    assert set(Conversation.objects.values_list("customer", flat=True)) == {home.pk}
    assert set(ContactPoint.objects.values_list("customer", flat=True)) == {home.pk}
    assert set(OutgoingMessage.objects.values_list("customer", flat=True)) <= {home.pk}
    assert Hold.objects.get().customer == home
    act.refresh_from_db()
    assert act.customer == home
    assert wrote("carla@work.example").pk == home.pk
    assert standing(work) == home
    assert records_of(home) == [home.pk, work.pk]
    assert HistoryEntry.objects.filter(verb="customer.merged", ref=f"merge:{made.public_id}").count() == 2


@pytest.mark.django_db
def test_it_is_taken_back_for_30_days_as_it_was_and_what_came_since_goes_by_its_address_N12():
    home, work = two()
    customers.tell_birthday(work, month=3, day=4, evidence="yes", at=NOON)
    before = dict(Conversation.objects.values_list("pk", "customer"))
    made = made_one(work, home)
    since, theirs, both = (
        intake.receive(message(sender_address=f"carla@{where}.example"), at=LATER, origin="test").conversation
        for where in ("home", "work", "work")
    )
    intake.receive(message(), at=LATER, origin="test", conversation=both, speaker=known("carla@home.example"))

    persons.undo(made.pk, by=colleague(), at=NOON + timedelta(days=30))

    now = dict(Conversation.objects.values_list("pk", "customer"))
    assert {key: now[key] for key in before} == before
    assert now[since.pk] == home.pk
    assert now[theirs.pk] == work.pk  # it came from that address alone
    assert now[both.pk] == home.pk
    assert LifeEvent.objects.get().customer == work
    work.refresh_from_db()
    assert (work.status, work.merged_into) == (CustomerStatus.ACTIVE, None)
    with pytest.raises(persons.TooLateToPart):
        persons.undo(made.pk, by=colleague(), at=NOON)
    assert PersonSuggestion.objects.get().state == "apart"


@pytest.mark.django_db
def test_after_30_days_it_stays_and_somebody_else_s_can_still_be_parted_N12():
    home, work = two()
    made = made_one(work, home)
    with pytest.raises(persons.TooLateToPart, match="30 days"):
        persons.undo(made.pk, by=colleague(), at=NOON + timedelta(days=30, seconds=1))
    assert Merge.objects.get().undone_at is None


@pytest.mark.django_db
def test_the_last_one_is_taken_back_first_N12():
    home, work = two()
    third = wrote("carla@third.example")
    first, second = made_one(work, home), made_one(home, third)
    work.refresh_from_db()
    assert work.merged_into == third  # never a chain
    with pytest.raises(persons.TooLateToPart, match="first"):
        persons.undo(first.pk, by=colleague(), at=LATER)
    persons.undo(second.pk, by=colleague(), at=LATER)
    persons.undo(first.pk, by=colleague(), at=LATER)
    assert Conversation.objects.filter(customer=work).count() == 1
    assert not Customer.objects.exclude(merged_into=None).exists()


# --- what is chosen, and what the strictest is ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_fields_are_chosen_empty_ones_are_filled_and_all_of_it_goes_back_N12():
    home, work = two()
    customers.set_language(work.pk, language="fr", by=colleague(), at=NOON)
    work.refresh_from_db()
    shown = persons.preview(work, home)
    assert {(c.name, c.from_gone) for c in shown.choices} == {("display_name", False), ("language", True)}
    made = made_one(work, home, take=["display_name"])
    home.refresh_from_db()
    assert (home.display_name, home.language) == ("C. Customer", "fr")
    customers.set_language(home.pk, language="de", by=colleague(), at=NOON)
    persons.undo(made.pk, by=colleague(), at=LATER)
    home.refresh_from_db()
    assert (home.display_name, home.language) == ("Carla Customer", "de")  # what was said since stays


@pytest.mark.django_db
def test_permissions_do_not_pass_on_and_the_strictest_counts_N12_N7():
    home, work = two()
    allows(home, "birthday", words="form", at=NOON)
    allows(work, "news", words="form", at=NOON)
    consent.withdraw(work, "birthday", evidence="phone", at=NOON)

    made = made_one(work, home)

    newest = {event.purpose: event.state for event in Consent.objects.filter(customer=home).order_by("at", "id")}
    assert newest == {"birthday": "withdrawn"}
    persons.undo(made.pk, by=colleague(), at=LATER)
    newest = {event.purpose: event.state for event in Consent.objects.filter(customer=home).order_by("at", "id")}
    assert newest == {"birthday": "granted"}
    again = Consent.objects.filter(customer=home).order_by("-at", "-id")[0]
    assert (again.actor, again.evidence) == ("customer", "form")


@pytest.mark.django_db
def test_a_no_that_came_while_they_were_one_stays_a_no_N12_N7():
    home, work = two()
    allows(home, "birthday", words="form", at=NOON)
    consent.withdraw(work, "birthday", evidence="phone", at=NOON)
    made = made_one(work, home)
    allows(home, "birthday", words="asked again", at=NOON + timedelta(hours=1))
    consent.withdraw(work, "birthday", evidence="an old link", at=NOON + timedelta(hours=2))  # leads to the kept one
    persons.undo(made.pk, by=colleague(), at=LATER)
    assert Consent.objects.filter(customer=home).order_by("-at", "-id")[0].state == "withdrawn"


@pytest.mark.django_db
def test_whoever_died_is_dead_in_both_records_P01():
    home, work = two()
    Customer.objects.filter(pk=work.pk).update(status=CustomerStatus.DECEASED)
    made = made_one(work, home)
    home.refresh_from_db()
    assert home.status == CustomerStatus.DECEASED
    persons.undo(made.pk, by=colleague(), at=LATER)
    home.refresh_from_db()
    work.refresh_from_db()
    assert (home.status, work.status) == (CustomerStatus.ACTIVE, CustomerStatus.DECEASED)


@pytest.mark.django_db
def test_a_person_has_one_birthday_and_loses_none_by_it_N12():
    home, work = two()
    for one, day in ((home, 4), (work, 5)):
        customers.tell_birthday(one, month=3, day=day, evidence="yes", at=NOON)
    made = made_one(work, home)
    assert LifeEvent.objects.get(customer=home).day == 4
    persons.undo(made.pk, by=colleague(), at=LATER)
    assert LifeEvent.objects.get(customer=work).day == 5


@pytest.mark.django_db
def test_an_account_sees_the_other_s_matters_only_when_that_was_said_to_be_right_C04():
    user = app_user()
    work = wrote("carla@work.example")
    with pytest.raises(persons.OpensToAccount):
        made_one(work, user.customer)
    assert Conversation.objects.get().customer == work
    made = made_one(work, user.customer, opens_to_account=True)
    assert Conversation.objects.visible_to(user).count() == 1
    persons.undo(made.pk, by=colleague(), at=LATER)
    assert Conversation.objects.visible_to(user).count() == 0


@pytest.mark.django_db
def test_two_accounts_of_one_person_both_work_R080():
    one, other = app_user(), app_user()
    made = made_one(one.customer, other.customer)
    assert set(User.objects.filter(is_staff=False).values_list("customer", flat=True)) == {other.customer_id}
    persons.undo(made.pk, by=colleague(), at=LATER)
    one.refresh_from_db()
    assert one.customer_id == made.gone_id


# --- refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_cannot_be_made_one_is_refused_and_nothing_has_changed_N12():
    home, work = two()
    before = HistoryEntry.objects.count()
    with pytest.raises(endings.ReasonMissing):
        persons.merge(work.pk, kept_id=home.pk, because=" ", by=colleague(email="a@shop.example"), at=NOON)
    with pytest.raises(persons.NotMergeable):
        made_one(home, home)
    with pytest.raises(Customer.DoesNotExist):
        persons.merge(0, kept_id=home.pk, because="x", by=colleague(), at=NOON)
    Customer.objects.filter(pk=work.pk).update(status=CustomerStatus.ERASED)
    with pytest.raises(persons.NotMergeable):
        made_one(work, home)
    assert not Merge.objects.exists()
    assert HistoryEntry.objects.exclude(verb="staff.enrolled").count() <= before
    for broken in ({"status": CustomerStatus.MERGED}, {"merged_into": home}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Customer.objects.filter(pk=work.pk).update(**broken)


@pytest.mark.django_db
def test_whoever_may_be_the_one_that_went_may_be_the_kept_one_R080():
    home, work = two()
    third = wrote("carla@third.example")
    for one, other, likelihood in ((work, third, "0.8"), (home, work, "0.9")):
        PersonSuggestion.objects.create(one=one, other=other, likelihood=likelihood, made_at=NOON)
    made_one(work, home)
    assert set(PersonSuggestion.objects.filter(state="open").values_list("one", "other")) == {
        (home.pk, third.pk), (work.pk, third.pk),
    }  # fmt: skip
    assert PersonSuggestion.objects.get(one=home, other=work).state == "one"
    apart = PersonSuggestion.objects.get(one=home, other=third)
    persons.are_two(apart.pk, because="mother and daughter", by=colleague(), at=NOON)
    with pytest.raises(persons.NotMergeable):
        persons.are_two(apart.pk, because="again", by=colleague(), at=NOON)


@pytest.mark.django_db
def test_whoever_gives_an_address_that_is_another_s_is_suggested_as_the_same_person_R080():
    home = wrote("carla@home.example")
    told = capture.Capture(
        key="k", channel=Channel.SOCIAL_PUBLIC, said="Broken!", url="https://place.example/1", account="carla_c",
        email="Carla@home.example",
    )  # fmt: skip
    heard = capture.write_down(told, by=colleague(), at=NOON)
    found = PersonSuggestion.objects.get()
    assert {found.one_id, found.other_id} == {home.pk, heard.conversation.customer_id}
    assert found.evidence == [["email", 3, 0.0]]
    assert heard.conversation.customer_id != home.pk  # a person decides
    persons.are_two(found.pk, because="her sister", by=colleague(), at=NOON)
    persons.told_both(home.pk, heard.conversation.customer_id, kind=ContactKind.EMAIL, at=NOON)
    assert PersonSuggestion.objects.get().state == "apart"


# --- parting --------------------------------------------------------------------------------------------------------------


def parted(source: Customer, points: list[int], conversations: list[int], **more: str) -> Customer:
    told = {"name": "Dora Customer", "because": "mother and daughter", **more}
    return partings.part(source.pk, points=points, conversations=conversations, by=colleague(), at=NOON, **told).made


@pytest.mark.django_db
def test_two_people_behind_one_record_are_parted_with_their_matters_R080():
    home = wrote("carla@home.example")
    second = intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation
    Conversation.objects.filter(pk=second.pk).update(customer=home)
    point = ContactPoint.objects.create(customer=home, kind="phone", address="+49301234567", created_at=NOON)
    allows(home, "birthday", words="form", at=NOON)

    made = parted(home, [point.pk], [second.pk])

    assert set(made.contact_points.values_list("pk", flat=True)) == {point.pk}
    second.refresh_from_db()
    assert second.customer == made
    assert set(OutgoingMessage.objects.filter(conversation=second).values_list("customer", flat=True)) <= {made.pk}
    assert not Consent.objects.filter(customer=made).exists()
    assert made.parted_from == home
    assert made_one(made, home).kept == home
    assert parted(home, [point.pk], []).parted_from == home


@pytest.mark.django_db
def test_what_cannot_be_parted_is_refused_R080():
    home, work = two()
    theirs = work.contact_points.get().pk
    with pytest.raises(partings.NotPartable):
        parted(home, [], [])
    with pytest.raises(partings.NotPartable):
        parted(home, [theirs], [])
    with pytest.raises(endings.ReasonMissing):
        parted(home, [home.contact_points.get().pk], [], because="")
    made_one(work, home)
    with pytest.raises(partings.NotPartable):
        parted(work, [theirs], [])
    assert Customer.objects.count() == 2


@pytest.mark.django_db
def test_with_the_app_goes_the_account_R080():
    user = app_user()
    customer = user.customer
    app = ContactPoint.objects.get(kind="app")
    made = parted(customer, [app.pk], [])
    user.refresh_from_db()
    assert user.customer == made


# --- races ---------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_who_make_the_same_two_one_at_once_one_does_N12():
    home, work = two()
    ada, ben = colleague(), colleague()

    def merge(gone: int, kept: int, by: User) -> str:
        try:
            persons.merge(gone, kept_id=kept, because="told us", by=by, at=NOON)
        except persons.NotMergeable:
            return "refused"
        return "done"

    results = at_once(lambda: merge(work.pk, home.pk, ada), lambda: merge(home.pk, work.pk, ben))

    assert sorted(map(str, results)) == ["done", "refused"]
    assert Customer.objects.filter(status=CustomerStatus.MERGED).count() == 1
    assert Merge.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_words_that_arrive_while_two_are_made_one_are_not_left_behind_N12():
    for number in range(8):
        home, work = wrote(f"h{number}@home.example"), wrote(f"w{number}@work.example")
        by = colleague()

        def write(number: int = number) -> None:
            for _ in range(3):
                intake.receive(message(sender_address=f"w{number}@work.example"), at=NOON, origin="test")

        def merge(gone: int = work.pk, kept: int = home.pk, by: User = by) -> None:
            persons.merge(gone, kept_id=kept, because="told us", by=by, at=NOON)

        at_once(write, merge)
        persons.gather(at=NOON)
        assert not Conversation.objects.filter(customer=work).exists()
        assert not OutgoingMessage.objects.filter(customer=work).exists()
        assert Interaction.objects.filter(conversation__customer=home, direction=Direction.INBOUND).count() == 5
        made = Merge.objects.get(gone=work)
        persons.undo(made.pk, by=by, at=NOON)
        strays = Conversation.objects.filter(pk__in=made.moved["crm.Conversation.customer"])
        assert set(strays.values_list("customer", flat=True)) == {work.pk}


@pytest.mark.django_db
def test_a_row_that_was_left_behind_is_gathered_and_goes_back_with_the_rest_N12():
    home, work = two()
    made = made_one(work, home)
    stray = Hold.objects.create(customer=work, key="x", reason="open_case", starts_at=NOON)
    assert persons.gather(at=NOON) == 1
    assert persons.gather(at=NOON) == 0
    stray.refresh_from_db()
    assert stray.customer == home
    persons.undo(made.pk, by=colleague(), at=NOON)
    stray.refresh_from_db()
    assert stray.customer == work


@pytest.mark.django_db
def test_a_matter_that_was_parted_off_before_stays_with_whom_it_was_when_a_merge_is_taken_back_N12_G19():
    """Its words came from the other record's address; it was the kept record's all the same before the two were made one."""
    home = wrote("carla@home.example")
    matter = Conversation.objects.get(customer=home)
    other = partings.part(
        home.pk, points=[], conversations=[matter.pk], name="Jo", because="her son", by=colleague(), at=NOON
    ).made
    merged = persons.merge(home.pk, kept_id=other.pk, because="a mistake", by=colleague(), at=NOON + timedelta(hours=1))
    since = intake.receive(
        message(sender_address="carla@home.example"), at=NOON + timedelta(hours=2), origin="test"
    ).conversation
    persons.undo(merged.pk, by=colleague(), at=LATER)
    matter.refresh_from_db()
    since.refresh_from_db()
    assert (matter.customer, since.customer) == (other, home)
