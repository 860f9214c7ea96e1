"""The one table of work that happens by itself: what follows which event, which lanes are emptied, what runs when.

A nudge is only a bell. Whatever it stands for is a row in PostgreSQL, and the lane it names is swept every few seconds whether or
not a bell rang. crm, loyalty and recovery read this table through settings and never import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Nudge:
    """After an event, look at a lane now instead of at its next sweep.

    keeps_row: the event leaves a work item of its own in that lane; otherwise the due row is the thing itself
    (an outgoing message, a raw item).
    """

    lane: str
    keeps_row: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue of due rows. `task` empties it; it is rung after events and swept `every`."""

    task: str
    every: timedelta
    words: str


@dataclass(frozen=True, slots=True)
class Duty:
    """Periodic work, done once per slot. A slot starts every `every`, `offset` after midnight UTC."""

    task: str
    every: timedelta
    words: str
    offset: timedelta = timedelta(0)

    def slot(self, at: datetime) -> datetime:
        """Give the start of the slot that `at` (aware) lies in, in UTC."""
        origin = datetime(2000, 1, 1, tzinfo=UTC) + self.offset
        return origin + ((at - origin) // self.every) * self.every


SWEPT = timedelta(seconds=5)

LANES: dict[str, Lane] = {
    "mailboxes": Lane("crm.tasks.poll_mailboxes", SWEPT, "ask mailboxes for new mail, each every 20 seconds"),
    "feeds": Lane(
        "crm.tasks.poll_feeds", SWEPT, "ask feeds of blogs, forums and searches, each as often as it may be late"
    ),
    "ingest": Lane("crm.tasks.run_due", SWEPT, "read raw input that has been kept but not read yet"),
    "posts": Lane("crm.tasks.run_due", SWEPT, "take in what providers posted and what could not be taken in at once"),
    "accounts": Lane("crm.tasks.poll_accounts", SWEPT, "ask providers for news that do not post it"),
    "awaited_files": Lane("crm.tasks.run_due", SWEPT, "fetch the files that providers keep for us"),
    "files": Lane("crm.tasks.run_due", SWEPT, "check attached files for viruses, where a scanner is set up"),
    "send": Lane("crm.tasks.run_due", SWEPT, "hand over what is ready to leave"),
    "customer_files": Lane("crm.tasks.run_due", SWEPT, "try, bring in and take back files of customers"),
    "promises": Lane(
        "crm.tasks.run_due", SWEPT, "warn of promises that run out soon, write down those that were missed"
    ),
    "erasures": Lane("crm.tasks.run_due", SWEPT, "erase whoever is to be forgotten, as agreed"),
    "packages": Lane("crm.tasks.run_due", SWEPT, "make the copies of their data that people asked for"),
    "search": Lane("crm.tasks.run_due", SWEPT, "read what messages and customers are found by"),
    "triage": Lane("recovery.tasks.run_due", SWEPT, "see whether what a customer told us is a failure of ours"),
    "recovery": Lane(
        "recovery.tasks.run_due",
        SWEPT,
        "note what became of a case's messages, that its owner changed, that it was wrongly dismissed, or what nobody asked for",
    ),
    "bereavement": Lane("crm.tasks.run_due", SWEPT, "look at messages whose words may tell of a death"),
    "closing_lines": Lane(
        "crm.tasks.run_due", SWEPT, "propose a short public last word for settled matters that began in public"
    ),
    "gestures": Lane("loyalty.tasks.run_due", SWEPT, "write the cards whose day has come, and note what was sent"),
}

NUDGES: dict[str, tuple[Nudge, ...]] = {
    "raw.kept": (Nudge("ingest"),),
    "post.kept": (Nudge("posts"),),
    "file.awaited": (Nudge("awaited_files"), Nudge("files")),
    "interaction.received": (Nudge("triage", keeps_row=True),),
    "interaction.worded": (Nudge("triage", keeps_row=True),),
    "interaction.mourns": (Nudge("bereavement", keeps_row=True),),
    "owner.changed": (Nudge("recovery", keeps_row=True),),
    "customer_file.ready": (Nudge("customer_files"),),
    "outgoing.ready": (Nudge("send"),),
    "outgoing.accepted": (Nudge("recovery", keeps_row=True), Nudge("gestures", keeps_row=True)),
    "outgoing.came_back": (Nudge("recovery", keeps_row=True), Nudge("gestures", keeps_row=True)),
    "dismissal.overturned": (Nudge("recovery", keeps_row=True),),
    "matter.settled": (Nudge("closing_lines", keeps_row=True),),
    "service_change.unrequested": (Nudge("recovery", keeps_row=True),),
    "service_change.ended": (Nudge("recovery", keeps_row=True),),
    "gesture.planned": (Nudge("gestures"),),
    "erasure.agreed": (Nudge("erasures"),),
    "package.asked": (Nudge("packages"),),
}

DUTIES: dict[str, Duty] = {
    "tick_availability": Duty(
        "crm.tasks.tick_availability", timedelta(minutes=1), "every minute: note who is here and who has room"
    ),
    "give_owners": Duty(
        "crm.tasks.give_owners", timedelta(minutes=1), "every minute: give unowned conversations an owner"
    ),
    "sweep_idle": Duty(
        "crm.tasks.sweep_idle", timedelta(minutes=1), "every minute: give back to the queue what somebody took and left"
    ),
    "reassign_owner": Duty(
        "crm.tasks.reassign_owner",
        timedelta(minutes=10),
        "every 10 minutes: move what cannot wait until its owner is back",
    ),
    "ask_for_reasons": Duty(
        "crm.tasks.ask_for_reasons",
        timedelta(minutes=15),
        "every 15 minutes: tell the leads of first answers missed a day ago for which nobody has written why",
    ),
    "sweep_orphans": Duty(
        "crm.tasks.sweep_orphans",
        timedelta(minutes=15),
        "every 15 minutes: tell the leads of matters without an owner or a next step, or with three owners in a week",
    ),
    "warn_of_certificates": Duty(
        "crm.tasks.warn_of_certificates",
        timedelta(days=1),
        "every morning at 05:10 UTC: tell of certificates that run out within 30 days",
        offset=timedelta(hours=5, minutes=10),
    ),
    "reprioritise_queue": Duty(
        "crm.tasks.reprioritise_queue",
        timedelta(minutes=5),
        "every 5 minutes: see that every open matter stands where its promises place it",
    ),
    "extend_calendars": Duty(
        "crm.tasks.extend_calendars",
        timedelta(days=1),
        "every day: give service calendars the holidays of further years",
    ),
    "recover_dropped_calls": Duty(
        "crm.tasks.recover_dropped_calls",
        timedelta(minutes=1),
        "every minute: promise a call-back where nobody answered or a talk was cut off",
    ),
    "watch_ingest_lag": Duty(
        "crm.tasks.watch_ingest_lag",
        timedelta(minutes=5),
        "every 5 minutes: see how late each source reaches us, and tell when one is late",
    ),
    "gather_strays": Duty(
        "crm.tasks.gather_strays",
        timedelta(minutes=1),
        "every minute: bring to the kept customer what was written about a record while two were made one",
    ),
    "follow_accounts": Duty(
        "crm.tasks.follow_accounts",
        timedelta(minutes=10),
        "every 10 minutes: let contact points follow addresses that were changed a day ago, remove sign-ups nobody proved",
    ),
    "bereavement_stop": Duty(
        "crm.tasks.bereavement_stop",
        timedelta(minutes=1),
        "every minute: stop what is cheerful for every house of mourning, whoever joined it and whatever was written since",
    ),
    "watch_places": Duty(
        "crm.tasks.watch_places",
        timedelta(hours=1),
        "every hour: see where customers talk and nobody has listened for a week, and tell the leads",
    ),
    "follow_stages": Duty(
        "crm.tasks.follow_stages",
        timedelta(minutes=5),
        "every 5 minutes: see where the relationship stands with those about whom something happened",
    ),
    "derive_stages": Duty(
        "crm.tasks.derive_stages",
        timedelta(days=1),
        "every night at 04:10 UTC: see where the relationship with every customer stands",
        offset=timedelta(hours=4, minutes=10),
    ),
    "ask_settled": Duty(
        "crm.tasks.ask_settled",
        timedelta(hours=1),
        "every hour: draw the matters that were settled a day ago, and ask those who are drawn, where that is switched on",
    ),
    "tend_closing_lines": Duty(
        "crm.tasks.tend_closing_lines",
        timedelta(hours=1),
        "every hour: propose public closing lines that were missed, and let go those that are not to be",
    ),
    "tend_identity_checks": Duty(
        "crm.tasks.tend_identity_checks",
        timedelta(hours=1),
        "every hour: ask no more for what nobody showed within two weeks",
    ),
    "plan_birthdays": Duty(
        "loyalty.tasks.plan_birthdays", timedelta(hours=1), "every hour: plan the birthday cards of the day"
    ),
    "replay_decisions": Duty(
        "recovery.tasks.replay_decisions",
        timedelta(days=1),
        "every night at 02:40 UTC: decide every open case and a sample of settled ones again, compare byte for byte",
        offset=timedelta(hours=2, minutes=40),
    ),
    "channel_swap_shadow": Duty(
        "recovery.tasks.channel_swap_shadow",
        timedelta(days=1),
        "every night at 03:10 UTC: serve yesterday's queue again with other channels; the order must be the same",
        offset=timedelta(hours=3, minutes=10),
    ),
    "compare_linked_cases": Duty(
        "recovery.tasks.compare_linked_cases",
        timedelta(days=1),
        "every night at 03:25 UTC: compare linked cases, and tell the leads of equals that did not get equal",
        offset=timedelta(hours=3, minutes=25),
    ),
    "parity_nightly": Duty(
        "recovery.tasks.parity_nightly",
        timedelta(days=1),
        "every night at 04:20 UTC: compare how customers of each channel were treated in the last 28 days",
        offset=timedelta(hours=4, minutes=20),
    ),
    "certificate_monthly": Duty(
        "recovery.tasks.certificate_monthly",
        timedelta(days=1),
        "every morning at 04:50 UTC: issue the certificate of equal treatment of a month that ended a week ago",
        offset=timedelta(hours=4, minutes=50),
    ),
    "measure_response_times": Duty(
        "recovery.tasks.measure_response_times",
        timedelta(days=1),
        "every morning at 04:35 UTC: measure how soon each channel gave its first answer, for everybody to read",
        offset=timedelta(hours=4, minutes=35),
    ),
    "correct_levels": Duty(
        "recovery.tasks.correct_levels",
        timedelta(days=7),
        "every Monday at 05:00 UTC: plan one step for every channel whose customers wait longer; causes first, then a credit",
        offset=timedelta(days=2, hours=5),
    ),
    "draw_regrades": Duty(
        "recovery.tasks.draw_regrades",
        timedelta(days=1),
        "every night at 04:00 UTC: draw a few of the matters that ended, to be graded again without knowing how they came",
        offset=timedelta(hours=4),
    ),
    "match_probes": Duty(
        "recovery.tasks.match_probes", timedelta(minutes=5), "every 5 minutes: find what agreed testers brought in"
    ),
    "weigh_probes": Duty(
        "recovery.tasks.weigh_probes",
        timedelta(days=1),
        "every night at 04:45 UTC: add the agreed test pairs that are old enough to the evidence, and ring where it is enough",
        offset=timedelta(hours=4, minutes=45),
    ),
    "ask_for_rule_reviews": Duty(
        "recovery.tasks.ask_for_rule_reviews",
        timedelta(days=1),
        "every night at 04:40 UTC: see which rules deny or err too often, and ask once a quarter that people look again",
        offset=timedelta(hours=4, minutes=40),
    ),
    "parity_sequential": Duty(
        "recovery.tasks.parity_sequential",
        timedelta(days=1),
        "every night at 04:40 UTC: add yesterday to the evidence of how channels are treated, and ring where it is enough",
        offset=timedelta(hours=4, minutes=40),
    ),
    "what_we_teach": Duty(
        "recovery.tasks.what_we_teach",
        timedelta(days=1),
        "every night at 04:50 UTC, and done once a month: see whether answering late teaches customers to speak publicly",
        offset=timedelta(hours=4, minutes=50),
    ),
    "parity_rollup": Duty(
        "recovery.tasks.parity_rollup",
        timedelta(hours=1),
        "every hour: count what became of the matters of the last two days, and once a day of the last eight weeks",
    ),
    "refresh_ledger": Duty(
        "recovery.tasks.refresh_ledger",
        timedelta(days=1),
        "every night at 03:10 UTC: sum again what was given and owed, by first channel and week",
        offset=timedelta(hours=3, minutes=10),
    ),
    "sample_set_aside": Duty(
        "crm.tasks.sample_set_aside",
        timedelta(days=1),
        "every night at 03:30 UTC: draw a few of the mails that opened no conversation for a person to look at",
        offset=timedelta(hours=3, minutes=30),
    ),
    "sample_judgements": Duty(
        "crm.tasks.sample_judgements",
        timedelta(days=1),
        "every night at 03:40 UTC: draw a few of the public posts judged to need no answer for an auditor to look at",
        offset=timedelta(hours=3, minutes=40),
    ),
    "forget_reach": Duty(
        "crm.tasks.forget_reach",
        timedelta(days=1),
        "every night at 03:50 UTC: remove what platforms told about accounts more than 30 days ago",
        offset=timedelta(hours=3, minutes=50),
    ),
    "look_at_erasures": Duty(
        "crm.tasks.look_at_erasures",
        timedelta(hours=1),
        "every hour: see whether something still stands in the way of erasures that wait",
    ),
    "remove_by_rule": Duty(
        "crm.tasks.remove_by_rule",
        timedelta(days=1),
        "every night at 01:20 UTC: remove what the rules of what is kept let go, and write down how much",
        offset=timedelta(hours=1, minutes=20),
    ),
    "remove_packages": Duty(
        "crm.tasks.remove_packages",
        timedelta(hours=1),
        "every hour: remove copies of people's data that are a week old",
    ),
    "forget_customer_files": Duty(
        "crm.tasks.forget_customer_files",
        timedelta(days=1),
        "every night at 03:45 UTC: remove files of customers that were brought in or left lying some days ago",
        offset=timedelta(hours=3, minutes=45),
    ),
    "sample_dismissals": Duty(
        "crm.tasks.sample_dismissals",
        timedelta(days=1),
        "every night at 03:20 UTC: draw one in ten of each past month's dismissals for a second person",
        offset=timedelta(hours=3, minutes=20),
    ),
}

SETTLED_BY = ("recovery.actions.settled.matters",)
"""What counts as settled beside closed conversations, for `endings.settled_between`: each is called with since and until and gives
a query of the keys of conversations."""

RUNG_AT_LEAST = timedelta(seconds=60)
"""A duty is rung at least this often; its slot is claimed once, so a run that died is made up for in the next minute."""


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Write the table as Celery beat reads it: one entry per lane and per duty."""
    schedule: dict[str, dict[str, Any]] = {
        f"lane {name}": {
            "task": lane.task,
            "kwargs": {"lane": name},
            "schedule": lane.every,
            "options": {"expires": lane.every.total_seconds() * 2},
        }
        for name, lane in LANES.items()
    }
    for name, duty in DUTIES.items():
        rung_every = min(duty.every, RUNG_AT_LEAST)
        schedule[f"duty {name}"] = {
            "task": duty.task,
            "schedule": rung_every,
            "options": {"expires": rung_every.total_seconds() * 2},
        }
    return schedule
