"""How each fact that rules may read can be told on each channel, and with how much effort.

The rules see no channel, but a fact that only some channels can tell would bring the channel back in through it. So every fact
is declared here for every channel; one without an equal way fails the check of every draft that reads it
(recovery/policy/checks.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.channels import Channel
from recovery.policy import FACT_NAMES, Facts


class Effort(TextChoices):
    """What telling a fact costs the customer."""

    NOTHING = "nothing", gettext_lazy("nothing: we know it ourselves")
    A_SENTENCE = "a_sentence", gettext_lazy("one sentence")
    MORE = "more", gettext_lazy("more than one sentence")


@dataclass(frozen=True, slots=True)
class Way:
    """How we come to know a fact. how: in words; effort: the customer's."""

    how: str | Promise
    effort: Effort


Matrix = Mapping[str, Mapping[Channel, Way]]

SPOKEN = (Channel.PHONE, Channel.STORE, Channel.FIELD)
WRITTEN = (
    Channel.EMAIL, Channel.CHAT, Channel.WEB_FORM, Channel.APP, Channel.SMS, Channel.SOCIAL_DIRECT, Channel.LETTER,
)  # fmt: skip
IN_PUBLIC = (Channel.SOCIAL_PUBLIC, Channel.REVIEW, Channel.BLOG, Channel.VIDEO)
GROUPS = (SPOKEN, WRITTEN, IN_PUBLIC)

_SAID = Way(gettext_lazy("said in a sentence, noted by the colleague who listens"), Effort.A_SENTENCE)
_WRITTEN = Way(gettext_lazy("written in a sentence, noted by the colleague who reads"), Effort.A_SENTENCE)
_SHOWN = Way(
    gettext_lazy("told in a sentence where they already spoke, noted by the colleague who reads"), Effort.A_SENTENCE
)
_ASKED = Way(
    gettext_lazy("never asked for in public: told in one sentence in private, by the link or call back that we offer"),
    Effort.A_SENTENCE,
)
_OURS = Way(gettext_lazy("counted from our own records"), Effort.NOTHING)


def _told(in_public: Way) -> dict[Channel, Way]:
    return {
        **dict.fromkeys(SPOKEN, _SAID),
        **dict.fromkeys(WRITTEN, _WRITTEN),
        **dict.fromkeys(IN_PUBLIC, in_public),
    }


MATRIX: Matrix = {
    "complaint_type": _told(_SHOWN),
    "loss": _told(_ASKED),
    "currency": _told(_ASKED),
    "days_without": _told(_SHOWN),
    "our_failures": dict.fromkeys((*SPOKEN, *WRITTEN, *IN_PUBLIC), _OURS),
    "safety": _told(_SHOWN),
    "essential": _told(_ASKED),
    "vulnerable": _told(_ASKED),
}
"""Every fact on every channel. Nothing needs a photo, a form, a number or an account: no channel lacks what another one has."""


def unequal(matrix: Matrix = MATRIX) -> dict[str, str]:
    """Say which facts not every channel can tell with equal effort, and why."""
    found = {}
    for name in FACT_NAMES:
        ways = matrix.get(name, {})
        lacking = [str(channel.label) for channel in Channel if channel not in ways]
        costly = [str(channel.label) for channel, way in ways.items() if way.effort == Effort.MORE]
        if lacking:
            found[name] = _("“%(fact)s” cannot be told by: %(channels)s.") % {
                "fact": name,
                "channels": ", ".join(lacking),
            }
        elif costly or len({way.effort for way in ways.values()}) > 1:
            found[name] = _("“%(fact)s” costs some customers more effort than others: %(channels)s.") % {
                "fact": name,
                "channels": ", ".join(
                    costly or sorted(f"{channel.label}: {way.effort}" for channel, way in ways.items())
                ),
            }
    return found


def as_known_on(channel: Channel, facts: Facts, *, matrix: Matrix = MATRIX) -> Facts:
    """Give what we would know of this failure had the customer used this channel: what cannot be told there stays unknown."""
    known = {name: getattr(facts, name) for name in FACT_NAMES if channel in matrix.get(name, {})}
    return Facts(**known)
