"""No real person's address is in what we ship, show or test with: only domains that nobody can own (P18)."""

from __future__ import annotations

import re

from tests.architecture.source import ROOT, kept_files

ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
RESERVED = (".example", ".test", ".invalid", ".localhost", "example.com", "example.org", "example.net")
"""RFC 2606 and RFC 6761."""
ALLOWED = {
    "127.0.0.1": "the machine itself, after the user of a server's address",
    "b.c": "the shortest thing that looks like an address, for the reader of addresses",
    "home.exampl": "a typing mistake on purpose, in tests of likeness",
    "home.exampel": "a typing mistake on purpose, in tests of likeness",
    "gmail.com": "made-up people in address cards that real programs wrote",
    "ibm.com": "made-up people in address cards that real programs wrote",
    "yahoo.com": "made-up people in address cards that real programs wrote",
    "viagenie.ca": "the author's own card in RFC 6350",
    "lookaside.fbsbx.com": "a user name before a host, in tests of which hosts files are fetched from",
    "postmarkapp.com": "the test address in the provider's own documentation",
    "your.host": "a place to fill in, in the runbook",
}
"""Domains that look real and are not a person's, each with the reason."""
ENDINGS = {
    ".py",
    ".html",
    ".txt",
    ".md",
    ".toml",
    ".json",
    ".yaml",
    ".yml",
    ".po",
    ".csv",
    ".eml",
    ".in",
    ".js",
    ".css",
}


def _domains() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name in kept_files():
        path = ROOT / name
        if path.suffix not in ENDINGS or not path.is_file():
            continue
        for domain in ADDRESS.findall(path.read_text(encoding="utf-8", errors="replace")):
            lower = domain.lower().rstrip(".")
            if not lower.endswith(RESERVED):
                found.setdefault(lower, set()).add(name)
    return found


def test_addresses_are_of_domains_that_nobody_can_own_P18():
    strange = {domain: sorted(files) for domain, files in _domains().items() if domain not in ALLOWED}
    assert not strange, f"take a domain under .example, or say in ALLOWED why this one is no person's: {strange}"
