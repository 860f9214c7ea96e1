"""Exports of public messages: rows in, threads out, and how long people waited for a first answer.

The shape is one row a message: tweet_id, author_id, inbound, created_at, text, in_response_to_tweet_id, and often
response_tweet_id. A thread is everything linked by in_response_to_tweet_id, also through a message that is not in the
file. response_tweet_id says the same from the other end and names many messages that such exports leave out; it links
nothing here.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from crm.channels.rows import NotThisShape

COLUMNS: Final = ("tweet_id", "author_id", "inbound", "created_at", "text", "in_response_to_tweet_id")
"""The columns a file must have, in any order and beside any others."""

REASONS: Final = {
    "wrong_columns": "The row has more cells than the file has columns.",
    "unreadable_row": "The row cannot be read; a quotation mark may be missing.",
    "missing_id": "The message has no id.",
    "damaged_id": "The id went through a spreadsheet and lost its last digits.",
    "duplicate_id": "An earlier row of the file has the same id.",
    "no_author": "Nobody is named as the author.",
    "unusable_author": "The author's name is longer than any account name.",
    "unknown_direction": "It is not said whether a customer or a company wrote this.",
    "unreadable_date": "The date cannot be read.",
    "future_date": "The date lies in the future.",
    "no_text": "The message has no words.",
    "nobody_spoke": "Only a company speaks in this thread, so there is no customer whose conversation it is.",
}
"""Why a row is not taken in: a stable code and the sentence for people."""

NO_COMPANY: Final = "(no company)"
"""Stands for the company where nobody answered and nobody known was addressed."""

_LONGEST_ID: Final = 200
_LONGEST_AUTHOR: Final = 100
_YES: Final = frozenset({"true", "1", "yes", "t"})
_NO: Final = frozenset({"false", "0", "no", "f"})
_WHOLE_NUMBER: Final = re.compile(r"(\d{1,40})\.0{1,10}")
_ROUNDED_NUMBER: Final = re.compile(r"\d{1,40}(?:[.,]\d{1,40})?[eE]\+?\d{1,3}")
_MENTION: Final = re.compile(r"@(\w{1,100})")
_DATE: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{1,2}) (\d{2}:\d{2}:\d{2}) ([+-]\d{2}):?(\d{2}) (\d{4})", re.ASCII
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}


@dataclass(frozen=True, slots=True)
class Post:
    """One public message. is_inbound: a customer wrote it; at: aware; answers: the id it answers, "" for none."""

    id: str
    author: str
    is_inbound: bool
    at: datetime
    text: str
    answers: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that was not taken in. code: a key of REASONS; content: the row's bytes as they stood in the file."""

    code: str
    content: bytes

    @property
    def reason(self) -> str:
        return f"{self.code}: {REASONS[self.code]}"


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages that answer each other, oldest first; never empty."""

    posts: tuple[Post, ...]

    @property
    def company(self) -> str:
        """The company that says most in it, of equals the one that spoke first; "" when none speaks."""
        spoken = Counter(post.author for post in self.posts if not post.is_inbound)
        return max(spoken, key=lambda name: spoken[name], default="")

    @property
    def openings(self) -> tuple[Post, ...]:
        """What customers said without answering anything in the file."""
        ids = {post.id for post in self.posts}
        return tuple(post for post in self.posts if post.is_inbound and post.answers not in ids)

    @property
    def customer(self) -> str:
        """The customer who spoke first; "" when none speaks."""
        return next((post.author for post in self.posts if post.is_inbound), "")

    def answers(self) -> dict[str, Post]:
        """For each customer's message the earliest one of a company that answers that very message and is not older, by id."""
        said = {post.id: post for post in self.posts if post.is_inbound}
        answers: dict[str, Post] = {}
        for post in self.posts:
            answered = said.get(post.answers)
            if answered is not None and not post.is_inbound and post.at >= answered.at:
                answers.setdefault(answered.id, post)
        return answers

    def first_answers(self) -> dict[str, Post]:
        """The same for the openings alone."""
        openings = {post.id for post in self.openings}
        return {number: answer for number, answer in self.answers().items() if number in openings}


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """What became of one opening message. company: who answered, else whose thread it is."""

    company: str
    opening: Post
    answer: Post | None

    @property
    def minutes(self) -> float | None:
        """Elapsed minutes until the answer; None when there is none."""
        return None if self.answer is None else (self.answer.at - self.opening.at).total_seconds() / 60


@dataclass(frozen=True, slots=True)
class Waits:
    """How one company's customers waited. Minutes are None when nobody was answered."""

    opening: int
    answered: int
    median_minutes: float | None
    p90_minutes: float | None

    @property
    def no_reply(self) -> int:
        return self.opening - self.answered


def parse(lines: Iterable[bytes], *, not_after: datetime) -> Iterator[Post | Rejected]:
    """Read a file line by line; every row becomes a Post or a Rejected, in the order of the file, empty lines nothing.

    lines: with their line ends, UTF-8 (a byte that is none becomes "\\ufffd"). not_after: aware; no message is younger.
    Dates: "Tue Oct 31 22:10:47 +0000 2017" or ISO 8601, UTC where no zone is given. Memory: the ids, no texts.
    Raises NotThisShape before the first row when a column of COLUMNS is missing.
    """
    taken: list[bytes] = []  # the lines of the row being read

    def recorded() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line.decode("utf-8", "replace")

    text = recorded()
    head = next(text, "").removeprefix("\ufeff").rstrip("\r\n")
    for delimiter in (",", ";", "\t"):
        names = [name.strip().strip('"').lower() for name in head.split(delimiter)]
        if set(COLUMNS) <= set(names):
            break
    else:
        raise NotThisShape("It is not an export of public messages: it needs the columns " + ", ".join(COLUMNS) + ".")
    places = [names.index(name) for name in COLUMNS]
    rows = csv.reader(text, delimiter=delimiter)
    seen: set[str] = set()
    while True:
        taken.clear()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield Rejected("unreadable_row", b"".join(taken))
            continue
        if not any(cells):
            continue
        if len(cells) > len(names):
            yield Rejected("wrong_columns", b"".join(taken))
            continue
        cells += [""] * (len(names) - len(cells))
        read = _post([cells[place].strip() for place in places], not_after=not_after)
        if isinstance(read, Post) and read.id in seen:
            read = "duplicate_id"
        if isinstance(read, str):
            yield Rejected(read, b"".join(taken))
        else:
            seen.add(read.id)
            yield read


