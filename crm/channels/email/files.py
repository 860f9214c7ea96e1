"""What came attached: a safe name, what the bytes really are, and whether it may be opened (M21, M22, M23).

Nothing is dropped in silence: a refused file is still named, with a reason the customer can be told.
"""

from __future__ import annotations

import re
from typing import Final

from crm.channels import Part, PartState
from crm.channels.email import archives, headers, reasons
from crm.channels.email.reasons import FileTrouble

MAX_ATTACHMENTS: Final = 50  # per mail
MAX_ATTACHMENT_BYTES: Final = 15 * 1024 * 1024  # each
MAX_ATTACHED_BYTES: Final = 25 * 1024 * 1024  # together
MAX_NAME_CHARS: Final = 150
_SNIFFED_BYTES: Final = 4_096

# First bytes -> what they are. Only types that matter for telling a photo or paper from something that acts.
_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"MZ", "application/x-msdownload"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"#!", "text/x-script"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (b"ITSF", "application/vnd.ms-htmlhelp"),
    (b"MSCF", "application/vnd.ms-cab-compressed"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_BRANDS: Final = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}  # fmt: skip - ISO base media files say it at byte 8
_MARKUP: Final = re.compile(
    (
        rb"<\s{0,10}(?:!doctype\s{1,10}html|html|head|body|script|iframe|form|svg|math|meta|link|img|object"
        rb"|embed|base|style|a\s|div|table|\?xml-stylesheet|\?php|%@)"
    ),
    re.IGNORECASE,
)
_XML: Final = re.compile(rb"\s{0,20}<\?xml", re.IGNORECASE)

