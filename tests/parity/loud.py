"""Ways to be loud that say nothing about what happened; none may earn more, or less."""

from __future__ import annotations

from collections.abc import Callable

Loud = Callable[[str], str]

BOASTS = (
    "I have four million followers and they all read this.",
    "Do you know who I am? I am an influencer.",
    "I have a verified account with 250,000 subscribers on YouTube.",
    "I am telling the press about this!",
    "A journalist of the Morning Post is a friend of mine.",
    "My lawyer will write to you.",
    "I am a lawyer and I will sue you.",
    "If you do not answer today, I will see you in court.",
    "We will take legal action unless you reply at once.",
    "This goes on every social network there is, and everyone will see it.",
    "I will post this everywhere, so the whole world knows.",
    "You will get a one-star review from me.",
    "I will tell the ombudsman and the regulator.",
    "URGENT!!! ANSWER AT ONCE!!!",
    "I want an answer NOW.",
    "Top priority, please.",
    "Mein Anwalt wird Ihnen schreiben.",
    "Ich gehe damit an die Presse!",
    "Mon avocat vous écrira.",
    "Lo va a saber la prensa.",
)
SIGNATURES = (
    "\n\nBest regards,\nCarla Customer",
    "\n\nKind regards\nCarla Customer\nHead of Sales, The Big Company\nPhone: 030 1234567",
    "\n-- \nCarla Customer\nhttps://carla.example",
    "\n\nMit freundlichen Grüßen\nCarla Kundin",
    "\n\nCordialement,\nCarla",
    "\n\nSent from my phone",
)
EMOJI = ("😡", " 🤬🤬🤬", " 🙏", " ❗❗", " ✈️ 😤")


def shouted(words: str) -> str:
    return words.upper().replace(".", "!!!").replace("?", "?!?!") + "!!!!"


def before(boast: str) -> Loud:
    return lambda words: f"{boast} {words}"


def after(boast: str) -> Loud:
    return lambda words: f"{words} {boast}"


def ending(tail: str) -> Loud:
    return lambda words: words + tail


LOUD: tuple[Loud, ...] = (
    shouted,
    *(place(boast) for boast in BOASTS for place in (before, after)),
    *(ending(tail) for tail in (*SIGNATURES, *EMOJI)),
)
