"""Telegram: private messages to our bot, posted as updates of its Bot API and answered through it.

Written from the Bot API's documentation: "Getting updates", "setWebhook" (secret_token), "Message", "CallbackQuery", "getFile",
"sendMessage", "Making requests" (ResponseParameters), and from the FAQ of bots (broadcast limits). A post that is answered with
anything but 2xx is repeated ("setWebhook"), and kept there for 24 hours at most ("Getting updates").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message
from crm.channels.providers import (
    Account,
    Echo,
    Edited,
    Event,
    Fetched,
    Genuine,
    HttpAnswer,
    HttpRequest,
    Limits,
    Media,
    NotForUs,
    NotGiven,
    Outgoing,
    Post,
    Provider,
    Said,
    Setting,
    Unknown,
    asked_to_wait,
    by_status,
    one_line,
    words_of,
)
from crm.channels.sending import Handed, Outcome
from crm.channels.signing import check_secret

API: Final = "https://api.telegram.org"
HANDLE: Final = "telegram:"
LARGEST: Final = 20_000_000
"""Bytes of a file that a bot may fetch (getFile)."""
_TOKEN: Final = re.compile(r"^[0-9]{1,20}:[A-Za-z0-9_-]{8,100}$")
_PATH: Final = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9_./ -]{0,400}$")
_NUMBER: Final = re.compile(r"^-?[0-9]{1,20}$")
_START: Final = re.compile(r"^/start(@\w{1,64})?(\s+[\w-]{0,64})?$", re.ASCII)
_FILES: Final = ("document", "video", "voice", "audio", "video_note")
_PRIVATE, _GROUPS, _ALL = "private", "groups", "all"


class Telegram(Provider):
    """One bot of ours."""

    name = "telegram"
    title = _("Telegram")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.CHAT, Channel.SOCIAL_DIRECT, Channel.SOCIAL_PUBLIC)
    settings = (
        Setting(
            "takes",
            _("What is for us"),
            _("Whoever writes in a group is answered in the group, in front of all."),
            is_required=False,
            choices=(
                (_PRIVATE, _("Private messages only")),
                (_GROUPS, _("Also groups that the bot is in")),
                (_ALL, _("Also groups and channels")),
            ),
        ),
    )
    own_id_label = _("The bot's number: the digits before the colon of its token")
    secret_help = _("The secret_token that setWebhook was told; letters, digits, _ and -.")
    credential_help = _("The bot's token, as BotFather shows it.")
    tries_again = True

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """A shared secret in a header; nothing is signed, so no time is believed."""
        check_secret(post.headers.get("x-telegram-bot-api-secret-token", ""), secrets=account.receiving)
        return Genuine(is_signed=False)

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One update holds one event, under the name of its kind."""
        update = json.loads(post.body.decode("utf-8"))
        number = one_line(update["update_id"], 30)
        for kind in ("message", "channel_post"):
            if kind in update:
                return [_message(update[kind], account)]
        for kind in ("edited_message", "edited_channel_post"):
            if kind in update:
                return [_edited(update[kind], number, account)]
        if "callback_query" in update:
            return [_pressed(update["callback_query"], account)]
        return [Unknown(one_line(next((name for name in update if name != "update_id"), "empty"), 40))]

    def trouble_with(self, account: Account) -> str:
        """The bot's number must be one; only what is said in groups is public, and that is seen message by message."""
        if account.channel == Channel.SOCIAL_PUBLIC:
            return str(_("Please take a private medium; what is said in a group is marked as public by itself."))
        if account.own_id and not account.own_id.isdecimal():
            return str(_("The bot's number is made of digits only."))
        return ""

    def can_send(self, account: Account) -> bool:
        """Every account with a token."""
        return bool(account.sending)

    def limits(self, account: Account) -> Limits:
        """4096 UTF-16 units in one message; a bot may only write to somebody who has written to it."""
        return Limits(4_096, "utf16", may_write_first=False)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """Plain words, as a reply to what they answer; where that is gone, they go all the same."""
        chat = outgoing.address.removeprefix(HANDLE).rpartition("/")[2]
        if not _NUMBER.match(chat):
            raise NotGiven("This is no address at Telegram.", is_final=True)
        told: dict[str, Any] = {"chat_id": int(chat), "text": outgoing.text}
        answered_in, _colon, answered = outgoing.in_reply_to.partition(":")
        if answered_in == chat and answered.isdecimal():
            told["reply_parameters"] = {"message_id": int(answered), "allow_sending_without_reply": True}
        return _ask(account, "sendMessage", told)

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """{"ok": true, "result": Message}, or a code with a description and sometimes how long to wait."""
        told = _told(answer)
        if told.get("ok") is True and 200 <= answer.status < 300:
            result = told.get("result") or {}
            return Handed(Outcome.ACCEPTED, provider_id=_id(result) if "chat" in result else "")
        why = f"Telegram answered {answer.status}: {one_line(told.get('description'), 200) or 'no reason'}"
        if answer.status == 429:
            stated = (told.get("parameters") or {}).get("retry_after")
            wait = (
                timedelta(seconds=min(stated, 86_400))
                if isinstance(stated, int) and stated > 0
                else asked_to_wait(answer)
            )
            return Handed(Outcome.TRY_LATER, why, wait=wait)
        if answer.status in (400, 403):  # 403: they blocked the bot, left, or never began; it concerns them alone
            return Handed(Outcome.REFUSED, why)
        if answer.status in (401, 404):  # the token is no bot's, or not any more
            return Handed(Outcome.UNREACHABLE, f"{why}: our token does not work")
        return by_status(answer)

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """First, where the file stands; its address works for an hour."""
        return _ask(account, "getFile", {"file_id": media.reference})

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """The answer to getFile leads to the file; the file itself is no JSON of Telegram's."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        told = _told(answer) if kind == "application/json" else {}
        if answer.status == 200 and set(told) == {"ok", "result"} and isinstance(told["result"], dict):
            return _file_at(told["result"], account)
        if 200 <= answer.status < 300 and told.get("ok") is not True:
            return Fetched(answer.body, media.declared_type or kind)
        why = one_line(told.get("description"), 120) or "no reason"
        is_final = answer.status in (400, 403, 404) or 200 <= answer.status < 300
        raise NotGiven(f"Telegram answered {answer.status}: {why}.", is_final=is_final)


# --- what an update says ----------------------------------------------------------------------------------------------


def _message(told: Mapping[str, Any], account: Account) -> Event:
    aside = _not_theirs(told, account)
    if aside is not None:
        return aside
    text, beside, files = _words(told), _place(told), _files(told)
    if _START.match(text):
        return Unknown("start")
    if not (text or beside or files):
        return Unknown(_kind(told))
    whole = "\n".join(filter(None, (text, beside)))
    return _said(told, _id(told), account, text=text or beside, full_text=whole, files=files)


def _edited(told: Mapping[str, Any], number: str, account: Account) -> Event:
    aside = _not_theirs(told, account)
    if aside is not None:
        return aside
    text = _words(told) or _place(told)
    if not text or "live_period" in (told.get("location") or {}):
        return Unknown(f"edited {_kind(told)}")
    return Edited(_id(told), number, text, _moment(told.get("edit_date")))


def _pressed(told: Mapping[str, Any], account: Account) -> Event:
    """A button under a message of ours: its label is what they say."""
    under = told.get("message") or {}
    if "chat" not in under:
        return Unknown("callback_query")
    asked = {**under, "from": told["from"], "sender_chat": None, "via_bot": None}
    aside = _not_theirs(asked, account)
    if aside is not None:
        return aside
    rows = (under.get("reply_markup") or {}).get("inline_keyboard") or []
    labels = [one.get("text") for row in rows for one in row if one.get("callback_data") == told.get("data")]
    text = words_of(next(iter(labels), None) or told.get("data"))
    if not text.strip():
        return Unknown("callback_query")
    asked["reply_to_message"] = under
    number = f"callback:{one_line(told['id'], 100)}"
    return _said({**asked, "date": None}, number, account, text=text, full_text=text)


def _not_theirs(told: Mapping[str, Any], account: Account) -> Event | None:
    """What is no customer's message to us; None for what is one."""
    sender, chat = told.get("from") or {}, told["chat"]
    if account.own_id and str(sender.get("id")) == account.own_id:
        return Echo(_id(told), _address(told), _words(told), sent_at=_moment(told.get("date")))
    takes, kind = account.settings.get("takes") or _PRIVATE, chat.get("type")
    if kind == "channel" and takes != _ALL:
        return NotForUs("It stands in a channel.")
    if kind in ("group", "supergroup") and takes not in (_GROUPS, _ALL):
        return NotForUs("It was said in a group.")
    if told.get("is_automatic_forward"):
        return NotForUs("Telegram copied it from a channel.")
    if sender.get("is_bot") and not told.get("sender_chat"):
        return NotForUs("A bot said it.")
    return None


