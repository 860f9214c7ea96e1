"""The mail floor: the least code that could take in the same mails on the same PostgreSQL.

Plain psycopg and the standard library's `email`. Raw bytes are kept and committed first, then parsed, then one statement finds
who wrote and whose matter it is and writes the same rows as the product (somebody new, conversation, interaction, promise,
history, follow-up, acknowledgement, the raw item's state); that is the second commit. It knows no kinds of mail (bounces,
vacation notes, loops), no limits, no look-alikes, no doubts, no languages; quoted lines are cut at the first introduction
that English mail programs write.
"""

from __future__ import annotations

import email
import email.header
import email.policy
import email.utils
import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from typing import Any

import psycopg

KEEP = """
INSERT INTO crm_rawitem (public_id, source, external_id, content, label, received_at, state, kind, reason, attempt)
VALUES (uuidv7(), %(source)s, %(digest)s, %(content)s, '', %(at)s, 'ready', '', '', 0)
ON CONFLICT (source, external_id) DO NOTHING RETURNING id
"""
_INTERACTION = """
i AS (INSERT INTO crm_interaction
        (public_id, conversation_id, direction, channel, contact_point_id, source, external_id, raw_id, subject, text, full_text,
         html, message_id, language, spoke_at, ingested_at, wait_seconds, hold_seconds, ended_by, imported)
      SELECT uuidv7(), c.id, 'in', 'email', c.point_id, %(source)s, %(digest)s, %(raw)s, %(subject)s, %(text)s, %(full_text)s,
             %(html)s, %(message_id)s, '', %(at)s, %(at)s, 0, 0, '', false FROM c
      RETURNING id, public_id),
w AS (INSERT INTO crm_workitem (key, lane, event, ref, due_at, state, reason, attempt)
      SELECT 'triage:interaction.received:interaction:' || public_id, 'triage', 'interaction.received',
             'interaction:' || public_id, %(at)s, 'ready', '', 0 FROM i),
r AS (UPDATE crm_rawitem SET state = 'done', kind = 'human', reason = 'A person wrote this.' WHERE id = %(raw)s)
"""
_NEW = f"""
WITH known AS (SELECT id, customer_id FROM crm_contactpoint
               WHERE kind = 'email' AND address = %(sender)s AND unlinked_at IS NULL ORDER BY id LIMIT 1),
who AS (INSERT INTO crm_customer (public_id, display_name, language, zone, region, status, created_at)
        SELECT uuidv7(), %(name)s, '', '', '', 'active', %(at)s WHERE NOT EXISTS (SELECT FROM known) RETURNING id),
reached AS (INSERT INTO crm_contactpoint (customer_id, kind, address, verified_at, created_at)
            SELECT id, 'email', %(sender)s, %(at)s, %(at)s FROM who RETURNING id, customer_id),
proved AS (UPDATE crm_contactpoint SET verified_at = %(at)s WHERE id IN (SELECT id FROM known) AND verified_at IS NULL),
s AS (SELECT id, customer_id FROM known UNION ALL SELECT id, customer_id FROM reached),
n AS (INSERT INTO crm_conversation
        (public_id, customer_id, owner_id, subject, channel, state, queue_class, spoke_at, due_at, last_inbound_at, skill,
         imported)
      SELECT %(conversation)s, customer_id,
             coalesce((SELECT owner_id FROM crm_conversation o WHERE o.customer_id = s.customer_id AND owner_id IS NOT NULL
                        AND state IN ('open', 'waiting_customer') ORDER BY id DESC LIMIT 1),
                      (SELECT id FROM crm_user WHERE is_active AND takes_conversations AND is_available AND NOT is_full
                        ORDER BY random() LIMIT 1)),
             %(subject)s, 'email', 'open', 1, %(at)s, %(at)s + interval '8 hours', %(at)s, '', false
      FROM s RETURNING id, customer_id),
c AS (SELECT n.id, n.customer_id, s.id AS point_id FROM n, s),
{_INTERACTION},
p AS (INSERT INTO crm_promise
        (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state)
      SELECT id, 'first_response', 'everybody', %(at)s, %(at)s + interval '8 hours', %(at)s + interval '6 hours', 28800, '', '',
             'running' FROM c),
o AS (INSERT INTO crm_outgoingmessage
        (public_id, key, kind, purpose, has_value, channel, address, customer_id, conversation_id, meets, concerns, subject, text,
         html, headers, created_at, send_after, state, reason, attempt, failures, unknown_outcomes)
      SELECT uuidv7(), 'acknowledged:' || %(conversation)s, 'notice', '', false, 'email', %(sender)s, customer_id, id, '[]', '',
             'We have your message', %(answer)s, %(answer_html)s, %(headers)s, %(at)s, %(at)s, 'ready', '', 0, 0, 0 FROM c),
h AS (INSERT INTO crm_historyentry (customer_id, verb, ref, origin, at, detail)
      SELECT c.customer_id, 'conversation.opened', 'conversation:' || %(conversation)s, 'mail', %(at)s,
             jsonb_build_object('interaction', i.public_id, 'channel', 'email') FROM c, i)
SELECT id FROM i
"""
_ANSWER = f"""
WITH k AS (SELECT t.conversation_id, p.id AS point_id
           FROM crm_replytoken t
           JOIN crm_conversation o ON o.id = t.conversation_id
           JOIN crm_contactpoint p ON p.customer_id = o.customer_id AND p.address = %(sender)s AND p.kind = 'email'
            AND p.unlinked_at IS NULL
           WHERE t.digest = %(token)s AND t.expires_at > %(at)s AND (t.revoked_at IS NULL OR t.revoked_at > %(at)s)),
c AS (UPDATE crm_conversation o
      SET state = 'open', due_at = least(due_at, %(at)s + interval '8 hours'), last_inbound_at = %(at)s
      FROM k WHERE o.id = k.conversation_id RETURNING o.id, o.public_id, o.customer_id, k.point_id),
proved AS (UPDATE crm_contactpoint SET verified_at = %(at)s FROM k WHERE id = k.point_id AND verified_at IS NULL),
{_INTERACTION},
p AS (INSERT INTO crm_promise
        (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state)
      SELECT id, 'next_update', 'message:' || left(%(digest)s, 32), %(at)s, %(at)s + interval '8 hours',
             %(at)s + interval '6 hours', 28800, '', '', 'running' FROM c),
h AS (INSERT INTO crm_historyentry (customer_id, verb, ref, origin, at, detail)
      SELECT c.customer_id, 'conversation.continued', 'conversation:' || c.public_id, 'mail', %(at)s,
             jsonb_build_object('interaction', i.public_id, 'channel', 'email') FROM c, i)
SELECT id FROM i
"""
_INTRODUCTION = re.compile(r"^On .*wrote:\s*$", re.MULTILINE)
_TOKEN = re.compile(r"reply\+([a-z2-7]{26})@", re.IGNORECASE)
_TEXT = "Hello {name},\n\nwe have your message and answer by {by:%A, %d %B, %H:%M}.\n\nEvenhand Demo Shop\n"
_PAGE = (
    "<html><body style='font-family:sans-serif'><p>Hello {name},</p><p>we have your message and answer by "
    "{by:%A, %d %B, %H:%M}.</p><p>Evenhand Demo Shop</p></body></html>"
)


