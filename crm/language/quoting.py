"""What is new in a mail and what is only quoted: earlier mails, forwarded mails and signatures.

One pass gives every line a kind, a few rules on the order of kinds find the cut. The phrases of mail programs stand in
mail_words; a new language is one more row. mail-parser-reply was measured first: it needs the language told beforehand
and found 13 of 32 published cases, so we keep our own.
"""

from __future__ import annotations

import re
from enum import Enum

from crm.language.mail_words import DEVICE_LINES, HEADER_LABELS, OPENINGS, SEPARATORS, WROTE

MAX_LINES = 5_000  # lines looked at; what follows goes with the last of them, so that a bomb costs no time
MAX_LINE_CHARS = 1_000  # a longer line is prose, no mail program writes such a marker
MAX_INTRO_LINES = 6  # an introduction ("On … wrote:") is wrapped over at most this many lines
MAX_INTRO_CHARS = 400
MAX_INTRO_TRIES = 300  # lines per mail that may turn out to be an introduction; the first one decides
MAX_SIGNATURE_LINES = 15  # more than this below "--" is not a signature but something the customer wrote


class Line(Enum):
    EMPTY = "empty"
    TEXT = "text"
    QUOTE = "quote"  # "> …"
    INTRO = "intro"  # "On Monday, Ann wrote:"
    HEADER = "header"  # "From: …", "Sent: …" of an embedded mail, two or more in a row
    SEPARATOR = "separator"  # "-----Original Message-----"
    RULE = "rule"  # "_______" or "-----": means something only before one of the above
    SIGNATURE = "signature"  # "-- ", and all that belongs to it
    DEVICE = "device"  # "Sent from my phone"

    __hash__ = object.__hash__  # there is one of each; Enum's own looks up its name


_RUN = r"[-_=*~#—–]"
_WROTE = re.compile(
    rf"(?:(?<!\w)|(?<=[\d\u3040-\u9fff\uac00-\ud7a3]))(?:{'|'.join(WROTE)})(?![^\W\u3040-\u9fff\uac00-\ud7a3])",
    re.IGNORECASE,
)
_WROTE_LAST = re.compile(
    r"wrote|writes", re.IGNORECASE
)  # in English the verb ends the line; elsewhere a name may follow
_OPENING = re.compile(
    rf"\W{{0,6}}(?:(?:{OPENINGS})[\s,]\s*\D{{0,24}}\d|(?:在|于|於|เมื่อ|ב)\s*\D{{0,8}}\d)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[^\s<>@:;,()\[\]\"]{1,64}@[^\s<>@,;()\[\]\"]{1,255}")
_BRACKETED = re.compile(r"(?:<|&lt;|\[mailto:)\s*(?:mailto:)?[^\s<>@]{1,64}@?|\[mailto:")
_TIME = re.compile(r"\d{1,2}\s?[:.h時时시点點]\s?\d{2}")
_FULL_DATE = re.compile(
    r"\d{4}\s?[-/.年년]\s?\d{1,2}\s?[-/.月월]\s?\d{1,2}|\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2,4}"
    r"|\d{1,2}\.?\s(?:de\s|d’|d')?[^\W\d]{3,12}\.?,?\s(?:de\s)?\d{4}|[^\W\d]{3,12}\.?\s\d{1,2},?\s\d{4}"
)
_DATE_STARTS_WITHIN = 16  # characters: a weekday may stand before the date
_QUOTE = re.compile(r"\s{0,3}(?:>|\|(?:\s|$))")
_WORDS = "|".join(SEPARATORS)
_SEPARATOR = re.compile(
    rf"[\s>*]{{0,4}}{_RUN}{{2,80}}\s*(?:{_WORDS})\s*:?\s*{_RUN}{{2,80}}\s*$|[\s*]{{0,4}}(?:{_WORDS})\s*[:：]\s*\**\s*$",
    re.IGNORECASE,
)
_RULE = re.compile(rf"\s*{_RUN}(?:\s?{_RUN}){{4,200}}\s*$")
_SIGNATURE = re.compile(r"\s?(?:--|—)\s*$")
_DEVICE = re.compile(rf"[\s*_(\[<«|-]{{0,4}}(?:{'|'.join(DEVICE_LINES)})$", re.IGNORECASE)
_BROKEN_WRAP_CHARS = 60  # a quoted line at least this long may have been wrapped
_DEVICE_CHARS = 110  # a longer line that begins like this is a sentence
_LABEL = re.compile(r"[\s*_|]{0,4}([^\W\d_][\w .'’-]{0,24}?)\s?\*{0,2}\s?[:：]\*{0,2}(?!//)")
_KIND_OF_LABEL = {label.casefold(): kind for kind, labels in HEADER_LABELS.items() for label in labels.split("|")}
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_BLANK = " \t\f\v\x1c\x1d\x1e\x1f\x85\xa0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_OPENS_EMBEDDED = frozenset({Line.INTRO, Line.HEADER, Line.SEPARATOR})


