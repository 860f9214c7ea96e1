"""The words by which mail programs and mail servers can be told, as parts of regular expressions, all without case.

Rows are joined with "|"; a new language or program is one more row. They are signs only: kinds.py says what they weigh.
"""

from __future__ import annotations

# Subjects of mail that came back, at the start or after one word.
BOUNCE_SUBJECTS = (
    r"undeliver(?:able|ed)|returned (?:e-?)?mail",
    r"(?:e-?)?mail (?:delivery )?(?:fail|undeliver|return|error|could not|was not|status|system error)",
    r"(?:message )?delivery (?:status|fail|problem|report|error|has failed|incomplete|not possible|unsuccess|delay)",
    r"(?:message )?delivery (?:notification|warning)",
    r"failure (?:notice|notification|delivery|to deliver)|failed (?:mail|delivery)",
    r"message (?:delivery|status|undeliver|could not|not deliver|rejected|you sent)|non[- ]?deliver|nondeliver",
    r"could not (?:be deliver|send|deliver)|unable to (?:deliver|send)|unzustellbar|nicht zustellbar",
    r"zustellung|mail ?zustell|fehler bei der|non remis|[ée]chec|retour de courrier|message non|remise",
    r"notification d'[ée]tat|no se (?:pudo|puede) entregar|no se ha podido|no entregad",
    r"error (?:de|en la) entrega|devuelto|mancat[oa] (?:recapito|consegna)|non recapit|n[ãa]o (?:entregue|foi)",
    r"falha na entrega|n[ãa]o foi poss|onbestelbaar|niet bezorgd|kan niet worden afgeleverd|ikke leveret",
    r"kunne ikke leveres|kan ikke leveres|uleverte|olevererbart|kunde inte levereras|ej levererat",
    r"ei voitu toimittaa|toimitus|niedostarczon|nie można dostarczyć|zwrot|nedoru[čc]|nelze doru[čc]|недостав",
    r"не (?:доставлено|удалось доставить)|сообщение не|kézbesíthetetlen|teslim edilemedi",
    r"配信(?:不能|不可|エラー)|送信(?:エラー|不能)|宛先不明|未配信|配送不能|退信|系统退信|投递失败|无法投递",
    r"未傳遞|無法傳遞|반송|전송 실패|there was an error sending|problems? delivering|error sending|bounce",
    r"host unknown|user unknown",
)

# The same, wherever they stand.
BOUNCE_SUBJECTS_ANYWHERE = (r"delivery failure|delivery failed|mail delivery failed|не доставлено|недоставленное",)

# What servers say in mail that came back.
BOUNCE_WORDS = (
    r"transcript of session follows",
    r"(?:message|mail|e-?mail)(?: that)? (?:you )?(?:have )?(?:sent )?(?:to .{1,200} )?(?:could not|cannot|can't) be",
    r"(?:message|mail|e-?mail)(?: that)? (?:you )?(?:have )?(?:sent )?(?:to .{1,200} )?(?:was not|wasn't|has not been)",
    r"(?:message|mail|e-?mail) (?:was unable to be|couldn't be|is undeliver|that i was unable)",
    r"(?:could not|cannot|unable to|was not able to|wasn't able to|failed to) (?:be )?(?:deliver|reach|relay)(?:ed)?",
    r"undeliver(?:able|ed)|delivery (?:to .{1,200} )?(?:has |have )?(?:failed|permanently)",
    r"permanent(?:ly)? (?:fatal )?(?:error|fail)",
    r"following (?:address|recipient|destination)\w*(?:\(es\)|\(s\))? (?:had|failed|could|cannot|were|was|has|did)",
    r"recipient (?:address )?(?:rejected|unknown|not found)|user (?:unknown|not found|doesn't have)",
    r"no such user|unknown user|invalid (?:user|recipient|address|mailbox)",
    r"mailbox (?:is )?(?:full|unavailable|not found|disabled)|(?:quota|storage) (?:exceeded|limit)",
    r"reason for (?:the )?(?:failure|return|problem|non)",
    r"your (?:message|mail) (?:did not reach|was rejected|has been rejected)|i'm not going to try again",
    r"this is the mail ?system at host|created automatically by mail delivery|mail delivery (?:sub)?system",
    r"duplicated message-id|mail loop|too many hops|error message below|returned (?:message|mail)",
    r"failed after i sent|konnte nicht zugestellt|nicht zugestellt werden|n'a pas pu être|n'a pas été remis",
    r"no se pudo entregar|no ha podido ser entregad|non è stato possibile (?:recapitare|consegnare)",
    r"não (?:pôde|foi possível) (?:ser )?entreg|niet worden (?:bezorgd|afgeleverd)",
    r"не (?:может быть|было|удалось|доставлено)|nie (?:mogła|może) (?:zostać|być) dostarczon|配信できません",
    r"お届けできません|送信できません|配信不能|届けられません|存在しない|無法傳遞|无法投递|被退回|전달되지",
    r"전송하지 못",
)

