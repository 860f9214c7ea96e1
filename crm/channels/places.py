"""Where something stands in a request: places written by people, found in a form, in JSON, in XML or in a query.

    from                        a field of that name
    message.text                inside another one; of several, each
    results.0.text              the first of several; -1 is the last
    parts[type=text/plain].text only where a field beside it says so
    message.@id                 an attribute in XML; message.#text what stands in an element that has attributes
    text | caption              the first of them that is there
    event + message.type        both, with a stroke between
    ?sender                     in the query, however the body is written
    /account.id                 from the beginning of the post, inside a batch

XML is read without any document type: no entity is ever expanded or fetched, so that a small post cannot become a large one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl
from xml.parsers import expat

Written = Literal["form", "json", "xml", "query", "text"]
FIELDS_AT_MOST: Final = 500
DEPTH_AT_MOST: Final = 40
ELEMENTS_AT_MOST: Final = 20_000
ITEMS_AT_MOST: Final = 100
_STEP: Final = re.compile(r"(?P<name>[^.\[\]]+)?(?P<conditions>(?:\[[^\[\]]*\])*)(?:\.|$)")
_CONDITION: Final = re.compile(r"\[([^\[\]]*)\]")
_OR: Final = re.compile(r"\s*\|\s*(?![^\[]*\])")
_AND: Final = re.compile(r"\s*\+\s*(?![^\[]*\])")


class Unreadable(ValueError):
    """A request is not written as it is told to be. Its words are for staff and hold nothing that a customer said."""


@dataclass(frozen=True, slots=True)
class Found:
    """One request, or one item of a batch. item: where its places begin; whole: the whole body; query: the query."""

    item: Any = field(repr=False)
    whole: Any = field(repr=False)
    query: Any = field(repr=False)

    def first(self, place: str) -> str | None:
        """What stands at a place; "" where it is there and empty, None where it is not."""
        is_there = False
        for one in _OR.split(place.strip()):
            joined = [self._first(part) for part in _AND.split(one)] if one else [None]
            if all(part is not None for part in joined):
                is_there = True
                text = "/".join(str(part) for part in joined)
                if text.strip("/"):
                    return text
        return "" if is_there else None

    def every(self, place: str) -> list[str]:
        """Everything that stands at a place, in its order, without what is empty."""
        return [text for one in _OR.split(place.strip()) if one for text in self._all(one) if text]

    def has_all(self, place: str) -> bool:
        """Whether something stands at every one of some places with + between."""
        return all(self._first(part) for part in _AND.split(place.strip()))

    def items(self, place: str) -> list[Found]:
        """The items of a batch; a body that is a list is one also without a place. Raises Unreadable for too many."""
        paths = [_steps(one) for one in _OR.split(place.strip()) if one]
        found = [one for steps in paths for one in _walk(self.item, steps, leaves=False)] if paths else [self.item]
        flat = [one for each in found for one in (each if isinstance(each, list) else [each])]
        if len(flat) > ITEMS_AT_MOST:
            raise Unreadable(f"It holds {len(flat)} items; at most {ITEMS_AT_MOST} are read at once.")
        return [Found(one, self.whole, self.query) for one in flat]

    def _first(self, path: str) -> str | None:
        found = list(self._all(path))
        return next((one for one in found if one), found[0] if found else None)

    def _all(self, path: str) -> Iterator[str]:
        if path.startswith("?"):
            return _walk(self.query, _steps(path[1:]))
        return _walk(self.whole, _steps(path[1:])) if path.startswith("/") else _walk(self.item, _steps(path))


def read(body: bytes, *, query: str, written: Written, charset: str = "utf-8") -> Found:
    """Read a request. A form's fields are looked for in the body, then in the query. Raises Unreadable."""
    asked = form(query.encode("utf-8", "replace"), charset=charset)
    if written == "query":
        return Found(asked, asked, asked)
    if written == "form":
        whole: Any = {**asked, **form(body, charset=charset)}
    elif written == "json":
        whole = _json(body, charset=charset)
    elif written == "xml":
        whole = _xml(body)
    else:
        text = body.decode(charset, "replace")
        whole = {"line": text.splitlines(), "word": text.replace(",", " ").replace("|", " ").replace(":", " ").split()}
    return Found(whole, whole, asked)


