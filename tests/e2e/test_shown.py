"""Mails shown in a real browser: nothing of theirs runs, and nothing is asked for outside (M20, M24)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from crm.actions import intake
from crm.channels.email import showing
from crm.models import Attachment, Interaction
from crm.policy import Direction
from tests.conftest import NOON, ROOT
from tests.crm.stories import colleague, message
from tests.e2e import browser
from tests.e2e.browser import Page, Recorder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.chromium() is None, reason="no Chromium is installed here"),
]

OUTSIDE = "outside.example"
RUN = "top.postMessage(/ran{number}/.source,/[*]/.source[1])"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def nasty() -> list[str]:
    """Every page of the collection, made ready to say its number when it runs or calls."""
    lines = (ROOT / "tests/crm/nasty/pages.txt").read_text(encoding="utf-8").splitlines()
    return [
        line.replace("RUN", RUN.replace("{number}", str(number)))
        .replace("OUT", f"http://{OUTSIDE}/{number}")
        .replace("/N/", f"/{number}/")
        .replace("TAB", "\t")
        .replace("NUL", "\0")
        .replace("NL", "\n")
        for number, line in enumerate(line for line in lines if line and not line.startswith("#"))
    ]


# Shows pages in frames, a few at a time, and tells what ran. Where it can reach into a page it also presses everything.
SHOWS = """<!doctype html><title>shows</title><body><script>
const ran = new Set(), addresses = ADDRESSES, kind = "KIND";
addEventListener("message", e => { const m = /^ran(\\d+)$/.exec(e.data); if (m) ran.add(+m[1]); });
const wait = ms => new Promise(r => setTimeout(r, ms));
async function show(address) {
  const frame = document.createElement("iframe");
  const loaded = new Promise(r => frame.onload = r);
  frame.src = address; document.body.append(frame);
  await Promise.race([loaded, wait(8000)]);
  await wait(100);
  let inside = null;
  try { inside = frame.contentDocument; } catch {}
  if (inside) for (const e of inside.querySelectorAll("*")) {
    if (e.localName === "a" && /^https?:$/.test(e.protocol)) continue;
    try { e.focus && e.focus(); e.click && e.click(); } catch {}
    for (const n of ["click", "mouseover", "pointerenter", "wheel"]) e.dispatchEvent(new MouseEvent(n, {bubbles: true}));
  }
  await wait(100);
  frame.remove();
}
(async () => {
  let next = 0;
  const line = async () => { while (next < addresses.length) await show(addresses[next++]); };
  await Promise.all(Array.from({length: 24}, line));
  await fetch("/-test/told", {method: "POST", body: JSON.stringify({kind, ran: [...ran]})});
})();
</script>"""


@dataclass
class Shown:
    """What happened when a set of pages was shown."""

    ran: set[int]
    called: set[int]
    recorder: Recorder


@contextmanager
def product(live_server, pages) -> Iterator[tuple[Recorder, tuple[str, ...]]]:
    client = Client()
    client.force_login(colleague())
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with browser.recording(live_server.url, session=session, pages=pages) as (recorder, words):
        yield recorder, tuple(words)


def shown(live_server, addresses: list[str], *, pages: dict[str, Page]) -> Shown:
    """Show these addresses in a browser."""
    page = SHOWS.replace("ADDRESSES", json.dumps(addresses))
    with product(live_server, lambda path: ({}, page) if path == "shows" else pages[path]) as (recorder, words):
        with browser.browsing(f"{live_server.url}/-test/shows", *words):
            assert recorder.is_told.wait(240), "the browser never told what it saw"
        called = {int(n) for url in recorder.outside for n in re.findall(rf"{OUTSIDE}/(\d+)", url)}
        return Shown(set(recorder.told[0]["ran"]), called, recorder)


def in_frames(live_server, pages: list[Page]) -> Shown:
    return shown(
        live_server,
        [f"/-test/{number}" for number in range(len(pages))],
        pages={str(number): page for number, page in enumerate(pages)},
    )


def outside_calls(seen: Shown) -> list[str]:
    return [url for url in seen.recorder.outside if OUTSIDE in url]


def test_the_collection_is_dangerous_where_nothing_guards_it(live_server):
    """Without this, the tests below would prove nothing."""
    seen = in_frames(live_server, [({}, f"<!doctype html><body>{page}") for page in nasty()])
    assert len(nasty()) >= 300
    assert len(seen.ran) >= 120
    assert len(seen.called) >= 60


@pytest.mark.parametrize("fence", ["the words alone", "the policy alone"])
def test_each_fence_holds_by_itself_M20_M24(live_server, fence):
    """The cleaned words without any policy; the policy of the page around words that nobody cleaned."""
    if fence == "the words alone":
        pages = [({}, showing.document(showing.clean(page, pictures={}), title="", notes=[])) for page in nasty()]
    else:
        pages = [
            ({"Content-Security-Policy": showing.CONTENT_POLICY}, f"<!doctype html><body>{page}") for page in nasty()
        ]
    seen = in_frames(live_server, pages)
    assert (seen.ran, outside_calls(seen)) == (set(), [])


def test_no_nasty_mail_runs_or_calls_home_through_the_real_page_M20_M24(live_server):
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    rows = Interaction.objects.bulk_create(
        Interaction(
            conversation=conversation,
            direction=Direction.INBOUND,
            channel="email",
            source="mail:nasty",
            external_id=str(number),
            text="x",
            html=page,
            spoke_at=NOON,
            ingested_at=NOON,
        )
        for number, page in enumerate(page.replace("\0", "") for page in nasty())
    )
    addresses = [reverse("admin:message_page", args=[row.public_id]) for row in rows]
    seen = shown(live_server, addresses, pages={})
    answers = [asked for asked in seen.recorder.asked if asked.path in set(addresses)]
    assert {asked.status for asked in answers} == {200}
    assert {asked.path for asked in answers} == set(addresses)
    assert (seen.ran, outside_calls(seen)) == (set(), [])


# Opens the conversation in a tab, waits, opens the fold, waits, and tells.
OPENS = """<!doctype html><title>opens</title><body><script>
const wait = ms => new Promise(r => setTimeout(r, ms));
(async () => {
  const tab = open("ADDRESS");
  for (let n = 0; n < 100 && !(tab.document && tab.document.querySelector(".eh-as-sent")); n++) await wait(100);
  await wait(1000);
  await fetch("/-test/told", {method: "POST", body: JSON.stringify({step: "closed"})});
  tab.document.querySelector(".eh-as-sent").open = true;
  tab.document.querySelector(".eh-as-sent").scrollIntoView();
  const frame = tab.document.querySelector(".eh-as-sent iframe");
  await wait(2500);
  await fetch("/-test/told", {method: "POST", body: JSON.stringify({step: "open", height: frame.clientHeight,
    reaches: !!frame.contentDocument})});
})();
</script>"""


def test_a_mail_is_fetched_when_its_fold_opens_and_brings_its_own_pictures_M24(live_server):
    received = intake.receive(
        message(html='<p>Look: <img src="cid:a%40b"></p><img src="http://outside.example/1/p.gif">'),
        at=NOON,
        origin="test",
    )
    picture = Attachment(
        interaction=received.interaction, name="a.png", content_type="image/png", size=len(PNG), state="stored"
    )
    picture.content_id = "a@b"
    picture.file.save("a", ContentFile(PNG), save=True)
    conversation = reverse("admin:conversation", args=[received.conversation.public_id])
    page = OPENS.replace("ADDRESS", conversation)
    frame = reverse("admin:message_page", args=[received.interaction.public_id])
    inline = reverse("admin:inline_picture", args=[picture.public_id])
    isolated = {"Cross-Origin-Opener-Policy": "same-origin"}
    with product(live_server, lambda _path: (isolated, page)) as (recorder, words):
        with browser.browsing(f"{live_server.url}/-test/opens", *words):
            assert recorder.is_told.wait(60)
            before = [asked.path for asked in recorder.asked]
            recorder.is_told.clear()
            assert recorder.is_told.wait(60)
        after = {asked.path.partition("?")[0]: asked for asked in recorder.asked}
        assert conversation in before
        assert frame not in before
        assert after[frame].status == 200
        assert (after[inline].status, after[inline].has_cookie) == (200, False)
        assert recorder.told[1]["reaches"] is False
        assert recorder.told[1]["height"] > 100
        assert [url for url in recorder.outside if OUTSIDE in url] == []