def split(text: str) -> tuple[str, str]:
    """Part a plain-text mail into what its sender wrote now and what was there before.

    text: the whole body, any line ends. Returns (new, quoted), both with "\\n" line ends and without blank edges;
    quoted holds earlier mails, embedded headers, introductions and signatures in their order. Never raises; time grows
    with length.
    New is empty only when the text is blank: a mail that is nothing but a quote or a forwarded mail is what its sender
    says. Answers written between the quoted lines are kept together with the lines they answer.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    looked_at, beyond = lines[:MAX_LINES], lines[MAX_LINES:]
    kinds = _kinds(looked_at)
    kept = _without_signature(_kept(kinds), kinds)
    if not any(kinds[at] is not Line.EMPTY for at in kept):
        kept = list(range(len(looked_at)))
    inside = set(kept)
    new = [looked_at[at] for at in kept]
    quoted = [line for at, line in enumerate(looked_at) if at not in inside]
    (new if len(looked_at) - 1 in inside else quoted).extend(beyond)
    return _joined(new), _joined(quoted)


def _joined(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _kinds(lines: list[str]) -> list[Line]:
    kinds = [Line.TEXT] * len(lines)
    fences = [at for at, line in enumerate(lines) if _FENCE.match(line)]
    code = {at for opened, closed in zip(fences[::2], fences[1::2], strict=False) for at in range(opened, closed + 1)}
    closings = _closings(lines)
    at = tries = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip(_BLANK):
            kinds[at] = Line.EMPTY
        elif at in code or len(line) > MAX_LINE_CHARS:
            pass
        elif _QUOTE.match(line):
            kinds[at] = Line.QUOTE
        elif _SEPARATOR.match(line):
            kinds[at] = Line.SEPARATOR
        elif _SIGNATURE.match(line):
            kinds[at] = Line.SIGNATURE
        elif _RULE.match(line):
            kinds[at] = Line.RULE
        elif end := _header_end(lines, at, separated=at > 0 and _last_spoken(kinds, at) in {Line.SEPARATOR, Line.RULE}):
            kinds[at:end] = [Line.HEADER] * (end - at)
            at = end
            continue
        elif (
            len(line) <= _DEVICE_CHARS
            and (at == 0 or kinds[at - 1] in {Line.EMPTY, Line.DEVICE, Line.SIGNATURE, Line.RULE})
            and _DEVICE.match(line.strip(_BLANK))
        ):
            kinds[at] = Line.DEVICE
        elif tries < MAX_INTRO_TRIES and closings[at] <= at + MAX_INTRO_LINES and _may_open(line.strip(_BLANK)):
            tries += 1
            end = _intro_end(lines, at) or at
            kinds[at:end] = [Line.INTRO] * (end - at)
            at = max(end, at + 1)
            continue
        at += 1
    for at in range(1, len(lines) - 1):
        # The end of a long quoted line, broken without a quote mark; an answer begins with a capital or is kept.
        between = kinds[at] is Line.TEXT and kinds[at - 1] is kinds[at + 1] is Line.QUOTE
        if between and len(lines[at - 1]) >= _BROKEN_WRAP_CHARS and lines[at][:1].islower():
            kinds[at] = Line.QUOTE
    return kinds


def _closings(lines: list[str]) -> list[int]:
    """For each line, the first one from it on with which an introduction can end: a colon, "--", or a quote that follows.

    Looked at before the phrases, which are many: hardly a line of prose is near one.
    """
    found = [len(lines) + MAX_INTRO_LINES] * len(lines)
    nearest, before_quote = len(lines) + MAX_INTRO_LINES, False
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at].strip(_BLANK)
        if before_quote or line.endswith("--") or line.strip(_BLANK + "-_*—|").endswith((":", "：", "︰")):
            nearest = at
        if line:
            before_quote = bool(_QUOTE.match(line))
        found[at] = nearest
    return found


def _last_spoken(kinds: list[Line], before: int) -> Line:
    while before > 0 and kinds[before - 1] is Line.EMPTY:
        before -= 1
    return kinds[before - 1] if before else Line.EMPTY


def _header_end(lines: list[str], start: int, *, separated: bool) -> int | None:
    """End of the embedded mail header that starts here, or None.

    Three kinds of label, or two after a separator; with a sender and either a subject or an address, because a customer
    may list "From: Berlin, To: Paris, Date: …" on their own account.
    """
    found: set[str] = set()
    addressed = False
    end = at = start
    unlabelled = 0
    while at < len(lines) and at - start < 40:
        line = lines[at][:MAX_LINE_CHARS].strip(_BLANK)
        match = _LABEL.match(line) if line else None
        kind = _KIND_OF_LABEL.get(match[1].casefold()) if match else None
        if kind:
            found.add(kind)
            addressed = addressed or "@" in line
            end, unlabelled = at + 1, 0
        elif at == start:
            return None
        else:
            unlabelled += 1  # a blank line between labels, or a wrapped list of recipients
            if unlabelled > 2 or not found:
                break
        at += 1
    enough = len(found) >= 3 or (separated and len(found) >= 2)
    return end if enough and "from" in found and (addressed or separated or "subject" in found) else None


def _intro_end(lines: list[str], start: int) -> int | None:
    end = _intro_from(lines, start)
    if end is None:
        return None
    # The closest clear opening wins, or the last sentence of the new text would be taken along.
    return None if any(_opens(lines[at]) and _intro_from(lines, at) == end for at in range(start + 1, end)) else end


def _opens(line: str) -> bool:
    date = _FULL_DATE.search(line[:60])
    return bool(_OPENING.match(line)) or (date is not None and date.start() <= _DATE_STARTS_WITHIN)


def _intro_from(lines: list[str], start: int) -> int | None:
    first = lines[start].strip(_BLANK)
    if not _may_open(first):
        return None
    joined, at, skipped = first, start + 1, False
    for _ in range(MAX_INTRO_LINES):
        if len(joined) > MAX_INTRO_CHARS:
            return None
        if _is_intro(joined, quote_follows=_quote_follows(lines, at)):
            return at
        while at < len(lines) and not lines[at].strip(_BLANK):
            # Some programs break the line before the address; anything else after a blank line is a new paragraph.
            if skipped or not lines[min(at + 1, len(lines) - 1)].lstrip().startswith("<"):
                return None
            skipped, at = True, at + 1
        if at >= len(lines):
            return None
        following = lines[at].strip(_BLANK)
        if _QUOTE.match(following) and joined.count("<") <= joined.count(">"):
            return None
        joined, at = f"{joined} {following}", at + 1
    return None


def _may_open(line: str) -> bool:
    if not line or len(line) > MAX_INTRO_CHARS:
        return False
    if _opens(line):
        return True
    named = not line.lower().startswith(("mailto:", "<"))
    return named and bool(_WROTE.search(line) or (_BRACKETED.search(line) and _ADDRESS.search(line)))


def _quote_follows(lines: list[str], at: int) -> bool:
    while at < len(lines) and not lines[at].strip(_BLANK):
        at += 1
    return at < len(lines) and bool(_QUOTE.match(lines[at]))


def _is_intro(line: str, *, quote_follows: bool) -> bool:
    bare = line.strip(_BLANK + "-_*—|")
    colon = bare.endswith((":", "：", "︰"))
    dated = bool(_TIME.search(line) or _FULL_DATE.search(line))
    addressed = bool(_ADDRESS.search(line))
    opened = _opens(line)
    verbs = list(_WROTE.finditer(bare))
    if not verbs:
        closed = line.count("<") <= line.count(">")
        named = bool(_BRACKETED.search(line)) and closed
        return dated and addressed and named and (colon or (opened and quote_follows and bare.endswith((">", "&gt;"))))
    if len(bare) - len(verbs[-1][0]) < 4:
        return False  # the verb alone names nobody
    last = bare[verbs[-1].end() :].strip(_BLANK + ":：>")
    if last and _WROTE_LAST.fullmatch(verbs[-1][0]) and not _is_date_or_name(last):
        return False
    if not colon and (last or not (quote_follows or line.rstrip(_BLANK).endswith("--"))):
        return False
    return (dated and (opened or addressed)) or (quote_follows and (dated or addressed or len(bare) <= 80))


def _is_date_or_name(text: str) -> bool:
    return len(text) <= 60 and bool(_TIME.search(text) or _FULL_DATE.search(text))


def _kept(kinds: list[Line]) -> list[int]:
    """Which lines are new, signatures still included."""
    kept: list[int] = []
    at, said = 0, False
    while at < len(kinds):
        opens = next((later for later in range(at, len(kinds)) if kinds[later] in _OPENS_EMBEDDED), len(kinds))
        kept += range(at, opens)
        said = said or Line.TEXT in kinds[at:opens]
        if opens == len(kinds):
            break
        if kinds[opens] is not Line.INTRO:
            if not said:
                return list(range(len(kinds)))  # forwarded without a word: the forwarded mail is the message
            break
        body = opens
        while body < len(kinds) and kinds[body] is Line.INTRO:
            body += 1
        end, quotes = _quote_end(kinds, body)
        if not quotes and said:
            break  # an earlier mail without quote marks reaches to the end
        if quotes and _answers_between_quotes(kinds[end:]):
            kept += range(body, len(kinds))
            break
        if Line.RULE in kinds[end : end + 1] and said:
            break  # a footer that a list or scanner put below the quote
        at = end if quotes else body
    last = len(kept)
    while last and kinds[kept[last - 1]] in {Line.QUOTE, Line.EMPTY, Line.RULE}:
        last -= 1
    return kept[:last] if any(kinds[line] is Line.TEXT for line in kept[:last]) else kept


def _quote_end(kinds: list[Line], start: int) -> tuple[int, bool]:
    """End of the quoted lines that start here (blank lines and nested introductions included), and if there are any."""
    end, at = start, start
    while at < len(kinds):
        if kinds[at] is Line.QUOTE:
            end = at + 1
        elif kinds[at] is not Line.EMPTY and (kinds[at] is not Line.INTRO or end == start):
            break
        at += 1
    while end > start and end < len(kinds) and kinds[end] is Line.EMPTY:
        end += 1
    return end, end > start


def _answers_between_quotes(kinds: list[Line]) -> bool:
    spoken = [kind for kind in kinds if kind in {Line.TEXT, Line.QUOTE} or kind in _OPENS_EMBEDDED]
    turns = [kind for at, kind in enumerate(spoken) if at == 0 or spoken[at - 1] is not kind]
    return turns[:3] == [Line.TEXT, Line.QUOTE, Line.TEXT]


def _without_signature(kept: list[int], kinds: list[Line]) -> list[int]:
    """Drop, at the end of each unbroken stretch of new lines, the signature and what the device added."""
    result: list[int] = []
    start = 0
    for at in range(1, len(kept) + 1):
        if at == len(kept) or kept[at] != kept[at - 1] + 1:
            result += _stretch_without_signature(kept[start:at], kinds)
            start = at
    return result


def _stretch_without_signature(stretch: list[int], kinds: list[Line]) -> list[int]:
    below = 0  # lines that would belong to the signature
    for at in range(len(stretch) - 1, -1, -1):
        if below > MAX_SIGNATURE_LINES:
            break
        if kinds[stretch[at]] is Line.SIGNATURE:
            stretch = stretch[:at]
            below = 0
        elif kinds[stretch[at]] is not Line.EMPTY:
            below += 1
    last = len(stretch)
    while last and kinds[stretch[last - 1]] in {Line.EMPTY, Line.RULE, Line.DEVICE, Line.SIGNATURE}:
        last -= 1
    return stretch[:last]
