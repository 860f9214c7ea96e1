"""Accounts that customers make and change by themselves: what a stranger can do with somebody else's address (C04–C07)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from crm.actions import accounts, desk, intake
from crm.models import (
    AddressChange,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    OutgoingMessage,
    PersonSuggestion,
    SecondProof,
    User,
)
from crm.models.people import CustomerStatus
from crm.policy import Role
from recovery.actions import open_case
from recovery.policy import Facts
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message
from tests.evenhand.app import PASSWORD, App, code_sent_to, signed_up

pytestmark = pytest.mark.django_db
VICTIM = "vera@home.example"
ATTACKER = "mallory@else.example"


@pytest.fixture(autouse=True)
def _open(settings: Any) -> None:
    settings.EVENHAND_APP_SIGNUP = True


@pytest.fixture
def matter() -> Conversation:
    """Something the victim wrote by mail last month."""
    at = timezone.now() - timedelta(days=30)
    said = intake.receive(message("My secret lamp.", sender_address=VICTIM, spoke_at=at), at=at, origin="test")
    open_case(said.conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=at)
    return said.conversation


def subjects(app: App) -> list[str]:
    return [row["id"] for row in app.api("/conversations/").json()["results"]]


def reset_link(email: str) -> str:
    Client().post("/accounts/password/reset/", {"email": email})
    found = re.findall(r"/accounts/password/reset/key/\S+/", mail.outbox[-1].body)
    assert mail.outbox[-1].to == [email]
    assert found
    return str(found[0])


def resets(email: str, *, password: str) -> None:
    """The owner of an address sets a new password by the link that we send there."""
    browser = Client()
    page = browser.get(reset_link(email), follow=True)
    there = page.redirect_chain[-1][0]
    browser.post(there, {"password1": password, "password2": password})
    assert User.objects.get(email=email).check_password(password)


# --- signing up ---------------------------------------------------------------------------------------------------------


def test_sign_up_is_closed_unless_the_house_opens_it_and_never_on_the_pages(settings: Any) -> None:
    assert Client().post("/accounts/signup/", {"email": VICTIM, "password1": PASSWORD, "password2": PASSWORD})
    assert not User.objects.exists()
    settings.EVENHAND_APP_SIGNUP = False
    assert App().signs_up(VICTIM).status_code == 403
    assert not User.objects.exists()


def test_who_signs_up_with_somebodys_address_sees_nothing_before_it_is_proved_C04(matter: Conversation) -> None:
    app = App()
    answer = app.signs_up(VICTIM)
    assert answer.status_code == 401
    assert not app.is_in()
    assert not app.access
    user = User.objects.get(email=VICTIM)
    assert user.customer is None
    assert user.signed_up
    assert not user.is_staff
    assert app.types_code("000000").status_code == 400
    assert app.logs_in(VICTIM).status_code == 401
    assert app.api("/conversations/").status_code == 401
    assert Customer.objects.count() == 1


def test_a_proved_address_shows_what_starts_from_then_and_no_history_C04(matter: Conversation) -> None:
    app = signed_up(VICTIM)
    user = User.objects.get(email=VICTIM)
    assert user.customer_id == matter.customer_id
    assert subjects(app) == []
    assert app.api(f"/conversations/{matter.public_id}/").status_code == 404
    assert app.api(f"/conversations/{matter.public_id}/messages/", {"text": "Hello?"}).status_code == 404
    assert app.api("/cases/").json()["results"] == []
    since = intake.receive(message("A new one.", sender_address=VICTIM), at=timezone.now(), origin="test").conversation
    mine = app.api("/messages/", {"text": "Written in the app."}).json()["conversation"]
    assert set(subjects(app)) == {str(since.public_id), mine}
    assert not PersonSuggestion.objects.exists()


def test_words_of_before_in_a_matter_of_now_are_not_shown_C04(matter: Conversation) -> None:
    """A colleague may join an old matter to a new one; its old words stay closed."""
    app = signed_up(VICTIM)
    mine = app.api("/messages/", {"text": "Written in the app."}).json()["conversation"]
    matter.interactions.update(conversation=Conversation.objects.get(public_id=mine))
    read = app.api(f"/conversations/{mine}/").content.decode()
    assert "Written in the app." in read
    assert "secret lamp" not in read


def test_a_code_counts_in_the_session_that_asked_for_it_alone_C04(matter: Conversation) -> None:
    thief, other = App(), App()
    thief.signs_up(VICTIM)
    code = code_sent_to(VICTIM)
    assert other.types_code(code).status_code == 409
    assert User.objects.get(email=VICTIM).customer is None


def test_somebody_new_is_a_new_customer_C04() -> None:
    app = signed_up("new@home.example")
    user = User.objects.get(email="new@home.example")
    assert user.customer
    assert user.customer.contact_points.count() == 2
    assert app.api("/me/").json()["customer_id"] == str(user.customer.public_id)
    said = intake.receive(message(sender_address="new@home.example"), at=timezone.now(), origin="test")
    assert said.conversation.customer_id == user.customer_id


def test_the_dead_persons_mailbox_opens_nothing_C04_P02(matter: Conversation) -> None:
    Customer.objects.filter(pk=matter.customer_id).update(status=CustomerStatus.DECEASED)
    app = signed_up(VICTIM)
    assert User.objects.get(email=VICTIM).customer_id != matter.customer_id
    intake.receive(message("Later.", sender_address=VICTIM), at=timezone.now(), origin="test")
    assert subjects(app) == []


def test_an_address_that_has_an_account_is_answered_like_a_new_one_W01(matter: Conversation) -> None:
    app_user(email="known@home.example")
    new, known = App().signs_up("fresh@home.example"), App().signs_up("known@home.example")
    assert (new.status_code, known.status_code) == (401, 401)
    assert new.json()["data"] == known.json()["data"]
    assert [one.to for one in mail.outbox] == [["fresh@home.example"], ["known@home.example"]]


def test_nobody_signs_up_as_a_colleague_or_with_an_address_of_ours_C03_M08(settings: Any) -> None:
    settings.EVENHAND_INBOUND_DOMAIN = "in.shop.example"
    settings.EVENHAND_OWN_ADDRESSES = frozenset({"support@shop.example"})
    app = App()
    for address in ("r-1234@in.shop.example", "Support@shop.example"):
        assert app.signs_up(address).json()["errors"][0]["code"] == "our_own_address"
    answer = app.asks(
        "POST",
        "/auth/signup",
        {"email": VICTIM, "password": PASSWORD, "is_staff": True, "is_superuser": True, "customer": 1},
    )
    assert answer.status_code == 401
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.customer_id) == (False, False, None)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_staff=True)


def test_an_account_that_was_made_by_itself_cannot_be_given_history_without_a_proof_C04(matter: Conversation) -> None:
    signed_up(VICTIM)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(email=VICTIM).update(sees_since=None)


def test_sign_ups_that_nobody_proved_are_removed_and_the_address_is_free_again_C05() -> None:
    App().signs_up(VICTIM)
    proved = signed_up("new@home.example")
    assert accounts.follow_up(at=timezone.now() + timedelta(days=2)) == 0
    assert accounts.follow_up(at=timezone.now() + timedelta(days=4)) == 1
    assert list(User.objects.values_list("email", flat=True)) == ["new@home.example"]
    assert proved.is_in()


def test_mails_of_accounts_are_in_the_language_of_whoever_reads_them(matter: Conversation) -> None:
    app = App()
    app.http = Client(headers={"Accept-Language": "de-AT,de;q=0.8"})
    app.signs_up("neu@home.example")
    assert mail.outbox[-1].body.startswith("Hallo von")


# --- accounts that were made before their owner came ---------------------------------------------------------------------


def test_a_password_the_attacker_chose_is_gone_when_the_owner_sets_one_C05_classic_merge(matter: Conversation) -> None:
    """Variant 1: the attacker makes the account first; the owner comes by another way and takes it over."""
    App().signs_up(VICTIM, password="the attacker's own 1")
    owner = App()
    assert owner.signs_up(VICTIM).status_code == 401  # told by mail that there is an account
    resets(VICTIM, password=PASSWORD)
    assert owner.logs_in(VICTIM).status_code == 401
    assert owner.types_code(code_sent_to(VICTIM)).status_code == 200
    assert User.objects.get(email=VICTIM).customer_id == matter.customer_id
    assert App().logs_in(VICTIM, password="the attacker's own 1").status_code == 400


def test_a_session_of_before_the_reset_ends_C05_unexpired_session(matter: Conversation) -> None:
    """Variant 2: somebody who is in the account stays in it and waits; a reset ends sessions, access and refresh tokens."""
    thief = signed_up(VICTIM)
    assert thief.is_in()
    assert thief.api("/me/").status_code == 200
    resets(VICTIM, password="the owner's own 22")
    assert thief.api("/me/").status_code == 401
    assert thief.asks("POST", "/tokens/refresh", {"refresh_token": thief.refresh}).status_code in (400, 401)
    assert not thief.is_in()


def test_proving_the_address_ends_every_other_session_C05_unexpired_session() -> None:
    user = app_user(email=VICTIM)
    first = App()
    first.logs_in(VICTIM, password="right horse")
    assert first.is_in()
    accounts.prove_address(user.pk, email=VICTIM, proved_here=True, at=timezone.now())
    assert first.api("/me/").status_code == 401
    assert first.asks("POST", "/tokens/refresh", {"refresh_token": first.refresh}).status_code in (400, 401)
    assert not first.is_in()


def test_an_address_the_attacker_added_is_gone_with_the_reset_C05_trojan_identifier(matter: Conversation) -> None:
    """Variant 3: a second identifier that waits in the account to recover it later."""
    thief = App()
    thief.signs_up(VICTIM)
    user = User.objects.get(email=VICTIM)
    EmailAddress.objects.create(user=user, email=ATTACKER, verified=False, primary=False)
    resets(VICTIM, password=PASSWORD)
    assert list(EmailAddress.objects.filter(user=user).values_list("email", flat=True)) == []
    owner = App()
    owner.logs_in(VICTIM)
    owner.types_code(code_sent_to(VICTIM))
    assert list(EmailAddress.objects.filter(user=user).values_list("email", "verified")) == [(VICTIM, True)]
    Client().post("/accounts/password/reset/", {"email": ATTACKER})
    assert "/key/" not in mail.outbox[-1].body


def test_what_was_added_before_the_proof_is_gone_after_it_C05_trojan_identifier() -> None:
    thief = App()
    thief.signs_up(VICTIM)
    user = User.objects.get(email=VICTIM)
    EmailAddress.objects.create(user=user, email=ATTACKER, verified=False, primary=False)
    other = User.objects.create_user("other@home.example", None)
    EmailAddress.objects.create(user=other, email=VICTIM, verified=False, primary=False)
    thief.types_code(code_sent_to(VICTIM))
    assert list(EmailAddress.objects.values_list("user", "email")) == [(user.pk, VICTIM)]


def test_a_change_that_was_begun_before_the_reset_cannot_be_finished_C05_unexpired_email_change() -> None:
    """Variant 4: the attacker asks for a change to their own address and finishes it after the owner is back."""
    thief = signed_up(VICTIM)
    thief.asks("POST", "/auth/reauthenticate", {"password": PASSWORD})
    assert thief.asks("POST", "/account/email", {"email": ATTACKER}).status_code == 200
    code = code_sent_to(ATTACKER)
    resets(VICTIM, password="the owner's own 22")
    assert thief.types_code(code).status_code in (401, 409, 410)
    assert User.objects.get().email == VICTIM
    assert not AddressChange.objects.exists()


# --- the history ---------------------------------------------------------------------------------------------------------


def another_address(matter: Conversation, address: str = "vera@work.example", **changes: Any) -> ContactPoint:
    long_ago = timezone.now() - timedelta(days=20)
    return ContactPoint.objects.create(
        **{
            "customer": matter.customer,
            "kind": "email",
            "address": address,
            "created_at": long_ago,
            "verified_at": long_ago,
            **changes,
        }
    )


def code_in_letter() -> str:
    letter = OutgoingMessage.objects.filter(key__startswith="crm.second_proof").latest("pk")
    found = re.search(r"^(\d{8})$", letter.text, re.MULTILINE)
    assert found
    return found[1]


def test_a_code_to_another_proved_address_opens_the_history_C04(matter: Conversation) -> None:
    another_address(matter)
    app = signed_up(VICTIM)
    told = app.api("/me/history/").json()
    assert told["sees_since"]
    assert told["can_be_sent_a_code"]
    assert app.api("/me/history/", {}).json()["code"] == "second_proof_missing"
    assert app.api("/me/history/code/", {}).status_code == 204
    assert OutgoingMessage.objects.latest("pk").address == "vera@work.example"
    code = code_in_letter()
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    assert app.api("/me/history/", {"code": wrong}).json()["code"] == "wrong_code"
    assert subjects(app) == []
    assert app.api("/me/history/", {"code": code}).json()["sees_since"] is None
    assert subjects(app) == [str(matter.public_id)]
    assert [case["conversation"] for case in app.api("/cases/").json()["results"]] == [str(matter.public_id)]
    assert HistoryEntry.objects.filter(verb="account.history_opened").count() == 1


def test_a_code_is_tried_five_times_and_lasts_ten_minutes_C04_C09(matter: Conversation) -> None:
    another_address(matter)
    app = signed_up(VICTIM)
    user = User.objects.get(email=VICTIM)
    app.api("/me/history/code/", {})
    code = code_in_letter()
    for _ in range(5):
        assert app.api("/me/history/", {"code": "x"}).status_code == 400
    assert app.api("/me/history/", {"code": code}).status_code == 400
    assert SecondProof.objects.get().tries == 5
    accounts.send_code(user.pk, at=timezone.now())
    with pytest.raises(accounts.WrongCode):
        accounts.open_history(user.pk, code=code_in_letter(), at=timezone.now() + timedelta(minutes=11))
    with pytest.raises(accounts.WrongCode):
        accounts.open_history(user.pk, code=code, at=timezone.now())
    accounts.send_code(user.pk, at=timezone.now())
    assert app.api("/me/history/code/", {}).json()["code"] == "codes_used_up"


@pytest.mark.parametrize(
    "changes",
    [
        {"verified_at": None},
        {"unlinked_at": NOON},
        {"unconfirmed_since": NOON, "unconfirmed_because": "came back"},
        {"verified_at": timezone.now() + timedelta(days=1)},
    ],
)
def test_a_code_goes_to_no_address_that_is_doubtful_or_newer_than_the_account_C04(
    matter: Conversation, changes: dict[str, Any]
) -> None:
    another_address(matter, **changes)
    app = signed_up(VICTIM)
    assert app.api("/me/history/code/", {}).json()["code"] == "no_second_way"
    assert not SecondProof.objects.exists()


def test_a_second_factor_counts_once_it_has_stood_for_a_day_C04(matter: Conversation) -> None:
    from allauth.mfa.models import Authenticator

    app = signed_up(VICTIM)
    user, now = User.objects.get(email=VICTIM), timezone.now()
    factor = Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    accounts.second_factor_shown(user.pk, factor_id=factor.pk, at=now)
    assert app.api("/me/history/", {}).json()["code"] == "second_proof_missing"
    later = now + timedelta(hours=25)
    accounts.second_factor_shown(user.pk, factor_id=factor.pk, at=later)
    with pytest.raises(accounts.SecondProofMissing):
        accounts.open_history(user.pk, at=later + timedelta(minutes=16))
    accounts.open_history(user.pk, at=later + timedelta(minutes=14))
    assert subjects(app) == [str(matter.public_id)]


def test_an_invited_customer_sees_all_as_before(matter: Conversation) -> None:
    user = app_user(email="invited@home.example")
    User.objects.filter(pk=user.pk).update(customer=matter.customer)
    app = App()
    assert app.logs_in("invited@home.example", password="right horse").status_code == 200
    assert subjects(app) == [str(matter.public_id)]


# --- another address -----------------------------------------------------------------------------------------------------


def changes_address(app: App, to: str, *, password: str = PASSWORD) -> Any:
    assert app.asks("POST", "/auth/reauthenticate", {"password": password}).status_code == 200
    assert app.asks("POST", "/account/email", {"email": to}).status_code == 200
    return app.types_code(code_sent_to(to))


def undo_path() -> str:
    letter = OutgoingMessage.objects.get(key__startswith="address-change:")
    found = re.search(r"(/account/address/\S+/)", letter.text)
    assert found
    assert found[1] in letter.html
    return found[1]


def test_a_change_of_address_needs_the_password_again_C07() -> None:
    app = signed_up(VICTIM)
    assert app.asks("POST", "/account/email", {"email": ATTACKER}).status_code == 401
    assert len(mail.outbox) == 1


def test_the_old_address_is_told_and_takes_the_change_back_C07(matter: Conversation) -> None:
    Customer.objects.filter(pk=matter.customer_id).update(language="de")
    signed_up(VICTIM)
    thief = App()
    assert thief.logs_in(VICTIM).status_code == 200
    assert changes_address(thief, ATTACKER).status_code == 200
    user = User.objects.get()
    assert user.email == ATTACKER
    assert user.address_changed_at is not None
    assert thief.is_in()
    letter = OutgoingMessage.objects.get(key__startswith="address-change:")
    assert (letter.address, letter.kind) == (VICTIM, "notice")
    assert "Adresse" in letter.subject
    assert ATTACKER not in letter.text
    path, before = undo_path(), user.password
    page = Client().get(path)
    assert page.status_code == 200
    assert b"<button" in page.content
    assert VICTIM.encode() not in page.content
    assert page["Cache-Control"] == "no-store"
    user.refresh_from_db()
    assert (user.email, user.password) == (ATTACKER, before)
    assert Client().post(path).status_code == 200
    user.refresh_from_db()
    assert user.email == VICTIM
    assert not user.has_usable_password()
    assert list(EmailAddress.objects.values_list("email", "verified")) == [(VICTIM, True)]
    assert thief.api("/me/").status_code == 401
    assert not thief.is_in()
    assert App().logs_in(ATTACKER).status_code == 400
    assert Client().post(path).status_code == 404
    resets(VICTIM, password="the owner's own 22")
    assert App().logs_in(VICTIM, password="the owner's own 22").status_code == 200


def test_the_link_ends_after_a_day_and_another_ones_does_nothing_C07() -> None:
    app = signed_up(VICTIM)
    changes_address(app, ATTACKER)
    path = undo_path()
    for forged in (path[:-2] + "/", path.replace("address/", "address/x"), "/account/address/x/"):
        assert Client().post(forged).status_code == 404
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert Client().get(path).status_code == 404
        assert Client().post(path).status_code == 404
    assert User.objects.get().email == ATTACKER


def test_contact_points_follow_after_the_day_and_not_before_C07() -> None:
    app = signed_up(VICTIM)
    changes_address(app, "vera@new.example")
    customer = User.objects.get().customer
    assert customer

    def mails() -> set[str]:
        return set(customer.contact_points.filter(kind="email", unlinked_at=None).values_list("address", flat=True))

    assert accounts.settle_changes(at=timezone.now() + timedelta(hours=23)) == 0
    assert mails() == {VICTIM}
    assert accounts.settle_changes(at=timezone.now() + timedelta(hours=25)) == 1
    assert mails() == {"vera@new.example"}
    assert accounts.settle_changes(at=timezone.now() + timedelta(hours=26)) == 0


def test_somebody_elses_address_brings_none_of_their_history_C07(matter: Conversation) -> None:
    """Changing one's address to one that is known here shows nothing of it, not even after the day; a colleague is asked."""
    app = signed_up("mine@home.example")
    me = User.objects.get().customer
    changes_address(app, VICTIM)
    assert subjects(app) == []
    accounts.settle_changes(at=timezone.now() + timedelta(hours=25))
    assert subjects(app) == []
    assert User.objects.get().customer == me
    assert ContactPoint.objects.get(address=VICTIM, unlinked_at=None).customer_id == matter.customer_id
    assert PersonSuggestion.objects.count() == 1


