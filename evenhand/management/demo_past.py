"""The demo's past: three months in which the phone was answered later than everything else, until it was found and put right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from crm.actions import alerts, made_up
from crm.channels import Channel
from crm.models import Alert, User
from crm.policy import AlertKind
from recovery import actions as recovery_actions
from recovery.actions import certificates, corrections
from recovery.models import ParityFinding
from recovery.parity.levelling import CorrectionKind
from recovery.policy import ComplaintType, FindingState

A_DAY = 26
"""Matters of a working day; a third of that on Saturdays."""
LATER = 2.4
"""So many times as long the phone's customers waited for a like matter, before it was found."""
PEOPLE = 420
STEPS: dict[str, tuple[int, ...]] = {ComplaintType.WRONG_CHARGE: (0, 0, 2), ComplaintType.LATE_OR_MISSING: (0, 0, 0, 1)}
"""How many steps like matters took to show who it is, each as often as the others; by what it was about, on every channel alike."""
SEEN = (AlertKind.PARITY_FOUND, AlertKind.LEVELS_LAG)
"""What leads were told of in the past, and saw then."""
SHARES = {Channel.PHONE: 34, Channel.EMAIL: 28, Channel.WEB_FORM: 18, Channel.CHAT: 12, Channel.SMS: 8}
FIRST = ["Anna", "Ben", "Clara", "David", "Elif", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kira", "Leon", "Mina", "Noah",
         "Olga", "Pavel", "Rita", "Samir", "Tess", "Ugo", "Vera"]  # fmt: skip
LAST = ["Abel", "Brandt", "Costa", "Dorn", "Eriksen", "Fuchs", "Grau", "Haas", "Ionescu", "Jung", "Kowal", "Lorenz", "Moreau",
        "Nagy", "Otto", "Peeters", "Rossi", "Sommer", "Tanaka", "Unger"]  # fmt: skip

# What it takes, hours until half are answered, share on the phone and elsewhere, subject, words, answer.
KINDS = [
    ("", 0.7, 62, 30, "Opening hours", "When are you open this week?",
     "Until six every day, on Saturday from ten to four."),
    (ComplaintType.LATE_OR_MISSING, 2.6, 18, 34, "Where is my parcel?", "It should have come on Monday.",
     "It is on its way; we wrote to the carrier and look again tomorrow."),
    (ComplaintType.WRONG_CHARGE, 1.8, 12, 22, "My bill", "There are strings on it that I did not order.",
     "You are right, we take them off."),
    (ComplaintType.DAMAGED_ITEM, 3.4, 8, 14, "It came damaged", "The case has a crack.", "We send you another one today."),
]  # fmt: skip


def tell(now: datetime, *, ada: User, ben: User) -> None:
    """Bring in the past; the house is still empty."""
    dice = random.Random(20)
    made_up.bring_in(list(_matters(dice, now, ada=ada, ben=ben)), at=now)


def look_back(now: datetime, *, lead: User) -> None:
    """Look at it as the nights would have, answer what is found, and issue the certificates of the months."""
    since, put_right = _months(now)
    nights = [each for week in range(20) if (each := _night(since + timedelta(days=28 + 7 * week))) < now]
    for night in nights:
        recovery_actions.parity_nightly(night)
        for found in ParityFinding.objects.filter(state=FindingState.OPEN).order_by("pk"):
            state, words = _answer(found, put_right)
            recovery_actions.answer_finding(found.pk, state=state, words=words, by=lead, at=night + timedelta(hours=5))
            if found.channel == Channel.PHONE and found.metric == "first_response":
                corrections.note(
                    found.pk, kind=CorrectionKind.INGEST_FIX, words=words, by=lead, at=night + timedelta(hours=5)
                )
        recovery_actions.correct_levels(night + timedelta(hours=6))
        for alert in Alert.objects.filter(kind__in=SEEN, seen_at=None).order_by("pk"):
            alerts.see(alert.pk, by=lead, at=night + timedelta(hours=5))
        recovery_actions.certificate_monthly(night + timedelta(minutes=30))
    recovery_actions.certificate_monthly(now)
    certificates.publish(is_public=True, by=lead, at=now - timedelta(days=1))


