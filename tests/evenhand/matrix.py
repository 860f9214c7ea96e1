"""The world that the access matrix walks through: one customer of whom everything is known, each thing marked by its own word.

A mark that stands in an answer says what was read. What a role must hold to read each kind of thing is one table.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from crm.actions import (
    accounts,
    adverse,
    answers,
    asking,
    capture,
    custom_fields,
    customers,
    desk,
    drafts,
    feeds,
    forms,
    holds,
    intake,
    judgements,
    life_events,
    listening_places,
    persons,
    removals,
    representatives,
    staff,
    waits,
)
from crm.channels import Channel, Part
from crm.models import (
    Ask,
    Call,
    ClosingLine,
    ContactPoint,
    Conversation,
    Customer,
    CustomerFile,
    IdentityCheck,
    ImportFinding,
    Mailbox,
    OutgoingMessage,
    PublicPost,
    RawItem,
    SurveyAnswer,
    User,
)
from crm.models.people import CustomerStatus
from crm.policy import AdverseKind, Department, NoAnswerReason, PostVerdict, Role
from crm.policy.lives import LifeEventKind, LifeSource, Precision, Purpose, When
from crm.policy.removals import RemovalKind, RemovalReason
from crm.policy.representation import Authority, Scope
from loyalty.models import Gesture, Programme
from recovery import actions
from recovery.actions import certificates, probes
from recovery.actions.reviews import ask_for_review
from recovery.models import Correction, ParityFinding, Regrade
from recovery.policy import ComplaintType, Facts
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of
from tests.crm.stories import app_user, colleague, message

READ_BY: dict[str, tuple[str, ...]] = {
    "name": ("crm.view_customer", "crm.view_conversation", "crm.view_outgoingmessage", "crm.view_call"),
    "subject": ("crm.view_conversation", "crm.view_outgoingmessage", "recovery.view_case"),
    "said": ("crm.view_interaction", "crm.view_conversation", "crm.view_rawitem", "crm.view_outgoingmessage"),
    "note": ("crm.view_interaction",),
    "answer": ("crm.view_interaction", "crm.view_outgoingmessage"),
    "draft": ("crm.answer_conversation",),
    "mail": ("crm.view_contactpoint", "crm.view_outgoingmessage", "crm.view_user", "crm.view_customer"),
    "account": ("crm.view_user",),
    "phone": ("crm.view_contactpoint", "crm.view_call", "crm.view_customer"),
    "file": ("crm.view_attachment", "crm.view_interaction"),
    "inside": ("crm.view_attachment",),
    "apart": ("crm.view_attachment", "crm.view_interaction"),
    "raw": ("crm.view_rawitem",),
    "hold": ("crm.view_hold",),
    "gesture": ("loyalty.view_gesture",),
    "adverse": ("crm.view_adverseact",),
    "merged": ("crm.view_customer", "crm.view_conversation"),
    "because": ("crm.view_customer",),
    "erased": ("crm.view_customer",),
    "post": ("crm.view_interaction", "crm.view_conversation", "crm.view_publicpost"),
    "removal": ("crm.view_publicpost",),
    "closing": ("crm.view_conversation",),
    "check": ("crm.view_conversation",),
    "custom": ("crm.view_customer",),
    "upload": ("crm.import_customers",),
    "row": ("crm.import_customers",),
    "illness": ("crm.view_private_lifeevent",),
    "acts": ("crm.view_representative",),
    "finding": ("recovery.view_parityfinding",),
    "correction": ("recovery.view_correction",),
    "probe": ("recovery.plan_parityprobe",),
    "survey": ("crm.view_surveyanswer",),
    "other": ("crm.view_customer", "crm.view_conversation", "crm.view_user"),
}
"""Kind of thing -> the rights of which a colleague needs one to read it. A customer reads of their own: OWN."""
MARK = re.compile(f"zq(?:{'|'.join(READ_BY)})zq", re.IGNORECASE)
"""Only marks that somebody set: a random token may hold letters that look like one."""
OWN = frozenset({"name", "subject", "said", "answer", "account", "mail", "illness", "acts"})
"""Life events and representatives too: the customer told us of these two themselves (source "customer" in made())."""


def mark(kind: str) -> str:
    assert kind in READ_BY, f"Say in READ_BY who may read {kind!r}."
    return f"zq{kind}zq"


@dataclass(slots=True)
class World:
    """Everything about one customer; `ids` are all public ids in the database that are not a stranger's own."""

    owner: User
    stranger: User
    ids: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    nothing: str = str(uuid.UUID("01930000-0000-7000-8000-000000000000"))


