"""Fill an empty product with a shop's week, told through the product's own actions, so that every page has something to show."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from crm.actions import (
    calendars,
    call_backs,
    calls,
    consent,
    customers,
    deadlines,
    desk,
    identity_checks,
    intake,
    mails,
    outgoing,
    questions,
    rota,
    set_aside,
    staff,
    talks,
)
from crm.channels import Channel, Message
from crm.models import ConsentQuestion, Conversation, Customer, User
from crm.policy import CallEventKind, EndedBy, OutOfOrder, Role
from crm.policy.consent import WORDS_VERSION
from crm.policy.identity_checks import CheckKind, CheckNeed
from crm.policy.ledger import ProofDoor
from evenhand.management import demo_channels, demo_past
from evenhand.settings.base import PLACES
from loyalty import actions as loyalty_actions
from recovery import actions as recovery_actions
from recovery.models import Case
from recovery.policy import ComplaintType, Facts, GrantKind, Outcome

PASSWORD = "evenhand-demo"  # noqa: S105  printed with the address; the demo listens on this machine alone
COLLEAGUES = [
    ("agent@evenhand.example", "Ada Okafor", Role.AGENT, True),
    ("agent2@evenhand.example", "Ben Castillo", Role.AGENT, True),
    ("lead@evenhand.example", "Lena Weiss", Role.LEAD, True),
    ("loyalty@evenhand.example", "Lou Martin", Role.LOYALTY_MANAGER, False),
    ("auditor@evenhand.example", "Audrey Chen", Role.AUDITOR, False),
]
ADMINISTRATOR = "admin@evenhand.example"
APP_CUSTOMER = "customer@evenhand.example"

# Hours ago, channel, address, name, subject, words.
TOLD: list[tuple[float, Channel, str, str, str, str]] = [
    (150, Channel.EMAIL, "rosa.diaz@example.org", "Rosa Diaz", "Guitar came back with a broken neck",
     "Hello, I gave you my guitar for new frets and it came back with a broken neck. I play on Saturday and I am very sad about it."),
    (149.9, Channel.PHONE, "+4930123456", "Henrik Olsen", "Violin, bridge broken",
     "Calls about his violin: the bridge is broken since it came back from us on Monday. Has a concert on Sunday."),
    (96, Channel.WEB_FORM, "mia.kim@example.org", "Mia Kim", "Charged twice",
     "I was charged twice for the same set of strings. Could you look at that, please?"),
    (72, Channel.APP, "", "Chris Customer", "Tuner app stopped working",
     "The tuner stopped working after the last update. It still shows nothing."),
    (30, Channel.EMAIL, "paul.novak@example.org", "Paul Novak", "Parcel never arrived",
     "My parcel never arrived. The tracking has not moved for nine days."),
    (26, Channel.WEB_FORM, "amina.b@example.org", "Amina B.", "Thank you",
     "I just wanted to say thank you. The repair sounds wonderful and your note made me smile."),
    (9, Channel.EMAIL, "jo.mueller@example.org", "Jo Müller", "Falsches Mundstück",
     "Guten Tag, ich habe ein falsches Mundstück bekommen, und es ist zerkratzt. Wie geht es weiter?"),
    (7.6, Channel.PHONE, "+4930765432", "Grace Adeyemi", "Subscription changed without asking",
     "Her subscription was changed without asking and she was charged for the larger one."),
    (5, Channel.EMAIL, "sam.lee@example.org", "Sam Lee", "Opening hours",
     "Are you open on the Saturday before Christmas?"),
    (3, Channel.WEB_FORM, "tara.singh@example.org", "Tara Singh", "Delivery late again",
     "The delivery is late again, third time this autumn. I have been waiting for two weeks now."),
    (1.5, Channel.APP, "", "Chris Customer", "A wish",
     "I would love to hear the new dulcimer one day, if you ever have one in the shop."),
    (0.4, Channel.EMAIL, "noor.h@example.org", "Noor Hassan", "Broken pegs",
     "Two pegs arrived broken. There is no hurry, I just wanted you to know."),
]  # fmt: skip


class Command(BaseCommand):
    help = "Fills an empty Evenhand with demo data and prints the log-ins."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--if-empty", action="store_true", help="do nothing when there are customers already")

    def handle(self, *args: Any, **options: Any) -> None:
        if Customer.objects.exists():
            if not options["if_empty"]:
                self.stderr.write("There are customers here already; the demo is for an empty Evenhand.")
                raise SystemExit(2)
            return
        with transaction.atomic():
            _fill(timezone.now())
        _print_log_ins(on_screen=options["verbosity"] > 0)


def _fill(now: datetime) -> None:
    open_on_weekdays = ((9 * 60, 18 * 60),)
    hours = calendars.Draft(
        region="",
        zone=settings.EVENHAND_ZONE,
        week=(open_on_weekdays,) * 5 + (((10 * 60, 16 * 60),), ()),
        holidays_of="DE-BE",
        note="The demo shop",
    )
    calendars.publish(hours, effective_from=now - timedelta(days=119), by=None, at=now - timedelta(days=120))
    team = {
        email: staff.enrol(
            email, role=role, name=name, password=PASSWORD, at=now - timedelta(days=118), takes_conversations=takes
        )
        for email, name, role, takes in COLLEAGUES
    }
    if not User.objects.filter(email=ADMINISTRATOR).exists():
        staff.enrol_superuser(ADMINISTRATOR, name="Admin", password=PASSWORD, at=now - timedelta(days=30))
    ada, ben = team["agent@evenhand.example"], team["agent2@evenhand.example"]
    demo_past.tell(now, ada=ada, ben=ben)
    demo_past.look_back(now, lead=team["lead@evenhand.example"])
    app_account = staff.give_app_account(
        customers.welcome("Chris Customer", at=now - timedelta(days=60)),
        email=APP_CUSTOMER,
        password=PASSWORD,
        at=now - timedelta(days=60),
    )
    heard = [_tell(number, *told, by=ada, app_account=app_account, now=now) for number, told in enumerate(TOLD)]
    _see_to_the_guitar(heard[0], now=now - timedelta(hours=147), by=ada)
    _see_to_the_violin(heard[1], now=now - timedelta(hours=139), by=ben)
    _answer(
        heard[2],
        now=now - timedelta(hours=90),
        by=ben,
        text="Hello Mia, you are right, there are two charges. I am having the second one paid back today.",
    )
    _answer(
        heard[3],
        now=now - timedelta(hours=69),
        by=ada,
        text="Hello Chris, thank you for telling us. The update has a fault; a mended one comes out tomorrow, and I write to you then.",
    )
    _answer(
        heard[5],
        now=now - timedelta(hours=25),
        by=ada,
        text="Dear Amina, what a kind message. I have read it to the whole workshop.",
    )
    _ask_who_they_are(charged=heard[2], changed=heard[7], by=ben, now=now)
    _miss_a_call(now - timedelta(minutes=40))
    demo_channels.tell(
        now, ada=ada, lead=team["lead@evenhand.example"], administrator=User.objects.get(email=ADMINISTRATOR)
    )
    _mail_that_needs_an_eye(heard[2], now=now)
    while deadlines.tick(at=now):
        pass
    for name, day in (("Rosa Diaz", now), ("Amina B.", now), ("Sam Lee", now + timedelta(days=9))):
        customer = Customer.objects.get(display_name=name)
        told = customers.tell_birthday(
            customer,
            month=day.month,
            day=day.day,
            evidence="Asked on the repair form: “Your birthday, for a card?”",
            at=now - timedelta(days=2),
        )
        if told.question is not None:
            _says_yes(told.question, at=now - timedelta(days=1))
    loyalty_actions.plan_birthdays(now)
    rota.tick_availability(now)
    for days in range(6, -1, -1):  # what the nights would have looked at
        recovery_actions.channel_swap_shadow(now - timedelta(days=days))
    recovery_actions.refresh_ledger(now)
    demo_past.look_tonight(now)


def _says_yes(question: ConsentQuestion, *, at: datetime) -> None:
    """What the customer does who opens the link of the question and presses Yes."""
    token = questions.link(question).rstrip("/").rpartition("/")[2]
    shown = consent.Shown(
        words=questions.opened(token, at=at).words,
        version=WORDS_VERSION,
        language=settings.LANGUAGE_CODE,
        door=ProofDoor.LINK,
        network="203.0.113.0/24",
    )
    questions.answer(token, yes=True, shown=shown, at=at)


def _tell(
    number: int,
    hours: float,
    channel: Channel,
    address: str,
    name: str,
    subject: str,
    text: str,
    *,
    by: User,
    app_account: User,
    now: datetime,
) -> Conversation:
    at = now - timedelta(hours=hours)
    if channel == Channel.PHONE:
        call = talks.Call(
            key=f"demo:{number}",
            phone=address,
            name=name,
            subject=subject,
            said=text,
            agreed="",
            hold_seconds=95,
            call_seconds=340,
        )
        received = desk.log_call(call, by=by, at=at)
    else:
        by_app = channel == Channel.APP
        message = Message(
            channel=channel,
            source="demo",
            external_id=f"demo:{number}",
            sender_kind="app" if by_app else "email",
            sender_address=str(app_account.public_id) if by_app else address,
            sender_name=name,
            subject=subject,
            text=text,
            full_text=text,
            html="",
            spoke_at=at,
            attachments=(),
            in_reply_to=(),
            message_id=f"demo-{number}@example.org" if channel == Channel.EMAIL else "",
            language="de" if "Guten Tag" in text else "en",
            recipients=(),
        )
        received = intake.receive(message, at=at, origin="demo")
    recovery_actions.triage("interaction.received", f"interaction:{received.interaction.public_id}", at)
    return received.conversation


def _ask_who_they_are(*, charged: Conversation, changed: Conversation, by: User, now: datetime) -> None:
    """The same need on two channels takes the same steps; one is shown, one is still asked for, one more has its reason."""
    for matter, hours in ((charged, 91), (changed, 7)):
        at = now - timedelta(hours=hours)
        paper = identity_checks.ask(matter.pk, kind=CheckKind.DOCUMENT, need=CheckNeed.MONEY, by=by, at=at)
        identity_checks.passed(paper.pk, by=by, at=at + timedelta(minutes=9))
        number = identity_checks.ask(matter.pk, kind=CheckKind.REFERENCE, need=CheckNeed.MONEY, by=by, at=at)
        if matter == charged:
            identity_checks.passed(number.pk, by=by, at=at + timedelta(minutes=10))
    identity_checks.ask(
        changed.pk,
        kind=CheckKind.AUTHORITY,
        need=CheckNeed.MONEY,
        because="She says the subscription is her mother's.",
        by=by,
        at=now - timedelta(hours=6),
    )


def _miss_a_call(at: datetime) -> None:
    told = calls.Told(
        source="phone:demo", external_id="demo-1", event_id="rang", kind=CallEventKind.RANG, caller="+49305550123"
    )
    call, _person = calls.ring(told, by=None, at=at, origin="demo")
    calls.end(call.pk, ended_by=EndedBy.CUSTOMER, by=None, at=at + timedelta(seconds=25))
    call_backs.recover_dropped_calls(at + timedelta(minutes=2))


def _mail_that_needs_an_eye(conversation: Conversation, *, now: datetime) -> None:
    """Somebody who borrows the number of another's matter, a page of advertising, a newsletter, an HTML mail."""
    told = [
        (2.2, "From: Max Fremd <max@else.example>\nSubject: [EV-%(number)d] Charged twice", "Please tell me what came of this."),
        (6, "From: Offers <offers@cheap.example>\nSubject: 90 % off everything\nX-Spam-Flag: YES", "Only today."),
        (20, "From: Guild <news@guild.example>\nSubject: The guild's letter\nList-Id: <guild.example>", "News from luthiers."),
        (1.1, "From: Ines Roth <ines.roth@example.org>\nSubject: My order\nContent-Type: text/html; charset=utf-8",
         "<h2>Hello!</h2><p>My <b>case</b> arrived with a <span style='color:#a00'>broken lock</span>."
         "<img src='https://tracker.example/pixel.gif'></p>"),
    ]  # fmt: skip
    for number, (hours, head, text) in enumerate(told):
        at = now - timedelta(hours=hours)
        head = head % {"number": conversation.pk} if "%(" in head else head
        raw = f"{head}\nTo: {settings.EVENHAND_MAIL_FROM}\nMessage-ID: <demo-mail-{number}@example.org>\nMIME-Version: 1.0\n\n{text}\n"
        mails.read_now(mails.keep_raw(raw.encode(), source="mail:demo", label="", at=at), at=at)
    set_aside.sample(now)


