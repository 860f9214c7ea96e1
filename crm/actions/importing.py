"""Taking in old public correspondence from a file: who wrote, what was answered and when. It starts no clock.

Nothing here promises an answer, opens a case, names an owner or sends anything: the conversations are closed when they
come in, and no follow-up of `interaction.received` is written for them. They count in reports, marked as imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from crm import history
from crm.channels import Channel
from crm.channels.threads import Post, Rejected, Thread, addressed
from crm.models import ContactPoint, Conversation, Customer, HistoryEntry, Interaction, PublicPost, RawItem
from crm.models.people import ContactKind
from crm.policy import ConversationState, Direction, WorkState, earliest

SOURCE = "threads"
"""Where an imported message of a customer is from; a company's is from "threads:<company>"."""

RACES_TRIED = 5
POSTS_A_BATCH = 500

_LOST_RACES = frozenset({"contact_point_one_customer", "interaction_received_once"})
_ACCOUNT_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Brought:
    """How many rows one call has added."""

    customers: int = 0
    conversations: int = 0
    interactions: int = 0

    def __add__(self, other: Brought) -> Brought:
        return Brought(
            self.customers + other.customers,
            self.conversations + other.conversations,
            self.interactions + other.interactions,
        )


def batches(threads: Iterable[Thread]) -> Iterator[list[Thread]]:
    """Cut threads into batches of about 500 messages; a thread is never cut."""
    batch: list[Thread] = []
    posts = 0
    for thread in threads:
        batch.append(thread)
        posts += len(thread.posts)
        if posts >= POSTS_A_BATCH:
            yield batch
            batch, posts = [], 0
    if batch:
        yield batch


def bring_in(threads: Sequence[Thread], *, at: datetime, companies: Mapping[str, str] | None = None) -> Brought:
    """Write threads as closed, imported conversations with their customers and messages, in one transaction.

    at: now. companies: which company each message of a customer was for (`threads.addressed`), when these threads are a part
    of what is known. A thread belongs to the customer who spoke first; others in it are customers with messages of their own.
    A message that is there already (same id) is left as it is, and the rest of its thread joins its conversation.
    What customers said are public posts, which count in response coverage. first_answer_at is the first response as reports
    count it: a company's answer to the opening message itself.
    Raises ValueError for a thread in which no customer speaks; then nothing has changed.
    """
    if not all(thread.customer for thread in threads):
        raise ValueError("A thread without a customer cannot be a conversation.")
    companies = addressed(threads) if companies is None else companies
    for race in range(RACES_TRIED):
        try:
            with transaction.atomic():
                return _bring_in(threads, companies, at=at)
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint not in _LOST_RACES or race == RACES_TRIED - 1:
                raise  # somebody else brings in the same messages this instant: look again
    raise AssertionError("the loop above returns or raises")


def keep_rejected(rejected: Iterable[Rejected], *, file_name: str, at: datetime) -> int:
    """Keep rows that were not taken in, parked with their reason where people see them. Returns how many are new.

    The same bytes from a file of the same name are one raw item.
    """
    source = f"{SOURCE}:{file_name}"[:120]
    rows = {
        hashlib.sha256(one.content).hexdigest(): RawItem(
            source=source,
            content=one.content,
            label=file_name[:300],
            received_at=at,
            state=WorkState.PARKED,
            kind="thread_row",
            reason=one.reason,
        )
        for one in rejected
    }
    known = set(RawItem.objects.filter(source=source, external_id__in=rows).values_list("external_id", flat=True))
    new = []
    for external_id, row in rows.items():
        row.external_id = external_id
        if external_id not in known:
            new.append(row)
    RawItem.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return len(new)


def source_of(post: Post) -> str:
    """Say where a message is from; it names the company when a company wrote it."""
    return SOURCE if post.is_inbound else f"{SOURCE}:{post.author}"


def _bring_in(threads: Sequence[Thread], companies: Mapping[str, str], *, at: datetime) -> Brought:
    known = _conversations_known(threads)
    number_of = {external_id: number for (_source, external_id), number in known.items()}
    fresh: list[tuple[Thread, list[Post], int | None]] = []
    for thread in threads:
        new = [post for post in thread.posts if (source_of(post), post.id) not in known]
        if new:
            linked = (number_of.get(one) for post in thread.posts for one in (post.id, post.answers))
            fresh.append((thread, new, min((number for number in linked if number is not None), default=None)))
    points, customers = _speakers(fresh, at=at)
    existing = {number for _thread, _new, number in fresh if number is not None}
    joined_conversations = {
        conversation.pk: conversation
        for conversation in Conversation.objects.select_for_update(of=("self",))
        .select_related("customer")
        .filter(pk__in=existing)
        .order_by("pk")
    }
    opened: list[Conversation] = []
    interactions: list[Interaction] = []
    posts: list[PublicPost] = []
    entries: list[HistoryEntry] = []
    for thread, new, number in fresh:
        if number is None:
            conversation = _conversation(thread, points[thread.customer].customer)
            opened.append(conversation)
        else:
            conversation = joined_conversations[number]
            _grow(conversation, thread)
        said = {post.id: _interaction(post, conversation, points, at=at) for post in new}
        interactions += said.values()
        posts += _posts(thread, said, companies)
        entries.append(
            history.entry(
                conversation.customer,
                "conversation.imported",
                ref=f"conversation:{conversation.public_id}",
                by=None,
                at=at,
                origin="import",
                detail={"interactions": len(new), "channel": Channel.SOCIAL_PUBLIC.value},
            )
        )
    Conversation.objects.bulk_create(opened)
    Conversation.objects.bulk_update(
        joined_conversations.values(), ["spoke_at", "last_inbound_at", "last_outbound_at", "first_answer_at"]
    )
    Interaction.objects.bulk_create(interactions)
    PublicPost.objects.bulk_create(posts)
    for thread, _new, number in fresh:
        if number is not None:
            _answered_since(thread, number)
    HistoryEntry.objects.bulk_create(entries)
    return Brought(customers=customers, conversations=len(opened), interactions=len(interactions))


