"""Twilio's telephones: a call, its steps, its place in a queue, and what was said after the tone, posted as forms.

Written from Twilio's documentation: "TwiML Voice: the request", "Call resource: status callbacks", "TwiML Voice: Dial", "Enqueue",
"Queue" and "Record", "Recording status callbacks", "Validating requests are coming from Twilio".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import ClassVar, Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.channels.provided.twilio_sms import PROVIDER as MESSAGES
from crm.channels.providers import (
    Account,
    CallEnder,
    CallStep,
    CallTold,
    Event,
    Fetched,
    Genuine,
    HttpAnswer,
    HttpRequest,
    LeftMessage,
    Media,
    NotForUs,
    Post,
    Provider,
    Reply,
    Setting,
    Unknown,
    one_line,
    words_of,
)

_UNDER_WAY: Final = frozenset(("queued", "initiated", "ringing"))
_OVER: Final[Mapping[str, CallEnder]] = {
    "completed": "unknown", "busy": "us", "no-answer": "unknown", "canceled": "customer", "failed": "network",
}  # fmt: skip
"""Statuses with which a call ends, and who ended it, where the status says so."""
_WITHHELD: Final = frozenset(
    ("anonymous", "restricted", "unavailable", "unknown", "private", "266696687", "86282452253")
)
"""What stands where no number is shown; the last two spell "anonymous" and "unavailable" on a telephone's keys."""
_OTHER_RECORDINGS: Final = frozenset(("DialVerb", "Conference", "OutboundAPI", "Trunking", "StartCallRecordingAPI"))
"""Recordings of a talk, unlike "RecordVerb", which is what somebody says after a tone."""
BY_COLLEAGUE, BY_LINE = "colleague", "line"


class TwilioVoice(Provider):
    """One number of ours at Twilio, for telephone calls."""

    name = "twilio_voice"
    title = _("Twilio: telephone calls")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.PHONE,)
    settings = (
        Setting("account_sid", _("Account SID"), _("Begins with AC; on the first page of Twilio's console.")),
        Setting(
            "flow_url",
            _("Where a call goes on"),
            _(
                "The https address of your own TwiML or Studio flow. Without one, each call ends at once and is called back."
            ),
            is_required=False,
        ),
        Setting(
            "after_url",
            _("Where a call goes on after a queue or a dialled colleague"),
            _(
                "The https address that Twilio asks next, where the caller is still on the line; without one, the call ends."
            ),
            is_required=False,
        ),
        Setting(
            "picked_up",
            _("What counts as picked up"),
            choices=(
                (BY_COLLEAGUE, _("a colleague, dialled or out of the queue")),
                (BY_LINE, _("the line: people answer it without a queue or a menu")),
            ),
        ),
    )
    own_id_label = _("Our number, as +4930…")
    secret_help = _("The Auth Token of the account, with which Twilio signs.")
    credential_help = _("The Auth Token, or “API key SID:secret”; needed to fetch what was said after the tone.")

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """As for Twilio's messages; a repeat is known by its CallSid and what it tells."""
        return MESSAGES.verify(post, account, at=at)

    def trouble_with(self, account: Account) -> str:
        """What the fields must look like."""
        for name in ("flow_url", "after_url"):
            url = account.settings.get(name, "")
            parts = urlsplit(url)
            if url and (parts.scheme != "https" or not parts.hostname):
                return str(_("A call can only go on at an address that begins with https://."))
            if url and url.startswith(account.hook_url):
                return str(_("A call cannot go on at the address it came from."))
        return MESSAGES.trouble_with(account)

    def reply(self, post: Post, account: Account) -> Reply:
        """A call that begins or comes out of a queue goes on at your own flow; everything else hears an empty answer."""
        form = dict(post.form())
        onward = ""
        if not form.get("CallbackSource") and _is_of(form, account) and not _is_leg(form):
            if form.get("QueueResult") or form.get("DialCallStatus") or _is_recorded(form):
                onward = account.settings.get("after_url", "") if form.get("CallStatus") == "in-progress" else ""
            elif form.get("CallStatus") == "ringing":
                onward = account.settings.get("flow_url", "")
        verb = f'<Redirect method="POST">{escape(onward)}</Redirect>' if onward else ""
        return Reply(f"<Response>{verb}</Response>" if verb else "<Response/>", "text/xml; charset=utf-8")

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One post tells of one call; the end of a call also says when it began."""
        form = dict(post.form())
        if not _is_of(form, account):
            return [NotForUs("It belongs to another account at Twilio.")]
        call_id = one_line(form.get("CallSid"), 100)
        if not call_id:
            return [Unknown(one_line(form.get("CallStatus") or form.get("EventType"), 40))]
        if _is_recorded(form) or form.get("TranscriptionSid"):
            return _recorded(form, call_id, account)
        if _is_leg(form):
            return _leg(form)
        if form.get("Direction", "inbound") != "inbound":
            return [NotForUs("It is a call of ours.")]
        if account.own_id and form.get("To", account.own_id) != account.own_id:
            return [NotForUs("It was a call to another number.")]
        if form.get("DequeingCallSid") or form.get("DequeuingCallSid"):
            return [_step(form, call_id, "answered", "dequeued")]
        if form.get("QueueResult"):
            return _out_of_queue(form, call_id)
        if form.get("DialCallStatus"):
            return _dialled(form, call_id, post.received_at)
        return _status(form, call_id, account)

    def trial(self, account: Account) -> HttpRequest | None:
        """Our account as Twilio has it."""
        return MESSAGES.trial(account)

    def read_trial(self, answer: HttpAnswer, account: Account) -> str:
        """Whether the account is active there."""
        return MESSAGES.read_trial(answer, account)

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Recordings are kept at Twilio, behind the account's credential."""
        return MESSAGES.media_request(media, account)

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """The file itself, or where it really is."""
        return MESSAGES.read_media(media, answer, account)