@dataclass(frozen=True, slots=True)
class Read:
    """What the floor reads in a mail."""

    sender: str
    name: str
    to: str
    subject: str
    message_id: str
    text: str
    html: str


def read_modern(content: bytes) -> Read:
    """As the documentation of `email` tells every new program to do it."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    sender = mail["From"].addresses[0]
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    return Read(
        sender=sender.addr_spec.lower(),
        name=sender.display_name,
        to=f"{mail['Delivered-To']} {mail['To']}",
        subject=mail["Subject"],
        message_id=mail["Message-ID"].strip("<> "),
        text=plain.get_content() if plain else "",
        html=page.get_content() if page else "",
    )


def read_old(content: bytes) -> Read:
    """With the older interface, where whoever writes it decodes headers and character sets by hand."""
    mail = email.message_from_bytes(content)
    name, address = email.utils.parseaddr(mail["From"])
    bodies = {part.get_content_type(): part for part in mail.walk() if part.get_content_maintype() == "text"}
    return Read(
        sender=address.lower(),
        name=_decoded(name),
        to=f"{mail['Delivered-To']} {mail['To']}",
        subject=_decoded(mail["Subject"]),
        message_id=mail["Message-ID"].strip("<> "),
        text=_content(bodies.get("text/plain")),
        html=_content(bodies.get("text/html")),
    )


def _decoded(value: str) -> str:
    return str(email.header.make_header(email.header.decode_header(value)))


def _content(part: Message | None) -> str:
    content = part.get_payload(decode=True) if part is not None else b""
    assert isinstance(content, bytes)
    return content.decode(part.get_content_charset("utf-8"), "replace") if part is not None else ""


class Floor:
    """One connection and one way to read. `take_in` returns the key of the interaction."""

    def __init__(self, database: str, read: Callable[[bytes], Read]) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(database, autocommit=True)
        self.connection.prepare_threshold = 0
        self.read = read

    def take_in(self, content: bytes, *, source: str) -> int:
        """Keep, read and store one mail."""
        told: dict[str, Any] = {
            "source": source, "digest": hashlib.sha256(content).hexdigest(), "content": content, "at": datetime.now(UTC)
        }  # fmt: skip
        kept = self.connection.execute(KEEP, told).fetchone()
        if kept is None:
            return 0
        mail = self.read(content)
        new = _INTRODUCTION.split(mail.text, maxsplit=1)[0].strip()
        token = _TOKEN.search(mail.to)
        words = {"name": mail.name, "by": told["at"]}
        told |= {
            "raw": kept[0], "sender": mail.sender, "name": mail.name, "subject": mail.subject[:300], "text": new,
            "full_text": mail.text if mail.text != new else "", "html": mail.html, "message_id": mail.message_id,
            "conversation": str(uuid.uuid4()), "answer": _TEXT.format(**words), "answer_html": _PAGE.format(**words),
            "headers": f'{{"Auto-Submitted": "auto-replied", "In-Reply-To": "<{mail.message_id}>"}}',
        }  # fmt: skip
        if token:
            told["token"] = hashlib.sha256(token[1].lower().encode()).hexdigest()
        row = self.connection.execute(_ANSWER if token else _NEW, told).fetchone()
        if row is None:
            raise RuntimeError("the floor stored nothing")
        number: int = row[0]
        return number