def test_history_stays_closed_for_a_day_after_a_change_and_data_for_a_week_C07_P06(matter: Conversation) -> None:
    another_address(matter)
    app = signed_up(VICTIM)
    changes_address(app, "vera@new.example")
    user, now = User.objects.get(), timezone.now()
    app.api("/me/history/code/", {})
    assert app.api("/me/history/", {"code": code_in_letter()}).json()["code"] == "address_is_new"
    assert subjects(app) == []
    user.refresh_from_db()
    assert not accounts.may_ask_for_their_data(user, at=now)
    later = now + timedelta(days=8)
    assert not accounts.may_ask_for_their_data(user, at=later)
    user.second_factor_at = later
    assert accounts.may_ask_for_their_data(user, at=later)


def test_two_changes_in_a_row_are_undone_by_the_first_address_C07() -> None:
    app = signed_up(VICTIM)
    changes_address(app, ATTACKER)
    path = undo_path()
    changes_address(app, "third@else.example")
    assert User.objects.get().email == "third@else.example"
    assert Client().post(path).status_code == 200
    assert User.objects.get().email == VICTIM
    assert not AddressChange.objects.filter(undone_at=None).exists()


def test_an_undone_address_that_has_another_account_by_now_is_refused_whole_C07() -> None:
    app = signed_up(VICTIM)
    changes_address(app, ATTACKER)
    signed_up(VICTIM)
    path = re.search(r"(/account/address/\S+/)", OutgoingMessage.objects.latest("pk").text)
    assert path
    assert Client().post(path[1]).status_code == 404
    assert User.objects.filter(email=ATTACKER).exists()
    assert AddressChange.objects.get().undone_at is None


