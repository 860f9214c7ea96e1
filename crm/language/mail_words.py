"""The words mail programs put around quoted mail, one row per language; a new language is one more row in each
table."""

from __future__ import annotations

# The verb by which a mail program says that the following lines are somebody else's, one row per language.
WROTE = (
    r"wrote|writes|said",  # English
    r"schrieb|geschrieben|schreibt",  # German
    r"a\s+[ée]crit|a\s+[ée]crit\s+ce\s+qui\s+suit|[ée]crivait",  # French
    r"escribi[óo]|ha\s+escrito",  # Spanish
    r"ha\s+scritto|scrisse|scrive",  # Italian
    r"escreveu",  # Portuguese
    r"schreef|geschreven",  # Dutch
    r"skrev|skreiv",  # Danish, Norwegian, Swedish
    r"kirjoitti",  # Finnish
    r"skrifa[ðd]i",  # Icelandic
    r"napisa[łl](?:\(?a\)?)?|pisze",  # Polish
    r"nap[sí]+al(?:\(?a\)?)?",  # Czech, Slovak
    r"napisao(?:/la)?|je\s+napisa(?:o|la)|napisal(?:/a)?|pi[šs]e",  # Croatian, Serbian, Slovene
    r"написал[аи]?(?:\(а\))?|пишет|писал",  # Russian
    r"написа(?:в|ла)(?:\(ла\))?|пише",  # Ukrainian
    r"написа|пише\s+на",  # Bulgarian, Macedonian
    r"(?:ezt\s+)?[íi]rta",  # Hungarian
    r"a\s+scris",  # Romanian
    r"va\s+escriure",  # Catalan
    r"έγραψε|γράφει",  # Greek
    r"yazd[ıi]|şunları\s+yazdı",  # Turkish
    r"kirjutas",  # Estonian
    r"para[šs][ėe]|rakst[īi]ja",  # Lithuanian, Latvian
    r"[đd]ã\s+viết",  # Vietnamese
    r"menulis",  # Indonesian, Malay
    r"เขียน(?:ว่า)?",  # Thai
    r"写道|寫道|来信|來信|写到",  # Chinese
    r"のメール|は書きました|さんは書きました|書きました|のメッセージ",  # Japanese
    r"작성|님이\s+작성|님의\s+말",  # Korean
    r"כתב(?:/ה)?|כתבה|מאת",  # Hebrew
    r"كتب(?:ت)?",  # Arabic
    r"لکھا|نوشت",  # Urdu, Persian
    r"ने\s+लिखा",  # Hindi
)

