"""What kind of mail this is: only a person's own words may open or join a conversation (M09, M10, M11).

Signs are weighed by how hard they are to give by accident. A hard sign decides alone; a weak one (a subject, a phrase) needs
a second. A sign a sender sets can only cost the sender an answer; no header makes a mail more important or more trusted (M28).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from crm.channels.email import bounces, headers, parts
from crm.channels.email.headers import Address

Kind = Literal[
    "human", "bounce", "auto_reply", "own_notification", "unsubscribe", "complaint_report", "list", "spam", "unparsable"
]

OWN_HEADER: Final = "x-evenhand"  # written on everything we send
_LOOKED_AT: Final = 20_000  # characters of text in which phrases are searched
_UNSUBSCRIBE_CHARS: Final = 280  # more words than this to an unsubscribe address are a message to read
_FORWARDED_WORDS_CHARS: Final = 60  # a forwarded bounce with fewer own words says nothing but the bounce

_DAEMON: Final = re.compile(
    r"^(?:mailer[-_.]?daemons?|mail[-_.]?daemon|maildaemon|mail[-_.]?delivery(?:[-_.](?:sub)?system|[-_.]service)?|mail[-_.]?system|delivery[-_.]?(?:error|status|failure)s?"
    r"|double[-_.]bounce|bounce[-_.]?daemon|bounces?|email[-_.]?bounces?|mdaemon|mmdf|returned[-_.]?mail|ndr|microsoftexchange[0-9a-f]{20,})$"
)
_SERVANT: Final = re.compile(r"^(?:po+st[-_.]?master|mail[-_.]?admin(?:istrator)?|autoreply|smtp|mta|lmtp)$")
_SERVANT_NAME: Final = re.compile(
    r"mail(?:er)?[ -]?deliver\w*|mailer[ -]?daemon|delivery (?:sub)?system|mail (?:sub)?system|system administrator|mail administrator|post ?master|internet mail|undeliver|notification service"
    r"|interscan|message transfer|smtp|mail router|mail gateway",
    re.IGNORECASE,
)
_BOUNCE_SUBJECT: Final = re.compile(
    r"^\W{0,10}(?:\S{1,80}\s)?(?:undeliver(?:able|ed)|returned (?:e-?)?mail|(?:e-?)?mail (?:delivery )?(?:fail|undeliver|return|error|could not|was not|status|system error)|(?:message )?delivery (?:status|fail|problem|report|error|has failed|incomplete|not"
    r" possible|unsuccess|delay|notification|"
    r"warning)|failure (?:notice|notification|delivery|to deliver)|failed (?:mail|delivery)|message (?:delivery|status|undeliver|could not|not deliver|rejected|you sent)|non[- ]?deliver|nondeliver|could not (?:be deliver|send|deliver)|unable to (?:deliver|send)|"
    r"unzustellbar|nicht zustellbar|zustellung|mail ?zustell|fehler bei der|non remis|[ée]chec|retour de courrier|message non|remise|notification d'[ée]tat|"
    r"no se (?:pudo|puede) entregar|no se ha podido|no entregad|error (?:de|en la) entrega|devuelto|mancat[oa] (?:recapito|consegna)|non recapit|n[ãa]o (?:entregue|foi)|falha na entrega|n[ãa]o foi poss|onbestelbaar|niet bezorgd|kan niet worden afgeleverd|"
    r"ikke leveret|kunne ikke leveres|kan ikke leveres|uleverte|olevererbart|kunde inte levereras|ej levererat|ei voitu toimittaa|toimitus|niedostarczon|nie można dostarczyć|zwrot|nedoru[čc]|nelze doru[čc]|недостав|не (?:доставлено|удалось доставить)|сообщение не|"
    r"kézbesíthetetlen|teslim edilemedi|配信(?:不能|不可|エラー)|送信(?:エラー|不能)|宛先不明|未配信|配送不能|退信|系统退信|投递失败|无法投递|未傳遞|無法傳遞|반송|전송 실패|there was an error sending|problems? delivering|error sending|bounce|host unknown|user unknown)"
    r"|delivery failure|delivery failed|mail delivery failed|не доставлено|недоставленное",
    re.IGNORECASE,
)
_BOUNCE_TEXT: Final = re.compile(
    r"transcript of session follows|(?:message|mail|e-?mail)(?: that)? (?:you )?(?:have )?(?:sent )?(?:to .{1,200} )?(?:could not be|cannot be|was not|wasn't|has not been|couldn't be|was unable to be|is undeliver|can't be|that i was unable) ?(?:deliver|reach|sent|accepted)?"
    r"|(?:could not|cannot|unable to|was not able to|wasn't able to|failed to) (?:be )?(?:deliver|reach|relay)(?:ed)?|undeliver(?:able|ed)|delivery (?:to .{1,200} )?(?:has |have )?(?:failed|permanently)|permanent(?:ly)? (?:fatal )?(?:error|fail)"
    r"|following (?:address|recipient|destination)\w*(?:\(es\)|\(s\))? (?:had|failed|could|cannot|were|was|has|did)|recipient (?:address )?(?:rejected|unknown|not found)|user (?:unknown|not found|doesn't have)|no such user|unknown user|invalid (?:user|recipient|address|mailbox)"
    r"|mailbox (?:is )?(?:full|unavailable|not found|disabled)|(?:quota|storage) (?:exceeded|limit)|reason for (?:the )?(?:failure|return|problem|non)|your (?:message|mail) (?:did not reach|was rejected|has been rejected)|i'm not going to try again|this is the mail ?system at host"
    r"|created automatically by mail delivery|mail delivery (?:sub)?system|duplicated message-id|mail loop|too many hops|error message below|returned (?:message|mail)|failed after i sent"
    r"|konnte nicht zugestellt|nicht zugestellt werden|n'a pas pu être|n'a pas été remis|no se pudo entregar|no ha podido ser entregad|non è stato possibile (?:recapitare|consegnare)|não (?:pôde|foi possível) (?:ser )?entreg|niet worden (?:bezorgd|afgeleverd)"
    r"|не (?:может быть|было|удалось|доставлено)|nie (?:mogła|może) (?:zostać|być) dostarczon|配信できません|お届けできません|送信できません|配信不能|届けられません|存在しない|無法傳遞|无法投递|被退回|전달되지|전송하지 못",
    re.IGNORECASE,
)
_REPLY_CODE: Final = re.compile(r"(?<![\d.])(?:[45]\d\d[ -](?:#?[45]\.\d{1,3}\.\d{1,3})?|[45]\.\d\.\d{1,3}\b)")
_COMPLAINT_SUBJECT: Final = re.compile(
    r"complaint about (?:a )?(?:message|mail|e-?mail) from|(?:abuse|feedback|spam|fbl|feedback loop) (?:report|complaint|notification|summary)|e-?mail feedback report|\[?(?:arf|fbl)\]? (?:report|complaint)"
    r"|(?:authentication|dmarc) failure report|spam ?trap",
    re.IGNORECASE,
)
_COMPLAINT_FIELDS: Final = re.compile(r"^Feedback-Type:[ \t]*(?:abuse|fraud|virus|other|not-spam|auth-failure|opt-out|dmarc)", re.IGNORECASE | re.MULTILINE)
_AUTO_HEADERS: Final = frozenset(
    "x-autoreply x-auto-reply x-autoreply-from x-autorespond x-autoresponse x-autoresponder x-auto-response-suppress x-mail-autoreply x-ms-exchange-inbox-rules-loop "
    "x-ms-exchange-generated-message-source x-vacation x-out-of-office x-away x-cron-env x-facebook-notify x-autogenerated x-autoreply-domain".split()
)
# Out of office and receipt subjects in English, German, French, Spanish, Italian, Portuguese, Dutch, Danish/Norwegian,
# Swedish, Finnish, Polish, Czech, Russian/Ukrainian, Hungarian, Turkish, Japanese, Chinese, Korean.
_AWAY_SUBJECT: Final = re.compile(
    r"^\W{0,5}(?:automatic(?:ally)? (?:reply|response|generated)|auto(?:matic|mated)?[- ]?(?:reply|response|responder|answer)|out[- ]of[- ](?:the[- ])?office|ooo\b|vacation (?:reply|response|notice|message)|away from (?:the |my )?(?:office|desk)|on (?:annual )?leave|i am (?:away|out of)|automated (?:reply|response|message)"
    r"|automatische (?:antwort|reactie|beantwoording)|abwesenheit|abwesend|urlaubs(?:notiz|vertretung|abwesenheit|meldung)|au[ßs]er haus|eingangsbest[äa]tigung|r[ée]ponse automatique|absence du bureau|absente? du bureau|message d'absence|message automatique|respuesta autom[áa]tica|fuera de (?:la )?oficina|ausencia de (?:la )?oficina|ausente de"
    r"|risposta automatica|fuori (?:sede|ufficio)|assente dal|assenza dal|resposta autom[áa]tica|fora do escrit|aus[êe]ncia (?:do|tempor)|afwezig|buiten kantoor|niet aanwezig|autosvar|automatisk (?:svar|besvarelse)|frav[æa]r|ikke til stede|fr[åa]nvaro|fr[åa]nvarande|automaattinen vastaus|poissa toimistolta|poissaolo(?:viesti|ilmoitus)"
    r"|autoodpowied[źz]|automatyczna odpowied[źz]|nieobecno[śs][ćc] w biurze|poza biurem|automatick[áa] odpov|nep[řr][íi]tomn|мимо офиса|автоответ|автоматический ответ|вне офиса|отсутствие на рабочем|відсутність на|автоматична відповідь"
    r"|automatikus v[áa]lasz|házon kívül|irodán kívül|otomatik (?:yan[ıi]t|cevap)|ofis d[ıi]şında|自動(?:返信|応答|送信)|不在(?:通知|のお知らせ|の連絡)|休暇(?:中|のお知らせ)|自动(?:回复|答复)|外出(?:通知|自动)|休假(?:通知|自动)|自動回覆|자동 ?(?:회신|응답)|부재중)",
    re.IGNORECASE,
)
# What such replies say: that nobody is there, until when, or that a machine answers. The word "holiday" alone is no sign.
_AWAY_TEXT: Final = re.compile(
    r"out of (?:the )?office|(?:am|be|'m) (?:currently )?(?:on (?:annual |maternity |parental |sick )?(?:leave|vacation|holiday)|away (?:until|from)|out until)|auto(?:matic|mated)(?:ally)?[- ](?:reply|response|generated|message|e-?mail)"
    r"|limited access to (?:my )?e?-?mail|will (?:be back|return) (?:on|to the office)|do not reply to this|nicht im (?:b[üu]ro|hause?)|(?:bis|vom|ab).{0,40}(?:nicht erreichbar|abwesend|im urlaub)|automatisch (?:erzeugt|generiert|erstellt)|ab dem .{0,30}wieder"
    r"|(?:absente?|en cong[ée]s?) (?:du bureau|jusqu|du \d)|de retour (?:le|au bureau)|r[ée]ponse automatique|message automatique|(?:estar[ée]|estoy|me encuentro) (?:fuera|ausente|de vacaciones)|fuera de la oficina|(?:respuesta|mensaje) autom"
    r"|fuori (?:sede|ufficio)|(?:sono|sar[òo]) (?:in ferie|assente|fuori)|(?:risposta|messaggio) automatic|fora do escrit|(?:estou|estarei) (?:ausente|de f[ée]rias|fora)|(?:resposta|mensagem) autom|niet (?:op|in het) kantoor|(?:ben ik|ik ben) (?:afwezig|met vakantie|op vakantie)|automatisch (?:antwoord|bericht)"
    r"|ikke p[åa] kontor|(?:er|har|holder) (?:p[åa] )?ferie (?:til|frem|fra)|fraværende|automatisk (?:svar|genere|besked)|inte p[åa] kontor|[åa]ter p[åa] kontor|har semester|(?:[äa]r|har) (?:ledig|fr[åa]nvarande)|(?:olen|on) (?:lomalla|poissa)|automaattinen"
    r"|poza biurem|(?:jestem|przebywam|b[ęe]d[ęe]) (?:na urlopie|nieobecn)|automatyczn[aey]|mimo kancel[áa][řr]|(?:jsem|budu) na dovolen|automatick[áaéy]|вне офиса|(?:нахожусь|буду|я) (?:в отпуске|отсутств)|не в офисе|автоматич|(?:я |буду )(?:у відпустці|відсутн)|nem vagyok (?:az )?irod|szabads[áa]gon vagyok|automatikus"
    r"|(?:y[ıi]ll[ıi]k )?izinde|ofis(?:te de[ğg]il| d[ıi][şs])|otomatik|不在に|不在と|休暇(?:中|をいただ)|自動(?:的に|返信|送信)|自动(?:回复|答复|发送)|正在休假|(?:不在|离开)办公室|自動回覆|부재중|휴가 ?중|자동 ?(?:회신|응답|발송)",
    re.IGNORECASE,
)
_UNSUBSCRIBE_ADDRESS: Final = re.compile(r"^(?:list-?)?(?:unsub(?:scribe)?|opt-?out|abmelden|d[ée]sinscription)(?:[-+._=].*)?@|[+]unsub(?:scribe)?(?:[-+._=].*)?@")
_UNSUBSCRIBE_SUBJECT: Final = re.compile(r"^\W*(?:unsub(?:scribe)?|opt[- ]?out|abmelden|abbestellen|d[ée]sabonner|d[ée]sinscription|darme de baja|cancelar suscripci[óo]n|disiscrivi|cancellami|cancelar inscri[çc][ãa]o|afmelden|frameld|avregistrera|wypisz|odhl[áa]sit|отписаться|退订|配信停止)\W*$", re.IGNORECASE)
_FORWARD: Final = re.compile(r"^\s*(?:(?:re|aw|sv|antw|fwd?|wg|tr|rv|enc|i|vs|vb|doorst|vl|továbbítás|转发|轉寄)\s?:\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """kind, and why: a stable code and one sentence, as "code: Sentence."."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the judgement is made from. own_addresses: ours, normalised; sender: whom From names; new: the new part of text."""

    cut: parts.Parts
    subject: str
    text: str
    new: str
    sender: Address | None
    recipients: tuple[str, ...]
    own_addresses: frozenset[str]
    is_forwarded_by_us: bool
    files: int


