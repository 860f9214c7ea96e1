"""The pages of equal treatment: who may see them, what they show, and that they say it in words."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse

from crm.models import Closing, Conversation
from crm.policy import HowClosed, Role
from recovery import actions
from recovery.admin import audit_words
from recovery.models import ParityAudit, ParityFinding
from recovery.parity import verdicts
from recovery.policy import FindingState
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague
from tests.recovery.audit.test_outcomes import many

NIGHT = NOON + timedelta(days=12)


@pytest.fixture
def look(db):
    many()
    actions.parity_nightly(NIGHT)
    return ParityAudit.objects.get()


def seen(client, role: Role):
    client.force_login(colleague(role))
    return client


ADDRESSES = ("parity_whole", "parity_json", "parity_csv", "parity_map")


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.AGENT, 403), (Role.LOYALTY_MANAGER, 403), (Role.LEAD, 200), (Role.AUDITOR, 200), (Role.ADMINISTRATOR, 200)],
)
def test_leads_auditors_and_administrators_see_it_and_nobody_else(client, look, role, status):
    seen(client, role)
    finding = ParityFinding.objects.order_by("pk").first()
    pages = [reverse("admin:parity"), reverse("admin:parity_finding", args=[finding.public_id])]
    pages += [reverse(f"admin:{name}", args=[look.public_id]) for name in ADDRESSES]
    assert {client.get(page).status_code for page in pages} == {status}


def test_nobody_and_a_customer_are_sent_to_log_in(client, look):
    page = reverse("admin:parity")
    assert client.get(page).status_code == 302
    client.force_login(app_user())
    assert client.get(page).status_code in (302, 403)


def test_the_page_says_no_and_what_it_takes_to_say_more(client, look):
    page = seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()
    assert "No, not alike" in page
    assert "time to the first answer" in page
    assert "too little to say" in page
    assert "worse than others" in page


def test_what_stands_comes_right_after_the_verdict(client, look):
    page = seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()
    assert page.index("verdict-title") < page.index("findings-title") < page.index("grid-title")


def test_the_matters_of_a_finding_show_the_time_that_is_compared_and_a_refusal_keeps_what_was_chosen(client, look):
    seen(client, Role.LEAD)
    address = reverse("admin:parity_behind", args=[look.public_id])
    asked = {"metric": "time_to_resolution", "channel": "phone"}
    page = client.get(address, asked)
    assert ">Settled</th>" in page.content.decode()
    listed = page.context["matters"][0]  # nobody had settled it when it was looked at
    Closing.objects.create(
        conversation=listed, how=HowClosed.CLOSED, closed_by=colleague(), at=NIGHT + timedelta(days=1)
    )
    assert (
        f'data-label="Settled">{NIGHT + timedelta(days=1):%-d %b %Y}, ' in client.get(address, asked).content.decode()
    )
    finding = ParityFinding.objects.get(metric="first_response", channel="phone")
    refused = client.post(
        reverse("admin:parity_finding", args=[finding.public_id]), {"state": "disputed", "words": " "}
    )
    assert refused.status_code == 409
    assert 'value="disputed" required checked' in refused.content.decode()


def test_of_two_leads_at_once_neither_writes_over_the_other_unread(client, look):
    finding = ParityFinding.objects.get(metric="first_response", channel="phone")
    address = reverse("admin:parity_finding", args=[finding.public_id])
    client.force_login(colleague(Role.LEAD))
    before = {"state": "explained", "words": "Two were ill.", "read": ""}  # as both saw it
    assert client.post(address, before).status_code == 302
    client.force_login(colleague(Role.LEAD, name="Another Lead"))
    refused = client.post(address, {**before, "state": "correcting", "words": "More people from Monday on."})
    shown = refused.content.decode()
    assert refused.status_code == 409
    assert "said something about it meanwhile" in shown
    assert "Two were ill." in shown
    assert "More people from Monday on." in shown
    finding.refresh_from_db()
    assert (finding.state, finding.words) == (FindingState.EXPLAINED, "Two were ill.")
    read = re.search(r'name="read" value="([^"]+)"', shown)
    assert read is not None
    again = {"state": "correcting", "words": "More people from Monday on.", "read": read[1]}
    assert client.post(address, again).status_code == 302


def test_looking_costs_the_same_however_many_looks_there_were(client, look, django_assert_max_num_queries):
    seen(client, Role.LEAD)
    with django_assert_max_num_queries(15):
        client.get(reverse("admin:parity"))


def test_looking_now_is_a_post_and_is_noted_with_a_name(client, look):
    seen(client, Role.LEAD)
    client.get(reverse("admin:parity"))
    assert ParityAudit.objects.count() == 1
    client.post(reverse("admin:parity"))
    assert ParityAudit.objects.filter(night=None).get().asked_by is not None


def test_a_finding_is_answered_in_words_and_shows_the_very_matters(client, look):
    seen(client, Role.LEAD)
    finding = ParityFinding.objects.get(metric="first_response", channel="phone")
    address = reverse("admin:parity_finding", args=[finding.public_id])
    page = client.get(address).content.decode()
    assert page.count("/conversation") >= 20
    refused = client.post(address, {"state": "correcting", "words": "  "})
    assert refused.status_code == 409
    assert client.post(address, {"state": "verified", "words": "gone"}).status_code == 409
    assert client.post(address, {"state": "correcting", "words": "Two more on the phone."}).status_code == 302
    finding.refresh_from_db()
    assert finding.state == FindingState.CORRECTING
    assert "Two more on the phone." in client.get(reverse("admin:parity")).content.decode()


def test_an_auditor_sees_but_does_not_answer(client, look):
    seen(client, Role.AUDITOR)
    finding = ParityFinding.objects.order_by("pk").first()
    address = reverse("admin:parity_finding", args=[finding.public_id])
    assert client.post(address, {"state": "explained", "words": "x"}).status_code == 403


def test_the_rows_hold_no_person_and_the_report_names_its_fingerprint(client, look):
    seen(client, Role.AUDITOR)
    rows = b"".join(client.get(reverse("admin:parity_csv", args=[look.public_id])).streaming_content).decode()
    assert rows.count("\n") == look.matters + 1
    assert "Carla" not in rows
    assert "@" not in rows
    said = json.loads(client.get(reverse("admin:parity_json", args=[look.public_id])).content)
    assert said["content_hash"] == look.content_hash
    assert 'channel = "channel"' in client.get(reverse("admin:parity_map", args=[look.public_id])).content.decode()
    assert "Parity report" in client.get(reverse("admin:parity_whole", args=[look.public_id])).content.decode()


def test_no_label_of_the_whole_report_is_cut_off_at_the_edge(client, look):
    page = seen(client, Role.LEAD).get(reverse("admin:parity_whole", args=[look.public_id])).content.decode()
    labels = re.findall(r'text-anchor="end">([^<]*)<tspan class="t"[^>]*>([^<]*)</tspan>', page)
    assert {"answered as promised (more →)", "time to resolution (longer →)"} <= {small for _name, small in labels}
    assert (
        max(len(small) for _name, small in labels) <= 34
    )  # 6 of 760 units a letter, and 205 of them beside the drawing


def test_before_the_first_night_it_says_so(client, db):
    assert "The first look is taken tonight" in seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()


def test_a_look_at_nothing_leads_nowhere_that_is_not_there(client, db):
    actions.parity_nightly(NIGHT)
    page = seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()
    assert "No customer spoke to us in this time" in page
    links = set(re.findall(r'href="(/admin/equal-treatment/[^"]*)"', page))
    assert {client.get(link).status_code for link in links} == {200}


def test_where_all_came_by_one_channel_it_says_that_and_not_too_little(client, db):
    many(60)
    Conversation.objects.update(channel="phone")
    actions.parity_nightly(NIGHT)
    page = seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()
    assert "All customers came by one channel, so there is nothing to compare." in page
    assert "no likeness either" not in page


def test_one_metric_at_a_time_is_drawn_with_crude_beside_like_for_like_and_what_is_needed(client, look):
    seen(client, Role.LEAD)
    page = client.get(reverse("admin:parity"), {"metric": "first_response"}).content.decode()
    assert "From when the customer spoke to our first human answer" in page
    assert "All together" in page
    assert 'class="eh-forest"' in page
    assert "0.80 to 1.25" in page
    other = client.get(reverse("admin:parity"), {"metric": "came_back"}).content.decode()
    assert "-5.0 to 5.0 points" in other
    assert client.get(reverse("admin:parity"), {"metric": "nonsense"}).status_code == 200


def test_while_a_finding_stands_the_verdict_never_says_that_no_difference_was_found(client, look):
    standing = ParityFinding.objects.filter(state=FindingState.OPEN).count()
    assert standing > 1
    later = NIGHT + timedelta(days=20)
    lately = Conversation.objects.filter(spoke_at__gte=later - timedelta(days=29)).order_by("-pk")
    lately.update(channel="email")
    lately.filter(pk__in=list(lately.values_list("pk", flat=True)[:10])).update(channel="phone")
    actions.parity_nightly(later)  # of so few it can say nothing, so that what was found is neither seen again nor gone
    newest = ParityAudit.objects.latest("pk")
    left = ParityFinding.objects.exclude(state=FindingState.VERIFIED).count()
    page = seen(client, Role.LEAD).get(reverse("admin:parity")).content.decode()
    assert (newest.red, left > 0) == (0, True)
    assert "likeness has not been shown since" in page
    assert "No difference was found." not in page


def test_what_nobody_had_is_nothing_to_compare_and_not_too_little(client, look):
    line = next(one for one in look.report["contrasts"] if one["metric"] == "hand_offs" and one["n"] >= 25)
    assert (line["estimate"], line["p"], line["n_needed"]) == (None, None, None)
    page = seen(client, Role.LEAD).get(reverse("admin:parity"), {"metric": "hand_offs"}).content.decode()
    assert "nothing to compare" in page
    assert "nobody had any of it, on either side" in page


@pytest.mark.parametrize(
    ("needed", "n", "effect", "words"),
    [
        (2412, 29, "time_ratio", "about 2,500"),
        (164, 143, "time_ratio", "about 170"),
        (79, 78, "risk_difference", "about 79"),
        (2894, 4, "time_ratio", "at least 25"),  # from four matters nothing can be estimated
        (61, 4, "part_ratio", "at least 10"),
        (None, 90, "count_ratio", ""),
    ],
)
def test_how_many_are_needed_is_told_no_more_exactly_than_it_is_known(needed, n, effect, words):
    assert audit_words.needed_shown(needed, n=n, effect=effect) == words
    assert (audit_words.FEWEST, audit_words.FEWEST_PARTS) == (verdicts.FEWEST, verdicts.FEWEST_ANCHORED)


def test_every_verdict_leads_to_its_matters_finding_or_not(client, look):
    seen(client, Role.LEAD)
    address = reverse("admin:parity_behind", args=[look.public_id])
    for line in (*look.report["contrasts"], *look.dismissals["contrasts"]):
        answer = client.get(address, {"metric": line["metric"], "channel": line["channel"]})
        assert answer.status_code == 200, line
    assert client.get(address).status_code == 200
    assert client.get(address, {"metric": "first_response", "channel": "nowhere"}).status_code == 404
    page = client.get(address, {"metric": "first_response", "channel": "phone", "page": "2"}).content.decode()
    assert "metric=first_response&amp;channel=phone&amp;page=1" in page


def test_the_looks_before_are_drawn_from_what_they_stored_by_one_statement(client, look, django_assert_max_num_queries):
    for days in (1, 2):
        actions.parity_nightly(NIGHT + timedelta(days=days))
    with django_assert_max_num_queries(1):
        told = list(ParityAudit.objects.lines_of("first_response")[:9])
    assert len(told) == 3
    assert {line["metric"] for _at, lines in told for line in lines} == {"first_response"}
    assert ParityAudit.objects.lines_of("dismissed")[0][1]
    page = seen(client, Role.LEAD).get(reverse("admin:parity"), {"metric": "first_response"}).content.decode()
    assert "Over 3 looks" in page
    assert "finding since" in page


def test_a_channel_that_gets_other_work_is_named_where_all_together_misleads():
    from recovery.parity import stored

    def line(effect, value, p=0.001):
        return {
            "metric": "m",
            "channel": "phone",
            "stratum": None,
            "effect": effect,
            "estimate": value,
            "p": p,
            "n": 99,
            "n_versus": 99,
        }

    def mixed(crude, adjusted, effect="time_ratio", p=0.001):
        return stored.mix("phone", "m", adjusted=[line(effect, adjusted, p)], crude=[line(effect, crude, p)])

    assert mixed(0.7, 1.5) == "reverses"
    assert mixed(1.1, 1.6) == "hides"
    assert mixed(2.0, 1.2) == "explains"
    assert mixed(1.5, 1.52) == ""
    assert mixed(2.0, 1.2, p=0.3) == ""  # nothing but chance
    assert mixed(0.6, 0.4, effect="probability") == "reverses"


def test_what_is_drawn_stays_on_the_paper_however_wide_an_interval_is():
    from recovery.parity import stored

    told = [
        {
            "metric": "first_response",
            "channel": name,
            "effect": "time_ratio",
            "estimate": value,
            "low": low,
            "high": high,
            "n": n,
        }
        for name, value, low, high, n in (
            ("a", 1.1, 0.9, 1.4, 200),
            ("b", 40.0, 0.001, None, 3),
            ("c", None, None, None, 0),
        )
    ]
    drawn = stored.forest(told, {})
    assert drawn["rows"]["c"] is None
    for row in (drawn["rows"]["a"], drawn["rows"]["b"]):
        assert 0 <= row["x1"] <= row["x"] <= row["x2"] <= 100
    assert 0 < drawn["band"] < drawn["equal"] < 100
    labels = [tick["label"] for tick in drawn["ticks"]]
    assert "1" in labels