def _post(cells: Sequence[str], *, not_after: datetime) -> Post | str:
    """Read one row's cells in the order of COLUMNS; a key of REASONS when that cannot be."""
    number, author, direction, written, text, answers = cells
    number, answers = _id(number), _id(answers.split(",")[0])
    if not number or len(number) > _LONGEST_ID:
        return "missing_id"
    if _ROUNDED_NUMBER.fullmatch(number) or _ROUNDED_NUMBER.fullmatch(answers):
        return "damaged_id"
    author = _id(author)
    if not author:
        return "no_author"
    if len(author) > _LONGEST_AUTHOR:
        return "unusable_author"
    if direction.lower() not in _YES | _NO:
        return "unknown_direction"
    at = _time(written)
    if at is None:
        return "unreadable_date"
    if at > not_after:
        return "future_date"
    if not text:
        return "no_text"
    return Post(number, author, direction.lower() in _YES, at, _clean(text), "" if answers == number else answers)


def _id(cell: str) -> str:
    """An id as it was before a program took it for a number: "3.0" is 3."""
    cell = _clean(cell.strip())
    whole = _WHOLE_NUMBER.fullmatch(cell)
    return whole[1] if whole else cell


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")


def _time(written: str) -> datetime | None:
    match = _DATE.fullmatch(written)
    if match:
        month, day, clock, hours, minutes, year = match.groups()
        written = f"{year}-{_MONTHS.get(month, 0):02}-{int(day):02}T{clock}{hours}:{minutes}"
    try:
        at = datetime.fromisoformat(written)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def build(posts: Iterable[Post]) -> list[Thread]:
    """Put messages into threads, in the order in which the threads begin; each thread's messages oldest first.

    Two messages that answer the same missing message are in one thread. Time grows with n log n (union-find).
    """
    posts = list(posts)
    above: dict[str, str] = {post.id: post.id for post in posts}

    def top(one: str) -> str:
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for post in posts:
        if post.answers:
            above[top(post.id)] = top(post.answers)
    grouped: defaultdict[str, list[Post]] = defaultdict(list)
    for post in sorted(posts, key=lambda post: post.at):
        grouped[top(post.id)].append(post)
    return [Thread(tuple(together)) for together in grouped.values()]


def first_responses(threads: Iterable[Thread]) -> list[FirstResponse]:
    """Say for every opening message who answered it first, and who should have when nobody did.

    The first response is the earliest message of a company that answers the opening message itself. Unanswered, the
    opening belongs to the thread's company, else to the first company of the file that it names with "@".
    """
    threads = list(threads)
    companies = addressed(threads)
    return [
        FirstResponse(companies[opening.id], opening, answers.get(opening.id))
        for thread in threads
        for answers in (thread.first_answers(),)
        for opening in thread.openings
    ]


def addressed(threads: Iterable[Thread]) -> dict[str, str]:
    """Say for every message of a customer which company it was for, by its id: told as in `first_responses`."""
    threads = list(threads)
    companies = {post.author.lower(): post.author for thread in threads for post in thread.posts if not post.is_inbound}
    found = {}
    for thread in threads:
        company, answers = thread.company, thread.answers()
        for post in thread.posts:
            if not post.is_inbound:
                continue
            if post.id in answers:
                found[post.id] = answers[post.id].author
                continue
            named = (companies.get(name.lower(), "") for name in _MENTION.findall(post.text))
            found[post.id] = company or next(filter(None, named), NO_COMPANY)
    return found


def waits(threads: Iterable[Thread]) -> dict[str, Waits]:
    """Sum up first responses by company, most opening messages first; a company whose threads it opened itself has 0.

    Minutes are elapsed, rounded to two decimals; percentiles as in `percentile`.
    """
    threads = list(threads)
    minutes: dict[str, list[float | None]] = {thread.company: [] for thread in threads if thread.company}
    for response in first_responses(threads):
        minutes.setdefault(response.company, []).append(response.minutes)
    summed = {}
    for company, each in sorted(minutes.items(), key=lambda item: (-len(item[1]), item[0].lower(), item[0])):
        answered = sorted(one for one in each if one is not None)
        summed[company] = Waits(
            opening=len(each),
            answered=len(answered),
            median_minutes=round(percentile(answered, 0.5), 2) if answered else None,
            p90_minutes=round(percentile(answered, 0.9), 2) if answered else None,
        )
    return summed


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which a share (0.0–1.0) of the ordered values lies, by linear interpolation.

    Source: type 7 of Hyndman & Fan 1996, as PERCENTILE.INC of spreadsheets. Raises ValueError when there is no value.
    """
    if not ordered:
        raise ValueError("There is no percentile of nothing.")
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def written(post: Post) -> bytes:
    """Write a message as a row of such a file again, in the order of COLUMNS."""
    row = io.StringIO()
    csv.writer(row).writerow([post.id, post.author, post.is_inbound, post.at.isoformat(), post.text, post.answers])
    return row.getvalue().encode()
