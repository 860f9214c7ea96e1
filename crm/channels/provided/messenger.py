"""Facebook: private messages to a page through Messenger, and what people write on the page.

Written from Meta's documentation: "Messenger Platform: webhook events" (messages, echoes, deliveries, reads, reactions, edits,
postbacks), "Send API", "Webhooks: reference, page, feed", "Pages API: comments".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.channels.graph import PUBLIC, Heard, MessagingProvider, moment, obj, said
from crm.channels.providers import (
    Account,
    Deleted,
    Echo,
    Edited,
    Event,
    Limits,
    Media,
    Outgoing,
    Unknown,
    one_line,
    words_of,
)

_POSTS: Final = ("status", "post", "photo", "video", "share", "link")


class Messenger(MessagingProvider):
    """One page of ours."""

    name = "messenger"
    title = _("Facebook: Messenger and page")
    subject = "page"
    network = "facebook"
    answers_under = "comments"
    own_id_label = _("Page ID")
    credential_help = _("A page access token that does not expire, with pages_messaging and pages_manage_engagement.")

    def limits(self, account: Account) -> Limits:
        """In private 2,000 characters, for 24 hours after the customer's last word; below a post 8,000 at any time."""
        if account.channel == Channel.SOCIAL_PUBLIC:
            return Limits(8_000, "utf16")
        return Limits(2_000, "utf16", reply_within=timedelta(hours=24), may_write_first=False)

    def written(self, person: str, outgoing: Outgoing) -> dict[str, Any]:
        """An answer; our key comes back with its echo."""
        message = {"text": outgoing.text, "metadata": outgoing.key}
        return {"recipient": {"id": person}, "messaging_type": "RESPONSE", "message": message}

    def changed(self, name: str, value: Mapping[str, Any], account: Account, *, told_at: Any) -> Event:
        """A comment below a post of ours, or what somebody posts on our page; likes and the like are left out."""
        item, verb = one_line(value.get("item"), 30), one_line(value.get("verb"), 20)
        writer = obj(value.get("from"))
        is_comment = item == "comment"
        identity = one_line(value.get("comment_id" if is_comment else "post_id"), 100)
        if name != "feed" or not identity or not (is_comment or item in _POSTS):
            return Unknown(" ".join(filter(None, (name, item, verb))))
        text = words_of(value.get("message"))
        if one_line(writer.get("id"), 60) == account.own_id:
            return Echo(identity, text=text, sent_at=moment(value.get("created_time")))
        if verb in ("remove", "delete"):
            return Deleted(PUBLIC + identity, "removed", moment(told_at))
        if verb in ("edit", "edited"):
            return Edited(PUBLIC + identity, one_line(told_at, 20), text, moment(told_at))
        media = [Media(one_line(value[kind], 2000)) for kind in ("photo", "video") if isinstance(value.get(kind), str)]
        if verb != "add" or not (text.strip() or media):
            return Unknown(f"{name} {item} {verb}")
        link = one_line(obj(value.get("post")).get("permalink_url"), 500) or f"https://www.facebook.com/{identity}"
        above = one_line(value.get("parent_id"), 100)
        return said(
            Heard([text], media, details=link),
            account,
            external_id=PUBLIC + identity,
            sender=self.person(writer.get("id")),
            channel=Channel.SOCIAL_PUBLIC,
            name=one_line(writer.get("name"), 200),
            spoke_at=moment(value.get("created_time")),
            in_reply_to=above if above != one_line(value.get("post_id"), 100) else "",
        )


PROVIDER = Messenger()