def _is_of(form: Mapping[str, str], account: Account) -> bool:
    return form.get("AccountSid", "") in ("", account.settings.get("account_sid"))


def _is_leg(form: Mapping[str, str]) -> bool:
    """Whether it is about a colleague's telephone that was dialled for a caller."""
    return bool(form.get("ParentCallSid"))


def _is_recorded(form: Mapping[str, str]) -> bool:
    return bool(form.get("RecordingSid") or form.get("RecordingUrl")) and not form.get("DialCallStatus")


def _status(form: Mapping[str, str], call_id: str, account: Account) -> Sequence[Event]:
    """What became of the call itself. A queue and a menu answer a call too, so "in-progress" alone is nobody."""
    status = form.get("CallStatus", "")
    if status in _UNDER_WAY:
        return [_step(form, call_id, "rang", status)]
    if status == "in-progress":
        by_line = account.settings.get("picked_up") == BY_LINE
        return [_step(form, call_id, "answered" if by_line else "rang", status)]
    if status in _OVER:
        ended_at, length = _moment(form.get("Timestamp")), _seconds(form.get("CallDuration"))
        began_at = ended_at - length if ended_at is not None and length is not None else None
        rang = [_step(form, call_id, "rang", f"{status}:began", began_at)] if began_at is not None else []
        return [*rang, _step(form, call_id, "ended", status, ended_at, ended_by=_OVER[status])]
    return [Unknown(one_line(status, 40))]


def _leg(form: Mapping[str, str]) -> Sequence[Event]:
    """A colleague's telephone: only that it was picked up says something about the caller's call."""
    if form.get("CallStatus") not in ("in-progress", "answered"):
        return []
    moment = _moment(form.get("Timestamp"))
    leg = one_line(form.get("CallSid"), 100)
    # The number and the name are the colleague's, or ours.
    return [CallTold(one_line(form["ParentCallSid"], 100), f"leg:{leg}", "answered", moment)]


def _out_of_queue(form: Mapping[str, str], call_id: str) -> Sequence[Event]:
    """Told when the caller has left a queue; of one who was connected only once the talk is over."""
    result, waited = form["QueueResult"], _seconds(form.get("QueueTime"))
    queue = one_line(form.get("QueueSid"), 40)
    if result in ("bridged", "redirected-from-bridged") and waited is not None:
        return [_step(form, call_id, "answered", f"queue:{queue}", after_ring=waited)]
    if result == "hangup":
        return [_step(form, call_id, "ended", f"queue:{queue}", ended_by="customer")]
    return []  # sent on, or the queue was full: the call itself goes on


def _dialled(form: Mapping[str, str], call_id: str, heard_at: datetime) -> Sequence[Event]:
    """Told when a dialled colleague has hung up; a call that no colleague took may go on elsewhere."""
    length = _seconds(form.get("DialCallDuration"))
    if form["DialCallStatus"] not in ("completed", "answered") or not length:
        return []
    return [_step(form, call_id, "answered", f"dial:{one_line(form.get('DialCallSid'), 60)}", heard_at - length)]


def _recorded(form: Mapping[str, str], call_id: str, account: Account) -> Sequence[Event]:
    """What was said after the tone: a file, and later perhaps its words. A talk that was recorded stays at Twilio."""
    if form.get("RecordingSource") in _OTHER_RECORDINGS:
        return [NotForUs("A recorded talk stays with the provider.")]
    if account.own_id and form.get("To", account.own_id) != account.own_id:
        return [NotForUs("It was a call to another number.")]
    url = one_line(form.get("RecordingUrl"), 1900)
    name = one_line(form.get("RecordingSid"), 60) or urlsplit(url).path.rpartition("/")[2][:60]
    is_there = url and form.get("RecordingStatus", "completed") == "completed" and form.get("RecordingDuration") != "0"
    media = (Media(f"{url}.mp3", f"{name}.mp3", "audio/mpeg"),) if is_there else ()
    text = (
        words_of(form.get("TranscriptionText")) if form.get("TranscriptionStatus", "completed") == "completed" else ""
    )
    if not media and not text.strip():
        return []  # nothing was said, or nothing could be understood
    began_at = _moment(form.get("RecordingStartTime"))
    return [LeftMessage(call_id, text, media, _caller(form), one_line(form.get("CallerName"), 200), began_at)]


def _step(
    form: Mapping[str, str],
    call_id: str,
    step: CallStep,
    event: str,
    happened_at: datetime | None = None,
    *,
    after_ring: timedelta | None = None,
    ended_by: CallEnder = "unknown",
) -> CallTold:
    moment = happened_at or (None if after_ring is not None else _moment(form.get("Timestamp")))
    name = one_line(form.get("CallerName"), 200)
    if moment is not None and step == "rang":  # the call itself comes without a time, its later news with one
        event = f"{event}@{int(moment.timestamp())}"
    return CallTold(call_id, event, step, moment, after_ring, _caller(form), name, ended_by)


def _caller(form: Mapping[str, str]) -> str:
    """The number that called; "" where it was withheld, or it is an address on the internet that nobody can ring."""
    stated = one_line(form.get("From"), 100)
    plain = stated.lstrip("+").lower()
    return stated if plain.isascii() and plain.isdigit() and plain not in _WITHHELD else ""


def _moment(stated: str | None) -> datetime | None:
    """A time as in mails, "Mon, 02 Mar 2026 11:58:00 +0000"; None for what is none."""
    if not stated:
        return None
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _seconds(stated: str | None) -> timedelta | None:
    text = (stated or "").strip()
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else None


PROVIDER = TwilioVoice()