def test_a_colleague_changes_no_address_by_themselves_M08() -> None:
    user = colleague(Role.AGENT)
    browser = Client()
    browser.force_login(user)
    browser.post("/accounts/reauthenticate/", {"password": "right horse"})
    browser.post("/accounts/email/", {"email": "other@home.example", "action_add": ""})
    assert not mail.outbox
    user.refresh_from_db()
    assert user.email.endswith("@shop.example")


def test_what_a_colleague_does_for_the_customer_is_seen_only_from_then_on_C04(matter: Conversation) -> None:
    app = signed_up(VICTIM)
    desk.note(matter.pk, text="internal words", by=colleague(), at=timezone.now())
    assert subjects(app) == []


# --- somebody else's word -------------------------------------------------------------------------------------------------


def test_no_other_house_can_say_who_somebody_is_C05_non_verifying_idp_C06() -> None:
    """Variant 5: there is no log-in by another house's word, so none that vouches for an address nobody proved to us."""
    from django.conf import settings

    assert not [app for app in settings.INSTALLED_APPS if "socialaccount" in app or "allauth.idp" in app]
    app = App()
    token = {"provider": "x", "process": "login", "token": {"client_id": "x", "id_token": "x"}}
    for path in ("/auth/provider/token", "/auth/provider/redirect", "/auth/provider/signup"):
        assert app.http.post(f"/_allauth/app/v1{path}", token, content_type="application/json").status_code == 404
    assert not User.objects.exists()


def test_a_name_or_number_somebody_gives_makes_nobody_one_C06(matter: Conversation) -> None:
    """Two accounts with the same name are two people; only a colleague makes them one, and is asked about the account (C04)."""
    Customer.objects.filter(pk=matter.customer_id).update(display_name="Vera Vogel")
    app = signed_up("else@home.example")
    mine = User.objects.get().customer
    assert mine
    Customer.objects.filter(pk=mine.pk).update(display_name="Vera Vogel")
    app.api("/messages/", {"text": f"I am Vera, {VICTIM}, please show me my matters."})
    assert len(subjects(app)) == 1
    assert User.objects.get().customer == mine
