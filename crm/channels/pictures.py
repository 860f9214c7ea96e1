"""Pictures as they may be handed on: without what the camera wrote beside them, such as where it was (P14).

Works on bytes alone, unpacks nothing and draws nothing: JPEG, PNG and WebP are lists of parts, of which those with metadata are
left out. How a JPEG is to be turned is kept, in an Exif of its own that says nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
# Application parts (JPEG, T.81 B.2.4.6) that change how a picture looks: JFIF, ICC profile, Adobe's colours. Others tell of it.
_LOOKS = (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe")
_PNG_TELLS = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"})
_WEBP_TELLS = frozenset({b"EXIF", b"XMP "})


def may_tell_more(start: bytes) -> bool:
    """Say by its first twelve bytes whether a file is of a kind that `plain` leaves something out of."""
    return start.startswith((JPEG, PNG)) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def plain(content: bytes) -> bytes:
    """Give a picture without its metadata; what is no such picture, or none that can be read, comes back as it was."""
    try:
        if content.startswith(JPEG):
            return _jpeg(content)
        if content.startswith(PNG):
            return _png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (struct.error, IndexError, ValueError):
        return content
    return content


def _jpeg(content: bytes) -> bytes:
    kept, place, turned = [JPEG], 2, 0
    while place < len(content):
        if content[place] != 0xFF:
            raise ValueError("no marker")
        kind = content[place + 1]
        if kind == 0xFF:  # a filler
            place += 1
            continue
        if kind == 0xDA:  # the picture itself, to the end
            kept.append(_without_tail(content[place:]))
            break
        (length,) = struct.unpack(">H", content[place + 2 : place + 4])
        part, body = content[place : place + 2 + length], content[place + 4 : place + 2 + length]
        if len(part) != 2 + length or length < 2:
            raise ValueError("cut off")
        if 0xE0 <= kind <= 0xEF or kind == 0xFE:
            turned = turned or (_orientation(body) if body.startswith(EXIF) else 0)
            if body.startswith(_LOOKS):
                kept.append(part)
        else:
            kept.append(part)
        place += 2 + length
    if turned > 1:
        kept.insert(1, _exif(turned))
    return b"".join(kept)


def _without_tail(scan: bytes) -> bytes:
    """The picture up to its end; phones append a second picture or a film, with metadata of its own (MPF)."""
    end = scan.find(b"\xff\xd9")
    # A progressive picture has several scans; only what follows the last one's end that begins no further part is a tail.
    while end != -1 and scan[end + 2 : end + 3] == b"\xff" and scan[end + 3 : end + 4] not in (b"\xd8", b""):
        end = scan.find(b"\xff\xd9", end + 2)
    return scan if end == -1 else scan[: end + 2]


def _orientation(body: bytes) -> int:
    """How a camera was held, 1–8 (Exif 2.3, 4.6.4), or 0 when that is not told."""
    tiff = body[len(EXIF) :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 0
    (first,) = struct.unpack(f"{order}I", tiff[4:8])
    (count,) = struct.unpack(f"{order}H", tiff[first : first + 2])
    for number in range(min(count, 200)):
        entry = tiff[first + 2 + 12 * number : first + 14 + 12 * number]
        tag, _kind, _count, value = struct.unpack(f"{order}HHIH", entry[:10])
        if tag == ORIENTATION:
            return value if 1 <= value <= 8 else 0
    return 0


def _exif(turned: int) -> bytes:
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, turned, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(EXIF) + len(tiff)) + EXIF + tiff


def _png(content: bytes) -> bytes:
    kept, place = [PNG], len(PNG)
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        part = content[place : place + 12 + length]
        if len(part) != 12 + length:
            raise ValueError("cut off")
        if part[4:8] not in _PNG_TELLS:
            kept.append(part)
        place += 12 + length
        if part[4:8] == b"IEND":
            break
    return b"".join(kept)


def _webp(content: bytes) -> bytes:
    kept = []
    for name, body in _riff(content[12:]):
        if name in _WEBP_TELLS:
            continue
        if name == b"VP8X":  # its first byte says whether Exif and XMP follow
            body = bytes([body[0] & ~0b0000_1100]) + body[1:]
        kept.append(name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2))
    inner = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def _riff(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(content):
        name, length = content[place : place + 4], struct.unpack("<I", content[place + 4 : place + 8])[0]
        body = content[place + 8 : place + 8 + length]
        if len(body) != length:
            raise ValueError("cut off")
        yield name, body
        place += 8 + length + length % 2
