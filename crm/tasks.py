"""When crm's work happens: lanes are emptied after a bell or a sweep, duties once per slot. Safe to lose, safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from celery import shared_task
from django.utils import timezone

from crm.actions import (
    accounts,
    asking,
    bereavement,
    calendars,
    call_backs,
    channel_files,
    channel_hooks,
    channel_polling,
    closing_lines,
    customer_files,
    deadlines,
    duties,
    endings,
    erasure,
    fetching,
    files,
    identity_checks,
    judgements,
    listening,
    listening_places,
    mails,
    neglect,
    order,
    outgoing,
    owners,
    packages,
    persons,
    queue,
    reach,
    retention,
    rota,
    search_index,
    set_aside,
    sources,
    stages,
)

BATCHES: dict[str, Callable[[datetime], int]] = {
    "ingest": lambda at: mails.ingest_batch(at=at),
    "posts": lambda at: channel_hooks.apply_batch(at=at),
    "awaited_files": lambda at: channel_files.fetch_batch(at=at),
    "files": lambda at: files.scan_batch(at=at),
    "send": lambda at: outgoing.send_batch(at=at),
    "customer_files": lambda at: customer_files.work_batch(at=at),
    "search": lambda at: search_index.read_batch(at=at),
    "promises": lambda at: deadlines.tick(at=at),
    "bereavement": lambda at: bereavement.work_batch(at=at),
    "erasures": lambda at: erasure.work_batch(at=at),
    "packages": lambda at: packages.work_batch(at=at),
    "closing_lines": lambda at: closing_lines.work_batch(at=at),
}


@shared_task
def run_due(*, lane: str) -> None:
    """Empty one lane: claim due rows in batches under a lease until none is left."""
    while BATCHES[lane](timezone.now()):
        pass


@shared_task
def poll_mailboxes(*, lane: str) -> None:
    """Ask the mailboxes that are due, side by side, once; the next sweep asks those that are due by then."""
    fetching.poll_due(at=timezone.now())


@shared_task
def poll_feeds(*, lane: str) -> None:
    """Ask the feeds that are due, side by side, once; the next sweep asks those that are due by then."""
    listening.poll_due(at=timezone.now())


@shared_task
def poll_accounts(*, lane: str) -> None:
    """Ask the providers that are due for news, side by side, once; the next sweep asks those that are due by then."""
    channel_polling.poll_due(at=timezone.now())


@shared_task
def reprioritise_queue() -> None:
    """Bring every open matter to the place its promises give it."""
    duties.once_per_slot("reprioritise_queue", order.put_right, at=timezone.now())


@shared_task
def extend_calendars() -> None:
    """Give service calendars the particular days of further years."""
    duties.once_per_slot("extend_calendars", calendars.extend, at=timezone.now())


@shared_task
def give_owners() -> None:
    """Give unowned conversations an owner."""
    duties.once_per_slot("give_owners", owners.give_orphans_an_owner, at=timezone.now())


@shared_task
def sweep_orphans() -> None:
    """Tell the leads of matters that nobody looks after, that stand still, or that are passed around."""
    duties.once_per_slot("sweep_orphans", owners.escalate_orphans, at=timezone.now())


@shared_task
def reassign_owner() -> None:
    """Move what cannot wait until its owner is back."""
    duties.once_per_slot("reassign_owner", owners.reassign_owner, at=timezone.now())


@shared_task
def tick_availability() -> None:
    """Note who is here and who has room."""
    duties.once_per_slot("tick_availability", rota.tick_availability, at=timezone.now())


@shared_task
def sweep_idle() -> None:
    """Give back to the queue what somebody took and then left."""
    duties.once_per_slot("sweep_idle", queue.sweep_idle, at=timezone.now())


@shared_task
def warn_of_certificates() -> None:
    """Tell of certificates that run out soon."""
    duties.once_per_slot("warn_of_certificates", rota.warn_of_ending_certificates, at=timezone.now())


@shared_task
def sample_dismissals() -> None:
    """Draw last month's dismissals that somebody else looks at again."""
    duties.once_per_slot("sample_dismissals", endings.sample_dismissals, at=timezone.now())