def made() -> World:
    """Write down everything. A new kind of page that shows something of a customer wants a row here, with a mark in it."""
    now = timezone.now()
    boss, agent = colleague(Role.LEAD), colleague(Role.AGENT, name="Ada")
    plain = message(
        mark("said"),
        subject=mark("subject"),
        sender_name=mark("name"),
        sender_address=f"{mark('mail')}@home.example",
        html=f"<p>{mark('said')}</p>",
        spoke_at=now,
        attachments=(
            Part(f"{mark('file')}.txt", "text/plain", "text/plain", 8, mark("inside").encode(), "stored", ""),
            Part(f"{mark('apart')}.exe", "application/x", "application/x", 2, b"MZ", "quarantined", "It could act."),
        ),
    )
    said = intake.receive(plain, at=now, origin="test")
    customer, matter = said.conversation.customer, said.conversation
    owner = staff.give_app_account(customer, email=f"{mark('account')}@home.example", password="right horse", at=now)
    ContactPoint.objects.create(customer=customer, kind="handle", address=mark("phone"), created_at=now)
    desk.note(matter.pk, text=mark("note"), by=agent, at=now)
    answers.answer(matter.pk, text=mark("answer"), by=agent, at=now, key="matrix")
    OutgoingMessage.objects.update(state="accepted", accepted_at=now)
    drafts.keep(matter.pk, text=mark("draft"), by=agent, at=now, is_shared=True)
    case = actions.open_case(matter.pk, facts=Facts(), seen_because=["broken"], by=None, at=now)
    actions.decide(case.pk, facts=Facts(complaint_type=ComplaintType.DAMAGED_ITEM, loss=Decimal(80)), by=agent, at=now)
    holds.place(customer, key="matrix", reason=mark("hold"), at=now, by=boss)
    adverse.prepare(customer.pk, kind=next(iter(AdverseKind)), reason=mark("adverse"), by=agent, at=now)
    waits.begin(matter.pk, department=next(iter(Department)), by=agent, at=now)
    IdentityCheck.objects.create(
        conversation=matter,
        kind="document",
        need="release",
        is_beyond=True,
        because=mark("check"),
        asked_by=agent,
        asked_at=now,
    )
    customers.tell_birthday(customer, month=3, day=2, evidence="yes", at=now)
    Gesture.objects.create(
        customer=customer,
        programme=Programme.objects.all()[0],
        key=mark("gesture"),
        occasion_on=now.date(),
        send_at=now,
    )
    RawItem.objects.create(source="mail:test", external_id="matrix", content=b"x", label=mark("raw"), received_at=now)
    RawItem.objects.create(
        source="mail:test", external_id="aside", content=b"Subject: x\r\n\r\nx", label=mark("raw"), received_at=now,
        state="done", kind="spam",
    )  # fmt: skip
    Mailbox.objects.create(
        address="support@shop.example",
        host="imap.shop.example",
        username="support",
        secret_from="env:MAIL_SECRET",
        created_at=now,
    )
    ask_for_review(case.pk, by=agent, at=now)
    Call.objects.create(
        source="pbx", external_id="matrix", caller=mark("phone"), state="ended", ended_by="customer", rang_at=now,
        ended_at=now, held_at=now, heard_at=now,
    )  # fmt: skip
    twin = Customer.objects.create(display_name=mark("merged"), created_at=now)
    persons.merge(twin.pk, kept_id=customer.pk, because=mark("because"), by=boss, at=now, opens_to_account=True)
    Customer.objects.create(display_name=mark("erased"), status=CustomerStatus.ERASED, created_at=now)
    third = intake.receive(
        message(sender_name=mark("other"), sender_address="third@home.example"), at=now, origin="test"
    )
    persons.told_both(customer.pk, third.conversation.customer_id, kind="email", at=now)  # type: ignore[arg-type]
    _doors(boss, at=now)
    _told(customer, boss, at=now)
    _tests(boss, at=now)
    world = World(owner, app_user(name="Sam Stranger", email="sam@else.example"))
    gesture, mail = (
        Gesture.objects.get(key=mark("gesture")),
        OutgoingMessage.objects.filter(customer=customer).order_by("pk")[0],
    )
    world.ids = list(_ids(world.stranger))
    world.ids += [
        str(said) for said in PublicPost.objects.values_list("interaction__public_id", flat=True)[:1]
    ]  # posts are asked for by what was said, which is not among the first few of its kind
    world.numbers = sorted({str(one.pk) for one in (matter, customer, owner, case, gesture, mail)})
    return world