# Subjects of providers' reports about unwanted mail.
COMPLAINT_SUBJECTS = (
    r"complaint about (?:a )?(?:message|mail|e-?mail) from",
    r"(?:abuse|feedback|spam|fbl|feedback loop) (?:report|complaint|notification|summary)",
    r"e-?mail feedback report|\[?(?:arf|fbl)\]? (?:report|complaint)|(?:authentication|dmarc) failure report",
    r"spam ?trap",
)

# Subjects of automatic replies in English, German, French, Spanish, Italian, Portuguese, Dutch, Danish and
# Norwegian, Swedish, Finnish, Polish, Czech, Russian, Ukrainian, Hungarian, Turkish, Japanese, Chinese, Korean.
AWAY_SUBJECTS = (
    r"automatic(?:ally)? (?:reply|response|generated)",
    r"auto(?:matic|mated)?[- ]?(?:reply|response|responder|answer)|out[- ]of[- ](?:the[- ])?office|ooo\b",
    r"vacation (?:reply|response|notice|message)|away from (?:the |my )?(?:office|desk)|on (?:annual )?leave",
    r"i am (?:away|out of)|automated (?:reply|response|message)|auto(?=:)",
    r"automatische? (?:antwort|antwoord|reactie|beantwoording)|abwesenheit|abwesend",
    r"urlaubs(?:notiz|vertretung|abwesenheit|meldung)|au[ßs]er haus|eingangsbest[äa]tigung",
    r"r[ée]ponse automatique|absence du bureau|absente? du bureau|message d'absence|message automatique",
    r"respuesta autom[áa]tica|fuera de (?:la )?oficina|ausencia de (?:la )?oficina|ausente de",
    r"risposta automatica|fuori (?:sede|ufficio)|assente dal|assenza dal|resposta autom[áa]tica|fora do escrit",
    r"aus[êe]ncia (?:do|tempor)|afwezig|buiten kantoor|niet aanwezig|autosvar|automatisk (?:svar|besvarelse)",
    r"frav[æa]r|ikke til stede|fr[åa]nvaro|fr[åa]nvarande|automaattinen vastaus|poissa toimistolta",
    r"poissaolo(?:viesti|ilmoitus)|autoodpowied[źz]|automatyczna odpowied[źz]|nieobecno[śs][ćc] w biurze",
    r"poza biurem|automatick[áa] odpov|nep[řr][íi]tomn|мимо офиса|автоответ|автоматический ответ|вне офиса",
    r"отсутствие на рабочем|відсутність на|автоматична відповідь|automatikus v[áa]lasz|házon kívül",
    r"irodán kívül|otomatik (?:yan[ıi]t|cevap)|ofis d[ıi]şında|自動(?:返信|応答|送信)",
    r"不在(?:通知|のお知らせ|の連絡)|休暇(?:中|のお知らせ)|自动(?:回复|答复)|外出(?:通知|自动)",
    r"休假(?:通知|自动)|自動回覆|자동 ?(?:회신|응답)|부재중",
)