# The labels of an embedded mail's header, by what they name. An embedded header is told by two or more kinds in a row.
HEADER_LABELS = {
    "from": (
        "From|Von|De|Da|Van|Fra|Från|Lähettäjä|Od|Від|От|Feladó|De la|Από|Kimden|Gönderen|Saatja|Nuo|No"
        "|Từ|Dari|发件人|發件人|寄件者"
        "|差出人|送信者|보낸 사람|보낸사람|מאת|من|Expéditeur|Remitente|Mittente|Afzender|Nadawca"
        "|Odesílatel|Odosielateľ|Pošiljatelj|Отправитель|จาก|Frá"
    ),
    "sent": (
        "Sent|Date|Gesendet|Datum|Envoyé|Envoyé le|Enviado|Enviado el|Enviada em|Enviado em|Fecha|Data"
        "|Inviato|Verzonden|Sendt|Dato|Skickat|Lähetetty|Päivämäärä|Päiväys|Wysłano|Odesláno|Odoslané"
        "|Poslano|Отправлено|Дата|Надіслано|Изпратено|Elküldve|Dátum|Küldve|Trimis|Στάλθηκε|Ημερομηνία"
        "|Gönderildi|Tarih|Saadetud|Kuupäev|Išsiųsta|Nosūtīts|Đã gửi|Ngày|Tanggal|Dikirim|发送时间|日期|發送時間"
        "|傳送時間|寄件日期|送信日時|日時|날짜|보낸 날짜|נשלח|תאריך|تاريخ|تم الإرسال|วันที่|ส่งเมื่อ|Sent at"
    ),
    "to": (
        "To|An|À|A|Para|Aan|Til|Till|Vastaanottaja|Do|Komu|Za|Кому|До|Címzett|Către|Catre|Προς|Kime"
        "|Alıcı|Kellele|Kam|Đến|Tới|Kepada|收件人|收件者|宛先|받는 사람|받는사람|אל|إلى|ถึง|Destinataire|Destinatario"
        "|Geadresseerde"
    ),
    "cc": ("Cc|Kopie|Kopia|Kopi|Copie|Copia|Kopio|DW|Копия|Копія|Másolat|Κοιν.|Bilgi|抄送|副本|참조|עותק|نسخة|สำเนา"),
    "subject": (
        "Subject|Betreff|Objet|Asunto|Oggetto|Assunto|Onderwerp|Emne|Ämne|Aihe|Temat|Předmět|Predmet"
        "|Zadeva|Тема|Относно|Tárgy|Subiect|Assumpte|Θέμα|Konu|Teema|Tema|Temats|Chủ đề|Tiêu đề|Subjek"
        "|Perihal|主题|主題|主旨|件名|제목|נושא|الموضوع|เรื่อง|Efni"
    ),
    "reply_to": (
        "Reply-To|Reply To|Antwort an|Antworten an|Répondre à|Responder a|Rispondi a|Risposta"
        "|Beantwoorden|Svara till|Svar til|Odpowiedz do|Ответить|返信先|回复|回覆"
    ),
}

