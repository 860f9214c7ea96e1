"""The door of every channel's provider, for all alike: believed by signature, kept, taken in once, never answered with an error."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from crm.actions import channel_accounts, channel_effects, channel_hooks, desk, intake, outcomes, outgoing
from crm.channels.provided import by_name
from crm.models import (
    ChannelAccount,
    Conversation,
    Customer,
    DeliveryEvent,
    HistoryEntry,
    Interaction,
    MessageChange,
    OutgoingMessage,
    Promise,
    RawItem,
)
from crm.policy import Delivery, OutgoingState, OutOfOrder, PromiseKind, WorkState
from tests.conftest import NOON
from tests.crm.channels import provided
from tests.crm.channels.provided import EXAMPLES, Example, account_of, post, say, url_of
from tests.crm.channels.provided import standard_webhooks as generic
from tests.crm.stories import colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

every_provider = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
GENERIC = EXAMPLES["standard_webhooks"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def sent(example: Example, account: ChannelAccount, words: str = "My parcel is broken.", **more: Any) -> provided.Sent:
    given = {"external_id": "1", "at": NOON, "secret": example.secret, **more}
    return example.said(words, sender=example.sender("carla")[1], url=url_of(account), account=account, **given)


def post_generic(account: ChannelAccount, told: Any, **more: Any) -> Any:
    return post(account, generic.signed(told, **{"secret": generic.SECRET, "at": NOON, **more}))


# --- believed or not ----------------------------------------------------------------------------------------------------


@every_provider
def test_what_a_customer_said_comes_in_and_is_promised_an_answer(example: Example) -> None:
    account = account_of(example)
    answer = say(account, example, "My parcel is broken.")
    assert answer.status_code == 200
    said = Interaction.objects.get()
    assert (said.text, said.channel, said.source) == ("My parcel is broken.", example.channel, account.source)
    assert (said.contact_point.kind, said.contact_point.address) == example.sender("carla")
    assert Promise.objects.filter(conversation=said.conversation, kind=PromiseKind.FIRST_RESPONSE).exists()
    raw = RawItem.objects.get()
    assert (raw.state, raw.kind, said.raw) == (WorkState.DONE, "said", raw)
    account.refresh_from_db()
    assert (account.last_event_at, account.last_good_at, account.error) == (NOON, NOON, "")


PROOF = re.compile(r"sign|secret|token|timestamp|authorization", re.IGNORECASE)
"""Headers that say that a post is genuine."""


@every_provider
def test_both_secrets_are_believed_while_one_takes_the_place_of_the_other_H01(example: Example) -> None:
    account = account_of(example)
    if not example.other_secret:
        pytest.skip("this provider has one secret")
    for number, secret in enumerate((example.secret, example.other_secret)):
        assert say(account, example, f"Number {number}", secret=secret).status_code == 200
    assert Interaction.objects.count() == 2


@every_provider
def test_a_wrong_or_missing_signature_leaves_nothing_but_a_count_H01_W(example: Example) -> None:
    account = account_of(example)
    genuine = sent(example, account)
    bare = {name: value for name, value in genuine.headers.items() if name == "Content-Type"}
    proofs = [name for name in genuine.headers if PROOF.search(name)]
    attempts = [
        sent(example, account, secret=example.secret[:-4] + "AAA="),
        replace(genuine, headers=bare, query=""),
        *([replace(genuine, body=genuine.body + b" ")] if example.is_body_signed else []),
        # Each proof twice, as a server joins headers of one name, and each left empty.
        *(
            replace(genuine, headers={**genuine.headers, name: f"{genuine.headers[name]},{genuine.headers[name]}"})
            for name in proofs
        ),
        *(replace(genuine, headers={**genuine.headers, name: ""}) for name in proofs),
    ]
    # Whoever posts to an account whose provider is asked is not believed either.
    posts = [replace(one, method="POST") if one.method == "POLL" else one for one in attempts]
    refused = [post(account, one).status_code for one in posts]
    assert set(refused) <= {401, 403, 400}
    assert refused[0] in (401, 403)
    assert not RawItem.objects.exists()
    assert not Interaction.objects.exists()
    account.refresh_from_db()
    assert account.refused_count >= 2
    assert account.refused_at == NOON
    assert account.last_event_at is None


@every_provider
def test_an_old_post_is_refused_by_its_time_or_known_by_its_id_H02(example: Example) -> None:
    account = account_of(example)
    genuine = sent(example, account)
    assert post(account, genuine).status_code == 200
    with time_machine.travel(NOON + 6 * MINUTE, tick=False):
        assert post(account, genuine).status_code == (403 if example.is_signed_over_time else 200)
    with time_machine.travel(NOON + timedelta(days=3), tick=False):  # the provider tries again, freshly signed
        again = sent(example, account, at=NOON + timedelta(days=3))
        assert post(account, again).status_code == 200
    assert Interaction.objects.count() == 1


def test_json_that_was_written_anew_is_not_what_was_signed_H01() -> None:
    account = account_of(GENERIC)
    genuine = sent(GENERIC, account, "Grüße")
    anew = json.dumps(json.loads(genuine.body), indent=1).encode()
    assert post(account, replace(genuine, body=anew)).status_code == 401


def test_an_account_that_is_off_or_unknown_is_not_there_H07() -> None:
    account = account_of(GENERIC)
    genuine = sent(GENERIC, account)
    channel_accounts.switch(account.pk, on=False, by=None, at=NOON)
    assert post(account, genuine).status_code == 404
    assert Client().post("/hooks/channel/018f0000-0000-7000-8000-000000000000/").status_code == 404
    assert not RawItem.objects.exists()


def test_a_post_for_another_account_is_refused_since_the_address_says_whose_it_is_H07() -> None:
    ours = account_of(GENERIC)
    other = account_of(GENERIC, own_id="another", secret_from=provided.OLDER, other_secret_from="")
    assert post(other, sent(GENERIC, ours)).status_code == 401
    named = generic.created("Hello", sender="chat:carla", external_id="1", to="another")
    assert post_generic(ours, named).status_code == 200
    assert not Interaction.objects.exists()
    assert RawItem.objects.get().kind == "not_for_us"


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(method: str) -> None:
    account = account_of(GENERIC)
    assert getattr(Client(), method)(f"/hooks/channel/{account.public_id}/").status_code == 405


def test_looking_whether_the_address_is_there_changes_nothing_W02() -> None:
    account = account_of(GENERIC)
    assert Client().head(f"/hooks/channel/{account.public_id}/").status_code == 200
    assert Client().get(f"/hooks/channel/{account.public_id}/").status_code == 200
    assert not RawItem.objects.exists()


def test_a_flood_of_bytes_or_fields_is_refused_before_it_is_read_W07_F27() -> None:
    account = account_of(EXAMPLES["twilio_sms"])
    path = f"/hooks/channel/{account.public_id}/"
    kind = "application/x-www-form-urlencoded"
    assert Client().post(path, b"", content_type=kind, CONTENT_LENGTH=str(10**9)).status_code == 413
    assert Client().post(path, b"a=1", content_type=kind, CONTENT_LENGTH="a few").status_code == 400
    many = "&".join(f"f{number}=1" for number in range(10_000)).encode()
    answer = Client().post(path, many, content_type=kind, headers={"X-Twilio-Signature": "AAAA"})
    assert answer.status_code == 400
    assert not RawItem.objects.exists()


def test_the_host_header_makes_no_difference_to_what_was_signed_W08(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    example = EXAMPLES["twilio_sms"]
    account = account_of(example)
    genuine = sent(example, account)
    path = f"/hooks/channel/{account.public_id}/"
    headers = {name: value for name, value in genuine.headers.items() if name != "Content-Type"}
    answer = Client().post(
        path, genuine.body, content_type=genuine.headers["Content-Type"], headers=headers, HTTP_HOST="evil.example"
    )
    assert answer.status_code == 200
    assert "evil" not in channel_accounts.hook_url(account)


@every_provider
def test_no_secret_stands_in_a_row_a_history_or_a_log(example: Example, caplog: pytest.LogCaptureFixture) -> None:
    account = account_of(example)
    say(account, example, "Hello")
    say(account, example, "Hello", secret=example.secret[:-4] + "AAA=")
    channel_accounts.change(account.pk, replace(channel_accounts.draft_of(account), name="Renamed"), by=None, at=NOON)
    stored = json.dumps(list(HistoryEntry.objects.values("detail")), default=str)
    stored += json.dumps(list(ChannelAccount.objects.values()), default=str)
    stored += json.dumps(list(RawItem.objects.values("facts", "label", "reason")), default=str) + caplog.text
    for secret in (example.secret, example.other_secret, example.credential):
        assert not secret or secret not in stored


# --- once, whatever comes how often ---------------------------------------------------------------------------------------


@every_provider
def test_the_same_event_twice_is_one_interaction_H03_F25(example: Example) -> None:
    account = account_of(example)
    for _number in range(3):
        assert post(account, sent(example, account)).status_code == 200
    assert Interaction.objects.count() == 1
    assert Customer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@every_provider
def test_eight_senders_at_once_make_one_interaction_H03_F25(example: Example) -> None:
    account = account_of(example)
    one = sent(example, account)
    codes = at_once(*[lambda: post(account, one).status_code for _number in range(8)])
    assert codes == [200] * 8
    assert (Interaction.objects.count(), Conversation.objects.count(), Customer.objects.count()) == (1, 1, 1)
    assert RawItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_deliveries_of_one_event_in_bodies_of_their_own_make_one_interaction_H03() -> None:
    account = account_of(GENERIC)
    told = generic.created("Hello", sender="chat:carla", external_id="1")
    posts = [generic.signed(told, secret=generic.SECRET, at=NOON, delivery=f"d{number}") for number in range(8)]
    codes = at_once(*[lambda one=one: post(account, one).status_code for one in posts])
    assert codes == [200] * 8
    assert (Interaction.objects.count(), Conversation.objects.count(), RawItem.objects.count()) == (1, 1, 8)


@pytest.mark.django_db(transaction=True)
def test_eight_messages_of_one_new_person_at_once_are_one_matter() -> None:
    account = account_of(GENERIC)
    posts = [sent(GENERIC, account, f"Part {number}", external_id=f"{number}") for number in range(8)]
    codes = at_once(*[lambda one=one: post(account, one).status_code for one in posts])
    assert codes == [200] * 8
    assert (Interaction.objects.count(), Conversation.objects.count(), Customer.objects.count()) == (8, 1, 1)


def test_one_id_with_two_messages_is_kept_for_a_person() -> None:
    account = account_of(GENERIC)
    post(account, sent(GENERIC, account, "One thing"))
    answer = post(account, sent(GENERIC, account, "Another thing"))
    assert answer.status_code == 200
    assert Interaction.objects.get().text == "One thing"
    parked = RawItem.objects.get(state=WorkState.PARKED)
    assert parked.reason.startswith("idempotency_key_reused")
    account.refresh_from_db()
    assert account.error == "idempotency_key_reused"


def test_a_second_message_goes_on_with_the_same_matter_and_another_persons_does_not() -> None:
    account = account_of(GENERIC)
    for words in ("First", "Second"):
        say(account, GENERIC, words)
    say(account, GENERIC, "Third", by="dan")
    assert Conversation.objects.count() == 2
    assert Interaction.objects.filter(text__in=["First", "Second"]).values("conversation").distinct().count() == 1


# --- trouble ----------------------------------------------------------------------------------------------------------------


@every_provider
def test_what_nobody_knows_is_kept_and_answered_well_H06(example: Example) -> None:
    account = account_of(example)
    answer = post(account, example.unknown(at=NOON, secret=example.secret, url=url_of(account), account=account))
    assert answer.status_code == 200
    raw = RawItem.objects.get()
    assert raw.kind == "unknown_event"
    assert bytes(raw.content)
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"type": "message.created", "data": {"id": "1"}}', b"\xff\xfe", b'{"events": 7}'],
)
def test_what_cannot_be_read_is_kept_and_parked_after_three_attempts_H06_F24(body: bytes) -> None:
    account = account_of(GENERIC)
    genuine = generic.signed({}, secret=generic.SECRET, at=NOON)
    spoilt = replace(genuine, body=body, headers={**genuine.headers, **_signature(body)})
    assert post(account, spoilt).status_code == 200
    raw = RawItem.objects.get()
    assert (raw.state, raw.attempt) == (WorkState.CLAIMED, 1)
    for _number in range(2):
        RawItem.objects.update(lease_until=NOON - timedelta(days=3650))
        assert channel_hooks.apply_batch(at=NOON) == 1
    raw.refresh_from_db()
    assert (raw.state, bytes(raw.content)) == (WorkState.PARKED, body)
    assert raw.reason
    assert channel_hooks.apply_batch(at=NOON) == 0


def _signature(body: bytes) -> dict[str, str]:
    import base64
    import hashlib
    import hmac

    stated = str(int(NOON.timestamp()))
    key = base64.b64decode(generic.SECRET.removeprefix("whsec_"))
    mark = hmac.new(key, f"d1.{stated}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": "d1",
        "webhook-timestamp": stated,
        "webhook-signature": f"v1,{base64.b64encode(mark).decode()}",
    }


@every_provider
def test_when_the_effects_fail_the_bytes_are_kept_and_the_lane_repeats_them_Q1(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_of(example)
    works = intake.take

    def stumbles(*_given: Any, **_more: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(intake, "take", stumbles)
    assert post(account, sent(example, account)).status_code == 200
    raw = RawItem.objects.get()
    assert (raw.state, raw.attempt, raw.reason) == (WorkState.CLAIMED, 1, "RuntimeError")
    assert not Interaction.objects.exists()
    monkeypatch.setattr(intake, "take", works)
    RawItem.objects.update(lease_until=NOON - timedelta(days=3650))
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):
        assert channel_hooks.apply_batch(at=NOON + 2 * MINUTE) == 1
    said = Interaction.objects.get()
    assert said.ingested_at == NOON  # it was held by us from then on
    assert said.spoke_at == NOON
    raw.refresh_from_db()
    assert (raw.state, raw.reason) == (WorkState.DONE, "")


def test_one_bad_event_of_a_batch_takes_no_others_with_it_F24() -> None:
    account = account_of(GENERIC)
    events = [
        generic.created(f"Number {number}", sender=f"chat:{number}", external_id=f"{number}") for number in range(100)
    ]
    events[50]["data"]["text"] = "   "
    began = time.perf_counter()
    assert post_generic(account, {"events": events}).status_code == 200
    assert time.perf_counter() - began < 1  # what does not fit into a second is kept, and the lane takes it in
    assert channel_hooks.apply_batch(at=NOON) == 1
    assert Interaction.objects.count() == 99
    raw = RawItem.objects.get()
    assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.PARKED, "nothing_said")


def test_an_event_of_a_batch_that_cannot_be_read_takes_no_others_with_it_and_waits_for_a_person_F24() -> None:
    account = account_of(GENERIC)
    good = [generic.created(f"Number {number}", sender=f"chat:{number}", external_id=f"{number}") for number in (1, 2)]
    bad = [7, {"type": "message.created", "data": {"id": "3", "text": "From nobody"}}]
    assert post_generic(account, {"events": [good[0], *bad, good[1]]}).status_code == 200
    assert set(Interaction.objects.values_list("text", flat=True)) == {"Number 1", "Number 2"}
    raw = RawItem.objects.get()
    assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.PARKED, "event_not_readable")


@pytest.mark.parametrize("stated", ["yesterday", "2026-03-02T09:00:00", "0001-01-01T00:00:00+14:00", 7])
def test_a_time_that_says_nothing_keeps_nobody_waiting_H05(stated: Any) -> None:
    account = account_of(GENERIC)
    told = generic.created("Hi there", sender="chat:carla", external_id="1")
    told["data"]["spoke_at"] = stated
    post_generic(account, told)
    assert Interaction.objects.get().spoke_at == NOON


def test_a_batch_has_at_most_a_hundred_events() -> None:
    account = account_of(GENERIC)
    events = [generic.created("Hi", sender=f"chat:{number}", external_id=f"{number}") for number in range(101)]
    assert post_generic(account, {"events": events}).status_code == 200
    assert not Interaction.objects.exists()
    assert RawItem.objects.get().reason == "TooMany"


def test_a_parked_post_is_tried_again_when_a_person_says_so() -> None:
    account = account_of(GENERIC)
    post_generic(account, generic.created("  ", sender="chat:carla", external_id="1"))
    raw = RawItem.objects.get(state=WorkState.PARKED)
    channel_hooks.try_again(raw.pk)
    assert channel_hooks.apply_batch(at=NOON) == 1
    raw.refresh_from_db()
    assert raw.state == WorkState.PARKED


def test_a_post_is_answered_within_a_second() -> None:
    account = account_of(GENERIC)
    say(account, GENERIC, "Warm")
    began = time.perf_counter()
    say(account, GENERIC, "Hello")
    assert time.perf_counter() - began < 1


# --- clocks -------------------------------------------------------------------------------------------------------------------


def test_a_signed_source_says_when_somebody_spoke_within_bounds_H05() -> None:
    account = account_of(GENERIC)
    for number, (stated, believed) in enumerate(
        [
            (NOON - timedelta(hours=6), NOON - timedelta(hours=6)),
            (NOON + timedelta(hours=1), NOON),
            (NOON - timedelta(days=400), NOON - channel_effects.BELIEVED_FOR),
        ]
    ):
        told = generic.created("Hello", sender=f"chat:{number}", external_id=f"{number}", spoke_at=stated)
        post_generic(account, told)
        said = Interaction.objects.get(external_id=f"{number}")
        assert (said.spoke_at, said.ingested_at) == (believed, NOON)
        first = Promise.objects.get(conversation=said.conversation, kind=PromiseKind.FIRST_RESPONSE)
        assert first.starts_at == believed


# --- edits, deletions, echoes -----------------------------------------------------------------------------------------------


def test_edits_in_every_order_end_the_same_and_earlier_words_stay_H04() -> None:
    for number, order in enumerate(itertools.permutations(range(4))):
        account = account_of(GENERIC, own_id=f"shop-{number}")
        for step in order:
            if step == 0:
                told = generic.created(
                    "Fisrt words", sender="chat:carla", external_id="1", spoke_at=NOON - timedelta(hours=1)
                )
                assert post_generic(account, told, delivery=f"m{number}").status_code == 200
            else:
                about = {"id": "1", "text": f"Words {step}", "updated_at": (NOON - (4 - step) * MINUTE).isoformat()}
                edit = {"type": "message.updated", "id": f"e{step}", "data": about}
                assert post_generic(account, edit, delivery=f"m{number}e{step}").status_code == 200
        said = Interaction.objects.get(source=account.source)
        assert (said.text, said.edited_at) == ("Words 3", NOON - MINUTE), order
        changes = MessageChange.objects.filter(interaction=said)
        words = {*changes.values_list("text", flat=True), *changes.values_list("text_before", flat=True)}
        assert {"Fisrt words", "Words 1", "Words 2"} <= words, order


@pytest.mark.parametrize("first", ["message", "deletion"])
def test_a_deletion_takes_the_words_away_and_leaves_row_and_clocks(first: str) -> None:
    account = account_of(GENERIC)
    told = generic.signed(
        generic.created("Secret words", sender="chat:carla", external_id="1"), secret=generic.SECRET, at=NOON
    )
    gone = generic.deleted("1", at=NOON, secret=generic.SECRET)
    for one in (told, gone) if first == "message" else (gone, told):
        assert post(account, one).status_code == 200
    said = Interaction.objects.get()
    assert (said.text, said.full_text, said.withdrawn_at) == ("", "", NOON)
    assert said.spoke_at == NOON
    assert Promise.objects.filter(
        conversation=said.conversation, kind=PromiseKind.FIRST_RESPONSE, state="running"
    ).exists()
    assert not [raw for raw in RawItem.objects.all() if b"Secret words" in bytes(raw.content)]
    assert HistoryEntry.objects.filter(verb="interaction.withdrawn").count() == 1
    again = generic.created("Secret words", sender="chat:carla", external_id="1")
    assert post_generic(account, again, delivery="once more").status_code == 200
    assert Interaction.objects.get().text == ""
    assert not [raw for raw in RawItem.objects.all() if b"Secret words" in bytes(raw.content)]


def test_a_deletion_also_takes_what_was_said_before_an_edit() -> None:
    account = account_of(GENERIC)
    post_generic(account, generic.created("Secret one", sender="chat:carla", external_id="1"))
    post_generic(account, {"type": "message.updated", "id": "e", "data": {"id": "1", "text": "Secret two"}})
    post(account, generic.deleted("1", at=NOON, secret=generic.SECRET))
    kept = [
        *MessageChange.objects.values_list("text", flat=True),
        *MessageChange.objects.values_list("text_before", flat=True),
    ]
    assert not any(kept)
    assert not [raw for raw in RawItem.objects.all() if b"Secret" in bytes(raw.content)]


def test_our_own_message_coming_back_is_nothing_a_customer_said() -> None:
    account = account_of(GENERIC)
    told = {"type": "message.echoed", "data": {"id": "x", "to": "chat:carla", "text": "We are on it."}}
    assert post_generic(account, told).status_code == 200
    assert not Interaction.objects.exists()
    assert RawItem.objects.get().kind == "echo"


# --- what became of ours ------------------------------------------------------------------------------------------------------


def answered(example: Example, account: ChannelAccount, *, by: str = "carla") -> OutgoingMessage:
    say(account, example, "My parcel is broken.", by=by)
    conversation = Conversation.objects.latest("pk")
    message = desk.answer(
        conversation.pk, text="We send a new one.", by=colleague(), at=NOON, out_of_order=OutOfOrder.KNOWS_IT
    )
    assert outgoing.send_batch(at=NOON)
    message.refresh_from_db()
    return message


@every_provider
def test_an_answer_goes_back_through_the_account_and_a_failure_report_undoes_it(example: Example) -> None:
    account = account_of(example)
    if not by_name(example.provider).can_send(provided.described(example)) or example.reported is None:
        pytest.skip("this provider has no way back or tells nothing")
    message = answered(example, account)
    assert (message.account, message.channel, message.address) == (account, example.channel, example.sender("carla")[1])
    assert (message.state, message.reason) == (OutgoingState.ACCEPTED, "accepted in sandbox: nothing left")
    first = Promise.objects.get(conversation=message.conversation, kind=PromiseKind.FIRST_RESPONSE)
    assert first.state == "met"
    tell = {
        "key": str(message.public_id),
        "at": NOON,
        "secret": example.secret,
        "url": url_of(account),
        "account": account,
    }
    assert post(account, example.reported(message.provider_id, "failed", **tell)).status_code == 200
    message.refresh_from_db()
    assert message.delivery == Delivery.BOUNCED
    first.refresh_from_db()
    assert first.state == "running"
    assert message.conversation.state != "closed"


def test_reports_in_every_order_end_the_same_H04() -> None:
    account = account_of(GENERIC)
    happened = (("sent", 1), ("deferred", 2), ("delivered", 3), ("deferred", 4), ("read", 5))
    orders = list(itertools.permutations(happened))
    ends = set()
    for number, order in enumerate(orders[::10]):
        message = answered(GENERIC, account, by=f"carla{number}")
        for arrival, minute in order:
            moment = NOON - (10 - minute) * MINUTE
            about = {"id": "their", "key": str(message.public_id), "state": arrival, "at": moment.isoformat()}
            told = {"type": "delivery.updated", "id": f"{number}:{minute}", "data": about}
            assert post_generic(account, told).status_code == 200
        message.refresh_from_db()
        ends.add(message.delivery)
    assert (len(orders), ends) == (120, {Delivery.DELIVERED})


def test_a_report_that_is_quicker_than_our_own_note_waits_for_it_H04() -> None:
    account = account_of(EXAMPLES["twilio_sms"])
    message = answered(EXAMPLES["twilio_sms"], account)
    OutgoingMessage.objects.filter(pk=message.pk).update(
        state=OutgoingState.HANDING, provider_id="", accepted_at=None, lease_until=NOON + MINUTE
    )
    told = twilio_report(account, "SM77")
    assert post(account, told).status_code == 200
    raw = RawItem.objects.latest("pk")
    assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.CLAIMED, "report_too_early")
    OutgoingMessage.objects.filter(pk=message.pk).update(
        state=OutgoingState.ACCEPTED, provider_id="SM77", accepted_at=NOON, lease_until=None
    )
    RawItem.objects.filter(pk=raw.pk).update(lease_until=NOON - timedelta(days=3650))
    assert channel_hooks.apply_batch(at=NOON + MINUTE) == 1
    message.refresh_from_db()
    assert message.delivery == Delivery.DELIVERED


def twilio_report(account: ChannelAccount, identity: str) -> provided.Sent:
    from tests.crm.channels.provided import twilio_sms as twilio

    form = {"MessageSid": identity, "MessageStatus": "delivered", "AccountSid": twilio.ACCOUNT}
    return twilio.signed(form, secret=twilio.EXAMPLE.secret, url=url_of(account))


def test_a_report_on_a_message_of_somebody_else_changes_nothing_H09() -> None:
    ours, other = account_of(GENERIC), account_of(GENERIC, own_id="another")
    message = answered(GENERIC, ours)
    about = {"id": message.provider_id, "key": str(message.public_id), "state": "failed"}
    assert post_generic(other, {"type": "delivery.updated", "id": "r", "data": about}).status_code == 200
    message.refresh_from_db()
    assert message.delivery == ""
    assert not DeliveryEvent.objects.exists()
    assert RawItem.objects.latest("pk").kind == "not_ours"


def test_an_echo_settles_what_nobody_knew_F07() -> None:
    account = account_of(GENERIC)
    message = answered(GENERIC, account)
    OutgoingMessage.objects.filter(pk=message.pk).update(
        state=OutgoingState.HANDING, accepted_at=None, provider_id="", lease_until=NOON, attempt=1, unknown_outcomes=0
    )
    message.refresh_from_db()
    outcomes.unknown(message, "the line broke", at=NOON)
    about = {"id": "x", "to": message.address, "text": message.text}
    assert post_generic(account, {"type": "message.echoed", "id": "e", "data": about}).status_code == 200
    message.refresh_from_db()
    assert message.state == OutgoingState.ACCEPTED


# --- read without a lock, written with one ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["nothing", "matter", "promise", "planned"])
def test_a_matter_that_changes_between_look_and_write_is_looked_at_again(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E13: what a colleague does in that instant is never overwritten."""
    account = account_of(GENERIC)
    say(account, GENERIC, "First")
    matter = Conversation.objects.get()
    tried: list[str] = []
    write = intake.write_alone

    def meanwhile(*given: Any) -> None:
        if change == "matter":
            Conversation.objects.filter(pk=matter.pk).update(first_answer_at=NOON)
        elif change == "promise":
            Promise.objects.filter(conversation=matter).update(state="met", met_at=NOON)
        elif change == "planned":
            OutgoingMessage.objects.create(
                key="planned", kind="answer", channel="chat", address="chat:carla", conversation=matter, text="Later",
                customer=matter.customer, stops_if_they_write=True, created_at=NOON, send_after=NOON + MINUTE,
                account=account,
            )  # fmt: skip
        tried.append("alone")
        write(*given)

    monkeypatch.setattr(intake, "write_alone", meanwhile)
    say(account, GENERIC, "Second")
    assert Interaction.objects.filter(conversation=matter, direction="in").count() == 2
    assert RawItem.objects.filter(state=WorkState.DONE).count() == 2
    assert tried == ["alone"]
    matter.refresh_from_db()
    running = Promise.objects.filter(conversation=matter, state="running")
    assert set(running.values_list("kind", flat=True)) == (
        {PromiseKind.FIRST_RESPONSE} if change in ("nothing", "planned") else running_kinds(change)
    )
    assert matter.due_at is not None
    if change == "planned":
        assert OutgoingMessage.objects.get().state == OutgoingState.CANCELLED