def _conversations_known(threads: Sequence[Thread]) -> dict[tuple[str, str], int]:
    """The conversation of each message of these threads, and of each message they answer, that is there already."""
    posts = [post for thread in threads for post in thread.posts]
    ids = {post.id for post in posts} | {post.answers for post in posts if post.answers}
    found = Interaction.objects.filter(
        source__in={SOURCE, *(source_of(post) for post in posts)}, external_id__in=ids, imported=True
    )
    return {
        (source, external_id): conversation
        for source, external_id, conversation in found.values_list("source", "external_id", "conversation_id")
    }


def _speakers(
    fresh: Sequence[tuple[Thread, list[Post], int | None]], *, at: datetime
) -> tuple[dict[str, ContactPoint], int]:
    """The contact point of every customer who speaks, by author; new ones are written. And how many are new."""
    first_seen: dict[str, datetime] = {}
    for thread, _new, _number in fresh:
        for post in thread.posts:
            if post.is_inbound:
                first_seen[post.author] = min(first_seen.get(post.author, post.at), post.at)
    addresses = {f"public:{author}": author for author in sorted(first_seen)}
    points = {
        addresses[point.address]: point
        for point in ContactPoint.objects.filter(
            kind=ContactKind.HANDLE, address__in=addresses, unlinked_at=None
        ).select_related("customer")
    }
    new = [
        ContactPoint(
            customer=Customer(display_name=f"@{author}", created_at=first_seen[author]),
            kind=ContactKind.HANDLE,
            address=address,
            created_at=at,
        )
        for address, author in addresses.items()
        if author not in points
    ]
    Customer.objects.bulk_create([point.customer for point in new])
    ContactPoint.objects.bulk_create(new)
    points |= {addresses[point.address]: point for point in new}
    return points, len(new)


def _conversation(thread: Thread, customer: Customer) -> Conversation:
    conversation = Conversation(
        customer=customer,
        channel=Channel.SOCIAL_PUBLIC,
        state=ConversationState.CLOSED,
        spoke_at=next(post.at for post in thread.posts if post.is_inbound),
        imported=True,
    )
    _grow(conversation, thread)
    return conversation


def _grow(conversation: Conversation, thread: Thread) -> None:
    """Let a conversation's times cover a thread's messages."""
    inbound = [post.at for post in thread.posts if post.is_inbound]
    outbound = [post.at for post in thread.posts if not post.is_inbound]
    answers = thread.first_answers()
    answered = next((answers[one.id].at for one in thread.openings if one.id in answers), None)
    conversation.spoke_at = min(conversation.spoke_at, *inbound)
    conversation.last_inbound_at = max(filter(None, [conversation.last_inbound_at, *inbound]))
    conversation.last_outbound_at = max(filter(None, [conversation.last_outbound_at, *outbound]), default=None)
    conversation.first_answer_at = earliest([conversation.first_answer_at, answered])


def _interaction(
    post: Post, conversation: Conversation, points: dict[str, ContactPoint], *, at: datetime
) -> Interaction:
    return Interaction(
        conversation=conversation,
        direction=Direction.INBOUND if post.is_inbound else Direction.OUTBOUND,
        channel=Channel.SOCIAL_PUBLIC,
        contact_point=points[post.author] if post.is_inbound else None,
        source=source_of(post),
        external_id=post.id,
        text=post.text,
        spoke_at=post.at,
        ingested_at=at,
        imported=True,
    )


def _posts(thread: Thread, said: Mapping[str, Interaction], companies: Mapping[str, str]) -> list[PublicPost]:
    """The public posts among a thread's new messages, each with the answer to it that the thread holds."""
    openings, answers = {post.id for post in thread.openings}, thread.answers()
    return [
        PublicPost(
            interaction=interaction,
            conversation=interaction.conversation,
            channel=interaction.channel,
            account=companies.get(number, "")[:_ACCOUNT_LENGTH],
            spoke_at=interaction.spoke_at,
            is_first=number in openings,
            imported=True,
            answered_at=answers[number].at if number in answers else None,
        )
        for number, interaction in said.items()
        if interaction.direction == Direction.INBOUND
    ]


def _answered_since(thread: Thread, conversation: int) -> None:
    """Let posts that were there already know the answers that this thread brings."""
    answers = thread.answers()
    waiting = PublicPost.objects.filter(
        conversation=conversation, answered_at=None, interaction__external_id__in=answers
    ).select_related("interaction")
    for post in waiting:
        post.answered_at = max(answers[post.interaction.external_id].at, post.spoke_at)
        post.save(update_fields=["answered_at"])