def _told(customer: Customer, boss: User, *, at: datetime) -> None:
    """What was told of a customer's life, what files said of them, and what was found about everybody."""
    custom_fields.define("customer", code="size", label="Size", kind="text", by=boss, at=at)
    custom_fields.set_values(customer.pk, {"size": mark("custom")}, by=boss, at=at)
    life_events.tell(
        customer.pk, kind=LifeEventKind.ILLNESS, source=LifeSource.CUSTOMER, words=mark("illness"), when=When(Precision.UNKNOWN),
        purpose=Purpose.CONSIDERATION, by=boss, at=at, handled_by=boss,
    )  # fmt: skip
    representatives.note(
        customer.pk, authority=Authority.CONSENTED, scope=Scope.EVERYTHING, source=LifeSource.CUSTOMER, evidence="seen",
        by=boss, at=at, name=mark("acts"), address="acts@home.example",
    )  # fmt: skip
    asked = asking.begin(asking.Plan(kind="survey", share=100), by=boss, at=at)
    matter = Conversation.objects.filter(customer=customer).order_by("pk")[0]
    question = OutgoingMessage.objects.create(
        key="question", kind="ask", purpose="survey", channel="email", address="x@home.example", customer=customer, subject="x",
        text="x", created_at=at, send_after=at, state="accepted", accepted_at=at,
    )  # fmt: skip
    ask = Ask.objects.create(asking=asked, kind="survey", conversation=matter, outcome="asked", message=question, at=at)
    SurveyAnswer.objects.create(ask=ask, csat=4, words=mark("survey"), language="en", at=at)
    upload = CustomerFile.objects.create(file_name=mark("upload"), size=1, by=boss, uploaded_at=at, state="tried")
    ImportFinding.objects.create(upload=upload, kind="rejected", line=2, code="x", content=mark("row"))
    look = actions.look_now(by=boss, at=at + timedelta(minutes=1))
    found = ParityFinding.objects.create(
        metric="first_response", channel="email", versus="others", is_favoured=False, effect="time_ratio", value=2.0,
        found_by=look, seen_by=look, opened_at=at, state="explained", words=mark("finding"), said_by=boss, said_at=at,
    )  # fmt: skip
    actions.certificate_monthly(at + timedelta(days=45))
    certificates.publish(is_public=True, by=boss, at=at)
    Correction.objects.create(
        finding=found, kind="certify", channel="email", size=0, look=look, proposed_at=at, state="ended", until=at,
        words=mark("correction"),
    )  # fmt: skip


def _tests(boss: User, *, at: datetime) -> None:
    """An agreed test pair, of which one side was told; and a matter that was graded again."""
    sides = [
        probes.Side(Channel.EMAIL, "email", "tester@home.example", mark("probe")),
        probes.Side(Channel.LETTER, "postal", mark("probe"), mark("probe")),
    ]
    window = {"begins_at": at + timedelta(days=1), "ends_at": at + timedelta(days=9)}
    probes.plan(title=mark("probe"), facts=Facts(), consent=mark("probe"), sides=sides, by=boss, at=at, **window)
    told = intake.receive(message(sender_address="tester@home.example", spoke_at=at), at=at, origin="test")
    probes.match(at)
    Regrade.objects.create(
        conversation=told.conversation, kind="answered", drawn_at=at, taken_by=boss, taken_at=at, done_at=at
    )


