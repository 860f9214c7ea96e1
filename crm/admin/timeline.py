"""A customer's story in time order, put together from every source that has something to tell."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import belongings
from crm.admin import panels, words
from crm.admin.panels import Before, Event, earlier
from crm.models import Customer, HistoryEntry, Interaction, Promise, User
from crm.policy import Direction, OutgoingState
from crm.policy.identity_checks import CheckKind, CheckNeed

PAGE_SIZE = 40

TOLD_ELSEWHERE = (
    "conversation.opened",
    "conversation.continued",
    "conversation.answered",
    "conversation.confirmation",
    "conversation.noted",
    "conversation.closing_line",
    "call.written_down",
    "case.opened",
)
"""Entries whose subject stands in the timeline itself."""

VERBS = {
    "conversation.closed": gettext_lazy("Conversation closed"),
    "conversation.owned": gettext_lazy("Conversation taken on"),
    "promise.missed": gettext_lazy("A promise was missed"),
    "message.queued": gettext_lazy("Message written"),
    "message.released": gettext_lazy("Message sent again by a colleague"),
    "message.cancelled": gettext_lazy("Message cancelled"),
    "message.refused": gettext_lazy("Message refused by the receiving side"),
    "message.accepted": gettext_lazy("Message accepted for delivery"),
    "message.came_back": gettext_lazy("Message came back, it reached nobody"),
    "message.complained": gettext_lazy("The customer called a message unwanted"),
    "address.unconfirmed": gettext_lazy("Nothing reaches them at this address; it is unconfirmed"),
    "address.works": gettext_lazy("Their address works again"),
    "case.came_back": gettext_lazy("Case open again, its confirmation came back"),
    "case.ownership_not_told": gettext_lazy("Not told who looks after it, the message came back"),
    "message.held": gettext_lazy("Message held for a person"),
    "message.parked": gettext_lazy("Message set aside after several attempts"),
    "call.call_back_agreed": gettext_lazy("A call-back was agreed"),
    "call.tried": gettext_lazy("Called back, reached nobody"),
    "conversation.reopened": gettext_lazy("Conversation opened again"),
    "message.outcome_unknown": gettext_lazy("Message handed over, outcome unknown"),
    "consent.asked": gettext_lazy("Asked whether they allow something"),
    "consent.granted": gettext_lazy("The customer allowed something"),
    "consent.withdrawn": gettext_lazy("Something is not allowed any more"),
    "consent.claimed": gettext_lazy("A file says that they allowed something; that does not count"),
    "consent.disowned": gettext_lazy("The customer says that they never allowed it"),
    "suppression.begun": gettext_lazy("Their address wants nothing of a kind"),
    "suppression.ended": gettext_lazy("The customer ended what they had against it"),
    "hold.placed": gettext_lazy("Nothing but what is owed leaves from here on"),
    "hold.lifted": gettext_lazy("The hold ended"),
    "customer.language": gettext_lazy("Their language noted"),
    "customer.fields": gettext_lazy("Noted in our own fields"),
    "case.fields": gettext_lazy("Noted in our own fields of a case"),
    "erasure.asked": gettext_lazy("They asked to be forgotten"),
    "erasure.agreed": gettext_lazy("Forgetting them was agreed to"),
    "erasure.restricted": gettext_lazy("Forgetting them waits; something stands in the way"),
    "erasure.dropped": gettext_lazy("The request to forget them was taken back"),
    "erasure.again": gettext_lazy("Forgetting them was tried again"),
    "customer.erased": gettext_lazy("Everything about them was erased"),
    "package.asked": gettext_lazy("A copy of their data was asked for"),
    "package.made": gettext_lazy("The copy of their data was made"),
    "package.fetched": gettext_lazy("The copy of their data was fetched"),
    "package.removed": gettext_lazy("The copy of their data was removed"),
    "package.again": gettext_lazy("The copy of their data was tried again"),
    "customer.merged": gettext_lazy("Two records were made one"),
    "customer.merge_undone": gettext_lazy("Two records were taken apart again"),
    "customer.parted": gettext_lazy("Part of it became a record of its own"),
    "customer.two_people": gettext_lazy("Noted that another record is another person"),
    "customer.imported": gettext_lazy("Brought in from a file"),
    "customer.import_undone": gettext_lazy("The file was taken back"),
    "customer.birthday_told": gettext_lazy("Told us their birthday"),
    "customer.app_account": gettext_lazy("Got an account for the app"),
    "account.signed_up": gettext_lazy("Made an account in the app and proved their address"),
    "account.history_opened": gettext_lazy("Showed a second proof; the app shows all their matters"),
    "account.password_reset": gettext_lazy("Set a new password for the app"),
    "account.address_changed": gettext_lazy(
        "The account has another address; the old one can take that back for a day"
    ),
    "account.address_restored": gettext_lazy("The old address took the change back"),
    "account.address_settled": gettext_lazy("The new address of the account counts"),
    "customer.stage_noted": gettext_lazy("A colleague said where it stands"),
    "customer.role_noted": gettext_lazy("Noted what they are to us besides"),
    "customer.role_ended": gettext_lazy("Noted what they are to us no more"),
    "service.changed": gettext_lazy("Something was changed for them"),
    "service.reversed": gettext_lazy("A change that nobody asked for was put back"),
    "service.kept": gettext_lazy("They said that a change stays"),
    "service.already_back": gettext_lazy("They said that a change is back already"),
    "service.confirmed_by_hand": gettext_lazy("What became of a change was confirmed otherwise than by mail"),
    "case.linked": gettext_lazy("Case linked with another customer's"),
    "case.link_ended": gettext_lazy("Case not linked with another customer's any more"),
    "case.owned": gettext_lazy("Case taken on"),
    "case.decided": gettext_lazy("Case decided"),
    "case.resolved": gettext_lazy("Case settled"),
    "case.confirmed": gettext_lazy("Case confirmed in writing"),
    "case.reopened": gettext_lazy("Case open again"),
    "case.went_quiet": gettext_lazy("Case ended, the customer went quiet"),
    "case.dismissed": gettext_lazy("Case dismissed, nothing to answer"),
    "case.granted": gettext_lazy("Something given in a case"),
    "case.exception_proposed": gettext_lazy("Exception proposed"),
    "case.exception_approved": gettext_lazy("Exception approved"),
    "case.exception_refused": gettext_lazy("Exception not approved"),
    "case.empowerment_gap": gettext_lazy("A colleague could not give what was decided"),
    "case.same_incident": gettext_lazy("Case linked to the first of the incident"),
    "case.ownership_told": gettext_lazy("Told who looks after it"),
    "review.asked": gettext_lazy("Second look asked for"),
    "review.taken": gettext_lazy("Second look taken on"),
    "review.judged": gettext_lazy("Second look: facts judged"),
    "review.ended": gettext_lazy("Second look ended"),
    "adverse.prepared": gettext_lazy("Act to their disadvantage prepared"),
    "adverse.confirmed": gettext_lazy("Act to their disadvantage confirmed by a second person"),
    "adverse.in_effect": gettext_lazy("Act to their disadvantage in effect"),
    "adverse.dropped": gettext_lazy("Act to their disadvantage dropped"),
    "file.infected": gettext_lazy("A virus was found in a file they sent; it is kept apart"),
    "file.fetched_apart": gettext_lazy("A file that is kept apart was fetched after a warning"),
    "closing_line.proposed": gettext_lazy("A public closing line is proposed"),
    "closing_line.told": gettext_lazy("Told which public closing line is planned"),
    "closing_line.posted": gettext_lazy("Public closing line written"),
    "closing_line.dropped": gettext_lazy("Public closing line left out"),
    "closing_line.stopped": gettext_lazy("Public closing line stopped"),
    "closing_line.no_too_late": gettext_lazy("Said no to the public closing line, which stands already"),
    "identity_check.asked": gettext_lazy("Asked who they are"),
    "identity_check.passed": gettext_lazy("Showed who they are"),
    "identity_check.failed": gettext_lazy("Could not show who they are"),
    "identity_check.withdrawn": gettext_lazy("Not asked any more who they are"),
    "conversation.dismissed": gettext_lazy("Dismissed without an answer"),
    "conversation.tried": gettext_lazy("Tried to reach them"),
    "conversation.went_quiet": gettext_lazy("Ended, they went quiet"),
    "message.taken_back": gettext_lazy("Answer taken back before it left"),
    "message.overtaken": gettext_lazy("Planned answer stopped, they wrote first"),
    "draft.taken_over": gettext_lazy("Draft of a colleague taken over"),
    "dismissal.audited": gettext_lazy("Dismissal looked at again"),
    "wait.begun": gettext_lazy("Waits inside the house"),
    "wait.ended": gettext_lazy("Wait inside the house over"),
    "decision.differs": gettext_lazy("A decision comes out differently when decided again"),
    "life_event.told": gettext_lazy("Told us something of their life"),
    "life_event.given": gettext_lazy("Given to a colleague to look after"),
    "life_event.done": gettext_lazy("A colleague did something about it by hand"),
    "life_event.left": gettext_lazy("Left alone"),
    "life_event.taken_back": gettext_lazy("Something of their life taken back"),
    "bereavement.spotted": gettext_lazy("Their words may tell of a death"),
    "bereavement.dismissed": gettext_lazy("Looked at: no death"),
    "bereavement.reported": gettext_lazy("A death was reported; everything cheerful stopped"),
    "bereavement.contradicted": gettext_lazy("Heard of after their death was reported"),
    "bereavement.upheld": gettext_lazy("The news of their death stands"),
    "bereavement.lifted": gettext_lazy("The news of a death ended"),
    "household.joined": gettext_lazy("Shares a home"),
    "household.left": gettext_lazy("Does not share a home any more"),
    "representative.noted": gettext_lazy("Somebody acts for them"),
    "representative.ended": gettext_lazy("Somebody does not act for them any more"),
    "conversation.placed": gettext_lazy("Matter given to the customer it is about"),
    "conversation.put_back": gettext_lazy("Matter given back to whoever wrote it"),
    "survey.asked": gettext_lazy("Asked how it was"),
    "survey.answered": gettext_lazy("Said how it was"),
    "public_review.asked": gettext_lazy("Asked for a public review"),
    "removal.asked": gettext_lazy("Asked whether public words of theirs may be taken away"),
    "removal.agreed": gettext_lazy("Taking public words away was agreed to"),
    "removal.refused": gettext_lazy("Taking public words away was refused"),
    "removal.done": gettext_lazy("Public words of theirs were taken away"),
    "removal.undone": gettext_lazy("Public words of theirs can be read again"),
    "probe.ended": gettext_lazy("It was an agreed test; they were thanked"),
    "gesture.sent": gettext_lazy("Card sent"),
    "gesture.dropped": gettext_lazy("Card not sent"),
}


def read(user: User, customer: Customer, before: Before | None) -> tuple[list[Event], bool]:
    """Read one page of the story, newest first, and whether there is more. One statement per source."""
    events = [event for source in panels.sources for event in source(user, customer, before, PAGE_SIZE + 1)]
    events.sort(key=lambda event: event.place, reverse=True)
    return events[:PAGE_SIZE], len(events) > PAGE_SIZE


def _history(user: User, customer: Customer, before: Before | None, limit: int) -> list[Event]:
    if not user.has_perm("crm.view_historyentry"):
        return []
    _own, *others = belongings.records_of(customer)
    entries = (
        HistoryEntry.objects.filter(
            earlier(before, source="5-history", field="at"), customer__in=[customer.pk, *others]
        )
        .exclude(verb__in=TOLD_ELSEWHERE)
        .exclude(verb="customer.merged", customer__in=others)  # told once, by the kept customer's entry
        .select_related("by")
        .order_by("-at", "-id")[:limit]
    )
    return [
        Event(
            at=entry.at,
            source="5-history",
            number=entry.pk,
            icon="history",
            is_quiet=True,
            words=str(VERBS.get(entry.verb, entry.verb.replace(".", ": ").replace("_", " "))) + _shown(entry),
            who=str(entry.by) if entry.by_id else "",
            tone="late"
            if entry.verb in ("promise.missed", "decision.differs", "message.refused", "message.came_back")
            else "calm",
        )
        for entry in entries
    ]


def _shown(entry: HistoryEntry) -> str:
    """What was asked to be shown of who they are, and what for."""
    if not entry.verb.startswith("identity_check.") or not entry.detail:
        return ""
    return f": {CheckKind(entry.detail['kind']).label}, {CheckNeed(entry.detail['need']).label}"


def _said(user: User, customer: Customer, before: Before | None, limit: int) -> list[Event]:
    if not user.has_perm("crm.view_interaction"):
        return []
    said: QuerySet[Any] = (
        Interaction.objects.filter(earlier(before, source="1-said", field="spoke_at"), conversation__customer=customer)
        .select_related("author", "conversation")
        .annotate(line=Left("text", 400), sent=F("outgoing__state"))
        .defer("text", "full_text", "html")
        .order_by("-spoke_at", "-id")[:limit]
    )
    icons = {Direction.INBOUND: "chat_bubble", Direction.OUTBOUND: "reply", Direction.INTERNAL: "sticky_note_2"}
    who = {
        Direction.INBOUND: _("Customer"),
        Direction.OUTBOUND: _("Our answer"),
        Direction.INTERNAL: _("Note among us"),
    }
    return [
        Event(
            at=one.spoke_at,
            source="1-said",
            number=one.pk,
            icon=icons[Direction(one.direction)],
            words=who[Direction(one.direction)] + (f" · {one.conversation}" if one.conversation.subject else ""),
            text=words.first_line(one.line, at_most=220)
            or (words.without_words(channel=one.channel, talked=one.call_seconds is not None) if one.ended_by else ""),
            who=str(one.author) if one.author_id and one.direction != Direction.INBOUND else "",
            state=_("taken back, the customer never saw it") if one.sent == OutgoingState.CANCELLED else "",
            url=reverse("admin:conversation", args=[one.conversation.public_id]),
        )
        for one in said
    ]


def _promised(user: User, customer: Customer, before: Before | None, limit: int) -> list[Event]:
    if not user.has_perm("crm.view_promise"):
        return []
    promises = (
        Promise.objects.filter(earlier(before, source="2-promised", field="starts_at"), conversation__customer=customer)
        .select_related("conversation")
        .order_by("-starts_at", "-id")[:limit]
    )
    return [
        Event(
            at=promise.starts_at,
            source="2-promised",
            number=promise.pk,
            icon="handshake",
            words=_("Promised: %(what)s within %(time)s")
            % {
                "what": promise.get_kind_display(),
                "time": words.duration(promise.due_at - promise.starts_at),
            },
            state=str(promise.get_state_display()),
            tone=words.PROMISE_TONES[promise.state],
            url=reverse("admin:conversation", args=[promise.conversation.public_id]),
        )
        for promise in promises
    ]


panels.sources += [_history, _said, _promised]