def _said(
    told: Mapping[str, Any],
    identity: str,
    account: Account,
    *,
    text: str,
    full_text: str,
    files: tuple[Media, ...] = (),
) -> Said:
    sender, answered = told.get("from") or {}, told.get("reply_to_message")
    names = [one_line(sender.get(part), 100) for part in ("first_name", "last_name")]
    return Said(
        Message(
            channel=account.channel if told["chat"].get("type") == "private" else Channel.SOCIAL_PUBLIC,
            source=account.source,
            external_id=identity,
            sender_kind="handle",
            sender_address=_address(told),
            sender_name=" ".join(filter(None, names)),
            text=text,
            full_text=full_text,
            spoke_at=_moment(told.get("date")),
            in_reply_to=(_id(answered),) if answered else (),
            language=one_line(sender.get("language_code"), 16),
            wordless=bool(files) and not text.strip(),
        ),
        files,
    )


def _address(told: Mapping[str, Any]) -> str:
    """Where an answer goes: the chat, in private the person's. In a group the person stands in front of it: somebody else's
    words there are not theirs, and what is said in private stays out of it.
    """
    chat = one_line(told["chat"]["id"], 20)
    who = one_line((told.get("sender_chat") or told.get("from") or told["chat"])["id"], 20)
    if not (_NUMBER.match(chat) and _NUMBER.match(who)):
        raise ValueError("a chat without number")
    return HANDLE + (chat if told["chat"].get("type") == "private" else f"{who}/{chat}")