def running_kinds(change: str) -> set[str]:
    return {PromiseKind.FIRST_RESPONSE, PromiseKind.NEXT_UPDATE} if change == "matter" else {PromiseKind.NEXT_UPDATE}


@pytest.mark.django_db(transaction=True)
def test_an_edit_that_comes_between_look_and_write_is_not_lost_H04(monkeypatch: pytest.MonkeyPatch) -> None:
    account = account_of(GENERIC)
    write = intake.write_alone
    edit = {"type": "message.updated", "id": "e", "data": {"id": "1", "text": "Mended", "updated_at": NOON.isoformat()}}

    def meanwhile(*given: Any) -> None:
        monkeypatch.setattr(intake, "write_alone", write)
        assert post_generic(account, edit, delivery="edit").status_code == 200
        write(*given)

    monkeypatch.setattr(intake, "write_alone", meanwhile)
    post_generic(account, generic.created("Brokn", sender="chat:carla", external_id="1"))
    assert Interaction.objects.get().text == "Mended"


def test_what_another_process_changed_of_an_account_is_seen_within_a_second_and_a_new_secret_at_once(monkeypatch):
    account = account_of(GENERIC)
    now = [1000.0]
    monkeypatch.setattr(channel_accounts.time, "monotonic", lambda: now[0])
    assert say(account, GENERIC, "First").status_code == 200
    ChannelAccount.objects.update(other_secret_from="EVENHAND_CHANNEL_TURNED")
    monkeypatch.setenv("EVENHAND_CHANNEL_TURNED", "whsec_" + base64.b64encode(b"a secret that is quite new").decode())
    now[0] += 0.5
    assert say(account, GENERIC, "By the new secret", secret=os.environ["EVENHAND_CHANNEL_TURNED"]).status_code == 200
    ChannelAccount.objects.update(is_active=False)
    now[0] += channel_accounts.KNOWN_FOR + 0.1
    assert say(account, GENERIC, "To nobody").status_code == 404
    assert Interaction.objects.count() == 2


def test_what_this_process_changes_of_an_account_holds_at_once():
    account = account_of(GENERIC)
    assert say(account, GENERIC, "First").status_code == 200
    channel_accounts.switch(account.pk, on=False, by=None, at=NOON)
    assert say(account, GENERIC, "To nobody").status_code == 404
    channel_accounts.switch(account.pk, on=True, by=None, at=NOON)
    assert say(account, GENERIC, "Again").status_code == 200


def test_a_post_is_taken_in_by_one_question_and_one_statement_once_its_account_is_known(django_assert_num_queries):
    account = account_of(GENERIC)
    say(account, GENERIC, "First")
    with django_assert_num_queries(4):  # and, inside a transaction of somebody else, the savepoint of the statement
        say(account, GENERIC, "Second")
