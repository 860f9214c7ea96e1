"""What import contracts cannot see: who writes, what the policy may know, which names exist, what is swept."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils.module_loading import import_string

from crm import policy as crm_policy
from crm.actions import desk, staff
from crm.channels import Message, events
from crm.models import Consent, Customer, HistoryEntry, Promise
from crm.policy import Role
from evenhand import duties
from recovery import policy as recovery_policy
from recovery.models import Decision, PolicyRule, PolicyVersion
from tests.architecture.source import calls, kept_files, name_of, product_files
from tests.conftest import NOON, ROOT
from tests.crm.allowing import allows
from tests.crm.stories import colleague, message

# --- one writer -----------------------------------------------------------------------------------------------------

WRITES = {
    "save", "create", "update", "delete", "bulk_create", "bulk_update", "get_or_create", "update_or_create",
    "asave", "acreate", "aupdate", "adelete", "abulk_create", "aget_or_create", "aupdate_or_create",
}  # fmt: skip
WRITERS = ("crm/actions/", "recovery/actions/", "loyalty/actions.py", "crm/history.py", "crm/together.py")
NOT_A_ROW = {
    "crm/models/staff.py": {"save"},  # the account manager of Django's own contract; actions/staff.py calls it
}


def test_rows_are_written_by_actions_and_history_alone():
    found = []
    for file in product_files():
        name = name_of(file)
        if name.startswith(WRITERS):
            continue
        for line, method in calls(file):
            text = file.read_text(encoding="utf-8").splitlines()[line - 1]
            is_plain_dict = method == "update" and ".objects" not in text and ".filter(" not in text
            if method in WRITES and not is_plain_dict and method not in NOT_A_ROW.get(name, set()):
                found.append(f"{name}:{line} .{method}(")
    assert not found, "only actions write; these call a write elsewhere:\n" + "\n".join(found)


def test_a_planted_write_outside_the_actions_would_be_seen(tmp_path):
    planted = tmp_path / "admin.py"
    planted.write_text(
        "def save_model(self, request, obj, form, change):\n    Case.objects.filter(pk=1).update(status='x')\n"
    )
    assert "update" in WRITES.intersection(method for _line, method in calls(planted))


def test_nobody_rings_celery_but_the_dispatcher():
    found = [
        f"{name_of(file)}:{line}"
        for file in product_files()
        for line, method in calls(file)
        if method in {"delay", "apply_async", "send_task"} and name_of(file) != "crm/dispatch.py"
    ]
    assert not found


# --- what the policy may know ---------------------------------------------------------------------------------------

BARRED = re.compile(
    r"channel|audience|visib|handle|follow|(?<!out)reach|verified|badge|avatar|press|influenc|public|source|provider|device|age|gender|"
    r"postcode|tenure|spend|value|stage|nps|tone|loud|message_count|threat",
    re.IGNORECASE,
)


def test_the_facts_of_recovery_are_pinned_R048_R075():
    assert [field.name for field in dataclasses.fields(recovery_policy.Facts)] == [
        "complaint_type", "loss", "currency", "days_without", "our_failures", "safety", "essential", "vulnerable",
    ]  # fmt: skip


def test_the_facts_that_stop_a_message_are_pinned():
    assert [field.name for field in dataclasses.fields(crm_policy.StopFacts)] == [
        "kind", "customer_status", "has_outreach_hold", "has_consent", "goes_to_representative", "may_be_told",
        "has_objection", "has_open_matter", "had_kindness_lately",
    ]  # fmt: skip


POLICIES = [f for f in product_files() if re.search(r"(^|/)policy(/|\.py$)", name_of(f))]


@pytest.mark.parametrize("file", POLICIES, ids=name_of)
def test_no_fact_and_no_rule_of_a_policy_names_channel_or_reach_R034(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Facts"):
            fields = [
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            ]
            assert not [name for name in fields if BARRED.search(name)]
        if isinstance(node, ast.FunctionDef):
            arguments = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
            assert "channel" not in arguments, node.name


@pytest.mark.django_db
def test_no_customer_field_holds_reach_or_worth_R075_R172():
    names = [field.name for field in Customer._meta.get_fields()]
    assert not [
        name
        for name in names
        if re.search(r"follower|(?<!b)reach|score|influence|verified_badge|klout|value|avatar", name)
    ]


@pytest.mark.django_db
def test_reach_is_dropped_where_a_message_comes_in_and_has_no_place_behind_it_R075():
    reach = re.compile(
        r"follower|(?<!b)reach|score|influence|klout|views|audience|badge|likes|retweet|avatar", re.IGNORECASE
    )
    columns = [
        f"{model.__name__}.{field.name}"
        for app in ("crm", "recovery", "loyalty")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.concrete_fields
        if reach.search(field.name)
    ]
    # The one table that a house may turn on, and that nothing but its own action reads.
    assert columns == ["Reach.followers", "Reach.has_badge", "Reach.avatar_url", "Reach.avatar"]
    assert not settings.EVENHAND_KEEP_REACH
    assert not [field.name for field in dataclasses.fields(Message) if reach.search(field.name)]


READ_REACH = {
    "crm/actions/reach.py", "crm/models/posts.py", "crm/models/__init__.py",
    "evenhand/personal.py", "crm/actions/package_contents.py",  # erased with the person, and in their copy (P05)
}  # fmt: skip
SPEAK_OF_REACH = READ_REACH | {"crm/channels/profiles.py", "crm/admin/reach.py", "templates/admin/desk/reach.html"}


def _names_reach(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        called = getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "attr", None)
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if called == "Reach" or re.search(r"\bcrm_reach\b", text) or text in ("Reach", "crm.Reach", "crm.reach"):
            return True
    return False


def test_nothing_but_its_own_action_can_read_reach_R152_N3_P05():
    """No list, search, API, report or policy: whoever reads the table has to name it, and nobody else does."""
    words = re.compile(r"\.followers\b|\bhas_badge\b|\.avatar\b|\bavatar_url\b")
    found = {name_of(file): file.read_text(encoding="utf-8") for file in product_files()}
    found |= {name: (ROOT / name).read_text(encoding="utf-8") for name in kept_files() if name.startswith("templates/")}
    assert {name_of(file) for file in product_files() if _names_reach(file)} == READ_REACH
    assert {name for name, text in found.items() if words.search(text)} <= SPEAK_OF_REACH
    assert not words.search((ROOT / "docs/openapi.yaml").read_text(encoding="utf-8"))
    assert not [
        relation.get_accessor_name()
        for relation in apps.get_model("crm.ContactPoint")._meta.related_objects
        if relation.related_model.__name__ == "Reach" and not relation.hidden
    ]


SEE_REACH_COME_IN = {
    "crm/channels/profiles.py", "crm/channels/providers.py", "crm/channels/provided/x.py", "crm/channels/provided/mastodon.py",
    "crm/actions/channel_hooks.py", "crm/actions/channel_reach.py", "crm/actions/reach.py",
}  # fmt: skip


def test_reach_comes_in_beside_what_was_said_and_only_its_own_action_hears_of_it_R152_N3():
    """It is no part of any event; the modules that decide, queue, audit or show anything to colleagues cannot name it."""
    barred = re.compile(r"follower|(?<!b)reach|badge|verified|avatar|profile|audience|likes|views", re.IGNORECASE)
    for event in get_args(events.Event):
        assert not [field.name for field in dataclasses.fields(event) if barred.search(field.name)], event
    speaks = re.compile(r"\bprofiles\b|\bpart_reach\b|\bchannel_reach\b")
    found = {name_of(file): file.read_text(encoding="utf-8") for file in product_files()}
    assert {name for name, text in found.items() if speaks.search(text)} <= SEE_REACH_COME_IN


# --- names ----------------------------------------------------------------------------------------------------------


def test_the_layout_has_no_drawer_for_odds_and_ends():
    odd = re.compile(r"(^|/)(utils|helpers|common|core|services|selectors|managers|signals)(\.py|/)")
    assert not [name for name in kept_files() if odd.search(name)]


@pytest.mark.parametrize("app", ["crm", "recovery", "loyalty"])
@pytest.mark.parametrize("question", ["models", "policy", "actions", "tasks", "admin"])
def test_every_app_answers_the_same_questions(app, question):
    assert (ROOT / app / f"{question}.py").is_file() or (ROOT / app / question / "__init__.py").is_file()


def test_tests_mirror_the_code():
    homes = {"crm": ["models", "policy"], "recovery": ["policy", "actions"], "loyalty": ["policy", "actions"]}
    for app, names in homes.items():
        for name in names:
            assert (ROOT / "tests" / app / f"test_{name}.py").is_file() or (ROOT / "tests" / app / name).is_dir(), (
                app,
                name,
            )


def test_files_stay_readable():
    long = [(name_of(f), n) for f in product_files() if (n := len(f.read_text(encoding="utf-8").splitlines())) > 500]
    assert not long


NEVER = {
    "mark_safe": re.compile(r"\bmark_safe\("),
    'fields = "__all__"': re.compile(r"fields\s*=\s*[\"']__all__"),
    "Meta.ordering": re.compile(r"^\s+ordering\s*="),
    "a signal of our own": re.compile(r"\bSignal\(\)"),
    "bare except": re.compile(r"except\s*:"),
}


@pytest.mark.parametrize("habit", NEVER)
def test_habits_we_do_not_have(habit):
    found = [
        f"{name_of(file)}:{number}"
        for file in product_files()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if NEVER[habit].search(line) and not (habit == "Meta.ordering" and "/admin" in name_of(file))
    ]
    assert not found


def test_everything_is_caught_in_one_place_only():
    found = [
        name_of(f) for f in product_files() if re.search(r"except (Base)?Exception", f.read_text(encoding="utf-8"))
    ]
    assert set(found) <= {
        "crm/actions/lease.py",
        "crm/actions/duties.py",
        "evenhand/embedded/postgres.py",
        "evenhand/embedded/supervisor.py",
    }


def test_no_path_of_a_machine_stands_in_the_project():
    own = re.compile(r"/(home|Users|work|root)/[a-z]")
    skip = ("requirements.txt", "requirements-dev.txt")
    found = []
    for name in kept_files():
        if name.endswith(skip) or name.startswith(("docs/requirements", "tests/architecture/")):
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {line.strip()[:80]}" for line in text.splitlines() if own.search(line)]
    assert not found


# --- what happens by itself -----------------------------------------------------------------------------------------


def test_every_queued_task_name_is_registered():
    current_app.loader.import_default_modules()
    for name, entry in {**duties.LANES, **duties.DUTIES}.items():
        assert entry.task in current_app.tasks, name
        assert import_string(entry.task).name == entry.task


def test_every_nudge_has_its_sweep():
    swept = {entry["kwargs"]["lane"] for entry in settings.CELERY_BEAT_SCHEDULE.values() if "kwargs" in entry}
    for event, nudges in duties.NUDGES.items():
        for nudge in nudges:
            assert nudge.lane in swept, event
    assert swept == set(duties.LANES)


def test_every_event_that_is_rung_is_in_the_table():
    named = re.compile(r"""(?:after_commit|follow|follow_each|items_after)\(\s*["']([a-z_.]+)["']""")
    rung = {event for file in product_files() for event in named.findall(file.read_text(encoding="utf-8"))}
    assert rung == set(duties.NUDGES)


def test_a_duty_is_rung_often_enough_to_make_up_for_a_run_that_died_F23():
    for name in duties.DUTIES:
        assert settings.CELERY_BEAT_SCHEDULE[f"duty {name}"]["schedule"] <= duties.RUNG_AT_LEAST


def test_celery_is_never_eager_and_speaks_json():
    assert not current_app.conf.task_always_eager
    assert list(current_app.conf.accept_content) == ["json"]
    assert current_app.conf.task_acks_late


# --- the database's own guards --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_no_model_changed_without_its_migration():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError:
        return True
    return False


@pytest.mark.django_db
def test_history_is_append_only_S12():
    colleague()
    assert HistoryEntry.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE crm_historyentry ENABLE TRIGGER history_not_emptied")
    assert refused("UPDATE crm_historyentry SET verb = 'nothing'")
    assert refused("DELETE FROM crm_historyentry")
    assert refused("TRUNCATE crm_historyentry")


@pytest.mark.django_db
def test_a_promise_is_never_moved_or_forgotten_Q6_E08():
    from crm.actions import intake

    intake.receive(message(), at=NOON, origin="test")
    promise = Promise.objects.get()
    assert refused(f"UPDATE crm_promise SET due_at = due_at + interval '1 hour' WHERE id = {promise.pk}")
    assert refused(f"UPDATE crm_promise SET starts_at = starts_at + interval '1 hour' WHERE id = {promise.pk}")
    assert refused(f"DELETE FROM crm_promise WHERE id = {promise.pk}")
    Promise.objects.filter(pk=promise.pk).update(state="breached", breached_at=NOON)
    assert refused(f"UPDATE crm_promise SET breached_at = NULL, state = 'running' WHERE id = {promise.pk}")


@pytest.mark.django_db
def test_nobody_but_the_customer_grants_consent_N7_R056():
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    for actor in ("staff", "customer"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Consent.objects.create(
                customer=customer,
                purpose="birthday",
                medium="email",
                state="granted",
                actor=actor,
                evidence="x",
                at=NOON,
            )
    allows(customer)  # every other way to try it: tests/crm/actions/test_consent.py
    assert refused("UPDATE crm_consent SET state = 'withdrawn'")
    assert refused("DELETE FROM crm_consent")


@pytest.mark.django_db
def test_decisions_and_rules_are_written_once_E11():
    assert PolicyVersion.objects.exists()
    assert Decision._meta.db_table == "recovery_decision"
    assert refused("UPDATE recovery_policyrule SET goodwill = 1000")
    assert refused("DELETE FROM recovery_policyrule")
    assert refused("UPDATE recovery_policyversion SET effective_from = now()")
    assert PolicyRule.objects.exists()


@pytest.mark.django_db
def test_every_role_has_the_rights_of_its_table_and_no_other():
    from django.contrib.auth.models import Group

    for role in Role:
        group = Group.objects.get(name=role.value)
        has = {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.select_related("content_type")}
        assert has == set(staff.RIGHTS[role])


def test_every_relation_that_bears_history_is_protected():
    from django.db.models import PROTECT, ForeignKey, OneToOneField

    loose = [
        f"{model.__name__}.{field.name}"
        for app in ("crm", "recovery", "loyalty")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey | OneToOneField)
        and field.remote_field.on_delete is not PROTECT
        and field.model is model
    ]
    assert not loose


# --- errors ---------------------------------------------------------------------------------------------------------


def test_every_refusal_of_an_action_has_a_code_and_a_status_at_the_api():
    from evenhand.api.problems import REFUSALS

    unknown = []
    for file in product_files():
        if not name_of(file).startswith(WRITERS):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(b, ast.Name) and b.id in ("Exception", "ValueError") for b in node.bases
            ):
                codes = [a for a in node.body if isinstance(a, ast.Assign) and a.targets[0].id == "code"]
                if not codes:
                    unknown.append(f"{name_of(file)}: {node.name} has no code")
                elif node.name not in {refusal.__name__ for refusal in REFUSALS} and node.name not in NOT_AT_THE_API:
                    unknown.append(f"{name_of(file)}: {node.name} has no status")
    assert not unknown
    assert desk.NoWayBack.code == "no_way_back"


NOT_AT_THE_API = {
    "AccountKnown", "AccountTaken", "AlreadyAsking", "AlreadyHeard", "AlreadyJudged", "AlreadyLookedAt",
    "AlreadyReported", "AlreadySettled", "AnsweredMeanwhile",
    "CaseTakenOn", "CorrectionStands", "EventNotReadable", "EvidenceMissing",
    "FeedKnown", "FieldKnown", "FileInfected", "GateClosed", "Hidden", "HouseInUse", "JournalBroken", "LeaseLost",
    "MailboxKnown", "MayNotStand", "NeedsAName", "NoSuchPause", "NoSuchRegion", "NotAHousehold", "NotALanguage", "NotALink",
    "NotAMember", "NotAMoment", "NotAskable", "NoteMissing", "NotEnded", "NotErasable", "NotGiven", "NotGoingOn",
    "NothingOpen", "NothingOwed", "NothingToDecide", "NothingToGrade", "NotJoinable", "NotKeptApart", "NotLinkable",
    "NotMergeable", "NotMissed", "NotPartable", "NotPlaceable", "NotReleasable", "NotSetAside", "NotTakenBack",
    "NotThen", "NotToUndo", "NotUploadable", "NotWritable", "NoWayOut", "OneByOne", "OpensToAccount", "PlaceKnown",
    "Restricted", "RoleStands", "SameMatter", "SenderFloods", "StageStands", "StartsTooSoon", "StayTogether",
    "TheirsToKeep", "ToldElsewhere", "TooEarly", "TooLateToPart", "UnknownLink", "UnusableAccount", "UnusableAnswer",
    "UnusableAsking", "UnusableAuthority", "UnusableCredit", "UnusableFeed", "UnusableForm", "UnusableMailbox",
    "UnusablePlace", "UnusableProbe", "UnusableRule", "UnusableSignature", "WordsMissing", "WordsNeeded",
    "WrongCorrectionState", "WrongFindingState", "WrongProbe", "WrongRating", "WrongReason", "WrongRegrade",
    "_Fenced", "_LetGo",
}  # fmt: skip
"""Refusals of actions that no address of the API calls."""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://u:p@h/db"), ("CELERY_BROKER_URL", "ftp://x"), ("EMAIL_URL", "nonsense://x"),
        ("EVENHAND_SECRET_KEY", "short"), ("EVENHAND_HOSTS", "*"), ("EVENHAND_PUBLIC_URL", "shop.example"),
        ("EVENHAND_MAIL_FROM", "nobody"), ("EVENHAND_DEBUG", "perhaps"), ("EVENHAND_ZONE", "Mars/Base"),
        ("EVENHAND_INBOUND_DOMAIN", "evenhand.example"), ("EVENHAND_INBOUND_DOMAIN", "nowhere"), ("EVENHAND_UNDO_SECONDS", "a few"),
        ("EVENHAND_CLAMD", "/run/clamav/clamd.ctl"), ("EVENHAND_CLAMD", "tcp://scanner"),
        ("EVENHAND_MAIL_PROVIDER", "pigeons"), ("EVENHAND_MAIL_PROVIDER", "postmark"),
        ("EVENHAND_MAIL_PROVIDER_SETTINGS", "{"), ("EVENHAND_MAIL_PROVIDER_SETTINGS", "[]"),
        ("EVENHAND_MAIL_PROVIDER_SETTINGS", '{"DEBUG_API_REQUESTS": true}'), ("EVENHAND_MAIL_WEBHOOK_SECRET", "short:secret"),
        ("EVENHAND_MAIL_WEBHOOK_SECRET", "a" * 40), ("EVENHAND_TRUSTED_PROXIES", "many"), ("EVENHAND_SUPPRESSION_KEY", "short"),
        ("EVENHAND_RING_PATIENCE_SECONDS", "soon"), ("EVENHAND_REGRADED_SHARE", "0.5"), ("EVENHAND_REGRADED_SHARE", "some"),
        ("EVENHAND_KEEP_REACH", "perhaps"),
        ("EVENHAND_OUTBOUND_HOSTS", "chat.intern"), ("EVENHAND_OUTBOUND_HOSTS", "https://chat.intern:8443"),
    ],
)  # fmt: skip
def test_a_settings_mistake_stops_start_up_with_a_sentence_that_names_it_S16(variable, value, tmp_path):
    import os

    environment = {
        **os.environ,
        variable: value,
        "DJANGO_SETTINGS_MODULE": "evenhand.settings",
        "EVENHAND_DATA": str(tmp_path / "d"),
    }
    if variable != "DATABASE_URL":
        environment.pop("DATABASE_URL", None)
    started = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert started.returncode != 0
    assert variable in started.stderr
    assert "Traceback" not in started.stderr