def _answer(conversation: Conversation, *, now: datetime, by: User, text: str) -> None:
    desk.answer(conversation.pk, text=text, by=by, at=now, out_of_order=OutOfOrder.KNOWS_IT)
    outgoing.send_batch(at=now)


def _see_to_the_guitar(conversation: Conversation, *, now: datetime, by: User) -> None:
    """A case from its first answer to its written confirmation."""
    _answer(
        conversation,
        now=now,
        by=by,
        text="Dear Rosa, this is ours and I take care of it myself. Please keep the guitar as it is; I will call you today about Saturday. Ada",
    )
    case = Case.objects.get(conversation=conversation)
    facts = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("1200.00"), days_without=3)
    recovery_actions.decide(case.pk, facts=facts, by=by, at=now + timedelta(hours=1))
    recovery_actions.resolve(
        case.pk,
        outcome=Outcome.UPHELD,
        explanation="Dear Rosa, the neck broke in our workshop. We pay the repair of 1,200 euros and 20 euros on top, and you play a guitar of ours on Saturday. Ada",
        by=by,
        at=now + timedelta(hours=30),
    )
    outgoing.send_batch(at=now + timedelta(hours=30))
    recovery_actions.work_batch("recovery", at=now + timedelta(hours=30))
    given: list[tuple[GrantKind, Decimal]] = [
        (GrantKind.REFUND, facts.loss), (GrantKind.GOODWILL, Decimal("20.00")), (GrantKind.APOLOGY, Decimal(0)),
    ]  # fmt: skip
    for kind, amount in given:
        recovery_actions.grant(
            case.pk,
            kind=kind,
            amount=amount,
            currency="EUR" if amount else "",
            by=by,
            at=now + timedelta(hours=31),
            key=kind,
        )


def _see_to_the_violin(conversation: Conversation, *, now: datetime, by: User) -> None:
    """The same failure told by phone: the same facts, the same entitlement."""
    case = Case.objects.get(conversation=conversation)
    facts = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("1200.00"), days_without=3)
    recovery_actions.decide(case.pk, facts=facts, by=by, at=now)


def _print_log_ins(*, on_screen: bool) -> None:
    table = Table(title="Demo log-ins (password for all: evenhand-demo)", title_justify="left")
    for column in ("who", "e-mail address", "where"):
        table.add_column(column)
    rows = [(f"{name}, {role.value.replace('_', ' ')}", email, "/admin/") for email, name, role, _takes in COLLEAGUES]
    rows += [
        ("Administrator", ADMINISTRATOR, "/admin/"),
        ("Chris, a customer", APP_CUSTOMER, "the app (/api/v1/docs/)"),
    ]
    for row in rows:
        table.add_row(*row)
    if on_screen:
        Console().print(table)
    PLACES.data.mkdir(parents=True, exist_ok=True)
    with (PLACES.data / "demo-logins.txt").open("w", encoding="utf-8") as file:
        Console(file=file, width=100).print(table)