def judge(evidence: Evidence) -> Judgement:
    """Name the kind of a mail; the first rule that fits decides, in the order written here. Raises nothing."""
    for rule in (_unparsable, _complaint, _bounce, _own, _unsubscribe, _automatic, _spam, _nobody, _list):
        judgement = rule(evidence)
        if judgement is not None:
            return judgement
    return Judgement("human", "person: Nothing says that a machine wrote this.")


_MAIL_HEADERS: Final = frozenset("from to subject date received message-id return-path sender content-type mime-version delivered-to cc".split())


def _unparsable(seen: Evidence) -> Judgement | None:
    if any(name in _MAIL_HEADERS for name, _ in seen.cut.top.fields):
        return None
    return Judgement("unparsable", "no_headers: This is not a mail: none of the headers every mail has is there.")


def _complaint(seen: Evidence) -> Judgement | None:
    top = seen.cut.top
    if _report_type(seen) == "feedback-report" or any(leaf.content_type == "message/feedback-report" for leaf in seen.cut.leaves):
        return Judgement("complaint_report", "feedback_report: A mail provider reports that a recipient called our mail unwanted (RFC 5965).")
    if bounces.provider_notice(seen.text) == "complaint":
        return Judgement("complaint_report", "provider_complaint: Our mail provider reports a complaint.")
    quotes_a_mail = any(leaf.content_type in {"message/rfc822", "text/rfc822-headers"} for leaf in seen.cut.leaves)
    if _COMPLAINT_FIELDS.search(seen.text[:_LOOKED_AT]) or (quotes_a_mail and not seen.new.strip() and _COMPLAINT_SUBJECT.search(seen.subject)):
        return Judgement("complaint_report", "report_look_alike: It looks like a provider's report about unwanted mail.")
    if quotes_a_mail and _COMPLAINT_SUBJECT.search(seen.subject) and ("x-loop" in top or _is_servant(seen) or _is_daemon(seen)):
        return Judgement("complaint_report", "report_look_alike: It looks like a provider's report about unwanted mail.")
    return None