# "-----Original Message-----" and its like: the words between two runs of dashes, or on a line of their own with a
# colon.
SEPARATORS = (
    r"original\s+(?:message|e-?mail|mail|appointment)",
    (
        r"forwarded\s+(?:message|e-?mail|mail)(?:\s+(?:from|by)\s+.*)?|forwarded\s+by\s+.*"
        r"|begin\s+forwarded\s+message|start\s+of\s+forwarded\s+message"
    ),
    (
        r"reply\s+(?:message|above\s+this\s+line.*)|(?:please\s+)?(?:type|write"
        r"|reply)\s+(?:your\s+)?(?:reply\s+)?above\s+this\s+line.*|in\s+reply\s+to.*|quoting\s+.{1,80}"
    ),
    r"urspr[üu]ngliche\s+(?:nachricht|e-?mail|mail)|original-?nachricht|weitergeleitete\s+(?:nachricht|e-?mail)"
    r"|anfang\s+der\s+weitergeleiteten\s+(?:nachricht|e-?mail)|(?:beginn\s+der\s+)?weitergeleiteten?\s+nachricht",
    r"message\s+d['’]?\s*origine|message\s+original|courriel\s+original|message\s+transf[ée]r[ée]|message\s+transmis"
    r"|d[ée]but\s+du\s+message\s+(?:r[ée]exp[ée]di[ée]|transf[ée]r[ée])|e-?mail\s+d['’]origine",
    r"mensaje\s+original|mensaje\s+reenviado|inicio\s+del\s+mensaje\s+reenviado|correo\s+original",
    r"messaggio\s+originale|messaggio\s+inoltrato|inizio\s+messaggio\s+inoltrato|original[e]?\s+message",
    (
        r"mensagem\s+original|mensagem\s+(?:encaminhada|reencaminhada)"
        r"|in[íi]cio\s+da\s+mensagem\s+(?:encaminhada|reencaminhada)"
    ),
    r"oorspronkelijk(?:e)?\s+bericht|doorgestuurd\s+bericht|begin\s+doorgestuurd\s+bericht",
    (
        r"oprindelig\s+(?:meddelelse|besked|mail)|opprinnelig\s+melding|videresendt\s+(?:meddelelse|besked"
        r"|melding|e-post)|start\s+p[åa]\s+videresendt.*"
    ),
    (
        r"ursprungligt\s+meddelande|originalmeddelande|vidarebefordrat\s+(?:meddelande|brev)"
        r"|b[öo]rjan\s+p[åa]\s+vidarebefordrat.*"
    ),
    r"alkuper[äa]inen\s+viesti|v[äa]litetty\s+viesti|edelleenl[äa]hetetty\s+viesti",
    (
        r"(?:wiadomo[śs][ćc]\s+oryginalna|oryginalna\s+wiadomo[śs][ćc])"
        r"|(?:wiadomo[śs][ćc]\s+)?przekazana(?:\s+wiadomo[śs][ćc])?|pierwotna\s+wiadomo[śs][ćc]"
    ),
    (
        r"p[ůu]vodn[íi]\s+(?:zpr[áa]va|e-?mail)|p[ôo]vodn[áa]\s+spr[áa]va|p[řr]eposlan[áa]\s+zpr[áa]va"
        r"|preposlan[áa]\s+spr[áa]va"
    ),
    (
        r"исходное\s+сообщение|оригинальное\s+сообщение|пересылаемое\s+сообщение|пересланное\s+сообщение"
        r"|начало\s+переадресованного\s+сообщения"
    ),
    (
        r"вихідне\s+повідомлення|оригінальне\s+повідомлення|переслане\s+повідомлення|оригинално\s+съобщение"
        r"|препратено\s+съобщение"
    ),
    (
        r"eredeti\s+[üu]zenet|tov[áa]bb[íi]tott\s+(?:[üu]zenet|lev[ée]l)|mesaj\s+original"
        r"|mesajul?\s+ini[țt]ial|mesaj\s+redirec[țt]ionat"
    ),
    (
        r"αρχικό\s+μήνυμα|προωθημένο\s+μήνυμα|özgün\s+ileti|orijinal\s+(?:ileti|mesaj)|iletilen\s+(?:ileti"
        r"|mesaj)|yönlendirilen\s+ileti"
    ),
    (
        r"missatge\s+(?:original|reenviat)|izvorna\s+poruka|originalna\s+poruka|izvirno\s+sporo[čc]ilo"
        r"|proslije[đd]ena\s+poruka"
    ),
    r"原始邮件|原始郵件|原邮件|转发的?邮件|轉寄郵件|转发邮件信息|元のメッセージ|転送されたメッセージ|転送メッセージ|원본\s*메일|원본\s*메시지|전달된\s*메시지",
    (
        r"thư\s+gốc|tin\s+nhắn\s+gốc|pesan\s+asli|ข้อความต้นฉบับ|הודעה\s+מקורית|הודעה\s+שהועברה"
        r"|الرسالة\s+الأصلية|رسالة\s+محولة"
    ),
)