def _doors(boss: User, *, at: Any) -> None:
    note = capture.Capture(
        key="k",
        channel=Channel.REVIEW,
        said=mark("post"),
        url="https://r.example/1",
        account="jane",
        email="j@home.example",
    )
    post = capture.write_down(note, by=boss, at=at)
    judgements.judge(
        post.interaction.pk, verdict=PostVerdict.NO_ANSWER, reason=NoAnswerReason.SPAM, words="x", by=boss,
        at=at + timedelta(seconds=1),
    )  # fmt: skip
    removals.ask(
        post.interaction.pk, kind=RemovalKind.HIDE, reason=RemovalReason.DOXXING, words=mark("removal"), by=boss, at=at
    )
    ClosingLine.objects.create(
        conversation=post.conversation, post=post.interaction, text=mark("closing"), proposed_at=at
    )
    account_of(EXAMPLES["telegram"])
    feeds.add(feeds.Draft("https://blog.example/feed", "A blog", Channel.BLOG), by=boss, at=at)
    forms.add(forms.Draft("Shop", ("https://www.shop.example",)), by=boss, at=at)
    listening_places.add(listening_places.Draft(name="Forum", channel=Channel.SOCIAL_PUBLIC.value), by=boss, at=at)


def _ids(stranger: User) -> Iterator[str]:
    """Public ids of everything, a few of a kind; not the stranger's own account and record."""
    own = {str(stranger.public_id), str(stranger.customer and stranger.customer.public_id)}
    for model in apps.get_models():
        if any(one.name == "public_id" for one in model._meta.get_fields()):
            for value in model._default_manager.order_by("pk").values_list("public_id", flat=True)[:3]:
                if isinstance(value, uuid.UUID) and str(value) not in own:
                    yield str(value)


# --- addresses ---------------------------------------------------------------------------------------------------------


def addresses() -> list[str]:
    """Every address of the product, as the resolver has it."""

    def walk(patterns: Any, before: str = "") -> Iterator[str]:
        for pattern in patterns:
            here = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here)
            elif isinstance(pattern, URLPattern):
                yield here

    return list(dict.fromkeys(walk(get_resolver().url_patterns)))


OWN_WAYS = ("static/", "accounts/logout", "admin/logout", "hooks/")
"""Left out: files of the theme, what ends the walk's own session, and what providers post, which is told apart by signature."""
KNOWN = {
    "provider": "telegram", "day": "2026-03-02", "app_label": "crm", "token": "x", "what": "hold", "code": "x", "slug": "x",
    "content_type_id": "1", "key": "x", "uidb36": "1", "url": "x", "provider_id": "x", "link": "x",
}  # fmt: skip
"""Parts of addresses that name no row of a customer."""


class Unknown(AssertionError):
    """A part of an address that the matrix does not know how to fill."""


def filled(address: str, ids: list[str], numbers: list[str]) -> list[str]:
    """An address with each id in its place. Raises Unknown for a kind of part nobody has told the matrix about."""
    plain = re.sub(r"\(\?P<(\w+)>[^()]*(?:\([^()]*\)[^()]*)*\)", r"<str:\1>", address)
    plain = plain.replace("^", "").replace("$", "").replace("\\Z", "").replace("\\", "")
    places = re.findall(r"<(?:(\w+):)?(\w+)>", plain)
    made = plain
    kinds = set()
    for kind, name in places:
        if kind == "uuid":
            kinds.add("uuid")
        elif name in KNOWN:
            made = re.sub(rf"<(?:\w+:)?{name}>", KNOWN[name], made)
        elif kind in ("int", "path") or name == "object_id":
            kinds.add("int")
        else:
            raise Unknown(
                f"{address}: the access matrix does not know how to fill <{kind}:{name}>. Add it to KNOWN in tests/evenhand/"
                "matrix.py when it names no row, else use <uuid:…> or <int:…>."
            )
    found = [made]
    if "uuid" in kinds:
        found = [re.sub(r"<uuid:\w+>", one, each) for each in found for one in ids]
    if "int" in kinds:
        found = [re.sub(r"<(?:int|path|str):\w+>", one, each) for each in found for one in numbers]
    return [f"/{each}" for each in dict.fromkeys(found)]


# --- who ---------------------------------------------------------------------------------------------------------------


def browser(user: User | None) -> Client:
    client = Client(raise_request_exception=True)
    if user is not None:
        client.force_login(user)
    return client


def without_role() -> User:
    user: User = User.objects.create_user("norole@shop.example", "right horse", is_staff=True)
    accounts.vouch(user)
    return user


def phone_system() -> User:
    return staff.enrol_phone_system("pbx@shop.example", name="PBX", password="right horse", at=NOON)


def marks_in(answer: Any) -> set[str]:
    """The kinds of things that stand in an answer, its headers included."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    words = body.decode("utf-8", "replace") + " ".join(f"{name}: {value}" for name, value in answer.headers.items())
    return {found.lower()[2:-2] for found in MARK.findall(words)}
