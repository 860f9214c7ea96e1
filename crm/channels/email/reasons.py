"""Why a file that came attached is not simply there: one code a reason, a sentence for staff, kinder words for the customer."""

from __future__ import annotations

import re
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class FileTrouble(TextChoices):
    """What stood in the way of a file. The label is what the customer reads: it repeats nothing that the sender wrote."""

    TOO_MANY = "too_many", _("a message can bring at most 50 files, and this one brought more.")
    TOO_LARGE = "too_large", _("it is larger than 15 MB.")
    TOO_LARGE_TOGETHER = "too_large_together", _("the files of one message can have at most 25 MB together.")
    CUT_OFF = "cut_off", _("it arrived incomplete, because the message was too large.")
    HIDDEN_NAME = (
        "hidden_name",
        _("its name contains hidden characters, so we keep it closed until a colleague has looked."),
    )
    ACTIVE = "active", _("it is a page, script or program, so we keep it closed until a colleague has looked.")
    TWO_ENDINGS = "two_endings", _("its name has two endings, so we keep it closed until a colleague has looked.")
    MACROS = "macros", _("it is a document with macros, so we keep it closed until a colleague has looked.")
    NOT_AS_SENT = (
        "not_as_sent",
        _("it is something else than it says it is, so we keep it closed until a colleague has looked."),
    )
    NOT_AS_NAMED = (
        "not_as_named",
        _("its name does not fit what it is, so we keep it closed until a colleague has looked."),
    )
    OTHER = "other", _("we could not make sure that it is safe to open.")


SENTENCES: Final = {
    FileTrouble.TOO_MANY: "A mail may bring at most {most} files.",
    FileTrouble.TOO_LARGE: "A file may have at most {most} MB.",
    FileTrouble.TOO_LARGE_TOGETHER: "The files of a mail may have at most {most} MB together.",
    FileTrouble.CUT_OFF: "The mail was too large and ends inside this file.",
    FileTrouble.HIDDEN_NAME: "Its name hides characters.",
    FileTrouble.ACTIVE: "It can act on the reader's computer (a page, script or program).",
    FileTrouble.TWO_ENDINGS: "Its name has two endings.",
    FileTrouble.MACROS: "It is a document with macros.",
    FileTrouble.NOT_AS_SENT: "It was sent as {declared} but is something else ({found}).",
    FileTrouble.NOT_AS_NAMED: "Its name says {ending} but it is something else ({found}).",
}
"""What stands with a stored file and staff read."""

_READ: Final = {
    trouble: re.compile(r"[^\n]{0,300}".join(re.escape(part) for part in re.split(r"\{\w+\}", sentence)))
    for trouble, sentence in SENTENCES.items()
}


def written(trouble: FileTrouble, **given: object) -> str:
    """The sentence that is stored with a file; given: what the sentence names. Raises KeyError when something is not given."""
    return SENTENCES[trouble].format(**given)


def trouble_of(reason: str) -> FileTrouble:
    """Which trouble a stored sentence means; OTHER for one that we did not write, such as a scanner's."""
    return next((trouble for trouble, shape in _READ.items() if shape.fullmatch(reason)), FileTrouble.OTHER)


def told(reason: str) -> str:
    """What a customer is told about a stored reason, in the active language: the end of a sentence that begins with the name."""
    return str(trouble_of(reason).label)