# The line a telephone or mail program adds by itself, one row per language; the device follows or precedes.
_DEVICES = (
    r"(?:i-?phone|i-?pad|i-?pod|android|mobile|cell|phone|handy|smart-?phone|tablet|blackberry|galaxy"
    r"|samsung|huawei|xiaomi|nokia|pixel|htc"
    r"|windows|mac(?:book)?|outlook|\[?mail|mailbox|gmail|yahoo|aol|airmail|spark|proton|bluemail"
    r"|thunderbird|k-9|nine|zoho|laptop)"
)
DEVICE_LINES = (
    (
        rf"(?:sent|written|dictated|typed|composed)\s+(?:from|with|via|using|by|on)\s+(?:my\s+\S+|(?:an?\s+"
        rf"|the\s+)?(?:\S+\s+)?{_DEVICES}\b).*"
    ),
    rf"from\s+(?:my|an?)\s+(?:\S+\s+)?{_DEVICES}\b.*",
    r"[\w.]+\s+from\s+(?:my\s+)?(?:mobile|phone|cell)\b.*",
    rf"get\s+(?:\[?outlook\s+for|{_DEVICES}\s+(?:for|app))\b.*",
    r"(?:von|mit)\s+(?:meinem|meiner|meinen)\b.*\b(?:gesendet|gesandt|geschrieben|verschickt)\.?",
    r"(?:gesendet|gesandt|verschickt|verfasst)\s+(?:von|mit|über|mittels|via|aus)\b.*",
    r"diese\s+(?:nachricht|e-?mail|mail)\s+wurde\s+(?:von|mit)\b.*(?:gesendet|verschickt)\.?",
    (
        r"(?:envoy[ée]e?|exp[ée]di[ée]e?|t[ée]l[ée]charge[rz])\s+(?:depuis|de|[àa]\s+partir|avec|via|par"
        r"|outlook)\b.*|provenance\s*:\s*courrier.*"
    ),
    r"(?:enviado|enviada|mandado)\s+(?:desde|do|da|de|a\s+partir|via|vía|con|com|pelo|pela|des)\b.*",
    r"(?:inviato|inviata|spedito)\s+(?:da|dal|dall|con|tramite)\b.*",
    r"(?:verzonden|verstuurd|gestuurd)\s+(?:vanaf|vanuit|van|met|via|door|uit)\b.*|outlook\s+voor\s+(?:ios|android).*",
    r"(?:sendt|skickat|skickad|sänt|sendit|hentet)\s+(?:fra|från|frå|via|med|úr)\b.*|send\s+fra\s+min\b.*",
    (
        r"(?:lähetetty|lähettäjä)\b.*(?:puhelimesta|iphonesta|ipadista|laitteesta|androidista|outlookista"
        r"|sähköposti|mobiili|-)\S*.*"
    ),
    (
        r"(?:wysłan[eoay]|wysłano)\s+(?:z|ze|przez|za)\b.*|(?:odesl[áa]no|odoslan[éeo]|poslano|poslané)\s+(?:z"
        r"|ze|zo|s|iz|pomoc)\w*\b.*"
    ),
    r"(?:отправлено|написано|послано|надіслано|відправлено|изпратено|послато)\s+(?:с|со|из|з|із|от|от\s+моя|са)\b.*",
    r"(?:küldve|elküldve)\b.*|.*(?:iphone|ipad|android|telefon).*küldve\.?|trimis\s+(?:de\s+pe|din|cu)\b.*",
    r"στάλθηκε\s+από\b.*|εστάλη\s+από\b.*|(?:\S+\s+){0,3}\S*(?:dan|den|tan|ten|ndan|mden)\s+gönderildi\.?",
    (
        r"(?:从|從)\s*(?:我的)?.{0,30}(?:发送|發送|傳送|寄出)|(?:发自|發自|寄自|来自|來自).{0,40}|.{0,30}から送信(?:されました)?。?"
        r"|.{0,30}에서\s+보냄.{0,10}|나의.{0,30}보냄"
    ),
    r"(?:được\s+)?gửi\s+từ\b.*|dikirim\s+dari\b.*|ส่งจาก.*|נשלח\s+מ.*|أرسلت\s+من.*|مرسل\s+من.*",
)

# How an introduction opens when it opens with a word; a date follows.
OPENINGS = (
    "On|Am|Le|El|Il|Il giorno|Em|No dia|Op|Den|På|Pe|La data de|În|In data|Dne|Dňa|Dnia|W dniu|Dana|Na"
    "|Ngày|Vào|Vào lúc|Pada|Tanggal|Στις|В|У|На"
    "|El dia|A|Tarihinde|Kuupäeval|Þann|Em data|Quoting|在|于|於|เมื่อ|בתאריך|ב|ב-|في|بتاريخ|در تاریخ|On the|Zu|Vom"
)