_ACTIVE_TYPES: Final = frozenset(
    (
        "text/html",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "application/javascript",
        "application/x-msdownload",
        "application/x-executable",
        "application/java-vm",
        "application/java-archive",
        "application/x-mach-binary",
        "text/x-script",
        "application/x-ms-shortcut",
        "application/vnd.ms-htmlhelp",
        "application/hta",
        "application/x-shockwave-flash",
        "application/x-sh",
        "text/x-php",
        "application/x-httpd-php",
    )
)
_ENDINGS: Final = (
    "ade adp apk app appref-ms appx asp aspx bas bat cer chm cmd cnt com cpl crt css diagcab dll dmg docm dot "
    "dotm exe fxp gadget grp hlp hpj hta htc htm html htt img inf ins iso isp its jar jnlp js jse jsp ksh lnk "
    "mad maf mag mam maq mar mas mat mau mav maw mcf mda mdb mde mdt mdw mdz mht mhtml mhtm msc msh msi msix "
    "msp mst msu ops osd pcd php php3 php4 php5 phps pht phtml pif pl plg potm ppam ppsm pptm prf prg "
    "printerexport ps1 ps2 psc1 psd1 psm1 pst py pyc pyo pyw pyz rb reg scf scr sct settingcontent-ms sh shb "
    "shs shtm shtml sldm svg svgz swf sys theme tmp udl url vb vbe vbp vbs vhd vhdx vsmacros vsw webpnp website "
    "ws wsc wsf wsh xbap xht xhtml xla xlam xll xlsb xlsm xltm xml xnk xsl xslt"
)
_ACTIVE_ENDINGS: Final = frozenset(_ENDINGS.split())
_PACKED: Final = frozenset(
    (
        "application/zip",
        "application/gzip",
        "application/x-bzip2",
        "application/x-xz",
        "application/x-7z-compressed",
        "application/vnd.rar",
        "application/vnd.ms-cab-compressed",
    )
)
# What a name may promise, and what the bytes may then be.
_PROMISES: Final = (
    ("jpg jpeg jpe", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("tif tiff", "image/tiff"),
    ("webp", "image/webp"),
    ("heic heif", "image/heic image/heif"),
    ("avif", "image/avif"),
    ("pdf", "application/pdf"),
    ("zip docx xlsx pptx odt ods odp", "application/zip"),
    ("doc", "application/x-ole-storage application/rtf"),
    ("xls ppt", "application/x-ole-storage"),
    ("rtf", "application/rtf"),
    ("gz", "application/gzip"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime video/mp4"),
    ("txt csv ics vcf", "text/plain"),
)
_ENDING_TYPES: Final = {ending: types.split() for endings, types in _PROMISES for ending in endings.split()}
_FAMILIES: Final = ("image/", "audio/", "video/")
_NO_CLAIM: Final = frozenset(
    {
        "",
        "application/octet-stream",
        "application/binary",
        "application/unknown",
        "application/x-download",
        "binary/octet-stream",
    }
)
_OFFICE: Final = re.compile(
    r"application/(?:vnd\.(?:openxmlformats|oasis|ms-|apple\.)|msword|x-zip|zip|epub|x-iwork|octet)",
)
_OLD_OFFICE: Final = re.compile(r"application/(?:msword|vnd\.ms-|x-msword|excel|powerpoint|vnd\.visio)")
_TURNS: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c]")
_DOUBLE: Final = re.compile(
    r"\.(?:jpe?g|png|gif|pdf|docx?|xlsx?|pptx?|txt|csv|zip|mp[34]|heic|tiff?|bmp"
    r"|rtf)[\s_.]*\.[a-z0-9]{1,8}$",
)


def part(
    *,
    given_name: str,
    declared: str,
    content: bytes,
    number: int,
    kept: int,
    kept_bytes: int,
    fault: str = "",
    content_id: str = "",
) -> Part:
    """Judge one attached file.

    given_name: as the sender wrote it; declared: the sender's content type; number: 1 for the first; kept, kept_bytes:
    how many files of this mail, and bytes, were kept before; fault: why the bytes are not all there, empty when they
    are; content_id: what the mail's page calls it ("cid:…"), without brackets. Returns a Part that is stored,
    quarantined (kept, to be looked at first) or refused (too many or too large; content empty).
    """
    declared = declared or "application/octet-stream"
    found = sniffed(content)
    name = safe_name(given_name, content_type=found, number=number)
    refusal = fault
    if kept >= MAX_ATTACHMENTS:
        refusal = reasons.written(FileTrouble.TOO_MANY, most=MAX_ATTACHMENTS)
    elif len(content) > MAX_ATTACHMENT_BYTES:
        refusal = reasons.written(FileTrouble.TOO_LARGE, most=MAX_ATTACHMENT_BYTES // 2**20)
    elif kept_bytes + len(content) > MAX_ATTACHED_BYTES:
        refusal = reasons.written(FileTrouble.TOO_LARGE_TOGETHER, most=MAX_ATTACHED_BYTES // 2**20)
    if refusal:
        return Part(name, found, declared, len(content), b"", "refused", refusal, content_id)
    reason = _suspicion(given_name, name, declared, found, content)
    state: PartState = "quarantined" if reason else "stored"
    return Part(name, found, declared, len(content), content, state, reason, content_id)


def sniffed(content: bytes) -> str:
    """What the first 4,096 bytes are: a type from a small table, text/html for anything with markup, text/plain, or
    octets."""
    start = content[:_SNIFFED_BYTES]
    for magic, content_type in _MAGIC:
        if start.startswith(magic) and not (magic == b"BM" and start[6:10] != b"\0\0\0\0"):
            return content_type
    if start[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(
            start[8:12], "application/octet-stream"
        )
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "video/mp4")
    if start[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        return "audio/mpeg"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "replace").encode("utf-8", "replace")
    if markup := _MARKUP.search(start):
        return "image/svg+xml" if markup[0].lower().endswith(b"svg") else "text/html"
    if _XML.match(start.removeprefix(b"\xef\xbb\xbf")):
        return "text/xml"
    return "application/octet-stream" if b"\x00" in start or _binary(start) else "text/plain"


SHOWN: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""Pictures that a browser may show: plain dots, nothing in them that acts."""
MAX_SHOWN_PIXELS: Final = 60_000_000


def is_picture(start: bytes) -> bool:
    """Whether a browser may show these bytes as a picture: one of four plain kinds, and no wall of dots (M21, M23).

    start: the first 64 KB of a file; more is not looked at. A size that stands further behind counts as small.
    """
    if sniffed(start) not in SHOWN:
        return False
    width, height = _dots(start)
    return width * height <= MAX_SHOWN_PIXELS


def _dots(start: bytes) -> tuple[int, int]:
    if start.startswith(b"\x89PNG") and start[12:16] == b"IHDR":
        return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    if start.startswith(b"GIF8"):
        return int.from_bytes(start[6:8], "little"), int.from_bytes(start[8:10], "little")
    if start.startswith(b"RIFF") and start[12:16] == b"VP8X":
        return int.from_bytes(start[24:27], "little") + 1, int.from_bytes(start[27:30], "little") + 1
    if start.startswith(b"RIFF") and start[12:16] == b"VP8 ":
        return int.from_bytes(start[26:28], "little") & 0x3FFF, int.from_bytes(start[28:30], "little") & 0x3FFF
    if start.startswith(b"RIFF") and start[12:16] == b"VP8L":
        packed = int.from_bytes(start[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if start.startswith(b"\xff\xd8"):
        at = 2
        while start[at : at + 1] == b"\xff" and at + 9 <= len(start):
            kind = start[at + 1]
            if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
                return int.from_bytes(start[at + 7 : at + 9], "big"), int.from_bytes(start[at + 5 : at + 7], "big")
            at += 2 + int.from_bytes(start[at + 2 : at + 4], "big")
    return 0, 0


def _binary(start: bytes) -> bool:
    controls = sum(start.count(bytes([code])) for code in (1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23))
    return controls * 50 > len(start)


def safe_name(given: str, *, content_type: str, number: int) -> str:
    """A name to show and to offer for download, at most 150 characters: no path, no controls, no turned letters, never
    empty."""
    name = headers.line(_TURNS.sub("", headers.storable(given[-1_000:])), limit=1_000)
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r'[<>:"|?*;`$]', "_", name).strip(" .")
    if not name:
        ending = next((ending for ending, types in _ENDING_TYPES.items() if content_type in types), "bin")
        return f"attachment-{number}.{ending}"
    if len(name) <= MAX_NAME_CHARS:
        return name
    stem, dot, ending = name.rpartition(".")
    return (
        f"{stem[: MAX_NAME_CHARS - len(ending) - 1]}.{ending}" if dot and len(ending) <= 10 else name[:MAX_NAME_CHARS]
    )


def _suspicion(given: str, name: str, declared: str, found: str, content: bytes) -> str:
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if "\x00" in given or _TURNS.search(given):
        return reasons.written(FileTrouble.HIDDEN_NAME)
    if ending in _ACTIVE_ENDINGS or found in _ACTIVE_TYPES or declared in _ACTIVE_TYPES:
        return reasons.written(FileTrouble.ACTIVE)
    if any(word in _ACTIVE_ENDINGS for word in name.lower().split(".")[1:-1]) or (
        _DOUBLE.search(name.lower())
        and ending not in _ENDING_TYPES
        and ending not in {"gpg", "asc", "p7s", "p7m", "sig"}
    ):
        return reasons.written(FileTrouble.TWO_ENDINGS)
    if _has_macros(found, content):
        return reasons.written(FileTrouble.MACROS)
    if found == "application/x-ole-storage" and not (
        _OLD_OFFICE.match(declared) or ending in {"doc", "xls", "ppt", "msg", "pub", "vsd"}
    ):
        return reasons.written(FileTrouble.NOT_AS_SENT, declared=declared, found=found)
    if found in _PACKED and not _packed_as_said(declared, ending, found):
        return reasons.written(FileTrouble.NOT_AS_SENT, declared=declared, found=found)
    if packed := archives.suspicion(content, found=found):
        return packed
    promised = _ENDING_TYPES.get(ending)
    if promised and found not in promised and not (found == "text/plain" and "text/plain" in promised):
        return reasons.written(FileTrouble.NOT_AS_NAMED, ending=ending, found=found)
    if declared not in _NO_CLAIM and _contradicts(declared, found):
        return reasons.written(FileTrouble.NOT_AS_SENT, declared=declared, found=found)
    return ""


def _packed_as_said(declared: str, ending: str, found: str) -> bool:
    return (
        (ending in _ENDING_TYPES and found in _ENDING_TYPES[ending])
        or bool(_OFFICE.match(declared))
        or declared in _PACKED
        or declared in _NO_CLAIM
    )


def _contradicts(declared: str, found: str) -> bool:
    if declared == found or (found == "application/octet-stream" and not declared.startswith(("image/", "text/"))):
        return False
    if declared == "application/pdf":
        return True
    for family in _FAMILIES:
        if declared.startswith(family):
            return not found.startswith(family) and not (family != "image/" and found.startswith(_FAMILIES))
    return declared.startswith("text/") and not found.startswith("text/") and found != "application/rtf"


def _has_macros(found: str, content: bytes) -> bool:
    # The names of a zip's members stand in it uncompressed; nothing is unpacked here.
    if found == "application/zip":
        return b"vbaProject.bin" in content
    return found == "application/x-ole-storage" and (
        b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T" in content or b"V\0B\0A\0" in content
    )
