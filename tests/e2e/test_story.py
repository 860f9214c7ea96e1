"""One whole story with the product's own processes: mail over SMTP, form, phone and app in; answers and a card out."""

from __future__ import annotations

import asyncio
import smtplib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.faults.harness import SWEPT, Rig, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CASE_WITHIN = 5  # seconds after the complaint was acknowledged
SAME_FACTS = {"complaint_type": "damaged_item", "loss": "80.00", "days_without": 3}


class Border:
    """The mail server at the border: it takes a mail for us and says so only when the product has taken it."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.port = rig, free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._pool = ThreadPoolExecutor(2)

    def __enter__(self) -> Border:
        self._controller.start()
        return self

    def __exit__(self, *_trouble: object) -> None:
        self._controller.stop()
        self._pool.shutdown()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # aiosmtpd's name
        def pipe() -> None:
            self.rig.manage("receive_mail", "-", given=envelope.original_content)

        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, pipe)
        except (AssertionError, subprocess.SubprocessError):
            return "451 please try again later"
        return "250 taken"

    def send(self, mail: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as line:
            line.send_message(mail)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig.up() as rig:
        rig.enrol()
        yield rig


@pytest.fixture(scope="module")
def staff(rig: Rig) -> Iterator[httpx.Client]:
    with rig.log_in("ada@shop.example") as client:
        yield client


def conversation_with(rig: Rig, address: str) -> str:
    """The public id of the conversation in which this address spoke."""
    return rig.one(
        "SELECT c.public_id::text FROM crm_conversation c JOIN crm_interaction i ON i.conversation_id = c.id"
        " JOIN crm_contactpoint p ON p.id = i.contact_point_id WHERE p.address = %s ORDER BY c.id DESC",
        address,
    )


def case_of(rig: Rig, conversation: str) -> str | None:
    return rig.one(
        "SELECT k.public_id::text FROM recovery_case k JOIN crm_conversation c ON c.id = k.conversation_id"
        " WHERE c.public_id = %s",
        conversation,
    )


def wait_for_case(rig: Rig, conversation: str) -> str:
    rig.wait(lambda: case_of(rig, conversation), "the complaint has its case", within=CASE_WITHIN)
    found = case_of(rig, conversation)
    assert found
    return found


def promise(rig: Rig, conversation: str, kind: str) -> tuple[Any, ...]:
    """State, when it was kept, and how long after the customer spoke it is due."""
    return rig.sql(
        "SELECT p.state, p.met_at, p.due_at - p.starts_at FROM crm_promise p"
        " JOIN crm_conversation c ON c.id = p.conversation_id WHERE c.public_id = %s AND p.kind = %s ORDER BY p.id",
        conversation,
        kind,
    )[0]


def decided(staff: httpx.Client, case: str) -> dict[str, Any]:
    answer = staff.post(f"/api/v1/cases/{case}/facts/", json=SAME_FACTS)
    assert answer.status_code == 200, answer.text
    return answer.json()["decision"]


def answers(rig: Rig, address: str) -> list[dict[str, Any]]:
    """What reached this address from a person of ours; a machine's acknowledgement is none."""
    return [mail for mail in rig.sink.deliveries(address) if not mail["automatic"]]