def form(body: bytes, *, charset: str) -> dict[str, Any]:
    """The fields of a form by name; one that came several times is a list. Raises Unreadable."""
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            body.decode("latin-1"),
            keep_blank_values=True,
            max_num_fields=FIELDS_AT_MOST,
            encoding=charset,
            errors="replace",
        )
    except ValueError:
        raise Unreadable(f"It has more than {FIELDS_AT_MOST} fields.") from None
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def trouble_with(place: str) -> bool:
    """Whether a place cannot be read."""
    try:
        for one in _OR.split(place.strip()):
            for part in _AND.split(one):
                _steps(part.lstrip("?/"))
    except Unreadable:
        return True
    return False


# --- how it is written -------------------------------------------------------------------------------------------------


def _json(body: bytes, *, charset: str) -> Any:
    try:
        return json.loads(body.decode(charset), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise Unreadable("It is no JSON.") from None


def _xml(body: bytes) -> Any:
    """The root element: texts by name, attributes with @ in front, several of one name as a list."""
    parser = expat.ParserCreate(namespace_separator=" ")
    root: dict[str, Any] = {}
    open_ones: list[dict[str, Any]] = [root]
    count = 0

    def refuse(*_given: Any) -> None:
        raise Unreadable("It has a document type; such XML is not read.")

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal count
        count += 1
        if count > ELEMENTS_AT_MOST or len(open_ones) > DEPTH_AT_MOST:
            raise Unreadable("It has more elements, or deeper ones, than are read.")
        made: dict[str, Any] = {f"@{key.rpartition(' ')[2]}": value for key, value in attributes.items()}
        open_ones[-1].setdefault(name.rpartition(" ")[2], []).append(made)
        open_ones.append(made)

    def end(_name: str) -> None:
        open_ones.pop()

    def text(words: str) -> None:
        open_ones[-1].setdefault("#text", []).append(words)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise Unreadable("It is no XML.") from None
    except (LookupError, UnicodeError):
        raise Unreadable("Its letters are in a code that we do not know.") from None
    return _tidied(next(iter(root.values()))[0])


def _tidied(element: dict[str, Any]) -> Any:
    """An element that holds nothing but text is that text."""
    words = "".join(element.pop("#text", []))
    if not element:
        return words
    made = {
        name: value if name.startswith("@") else _single([_tidied(one) for one in value])
        for name, value in element.items()
    }
    return {**made, "#text": words.strip()}


def _single(several: list[Any]) -> Any:
    return several[0] if len(several) == 1 else several


# --- places ------------------------------------------------------------------------------------------------------------

Step = tuple[str, tuple[str, ...]]


def _steps(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position, path = 0, path.strip()
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or not (match["name"] or match["conditions"]) or path.endswith("."):
            raise Unreadable(f"“{path}” is no place.")
        steps.append((match["name"] or "", tuple(_CONDITION.findall(match["conditions"]))))
        position = match.end()
    if not steps or len(steps) > DEPTH_AT_MOST:
        raise Unreadable(f"“{path}” is no place.")
    return tuple(steps)


def _walk(value: Any, steps: tuple[Step, ...], *, leaves: bool = True) -> Iterator[Any]:
    if not steps:
        yield from _leaves(value) if leaves else [value]
        return
    (name, conditions), rest = steps[0], steps[1:]
    if isinstance(value, list):
        if _is_index(name):
            yield from _walk(_kept(value, name), ((("", conditions)), *rest) if conditions else rest, leaves=leaves)
            return
        for one in value:
            yield from _walk(one, steps, leaves=leaves)
        return
    if not isinstance(value, dict):
        if _is_index(name) and int(name) in (0, -1) and value is not None:  # one alone is the first of one
            yield from _walk(value, rest, leaves=leaves)
        return
    if not conditions and not name.startswith("@"):  # a field whose own name holds dots
        flat = ".".join(step for step, _conditions in steps)
        if len(steps) > 1 and flat in value:
            yield from _walk(value[flat], (), leaves=leaves)
            return
    if name and _is_index(name) and name not in value:
        inside: Any = value if int(name) in (0, -1) else None
    else:
        inside = value.get(name) if name else value
    for condition in conditions:
        inside = _kept(inside, condition)
    if inside is not None:
        yield from _walk(inside, rest, leaves=leaves)


def _is_index(name: str) -> bool:
    return name.removeprefix("-").isdecimal() and name.isascii() and len(name) < 4


def _kept(value: Any, condition: str) -> Any:
    """What of a value meets a condition: an index, or a field beside with a value."""
    if value is None:
        return None
    several = value if isinstance(value, list) else [value]
    if _is_index(condition):
        number = int(condition)
        return several[number] if -len(several) <= number < len(several) else None
    name, _equals, wanted = condition.partition("=")
    return [one for one in several if isinstance(one, dict) and wanted in list(_leaves(one.get(name)))] or None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, dict) and "#text" in value:
        yield value["#text"]