# --- what ids mean --------------------------------------------------------------------------------------------------


def test_every_requirement_has_one_line_in_the_docs():
    text = (ROOT / "docs/requirements.md").read_text(encoding="utf-8")
    ids = re.findall(r"^- \*\*([A-Z]+\d+)\*\* – \S", text, re.MULTILINE)
    assert len(ids) == len(set(ids))
    wanted = {f"R{n:03}" for n in range(1, 186)} | {f"Q{n}" for n in range(1, 12)} | {f"M{n:02}" for n in range(1, 29)}
    wanted |= {f"F{n:02}" for n in range(1, 46)} | {f"X{n}" for n in range(1, 53)} | {f"N{n}" for n in range(1, 20)}
    assert wanted <= set(ids)


def test_ids_in_test_names_are_requirements():
    text = (ROOT / "docs/requirements.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^- \*\*([A-Z]+\d+)\*\* – ", text, re.MULTILINE))
    named = re.compile(r"def test_\w*")
    unknown = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        for name in named.findall(file.read_text(encoding="utf-8")):
            unknown += [
                f"{file.name}: {i}"
                for i in re.findall(r"_((?:GOAL|[RQMWCHOSGEPYFXN])\d+)(?=_|$)", name)
                if i not in known
            ]
    assert not unknown


def test_the_starter_policy_is_valid_json():
    assert json.loads((ROOT / "recovery/starter_policy.json").read_text(encoding="utf-8"))
