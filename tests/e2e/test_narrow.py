"""Pages of the audit in a real browser: none scrolls sideways on a phone, and on paper they keep their title and all they tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from crm.policy import Role
from recovery import actions
from recovery.models import ParityAudit, ParityCertificate, ParityFinding
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.e2e import browser
from tests.recovery.audit.test_outcomes import many

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.chromium() is None, reason="no Chromium is installed here"),
]
MEASURES = """<!doctype html><title>measures</title><body style="margin:0"><script>
const names = NAMES, wait = ms => new Promise(r => setTimeout(r, ms)), told = {};
const shown = e => e ? e.getClientRects().length > 0 : null;
(async () => {
  for (const name of names) {
    const frame = document.createElement("iframe");
    frame.style.cssText = "width:390px;height:800px;border:0";
    const loaded = new Promise(r => frame.onload = r);
    frame.src = "/-test/" + name; document.body.append(frame);
    await Promise.race([loaded, wait(20000)]);
    await wait(300);
    const page = frame.contentDocument, root = page.documentElement;
    const found = told[name] = {wide: root.scrollWidth, ground: root.clientWidth};
    frame.style.width = "1000px";
    for (const sheet of page.styleSheets) for (const rule of sheet.cssRules)
      if (rule.media && rule.media.mediaText === "print") rule.media.mediaText = "all";
    const ink = page.querySelector("h1") && frame.contentWindow.getComputedStyle(page.querySelector("h1")).color;
    Object.assign(found, {
      title: shown(page.querySelector("h1")), ink,
      buttons: [...page.querySelectorAll(".eh-button, .eh-search")].filter(shown).length,
      folded: [...page.querySelectorAll("details li, details dd")].filter(e => !shown(e)).length,
    });
    frame.remove();
  }
  await fetch("/-test/told", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


def test_pages_of_the_audit_fit_a_phone_and_print_whole_whatever_the_theme(live_server: Any) -> None:
    many()
    actions.parity_nightly(NOON + timedelta(days=12))
    actions.certificate_monthly(datetime(2026, 4, 9, 6, tzinfo=UTC))
    client = Client()
    client.force_login(colleague(Role.LEAD))
    finding, look = ParityFinding.objects.earliest("pk"), ParityAudit.objects.get()
    addresses = {
        "parity": reverse("admin:parity"),
        "finding": reverse("admin:parity_finding", args=[finding.public_id]),
        "behind": reverse("admin:parity_behind", args=[look.public_id]),
        "now": reverse("admin:parity_now"),
        "levelling": reverse("admin:levelling"),
        "certificates": reverse("admin:certificates"),
        "certificate": reverse("admin:certificate", args=[ParityCertificate.objects.get().public_id]),
        "answered": reverse("admin:answered"),
        "closing": reverse("admin:closing_lines"),
        "response-times": reverse("response-times"),
    }
    html = {name: client.get(address).content.decode() for name, address in addresses.items()}
    dark = {name: page.replace("<html ", '<html class="dark" ', 1) for name, page in html.items()}
    pages = {**dark, "measures": MEASURES.replace("NAMES", json.dumps(list(html)))}
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with (
        browser.recording(live_server.url, session=session, pages=lambda path: ({}, pages[path])) as (recorder, words),
        browser.browsing(f"{live_server.url}/-test/measures", *words),
    ):
        assert recorder.is_told.wait(240), "the browser never told what it saw"
    told: dict[str, Any] = recorder.told[0]
    assert {name: found["wide"] for name, found in told.items() if found["wide"] > found["ground"]} == {}
    staff = {name: found for name, found in told.items() if name != "response-times"}
    assert {name: (f["title"], f["ink"]) for name, f in staff.items()} == dict.fromkeys(staff, (True, "rgb(0, 0, 0)"))
    assert {name: found["buttons"] for name, found in staff.items()} == dict.fromkeys(staff, 0)
    assert {name: found["folded"] for name, found in staff.items()} == dict.fromkeys(staff, 0)
