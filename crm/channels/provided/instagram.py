"""Instagram: private messages to a professional account, and comments below what it shows.

Written from Meta's documentation: "Instagram Platform: webhooks, examples", "Instagram Messaging: webhooks, send a message",
"IG comment replies", for apps with Facebook Login and with Instagram Login.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.channels.graph import FACEBOOK, PUBLIC, Heard, MessagingProvider, base, moment, obj, said
from crm.channels.providers import Account, Echo, Event, Limits, Setting, Unknown, one_line, words_of

INSTAGRAM: Final = "https://graph.instagram.com"


class Instagram(MessagingProvider):
    """One professional account of ours."""

    name = "instagram"
    title = _("Instagram: messages and comments")
    subject = "instagram"
    network = "instagram"
    answers_under = "replies"
    settings: ClassVar[tuple[Setting, ...]] = (
        *MessagingProvider.settings,
        Setting(
            "login",
            _("How the app logs in"),
            _("As it is chosen in Meta's dashboard; the access token belongs to one of them."),
            choices=(("facebook", _("Facebook Login, through a page")), ("instagram", _("Instagram Login"))),
        ),
    )
    own_id_label = _("Instagram account ID")
    secret_help = _("The app secret, with which Meta signs; with Instagram Login, the Instagram app secret.")
    credential_help = _("The page's access token; with Instagram Login, the account's own.")

    def limits(self, account: Account) -> Limits:
        """In private 1,000 bytes, for 24 hours after the customer's last word; below a post 2,200 characters at any time."""
        if account.channel == Channel.SOCIAL_PUBLIC:
            return Limits(2_200, "utf16")
        return Limits(1_000, "bytes", reply_within=timedelta(hours=24), may_write_first=False)

    def base(self, account: Account) -> str:
        """Each login has a host of its own."""
        return base(account, INSTAGRAM if account.settings.get("login") == "instagram" else FACEBOOK)

    def changed(self, name: str, value: Mapping[str, Any], account: Account, *, told_at: Any) -> Event:
        """A comment; Instagram tells of no edits and no deletions of comments."""
        identity, writer, text = one_line(value.get("id"), 100), obj(value.get("from")), words_of(value.get("text"))
        if name not in ("comments", "live_comments") or not identity or not text.strip():
            return Unknown(name)
        if account.own_id == one_line(writer.get("id"), 60):
            return Echo(identity, text=text, sent_at=moment(told_at))
        return said(
            Heard([text]),
            account,
            external_id=PUBLIC + identity,
            sender=self.person(writer.get("id")),
            channel=Channel.SOCIAL_PUBLIC,
            name=one_line(writer.get("username"), 200),
            spoke_at=moment(told_at),
            in_reply_to=one_line(value.get("parent_id"), 100),
        )


PROVIDER = Instagram()