# What automatic replies say: that nobody is there, until when, or that a machine answers. The word "holiday" alone
# is no sign.
AWAY_WORDS = (
    r"out of (?:the )?office",
    r"(?:am|be|'m) (?:currently )?on (?:annual |maternity |parental |sick )?(?:leave|vacation|holiday)",
    r"(?:am|be|'m) (?:currently )?(?:away (?:until|from)|out until)",
    r"auto(?:matic|mated)(?:ally)?[- ](?:reply|response|generated|message|e-?mail)",
    r"limited access to (?:my )?e?-?mail|will (?:be back|return) (?:on|to the office)|do not reply to this",
    r"nicht im (?:b[üu]ro|hause?)|(?:bis|vom|ab).{0,40}(?:nicht erreichbar|abwesend|im urlaub)",
    r"automatisch (?:erzeugt|generiert|erstellt)|ab dem .{0,30}wieder",
    r"(?:absente?|en cong[ée]s?) (?:du bureau|jusqu|du \d)|de retour (?:le|au bureau)|r[ée]ponse automatique",
    r"message automatique|(?:estar[ée]|estoy|me encuentro) (?:fuera|ausente|de vacaciones)|fuera de la oficina",
    r"(?:respuesta|mensaje) autom|fuori (?:sede|ufficio)|(?:sono|sar[òo]) (?:in ferie|assente|fuori)",
    r"(?:risposta|messaggio) automatic|fora do escrit|(?:estou|estarei) (?:ausente|de f[ée]rias|fora)",
    r"(?:resposta|mensagem) autom|niet (?:op|in het) kantoor",
    r"(?:ben ik|ik ben) (?:afwezig|met vakantie|op vakantie)|automatisch (?:antwoord|bericht)",
    r"ikke p[åa] kontor|(?:er|har|holder) (?:p[åa] )?ferie (?:til|frem|fra)|fraværende",
    r"automatisk (?:svar|genere|besked)|inte p[åa] kontor|[åa]ter p[åa] kontor|har semester",
    r"(?:[äa]r|har) (?:ledig|fr[åa]nvarande)|(?:olen|on) (?:lomalla|poissa)|automaattinen|poza biurem",
    r"(?:jestem|przebywam|b[ęe]d[ęe]) (?:na urlopie|nieobecn)|automatyczn[aey]|mimo kancel[áa][řr]",
    r"(?:jsem|budu) na dovolen|automatick[áaéy]|вне офиса|(?:нахожусь|буду|я) (?:в отпуске|отсутств)",
    r"не в офисе|автоматич|(?:я |буду )(?:у відпустці|відсутн)|nem vagyok (?:az )?irod|szabads[áa]gon vagyok",
    r"automatikus|(?:y[ıi]ll[ıi]k )?izinde|ofis(?:te de[ğg]il| d[ıi][şs])|otomatik|不在に|不在と",
    r"休暇(?:中|をいただ)|自動(?:的に|返信|送信)|自动(?:回复|答复|发送)|正在休假|(?:不在|离开)办公室|自動回覆",
    r"부재중|휴가 ?중|자동 ?(?:회신|응답|발송)",
)

# The whole subject of a mail that asks to stop our mail.
UNSUBSCRIBE_SUBJECTS = (
    r"unsub(?:scribe)?|opt[- ]?out|abmelden|abbestellen|d[ée]sabonner|d[ée]sinscription|darme de baja",
    r"cancelar suscripci[óo]n|disiscrivi|cancellami|cancelar inscri[çc][ãa]o|afmelden|frameld|avregistrera",
    r"wypisz|odhl[áa]sit|отписаться|退订|配信停止",
)
