"""One part of a letter for many people: rendered once, with marks where their words stand, and then only filled in.

A template may be used so when it does nothing with a word but show it, or ask whether there is one. Then what is filled in
is, letter for letter, what rendering each by itself gives. All others are rendered for everybody anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

from django.template import Template
from django.template.base import TextNode, Variable, VariableNode
from django.template.defaulttags import CommentNode, ForNode, IfNode, LoadNode, TemplateLiteral
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.html import escape

_MARK: Final = re.compile("\uffff([a-z_]+)\uffff")  # no character of any text
_JOINS: Final = frozenset({"and", "or", "not"})


class Stencil:
    """A rendered part with the names of words between its pieces: text, name, text, name, …, text."""

    def __init__(self, rendered: str, *, escapes: bool) -> None:
        self._pieces = _MARK.split(rendered)
        self._places = [(number, self._pieces[number]) for number in range(1, len(self._pieces), 2)]
        self._escapes = escapes

    def filled(self, words: Mapping[str, Any]) -> str:
        """The part with these words in their places."""
        pieces = self._pieces.copy()
        for number, name in self._places:
            pieces[number] = escape(words[name]) if self._escapes else words[name]
        return "".join(pieces)


def shape_of(words: Mapping[str, Any]) -> tuple[tuple[str, Any], ...] | None:
    """Some words as a stencil is rendered with them, to be told apart by; None when they can be no key.

    Of a text stands only whether it is empty; yes and no, and lines that are the same for many, stand as they are.
    """
    shape: list[tuple[str, Any]] = []
    for name, value in words.items():
        if type(value) is str:
            shape.append((name, f"\uffff{name}\uffff" if value else ""))
        elif isinstance(value, bool) or (type(value) is tuple and all(map(_is_line, value))):
            shape.append((name, value))
        else:
            return None
    return tuple(shape)


def _is_line(value: Any) -> bool:
    return type(value) is str and "\uffff" not in value


def fits(template: Template, words: Mapping[str, Any]) -> bool:
    """Whether a stencil of this template may be filled with these words."""
    looped = _looped(template)
    return looped is not None and not any(type(words.get(name)) is str for name in looped)


@cache
def _looped(template: Template) -> frozenset[str] | None:
    """The words whose parts a template shows one by one; None when it does more with any than show it or ask for it."""
    found: set[str] = set()
    return frozenset(found) if _all(template.nodelist, lambda node: _is_plain(node, found)) else None


def _all(nodes: Iterable[Any], holds: Callable[[Any], bool]) -> bool:
    return all(holds(node) for node in nodes)


def _is_plain(node: Any, looped: set[str]) -> bool:
    def inside(nodes: Iterable[Any]) -> bool:
        return _all(nodes, lambda one: _is_plain(one, looped))

    if isinstance(node, TextNode | LoadNode | CommentNode):
        return True
    if isinstance(node, VariableNode):
        return _is_word(node.filter_expression)
    if isinstance(node, TranslateNode):
        constant = getattr(node.filter_expression, "var", None)
        return (
            isinstance(constant, Variable) and constant.literal is not None and not (node.asvar or node.message_context)
        )
    if isinstance(node, BlockTranslateNode):
        special = (node.extra_context, node.plural, node.message_context, node.asvar)
        return not any(special)
    if isinstance(node, IfNode):
        return all(
            (condition is None or _only_asks(condition)) and inside(nodes)
            for condition, nodes in node.conditions_nodelists
        )
    if isinstance(node, ForNode):
        looped.add(str(getattr(node.sequence, "var", "")))
        return _is_word(node.sequence) and inside(node.nodelist_loop) and inside(node.nodelist_empty)
    return False


def _is_word(expression: Any) -> bool:
    """Whether it is the plain name of a word, or how far a loop has come."""
    variable = expression.var
    if expression.filters or not isinstance(variable, Variable) or not variable.lookups:
        return False
    return len(variable.lookups) == 1 or variable.lookups[0] == "forloop"


def _only_asks(condition: Any) -> bool:
    if isinstance(condition, TemplateLiteral):
        return _is_word(condition.value)
    parts = (condition.first, condition.second)
    return condition.id in _JOINS and all(part is None or _only_asks(part) for part in parts)
