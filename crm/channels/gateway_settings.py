"""What is typed in for a gateway without a file of its own: where what stands in its requests, and how ours are written."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from crm.channels.providers import Setting

QUERY_NAMES: Final = ("secret", "token", "password", "auth")
"""Names under which a secret may stand in the query; what stands under them is never kept."""
ARRIVALS: Final = ("sent", "delivered", "read", "deferred", "failed", "unwanted")
_FORMS: Final = (
    ("form", _("Form fields, in the body or the query")),
    ("json", "JSON"),
    ("xml", "XML"),
    ("query", _("The query alone")),
)
_TEXTS: Final = (
    ("", _("As it is")),
    ("percent", _("Percent-encoded once more")),
    ("hex_ucs2", _("Hexadecimal, UCS-2")),
    ("hex_utf8", _("Hexadecimal, UTF-8")),
    ("base64", _("Base64, UTF-8")),
    ("base64_ucs2", _("Base64, UCS-2")),
    ("gsm", _("GSM alphabet, a byte per letter")),
)


SETTINGS: Final = (
    Setting("reads", _("How a request is written"), heading=_("What the gateway posts"), choices=_FORMS),
    Setting(
        "takes_get",
        _("How it comes"),
        is_required=False,
        choices=(("", _("By POST")), ("yes", _("By GET or POST"))),
    ),
    Setting("sender_at", _("Place of the sender"), _("As from, message.from, results.0.from, message.@msisdn or ?sender.")),
    Setting("text_at", _("Place of the words"), _("Several places with | between: the first that is there.")),
    Setting("id_at", _("Place of the message's id"), _("It makes a message that comes twice one."), is_required=False),
    Setting("time_at", _("Place of the time"), is_required=False),
    Setting(
        "time_written",
        _("How the time is written"),
        _("iso, seconds, milliseconds, rfc2822, or a pattern as %Y-%m-%d %H:%M:%S. Empty: iso."),
        is_required=False,
    ),
    Setting("time_zone", _("Time zone of a time without one"), _("As Europe/Berlin. Empty: UTC."), is_required=False),
    Setting(
        "to_at",
        _("Place of our number"),
        _("With it, what was sent to another number than ours is not for us."),
        is_required=False,
    ),
    Setting("name_at", _("Place of the sender's name"), is_required=False),
    Setting("files_at", _("Place of addresses of files, or of their ids"), is_required=False),
    Setting(
        "file_url",
        _("Address of a file, where only its id comes"),
        _("As https://gateway.example/media/{file}; the header for the credential goes along."),
        is_required=False,
    ),
    Setting(
        "batch_at",
        _("Place of the list, where several come at once"),
        _("The other places then begin in each item of it; / in front begins at the whole."),
        is_required=False,
    ),
    Setting(
        "kind_at", _("Place that says what a request is"), _("Two places with + between are read as one/other."), is_required=False
    ),
    Setting("kind_words", _("Words there that mean a message"), _("With commas between."), is_required=False),
    Setting(
        "needs_at",
        _("Places without which it is no message"),
        _("With + between. What lacks one is kept for a person."),
        is_required=False,
    ),
    Setting(
        "number_prefix",
        _("What is put in front of a number without +"),
        _("+ where the country code is there already, else as +1. Empty: numbers are read as in our region."),
        is_required=False,
        heading=_("Senders and letters"),
    ),
    Setting(
        "network",
        _("Name of the network, where senders are no phone numbers"),
        _("As viber; a sender is then kept as viber:…"),
        is_required=False,
    ),
    Setting("text_written", _("How the words are written"), is_required=False, choices=_TEXTS),
    Setting("text_written_at", _("Place that says how the words are written"), is_required=False),
    Setting(
        "text_written_words",
        _("What stands there, and what it means"),
        _("A line each: hex_ucs2: 8. Ways: plain, percent, hex_ucs2, hex_utf8, base64, base64_ucs2, gsm."),
        is_required=False,
        is_long=True,
    ),
    Setting(
        "charset",
        _("Code of the letters"),
        is_required=False,
        choices=(("", "UTF-8"), ("iso-8859-1", "ISO-8859-1"), ("cp1252", "Windows-1252")),
    ),
    Setting(
        "secret_by",
        _("How the gateway shows that it is the gateway"),
        heading=_("Whether it is believed"),
        choices=(
            ("query", _("A secret in the query of our address")),
            ("header", _("A secret in a header")),
            ("basic", _("User and password (Basic)")),
            ("hmac", _("A signature over the body (HMAC) in a header")),
        ),
    ),
    Setting(
        "secret_name",
        _("Name of the header, or of the field in the query"),
        _("In the query: secret, token, password or auth; put it at the end of the address, as ?secret=…"),
        is_required=False,
    ),
    Setting("secret_before", _("What stands in front of it in the header"), _("As Bearer or sha256="), is_required=False),
    Setting(
        "hmac_algorithm", _("Hash of the signature"), is_required=False, choices=(("", "SHA-256"), ("sha1", "SHA-1"))
    ),
    Setting(
        "hmac_written",
        _("How the signature is written"),
        is_required=False,
        choices=(("", _("Hexadecimal")), ("base64", "Base64")),
    ),
    Setting(
        "answer_text", _("What we answer"), _("Empty where the status 200 is enough."), is_required=False,
        heading=_("What it hears, and reports"),
    ),
    Setting(
        "answer_type",
        _("Type of what we answer"),
        is_required=False,
        choices=(("", "text/plain"), ("application/json", "application/json"), ("text/xml", "text/xml")),
    ),
    Setting("status_at", _("Place of what became of a message of ours"), is_required=False),
    Setting(
        "status_words",
        _("What stands there, and what it means"),
        _("A line each, as delivered: DELIVRD, 1. Meanings: sent, delivered, read, deferred, failed, unwanted."),
        is_required=False,
        is_long=True,
    ),
    Setting(
        "status_id_at", _("Place of the id of that message"), _("Empty: as the message's id above."), is_required=False
    ),
    Setting("status_key_at", _("Place of our own key, where it comes back"), is_required=False),
    Setting("status_reason_at", _("Place of the reason"), is_required=False),
    Setting(
        "send_url",
        _("Address that a message is sent to"),
        _("Empty when nothing goes back. {to}, {from} and {key} may stand in it."),
        is_required=False,
        heading=_("How an answer leaves"),
    ),
    Setting(
        "send_written",
        _("How it is sent"),
        is_required=False,
        choices=(("", _("POST, form fields")), ("json", _("POST, JSON")), ("query", _("GET, query"))),
    ),
    Setting(
        "send_body",
        _("What is sent"),
        _(
            "Form fields: a line each, as to={to}. JSON: as {\"to\": \"{to}\"}. Places: {to}, {to_digits} without +, {text}, "
            "{text_hex} in UCS-2, {from}, {key} of our message, {credential}."
        ),
        is_required=False,
        is_long=True,
    ),
    Setting("send_header", _("Header for the credential"), _("As Authorization."), is_required=False),
    Setting(
        "send_header_value",
        _("What stands in that header"),
        _("As Bearer {credential}, or Basic {basic} where the credential is user:password."),
        is_required=False,
    ),
    Setting(
        "sent_reads",
        _("How the gateway's answer is written"),
        is_required=False,
        choices=(("", _("Form fields")), ("json", "JSON"), ("xml", "XML"), ("text", _("Text: word.0, word.1, line.0 …"))),
    ),
    Setting("sent_id_at", _("Place of the message's id in the answer"), is_required=False),
    Setting("sent_status_at", _("Place that says whether it was accepted"), is_required=False),
    Setting("sent_good", _("Words there that accept"), _("Everything else refuses, where none is named below."), is_required=False),
    Setting("sent_bad", _("Words there that refuse for good"), is_required=False),
    Setting("sent_later", _("Words there that ask to try later"), is_required=False),
    Setting("longest", _("Longest answer, characters"), _("Empty for no limit."), is_required=False),
)  # fmt: skip
