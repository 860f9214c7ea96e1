"""The part of the demo that comes by chat, text message, in public, at the counter and through a form on another site."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings

from crm.actions import (
    capture,
    channel_accounts,
    channel_hooks,
    desk,
    forms,
    importing,
    judgements,
    outgoing,
    review_files,
)
from crm.channels import PUBLIC, Channel
from crm.channels.providers import Genuine, Post
from crm.channels.review_files import Review
from crm.channels.threads import Post as Told
from crm.channels.threads import Thread
from crm.models import ChannelAccount, Interaction, User
from crm.policy import NoAnswerReason, OutOfOrder, PostVerdict
from evenhand.settings.base import PLACES

TWILIO = "AC" + "0" * 32
SQUARE = [  # hours ago, handle, name, words, our answer
    (139, "square:marta", "Marta Vogel", "Is the workshop open between the years?", "Yes, Marta, on the 28th and 29th. Ada"),
    (118, "square:leo", "Leo Brandt", "Three weeks for a new bridge, really?", "Leo, that is too long. I look into it today. Ada"),
    (97, "square:ines_p", "Inês P.", "The rosin is wonderful, thank you!", "Thank you, Inês, I told the workshop. Ada"),
    (73, "square:viola7", "Viola", "Nobody told me that the course was moved.", ""),
    (50, "square:win_big", "Win Big", "WIN A NEW PHONE! Only today, only here.", ""),
    (1.2, "square:tom_k", "Tom K.", "The pegs I bought from you slip. What can I do?", ""),
]  # fmt: skip
PAST_DAYS = 56


def tell(now: datetime, *, ada: User, lead: User, administrator: User) -> None:
    """Tell it through the product's own doors, into accounts that are sandboxes; nothing where secrets are kept elsewhere."""
    if str(_folder()) not in settings.EVENHAND_SECRET_FOLDERS:
        return
    chat = _account("standard_webhooks", Channel.CHAT, "Shop chat", "shop-chat", by=administrator, at=now)
    square = _account(
        "standard_webhooks", Channel.SOCIAL_PUBLIC, "Shop on the square", "shop-square", by=administrator, at=now
    )
    texts = _account("twilio_sms", Channel.SMS, "Shop text messages", "+4930555000", by=administrator, at=now)
    forms.add(forms.Draft("Shop site", ("https://www.shop.example",)), by=administrator, at=now - timedelta(days=20))
    _past(now)
    for number, (hours, handle, name, words, answer) in enumerate(SQUARE):
        at = now - timedelta(hours=hours)
        said = _said(square, f"post-{number}", handle, name, words, at=at)
        if answer:
            _answer(said, answer, by=ada, at=at + timedelta(minutes=35 * (number + 1)))
        if handle == "square:win_big":
            judgements.judge(
                said.pk,
                verdict=PostVerdict.NO_ANSWER,
                reason=NoAnswerReason.SPAM,
                words="Advertising for a lottery.",
                by=lead,
                at=at + timedelta(hours=1),
            )
    strings = _said(
        chat,
        "chat-1",
        "chat:carla",
        "Carla Rossi",
        "Do you have gut strings for a gamba?",
        at=now - timedelta(hours=27),
    )
    _answer(strings, "Yes, Carla, two sets. Shall I keep one for you? Ada", by=ada, at=now - timedelta(hours=26))
    _said(
        chat,
        "chat-2",
        "chat:carla",
        "Carla Rossi",
        "That would be kind, until Saturday.",
        at=now - timedelta(minutes=50),
    )
    _text(texts, "+4915155501234", "The parcel came, but the bow in it is broken.", at=now - timedelta(hours=2))
    at = now - timedelta(hours=6)
    review = Review(
        "4711", "https://reviews.example/4711", "Nora", "reviews.example/nora", "Late twice",
        "Two deliveries, both late. The violin itself is lovely.", "en", Decimal(3), Decimal(5), at - timedelta(hours=3),
    )  # fmt: skip
    review_files.bring_in([review], site="reviews.example", last_good_at=None, by=lead, at=at)
    noted = capture.Capture(
        key="demo-counter",
        channel=Channel.STORE,
        said="The case she bought on Monday does not close.",
        name="Frieda Lang",
        phone="+4930222333",
    )
    capture.write_down(noted, by=ada, at=now - timedelta(hours=4))


def _account(provider: str, channel: Channel, name: str, own_id: str, *, by: User, at: datetime) -> ChannelAccount:
    place = _secret(own_id.strip("+"))
    own = {"account_sid": TWILIO} if provider == "twilio_sms" else {"answer_url": "https://chat.shop.example/answers"}
    draft = channel_accounts.Draft(
        provider, channel, name, own_id, own, secret_from=place, credential_from=place, is_sandbox=True
    )
    return channel_accounts.add(draft, by=by, at=at - timedelta(days=10))


def _folder() -> Path:
    return PLACES.data / "secrets"


def _secret(name: str) -> str:
    """A secret of the demo's own, in the folder for them; it lets programs post to the demo and opens nothing else."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"demo-{name}"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write("whsec_" + b64encode(secrets.token_bytes(32)).decode())
    return str(path)


def _said(account: ChannelAccount, key: str, handle: str, name: str, words: str, *, at: datetime) -> Interaction:
    sender = {"kind": "handle", "address": handle, "name": name}
    about = {"id": key, "to": account.own_id, "from": sender, "text": words, "language": "en"}
    body = json.dumps({"type": "message.created", "data": about}).encode()
    _take(account, body, {"content-type": "application/json", "webhook-id": f"demo-{key}"}, at=at)
    return Interaction.objects.get(source=account.source, external_id=key)


def _text(account: ChannelAccount, sender: str, words: str, *, at: datetime) -> None:
    form = {"AccountSid": TWILIO, "MessageSid": "SM" + "0" * 32, "From": sender, "To": account.own_id, "Body": words}
    _take(account, urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}, at=at)


def _take(account: ChannelAccount, body: bytes, headers: dict[str, str], *, at: datetime) -> None:
    post = Post("POST", channel_accounts.hook_url(account), "", headers, body, at)
    channel_hooks.take(account, post, Genuine(), at=at)


def _answer(said: Interaction, text: str, *, by: User, at: datetime) -> None:
    desk.answer(
        said.conversation_id, text=text, by=by, at=at, out_of_order=OutOfOrder.KNOWS_IT, public=said.channel in PUBLIC
    )
    outgoing.send_batch(at=at)


def _past(now: datetime) -> None:
    """Two months of public words from before, so that the chart of what was answered has something to show."""
    threads = []
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=8)
    for number in range(2 * PAST_DAYS):
        spoke_at = (
            midnight - timedelta(days=number // 2) + timedelta(hours=7 + number * 5 % 13, minutes=number * 7 % 60)
        )
        opening = Told(f"past-{number}", f"visitor_{number % 31}", True, spoke_at, "When does my order come?", "")
        reply = Told(
            f"past-{number}-a", "Evenhand Shop", False, spoke_at + timedelta(minutes=12 + number * 37 % 300),
            "We have a look and write to you today.", opening.id,
        )  # fmt: skip
        threads.append(Thread((opening, reply) if number % 9 != 4 else (opening,)))
    importing.bring_in(threads, at=now)