def test_the_same_failure_told_by_mail_form_phone_and_app_gets_its_case_its_answer_and_its_confirmation(
    rig: Rig, staff: httpx.Client
):
    """Q1 Q6 Q7: four doors, one treatment; nothing counts as answered before the other side has accepted it."""
    words = "The lamp arrived broken, and nobody answers the phone."

    # By mail, over a real hop: when the border says 250 it is ours.
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Mira <mira@home.example>", "support@evenhand.example", "My lamp"
    mail["Message-ID"] = "<mira.1@home.example>"
    mail.set_content(words)
    with Border(rig) as border:
        border.send(mail)
        border.send(mail)  # her server has not heard the 250 and tries again (M18)
    by_mail = conversation_with(rig, "mira@home.example")
    cases = {"mail": wait_for_case(rig, by_mail)}
    assert rig.one("SELECT count(*) FROM crm_interaction WHERE message_id = 'mira.1@home.example'") == 1

    # By the web form.
    with rig.visitor() as visitor:
        page = {"name": "Fynn", "email": "fynn@home.example", "subject": "My lamp", "text": words}
        answer = visitor.post("/contact/", data={**page, **rig.opened(visitor)})
        assert answer.status_code == 302
    by_form = conversation_with(rig, "fynn@home.example")
    cases["form"] = wait_for_case(rig, by_form)

    # On the phone, written down by a colleague; what was agreed goes out in writing.
    call = {
        "key": "call-1",
        "phone": "+49 30 1234567",
        "email": "paul@home.example",
        "name": "Paul",
        "subject": "My lamp",
    }
    answer = staff.post("/api/v1/calls/", json={**call, "said": words, "agreed": "A new lamp leaves today."})
    assert answer.status_code == 201, answer.text
    by_phone = answer.json()["conversation"]
    cases["phone"] = wait_for_case(rig, by_phone)

    # In the app, by a customer who is logged in with a token.
    with rig.log_in("carla@app.example") as carla:
        answer = carla.post("/api/v1/messages/", json={"text": words, "key": "app-1"})
        assert answer.status_code == 201, answer.text
        by_app = answer.json()["conversation"]
        cases["app"] = wait_for_case(rig, by_app)

        # One treatment: equal facts, equal entitlement, equal times, whichever door.
        decisions = {door: decided(staff, case) for door, case in cases.items()}
        assert len({str(decision["entitlement"]) for decision in decisions.values()}) == 1
        assert len({decision["facts_hash"] for decision in decisions.values()}) == 1
        doors = {"mail": by_mail, "form": by_form, "phone": by_phone, "app": by_app}
        assert len({promise(rig, conversation, "resolution")[2] for conversation in doors.values()}) == 1
        assert len({promise(rig, conversation, "first_response")[2] for conversation in doors.values()}) == 1

        # The call is confirmed in writing, and that keeps its promise.
        rig.wait(lambda: rig.sink.deliveries("paul@home.example"), "the confirmation arrives", within=15)
        rig.wait(lambda: promise(rig, by_phone, "confirmation")[0] == "met", "the confirmation counts", within=15)

        # A colleague answers the app; the customer reads it there.
        url, words_back = f"/api/v1/conversations/{by_app}/answers/", {"text": "We are on it."}
        refused = staff.post(url, json=words_back)  # the mail and the form came first
        assert (refused.status_code, refused.json()["code"]) == (409, "not_next")
        assert staff.post(url, json={**words_back, "out_of_order": "same_matter"}).status_code == 201
        rig.wait(lambda: promise(rig, by_app, "first_response")[0] == "met", "the answer in the app counts", within=15)
        shown = carla.get(f"/api/v1/conversations/{by_app}/").json()
        assert [said["text"] for said in shown["interactions"]] == [words, "We are on it."]

    # A colleague settles the case; it is confirmed when the other side has accepted the words, and not a moment before.
    rig.sink.behave("mira@home.example", "accept and wait")
    words_back = "You were right. A new lamp is on its way, and your money too."
    settled = {"outcome": "upheld", "explanation": words_back, "out_of_order": "knows_it"}
    assert staff.post(f"/api/v1/cases/{cases['mail']}/resolve/", json=settled).status_code == 200
    rig.sink.wait_until_holding("mira@home.example")
    confirmed = "SELECT confirmed_at FROM recovery_case WHERE public_id = %s"
    assert rig.one(confirmed, cases["mail"]) is None
    assert promise(rig, by_mail, "first_response")[1] is None
    rig.sink.release.set()
    rig.wait(lambda: rig.one(confirmed, cases["mail"]), "the case is confirmed", within=20)
    assert promise(rig, by_mail, "resolution")[0] == "met"
    assert promise(rig, by_mail, "first_response")[0] == "met"
    (delivered,) = answers(rig, "mira@home.example")
    assert "My lamp" in delivered["subject"]
    assert delivered["x"] == "1"


def test_an_answer_arrives_in_the_thread_of_the_customer_s_own_mail_and_a_reply_joins_it(rig: Rig, staff: httpx.Client):
    """The reply to our answer finds its conversation, and is promised the next answer."""
    question = EmailMessage()
    question["From"], question["To"], question["Subject"] = "nora@home.example", "support@evenhand.example", "Sizes"
    question["Message-ID"] = "<nora.1@home.example>"
    question.set_content("Which size of the blue lamp fits a small table?")
    with Border(rig) as border:
        border.send(question)
        conversation = conversation_with(rig, "nora@home.example")
        answer = {"text": "The small one.", "out_of_order": "knows_it"}
        assert staff.post(f"/api/v1/conversations/{conversation}/answers/", json=answer).status_code == 201
        rig.wait(lambda: answers(rig, "nora@home.example"), "the answer arrives", within=15)
        (delivered,) = answers(rig, "nora@home.example")
        assert delivered["in_reply_to"] == "<nora.1@home.example>"
        rig.wait(lambda: promise(rig, conversation, "first_response")[0] == "met", "the answer counts", within=15)

        reply = EmailMessage()
        reply["From"], reply["To"], reply["Subject"] = "nora@home.example", delivered["reply_to"], "Re: Sizes"
        reply["Message-ID"], reply["In-Reply-To"] = "<nora.2@home.example>", delivered["message_id"]
        reply.set_content("And which colours do you have?")
        border.send(reply)
    assert (
        rig.one(
            "SELECT count(*) FROM crm_conversation c JOIN crm_contactpoint p USING (customer_id)"
            " WHERE p.address = 'nora@home.example'"
        )
        == 1
    )
    assert promise(rig, conversation, "next_update")[0] == "running"
    assert case_of(rig, conversation) is None


def test_a_birthday_card_arrives_once_although_two_schedulers_run(rig: Rig):
    """F22: planned at the first bell of either beat, sent by the worker, and left alone by everybody after that."""
    rig.wait(lambda: rig.one("SELECT count(*) FROM loyalty_gesture") == 1, "the card is planned", within=90)
    rig.sql("UPDATE loyalty_gesture SET send_at = now()")
    rig.wait(lambda: rig.one("SELECT state FROM loyalty_gesture") == "sent", "the card is sent", within=30)
    time.sleep(2 * SWEPT)  # two more sweeps by both

    (card,) = rig.sink.deliveries("bea@home.example")
    assert card["message_id"]
    assert rig.one("SELECT count(*) FROM crm_historyentry WHERE verb = 'gesture.sent'") == 1
    assert rig.verdict().faults == {}