def _bounce(seen: Evidence) -> Judgement | None:
    top = seen.cut.top
    types = {leaf.content_type for leaf in seen.cut.leaves}
    if _report_type(seen) == "disposition-notification" or "message/disposition-notification" in types:
        return Judgement("auto_reply", "read_receipt: A program reports that our mail was opened or deleted (RFC 8098).")
    if _report_type(seen) == "delivery-status" or types & {"message/delivery-status", "message/global-delivery-status"}:
        return Judgement("bounce", "delivery_status: A mail server reports on the delivery of our mail (RFC 3464).")
    if "x-failed-recipients" in top:
        return Judgement("bounce", "failed_recipients: A mail server lists whom our mail did not reach.")
    if bounces.provider_notice(seen.text) in {"bounce", "delivery"}:
        return Judgement("bounce", "provider_notice: Our mail provider reports on the delivery of our mail.")
    subject = _FORWARD.sub("", seen.subject)
    subject_says, text_says = bool(_BOUNCE_SUBJECT.search(subject)), bool(_BOUNCE_TEXT.search(seen.text[:_LOOKED_AT]))
    if _is_daemon(seen) and not ("auto-submitted" in top and _AWAY_SUBJECT.search(seen.subject)):
        return Judgement("bounce", "mailer_daemon: The sender is a mail server's own address.")
    coded = bool(_REPLY_CODE.search(seen.text[:_LOOKED_AT]))
    if subject != seen.subject and not _is_servant(seen):
        # Somebody passes a bounce on. Their own words would make it a message.
        machine = bounces.is_machine_readable(seen.text)
        if subject_says and machine and len(seen.new.strip()) <= _FORWARDED_WORDS_CHARS:
            return Judgement("bounce", "forwarded_bounce: Somebody forwarded a mail server's report without words of their own.")
        return None
    # A customer may write "delivery failed" about a parcel: words alone, or words with an attached mail, are not enough.
    if (subject_says or text_says) and _has_null_path(seen):
        return Judgement("bounce", "returned_to_nobody: It speaks of failed delivery and nobody can answer it.")
    if _is_servant(seen) and (subject_says + text_says + coded + _quotes_original(seen)) >= 2:
        return Judgement("bounce", "looks_returned: Sender and words are those of a mail server's report.")
    if subject_says and text_says and coded and _quotes_original(seen):
        return Judgement("bounce", "looks_returned: Subject, words and the quoted mail are those of a mail server's report.")
    if _LOOP.search(seen.subject) and _quotes_original(seen):
        return Judgement("bounce", "mail_loop: A list or server returned our mail because it came round twice.")
    return None