def _answer(found: ParityFinding, put_right: datetime) -> tuple[FindingState, str]:
    if found.is_favoured:
        return (
            FindingState.EXPLAINED,
            "The other side of the phone's waiting. Nobody is slowed down; the phone is lifted.",
        )
    if found.channel != Channel.PHONE:
        return (
            FindingState.CORRECTING,
            "We read the very matters of this list one by one, and say on Friday what we found.",
        )
    return (
        FindingState.CORRECTING,
        "Words left after the tone waited for whoever had the phone. "
        f"From {put_right:%-d %B} they stand in the one line, like everything else.",
    )


def look_tonight(now: datetime) -> None:
    """What the last night would have done, once all of the demo has been told."""
    recovery_actions.parity_nightly(now)
    recovery_actions.measure_response_times(now)


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


def _months(now: datetime) -> tuple[datetime, datetime]:
    """When the past begins, and when the phone was put right: the beginnings of the last two months that have a certificate."""
    last_day = timezone.localdate(now - certificates.MATURES, _zone()).replace(day=1) - timedelta(days=1)
    put_right = last_day.replace(day=1)
    since = (put_right - timedelta(days=1)).replace(day=1)
    begin, right = (timezone.make_aware(datetime.combine(day, time.min), _zone()) for day in (since, put_right))
    return begin, right


def _night(day: datetime) -> datetime:
    return day.replace(hour=5, minute=20)


def _matters(dice: random.Random, now: datetime, *, ada: User, ben: User) -> Iterator[made_up.Matter]:
    since, put_right = _months(now)
    people = [
        made_up.Person(
            f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]}",
            f"{FIRST[number % len(FIRST)]}.{LAST[number % len(LAST)]}{number}@example.org".lower(),
            f"+493023125{number:03d}",
        )
        for number in range(PEOPLE)
    ]
    papers = random.Random(37)  # dice of its own, so that the rest of the past stays as it is told
    day = since
    while day < now - timedelta(days=8):  # the last week is told one by one
        for _number in range(0 if day.weekday() == 6 else A_DAY // 3 if day.weekday() == 5 else A_DAY):
            channel = dice.choices(list(SHARES), weights=list(SHARES.values()))[0]
            on_phone = channel == Channel.PHONE
            skill, half, _phone, _else, subject, asked, answer = dice.choices(
                KINDS, weights=[kind[2] if on_phone else kind[3] for kind in KINDS]
            )[0]
            spoke_at = day + timedelta(hours=9, minutes=dice.randrange(7 * 60))
            waits = half * dice.lognormvariate(0, 0.75) * (LATER if on_phone and day < put_right else 1)
            answered_at = _awake(spoke_at + timedelta(hours=min(waits, 40)), dice)
            yield made_up.Matter(
                person=dice.choice(people),
                channel=channel.value,
                by_phone=channel in (Channel.PHONE, Channel.SMS),
                skill=skill,
                subject=subject,
                asked=f"After the tone: {asked[0].lower()}{asked[1:]}" if on_phone else asked,
                answer=answer,
                spoke_at=spoke_at,
                answered_at=answered_at,
                settled_at=_awake(answered_at + timedelta(hours=dice.lognormvariate(1, 0.8)), dice),
                by=dice.choice([ada, ben]),
                steps=papers.choice(STEPS.get(skill, (0,))),
            )
        day += timedelta(days=1)


def _awake(moment: datetime, dice: random.Random) -> datetime:
    """The moment, or the next morning where the shop is closed by then."""
    local = timezone.localtime(moment, _zone())
    if 8 <= local.hour < 19:
        return moment
    day = local if local.hour < 8 else local + timedelta(days=1)
    return day.replace(hour=8, minute=dice.randrange(60))
