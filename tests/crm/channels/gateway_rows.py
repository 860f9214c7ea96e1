"""One row of settings for each gateway whose requests are at hand: what somebody types into an account's page, and no code."""

from __future__ import annotations

from typing import Any, Final

PLUS: Final = {"number_prefix": "+"}


def row(reads: str, sender: str, text: str, **more: str) -> dict[str, Any]:
    """own_id stands beside the settings, as on the page."""
    own_id = more.pop("own_id", "")
    told = {"reads": reads, "sender_at": sender, "text_at": text, "secret_by": "query", "secret_name": "secret", **more}
    return {"own_id": own_id, "settings": told}


ROWS: Final[dict[str, dict[str, Any]]] = {
    "africastalking": row(
        "form", "from", "text", id_at="id", time_at="date", to_at="to", own_id="21512", status_at="status",
        status_words="delivered: Success\nsent: Sent, Buffered\nfailed: Rejected, Failed, Expired", **PLUS,
    ),
    "arabiacell": row("form", "M", "B", **PLUS),
    "bandwidth": row(
        "json", "message.from", "message.text", id_at="message.id", time_at="message.time", time_written="%Y-%m-%dT%H:%M:%SZ",
        files_at="message.media", kind_at="type", kind_words="message-received", status_at="type",
        status_words="sent: message-sending\ndelivered: message-delivered\nfailed: message-failed", status_reason_at="errorCode",
    ),
    "clickatell": row(
        "json", "fromNumber", "text", id_at="messageId", time_at="timestamp", time_written="milliseconds",
        status_at="statusCode", status_words="sent: 1, 2, 3, 8, 11\ndelivered: 4\nfailed: 5, 6, 7, 9, 10, 12, 13, 14", **PLUS,
    ),
    "clickmobile": row("xml", "mobile", "text", id_at="referenceID", to_at="shortCode", own_id="2020", **PLUS),
    "clicksend": row("form", "from", "body", **PLUS),
    "dialog360": row(
        "json", "from", "text.body | button.text | interactive.button_reply.title | interactive.list_reply.title | "
        "interactive.nfm_reply.body | image.caption | audio.caption | video.caption | document.caption",
        batch_at="entry.changes.value.messages | entry.changes.value.statuses",
        id_at="id", status_at="status", status_words="sent: sent\ndelivered: delivered\nread: read\nfailed: failed",
        time_at="timestamp", time_written="seconds", network="whatsapp",
        kind_at="group_id | type", kind_words="text, button, interactive, image, audio, video, document",
        files_at="image.id | audio.id | video.id | document.id",
        file_url="https://waba-v2.360dialog.io/whatsapp_business/attachments/?mid={file}",
        name_at="/entry.0.changes.0.value.contacts.0.profile.name",
    ),
    "dmark": row("form", "msisdn", "text", time_at="tstamp", to_at="short_code", own_id="2020", **PLUS),
    "firebase": row("form", "from", "msg", time_at="date", name_at="name", network="fcm"),
    "freshchat": row(
        "json", "data.message.channel_id + data.message.actor_id", "data.message.message_parts.text.content",
        id_at="data.message.id", time_at="data.message.created_time", kind_at="action", kind_words="message_create",
        network="freshchat",
    ),
    "globe": row(
        "json", "senderAddress", "message", id_at="messageId", time_at="dateTime",
        batch_at="inboundSMSMessageList.inboundSMSMessage",
        time_written="%a %b %d %Y %H:%M:%S GMT%z (UTC)", to_at="destinationAddress", own_id="21581234",
    ),
    "highconnection": row(
        "form", "FROM", "MESSAGE", id_at="ID", time_at="RECEPTION_DATE", time_written="%Y-%m-%dT%H:%M:%S", to_at="TO",
        own_id="5151", **PLUS,
    ),
    "hormuud": row("query", "Sender", "MessageText", to_at="ShortCode", own_id="2020"),
    "i2sms": row("form", "mobile", "message", **PLUS),
    "infobip": row(
        "json", "from", "message[contentType=text/plain].value | text", id_at="messageId", time_at="receivedAt", batch_at="results",
        files_at="message.url", status_at="status.groupName", to_at="to", own_id="385921004026",
        status_words="sent: PENDING\ndelivered: DELIVERED\nfailed: REJECTED, UNDELIVERABLE, EXPIRED", **PLUS,
    ),
    "jasmin": row(
        "form", "From", "content", id_at="id", to_at="To", own_id="2349067554711", text_written_at="coding",
        text_written_words="gsm: 0", status_at="message_status | err", answer_text="ACK/Jasmin",
        status_words="delivered: DELIVRD\nfailed: UNDELIV, REJECTD, EXPIRED, 1", **PLUS,
    ),
    "jiochat": row(
        "json", "FromUserName", "Content", id_at="MsgId", time_at="CreateTime", time_written="milliseconds", kind_at="MsgType",
        kind_words="text, image", network="jiochat", files_at="MediaId", file_url="https://channels.jiochat.example/media?media_id={file}",
    ),
    "justcall": row(
        "json", "data.contact_number", "data.content", id_at="data.messageid", time_at="data.datetime", name_at="data.contact_name",
        time_written="%Y-%m-%d %H:%M:%S", kind_at="data.direction", kind_words="I", status_at="data.delivery_status",
        status_words="sent: sent\ndelivered: delivered\nfailed: undelivered, failed", files_at="data.mms.media_url",
    ),
    "kannel": row(
        "query", "sender", "message", id_at="id", time_at="ts", time_written="seconds", takes_get="yes", status_at="status",
        status_key_at="uuid", status_words="delivered: 1\nfailed: 2, 16",
    ),
    "line": row(
        "json", "source.userId", "message.text | message.title", id_at="message.id", time_at="timestamp",
        time_written="milliseconds", batch_at="events", kind_at="type + message.type", network="line",
        kind_words="message/text, message/image, message/video, message/audio, message/file, message/location",
        files_at="message.contentProvider.originalContentUrl | message[type=image].id",
        file_url="https://api-data.line.me/v2/bot/message/{file}/content", secret_by="hmac", secret_name="X-Line-Signature",
        hmac_written="base64",
    ),
    "m3tech": row("query", "from", "text", takes_get="yes", **PLUS),
    "macrokiosk": row(
        "form", "from | msisdn", "text", id_at="msgid", time_at="time", time_written="%Y-%m-%d%H:%M:%S",
        time_zone="Asia/Kuala_Lumpur",
        to_at="shortcode", own_id="2020", status_at="status",
        status_words="sent: ACCEPTED\ndelivered: DELIVERED\nfailed: UNDELIVERED",
    ),
    "mblox": row(
        "json", "from", "body", id_at="id", time_at="received_at", kind_at="type", kind_words="mo_text", status_at="status",
        status_id_at="batch_id", status_words="sent: Dispatched\ndelivered: Delivered\nfailed: Aborted, Rejected, Failed, Expired",
        **PLUS,
    ),
    "messagebird": row(
        "form", "originator", "body[-1]", id_at="message_id | id[-1]", time_at="CreatedDatetime", files_at="mediaURLs", **PLUS,
    ),
    "messangi": row("form", "mobile", "mo", **PLUS),
    "mtarget": row(
        "form", "Msisdn", "Content", id_at="MsgId", kind_at="Keyword", kind_words="Default", status_at="Status",
        status_words="sent: 0, 1, 2\ndelivered: 3\nfailed: 4, 6", **PLUS,
    ),
    "mtn": row(
        "json", "senderAddress", "message", id_at="id", time_at="created", time_written="milliseconds", status_at="deliveryStatus",
        status_id_at="TransactionID", status_words="delivered: DeliveredToTerminal\nfailed: EXPIRED", to_at="receiverAddress",
        own_id="2020", **PLUS,
    ),
    "nexmo": row(
        "form", "msisdn", "text", id_at="messageId", takes_get="yes", status_at="status", to_at="to", own_id="2020",
        status_words="sent: accepted, buffered\ndelivered: delivered\nfailed: failed, expired, rejected", **PLUS,
    ),
    "novo": row("form", "from", "text", secret_by="header", secret_name="Authorization", **PLUS),
    "playmobile": row("xml", "@msisdn", "content", id_at="@id", batch_at="message", **PLUS),
    "plivo": row(
        "form", "From", "Text", id_at="MessageUUID", status_at="status", to_at="To", own_id="2020",
        status_words="sent: queued, sent\ndelivered: delivered\nfailed: undelivered, failed, rejected", **PLUS,
    ),
    "rocketchat": row(
        "json", "user.urn", "text", name_at="user.full_name", network="rocketchat", secret_by="header",
        secret_name="Authorization", secret_before="Token ",
    ),
    "slack": row(
        "json", "event.user", "event.text", id_at="event_id", time_at="event_time", time_written="seconds", kind_at="event.type",
        kind_words="message", files_at="event.files.url_private_download", network="slack",
    ),
    "smscentral": row("form", "mobile", "message"),
    "start": row(
        "xml", "from", "body", id_at="service.@request_id", time_at="service.@timestamp", time_written="seconds", to_at="to",
        own_id="1515", answer_type="text/xml", answer_text="<answer type=\"async\"/>",
    ),
    "telesom": row("form", "mobile", "msg", takes_get="yes"),
    "thinq": row("form", "from", "message", to_at="to", own_id="2065551212", number_prefix="+1"),
    "turn": row(
        "json", "from | from_bsuid", "text.body | button.text | interactive.list_reply.title | image.caption | video.caption | "
        "document.caption", id_at="id", time_at="timestamp", time_written="seconds", batch_at="messages",
        name_at="/contacts.0.profile.name",
        files_at="image.link | video.link | audio.link | document.link", network="whatsapp", kind_at="type",
        kind_words="text, button, interactive, image, video, audio, document",
    ),
    "viber": row(
        "json", "sender.id", "message[type=url].media | message.text", id_at="message_token", name_at="sender.name",
        kind_at="event + message.type", kind_words="message/text, message/url, message/picture, message/sticker",
        file_url="https://viber.github.io/docs/img/stickers/{file}.png",
        network="viber", status_at="event", status_words="delivered: delivered\nread: seen\nfailed: failed", secret_by="hmac",
        secret_name="X-Viber-Content-Signature", files_at="message[type=picture].media | message.sticker_id",
    ),
    "vk": row(
        "json", "object.message.from_id", "object.message.text", id_at="object.message.id", time_at="object.message.date",
        time_written="seconds", kind_at="type", kind_words="message_new", network="vk",
        files_at="object.message.attachments.0.photo.sizes[type=x].url | object.message.attachments.0.doc.url | "
        "object.message.attachments.0.sticker.images[1].url", answer_text="ok",
    ),
    "wavy": row(
        "json", "source", "messageText", id_at="id", time_at="receivedAt", time_written="milliseconds", status_at="deliveredStatus",
        status_words="delivered: DELIVERED_SUCCESS\nfailed: EXPIRED", **PLUS,
    ),
    "wechat": row(
        "xml", "FromUserName", "Content", id_at="MsgId", time_at="CreateTime", time_written="milliseconds", kind_at="MsgType",
        kind_words="text", network="wechat", needs_at="MsgId",
    ),
    "yo": row("query", "sender | from", "message", time_at="date", takes_get="yes", **PLUS),
    "zenvia": row(
        "json", "message.from", "message.contents.text", id_at="id", time_at="timestamp", time_written="%Y-%m-%dT%H:%M:%SZ",
        name_at="message.visitor.name", kind_at="type", kind_words="MESSAGE", network="whatsapp", needs_at="message.id",
        files_at="message.contents.fileUrl",
        status_at="messageStatus.code", status_id_at="messageId",
        status_words="sent: SENT\ndelivered: DELIVERED\nread: READ\nfailed: REJECTED, NOT_DELIVERED",
    ),
}  # fmt: skip