_LOOP: Final = re.compile(r"\bloop\b|duplicated? message-id|too many hops", re.IGNORECASE)
_QUOTED_HEADERS: Final = re.compile(r"^[ \t>]{0,8}(?:received|return-path|message-id)[ \t]*:", re.IGNORECASE | re.MULTILINE)


def _quotes_original(seen: Evidence) -> bool:
    attached = any(leaf.content_type in {"message/rfc822", "text/rfc822-headers"} for leaf in seen.cut.leaves)
    return attached or len(_QUOTED_HEADERS.findall(seen.text[:_LOOKED_AT])) >= 2


def _report_type(seen: Evidence) -> str:
    content_type, parameters = headers.parameters(seen.cut.top.first("content-type"))
    return parameters.get("report-type", "").lower() if content_type == "multipart/report" else ""


def _return_paths(seen: Evidence) -> list[str]:
    return [value.strip().strip("<>").strip().lower() for value in seen.cut.top.every("return-path")]


def _has_null_path(seen: Evidence) -> bool:
    paths = _return_paths(seen)
    return bool(paths) and (paths[0] == "" or bool(_DAEMON.match(paths[0].partition("@")[0])))


def _is_daemon(seen: Evidence) -> bool:
    written = headers.decoded(seen.cut.top.first("from")).strip()
    if seen.sender is None:
        return bool(_DAEMON.match(re.split(r"[\s<@(]", written.strip('"<').lower(), maxsplit=1)[0]))
    return bool(_DAEMON.match(seen.sender.address.partition("@")[0]))