def _id(told: Mapping[str, Any]) -> str:
    """A message's number is its chat's own, so both stand in its id."""
    number = one_line(told["message_id"], 20)
    if not number:
        raise ValueError("a message without number")
    return f"{one_line(told['chat']['id'], 20)}:{number}"


def _words(told: Mapping[str, Any]) -> str:
    """What somebody wrote, or what stands for it: a pressed button, a contact, a question with its answers."""
    if told.get("text") or told.get("caption"):
        return words_of(told.get("text") or told.get("caption"))
    if "web_app_data" in told:
        return words_of(told["web_app_data"].get("button_text"))
    if "contact" in told:
        contact = told["contact"]
        name = " ".join(filter(None, (one_line(contact.get(part), 100) for part in ("first_name", "last_name"))))
        return f"{name} ({one_line(contact.get('phone_number'), 40)})"
    if "venue" in told:
        return ", ".join(filter(None, (one_line(told["venue"].get(part), 300) for part in ("title", "address"))))
    if "poll" in told:
        choices = [words_of(one.get("text")) for one in told["poll"].get("options", [])]
        return "\n".join([words_of(told["poll"].get("question")), *(f"- {choice}" for choice in choices)])
    if "dice" in told:
        return f"{words_of(told['dice'].get('emoji'))} {one_line(told['dice'].get('value'), 4)}"
    return words_of((told.get("sticker") or {}).get("emoji"))


def _place(told: Mapping[str, Any]) -> str:
    """A place on earth (RFC 5870)."""
    place = told.get("location")
    if not isinstance(place, dict):
        return ""
    return f"geo:{float(place['latitude']):.6f},{float(place['longitude']):.6f}"


def _files(told: Mapping[str, Any]) -> tuple[Media, ...]:
    """The file of a message: of a photo the largest size that can be had, of a sticker its still picture."""
    if told.get("photo"):
        sizes = [one for one in told["photo"] if int(one.get("file_size") or 0) <= LARGEST] or told["photo"]
        best = max(sizes, key=lambda one: int(one.get("width") or 0) * int(one.get("height") or 0))
        return (Media(one_line(best["file_id"], 500), "photo.jpg", "image/jpeg"),)
    if "sticker" in told:
        sticker = told["sticker"]
        still = sticker.get("thumbnail") or sticker.get("thumb") or sticker
        return (Media(one_line(still["file_id"], 500), "sticker"),)
    for kind in _FILES:
        if kind in told:
            file = told[kind]
            name = one_line(file.get("file_name"), 150) or kind
            return (Media(one_line(file["file_id"], 500), name, one_line(file.get("mime_type"), 100)),)
    return ()


def _kind(told: Mapping[str, Any]) -> str:
    """What an update without words is about, by the name of its field."""
    known = {"message_id", "message_thread_id", "from", "sender_chat", "chat", "date", "edit_date", "reply_to_message"}
    return one_line(next((name for name in told if name not in known), "nothing"), 40)


def _moment(stated: Any) -> datetime | None:
    return datetime.fromtimestamp(int(stated), UTC) if stated else None


# --- the Bot API -----------------------------------------------------------------------------------------------------


def _ask(account: Account, method: str, told: Mapping[str, Any]) -> HttpRequest:
    body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return HttpRequest("POST", f"{API}/bot{_token(account)}/{method}", {"Content-Type": "application/json"}, body)


def _token(account: Account) -> str:
    if not _TOKEN.match(account.sending):
        raise NotGiven("Our token for Telegram is missing or is none.")
    return account.sending


def _file_at(result: Mapping[str, Any], account: Account) -> HttpRequest:
    path, size = str(result.get("file_path") or ""), result.get("file_size")
    if isinstance(size, int) and size > LARGEST:
        raise NotGiven("The file is larger than Telegram gives to a bot.", is_final=True)
    if not _PATH.match(path) or ".." in path:
        raise NotGiven("Telegram does not say where the file stands.", is_final=True)
    return HttpRequest("GET", f"{API}/file/bot{_token(account)}/{path.replace(' ', '%20')}", most=LARGEST, within=60.0)


def _told(answer: HttpAnswer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


PROVIDER = Telegram()
