"""What a packed file says of itself, read from its directory; nothing is ever unpacked here (M23).

A zip keeps the names, sizes and flags of its members at its end, so encryption, a bomb and a program inside can be seen
for the price of one search. What a directory lies about is left to the virus scanner, which unpacks in its own process.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MAX_MEMBERS: Final = 10_000
MAX_UNPACKED_BYTES: Final = 1024**3
MAX_RATIO: Final = 100  # unpacked to packed; a sheet of numbers reaches about 30, plain logs 50
RATIO_COUNTS_FROM_BYTES: Final = 50 * 1024 * 1024  # a small file of blanks packs better than that and harms nobody

_END: Final = struct.Struct("<4s4H2LH")
_MEMBER: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s2H")
_LONGEST_COMMENT: Final = 65_535
_ENCRYPTED: Final = 0x0001
_ENCRYPTED_NAMES: Final = 0x2000
_NO_ROOM: Final = 0xFFFFFFFF  # the true size stands elsewhere, because it is 4 GB or more

_PACKED_ENDINGS: Final = "zip 7z rar gz tgz bz2 xz cab arj ace lzh iso img"
_PROGRAM_ENDINGS: Final = (
    "exe com scr pif bat cmd msi dll cpl jar js jse vbs vbe wsf wsh hta lnk ps1 reg chm apk dmg iso img vhd"
)
_PACKED: Final = frozenset(_PACKED_ENDINGS.split())
_PROGRAMS: Final = frozenset(_PROGRAM_ENDINGS.split())


@dataclass(frozen=True, slots=True)
class Contents:
    """What a zip says it holds. unpacked: bytes; names: lower case, at most 10,000; is_whole: its directory was read."""

    names: tuple[str, ...]
    unpacked: int
    is_encrypted: bool
    is_whole: bool


def contents(packed: bytes) -> Contents:
    """Read the directory of a zip; never raises, at most 10,000 members."""
    encrypted = _first_is_encrypted(packed)
    end = packed.rfind(b"PK\x05\x06", max(0, len(packed) - _LONGEST_COMMENT - _END.size))
    if end < 0 or len(packed) - end < _END.size:
        return Contents((), 0, encrypted, is_whole=False)
    *_rest, size, start, _comment = _END.unpack_from(packed, end)
    if not packed.startswith(b"PK\x01\x02", start):
        start = end - size  # something was put in front of the zip, so that its own offsets are too small
    names: list[str] = []
    unpacked, at = 0, max(0, start)
    while at + _MEMBER.size <= end and packed.startswith(b"PK\x01\x02", at) and len(names) < MAX_MEMBERS:
        fields = _MEMBER.unpack_from(packed, at)
        flags, true_size = fields[3], fields[9]
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        unpacked += true_size if true_size != _NO_ROOM else MAX_UNPACKED_BYTES + 1
        encrypted = encrypted or bool(flags & (_ENCRYPTED | _ENCRYPTED_NAMES))
        name = packed[at + _MEMBER.size : at + _MEMBER.size + name_bytes]
        names.append(name.decode("utf-8", "replace").lower())
        at += _MEMBER.size + name_bytes + extra_bytes + comment_bytes
    return Contents(tuple(names), unpacked, encrypted, is_whole=bool(names) or not size)


def _first_is_encrypted(packed: bytes) -> bool:
    if not packed.startswith(b"PK\x03\x04") or len(packed) < _LOCAL.size:
        return False
    return bool(_LOCAL.unpack_from(packed)[2] & (_ENCRYPTED | _ENCRYPTED_NAMES))


def suspicion(packed: bytes, *, found: str) -> str:
    """Say in one sentence why a packed file should be looked at first; "" when nothing speaks against it.

    found: its sniffed type, "application/zip" or "application/gzip"; other types have no directory that can be read.
    """
    if found == "application/gzip":
        # RFC 1952: the last four bytes are the size before packing, modulo 2^32.
        return _too_much(int.from_bytes(packed[-4:], "little"), len(packed)) if len(packed) > 18 else ""
    if found != "application/zip":
        return ""
    inside = contents(packed)
    if inside.is_encrypted:
        return "It is packed with a password, so nobody could check what is in it."
    if len(inside.names) >= MAX_MEMBERS:
        return f"It is packed and holds {MAX_MEMBERS} files or more."
    if too_much := _too_much(inside.unpacked, len(packed)):
        return too_much
    endings = {name.rstrip(". ").rpartition(".")[2] for name in inside.names if "." in name}
    if endings & _PROGRAMS:
        return "It is packed and holds a program."
    if endings & _PACKED:
        return "It is packed and holds packed files again."
    return ""


def _too_much(unpacked: int, packed: int) -> str:
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > RATIO_COUNTS_FROM_BYTES and unpacked > MAX_RATIO * max(packed, 1)):
        return f"It would grow to {unpacked // 2**20} MB when unpacked."
    return ""