def _is_servant(seen: Evidence) -> bool:
    if seen.sender is None:
        return bool(_SERVANT_NAME.search(seen.cut.top.text("from")))
    return bool(_SERVANT.match(seen.sender.address.partition("@")[0]) or _SERVANT_NAME.search(seen.sender.name))


def _own(seen: Evidence) -> Judgement | None:
    if OWN_HEADER in seen.cut.top:
        return Judgement("own_notification", "own_mark: It carries the mark of mail we sent ourselves.")
    if seen.sender and seen.sender.address in seen.own_addresses and not seen.is_forwarded_by_us:
        return Judgement("own_notification", "own_address: It claims to come from one of our own addresses.")
    domain = headers.message_id(seen.cut.top.first("message-id")).rpartition("@")[2].lower()
    own_domains = {address.rpartition("@")[2] for address in seen.own_addresses}
    if seen.sender and domain and domain in own_domains and seen.sender.address.rpartition("@")[2] == domain:
        return Judgement("own_notification", "own_message: Our own mail came back to us.")
    return None


def _unsubscribe(seen: Evidence) -> Judgement | None:
    said = seen.new.strip()
    if "x-apple-unsubscribe" in seen.cut.top:
        return Judgement("unsubscribe", "unsubscribe_program: A mail program asks to stop our mail.")
    if any(_UNSUBSCRIBE_ADDRESS.search(address) for address in seen.recipients) and len(said) <= _UNSUBSCRIBE_CHARS and not seen.files:
        return Judgement("unsubscribe", "unsubscribe_address: It was sent to the address for stopping our mail.")
    if _UNSUBSCRIBE_SUBJECT.match(seen.subject) and (not said or _UNSUBSCRIBE_SUBJECT.match(said)) and not seen.files:
        return Judgement("unsubscribe", "unsubscribe_subject: The subject asks to stop our mail and nothing else is said.")
    return None