@shared_task
def ask_for_reasons() -> None:
    """Tell the leads of first answers missed a day ago for which nobody has written why."""
    duties.once_per_slot("ask_for_reasons", neglect.ask_for_reasons, at=timezone.now())


@shared_task
def recover_dropped_calls() -> None:
    """Promise a call-back where nobody answered or a talk was cut off."""
    duties.once_per_slot("recover_dropped_calls", call_backs.recover_dropped_calls, at=timezone.now())


@shared_task
def watch_ingest_lag() -> None:
    """See how late each source reaches us."""
    duties.once_per_slot("watch_ingest_lag", sources.watch_ingest_lag, at=timezone.now())


@shared_task
def gather_strays() -> None:
    """Bring to the kept customer what was written about a record while it was made one with another."""
    duties.once_per_slot("gather_strays", lambda at: persons.gather(at=at), at=timezone.now())


@shared_task
def bereavement_stop() -> None:
    """Stop what is cheerful for every house of mourning."""
    duties.once_per_slot("bereavement_stop", lambda at: bereavement.stop(at=at), at=timezone.now())


@shared_task
def forget_customer_files() -> None:
    """Remove uploaded files of customers, and what was found in them, some days after."""
    duties.once_per_slot("forget_customer_files", lambda at: customer_files.forget(at=at), at=timezone.now())


@shared_task
def watch_places() -> None:
    """See where customers talk and nobody listens."""
    duties.once_per_slot("watch_places", listening_places.watch, at=timezone.now())


@shared_task
def sample_set_aside() -> None:
    """Draw a few of the mails that opened no conversation for a person to look at."""
    duties.once_per_slot("sample_set_aside", set_aside.sample, at=timezone.now())


@shared_task
def sample_judgements() -> None:
    """Draw a few of the posts judged to need no answer for an auditor to look at."""
    duties.once_per_slot("sample_judgements", judgements.sample, at=timezone.now())


@shared_task
def forget_reach() -> None:
    """Remove what platforms told about accounts more than 30 days ago."""
    duties.once_per_slot("forget_reach", reach.forget, at=timezone.now())


@shared_task
def follow_accounts() -> None:
    """Let contact points follow changed addresses, and remove sign-ups that nobody proved."""
    duties.once_per_slot("follow_accounts", lambda at: accounts.follow_up(at=at), at=timezone.now())


@shared_task
def follow_stages() -> None:
    """See where relationships stand about which something happened."""
    duties.once_per_slot("follow_stages", stages.follow, at=timezone.now())


@shared_task
def derive_stages() -> None:
    """See where every relationship stands."""
    duties.once_per_slot("derive_stages", stages.derive_all, at=timezone.now())


@shared_task
def look_at_erasures() -> None:
    """See whether something still stands in the way of erasures that wait."""
    duties.once_per_slot("look_at_erasures", erasure.look_again, at=timezone.now())


@shared_task
def remove_by_rule() -> None:
    """Remove what the rules of what is kept let go."""
    duties.once_per_slot("remove_by_rule", retention.remove_due, at=timezone.now())


@shared_task
def remove_packages() -> None:
    """Remove copies of people's data that are a week old."""
    duties.once_per_slot("remove_packages", packages.remove_old, at=timezone.now())


@shared_task
def ask_settled() -> None:
    """Draw what was settled, and ask those who are drawn."""
    duties.once_per_slot("ask_settled", asking.ask_settled, at=timezone.now())


@shared_task
def tend_closing_lines() -> None:
    """Propose public closing lines that were missed, and let go those that are not to be."""
    duties.once_per_slot("tend_closing_lines", closing_lines.tend, at=timezone.now())


@shared_task
def tend_identity_checks() -> None:
    """Ask no more for what nobody showed within two weeks."""
    duties.once_per_slot("tend_identity_checks", identity_checks.tend, at=timezone.now())