def _automatic(seen: Evidence) -> Judgement | None:
    top = seen.cut.top
    # RFC 3834 section 5: any value but "no" is a machine; "no" is a person saying so (M10), whatever else is there.
    submitted = top.token("auto-submitted")
    if submitted == "no":
        return None
    if submitted:
        return Judgement("auto_reply", "auto_submitted: The sending program says that no person wrote this (RFC 3834).")
    mark = next((name for name, _ in top.fields if name in _AUTO_HEADERS), "")
    if mark and not (mark == "x-auto-response-suppress" and top.token(mark) in {"", "none"}):
        return Judgement("auto_reply", f"automatic_header: Only automatic mail carries the header {mark}.")
    precedence = {top.token("precedence"), top.token("x-precedence")}
    if precedence & {"auto_reply", "auto-reply"} or top.first("x-post-messageclass").strip().startswith("9"):
        return Judgement("auto_reply", "precedence: The sending program calls this an automatic reply.")
    subject_says, text_says = bool(_AWAY_SUBJECT.search(_FORWARD.sub("", seen.subject))), bool(_AWAY_TEXT.search(seen.new[:_LOOKED_AT]))
    if _has_null_path(seen):
        return Judgement("auto_reply", "null_sender: It was sent so that nobody can answer, as only machines do (RFC 5321).")
    if subject_says and (text_says or "junk" in precedence or "bulk" in precedence or _is_servant(seen)):
        return Judgement("auto_reply", "away: Subject and text are those of an automatic reply.")
    return None


def _spam(seen: Evidence) -> Judgement | None:
    top = seen.cut.top
    flagged = top.token("x-spam-flag") == "yes" or top.token("x-spam-status").startswith("yes") or top.token("x-spam") == "yes"
    return Judgement("spam", "spam_flag: A mail server on the way marked this as unwanted advertising.") if flagged else None


def _nobody(seen: Evidence) -> Judgement | None:
    if seen.sender is not None:
        return None
    return Judgement("unparsable", "no_sender: No address can be read in From, so there is nobody to answer.")


def _list(seen: Evidence) -> Judgement | None:
    top = seen.cut.top
    if seen.is_forwarded_by_us:
        return None  # our own group address passed a person's mail on
    if "list-id" in top or "list-post" in top or "list-unsubscribe" in top or top.token("precedence") in {"list", "bulk", "junk"}:
        return Judgement("list", "list: It was sent to a mailing list or to many people; it is kept and not answered.")
    return None


def is_automatic_sign(name: str) -> bool:
    """Whether a header of this name (lower case) is one by which programs say that they, not a person, wrote."""
    return name in _AUTO_HEADERS or name in {"auto-submitted", "precedence", "x-precedence", "list-id", "list-unsubscribe", "x-failed-recipients"}
