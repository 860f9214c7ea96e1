"""Where a relationship stands says how to talk, never what to give: equal for every stage and role (R087, R048)."""

from __future__ import annotations

import ast
import re

import pytest

from crm.actions import intake, queue, stages
from crm.models import Customer, Promise, RelationshipStage
from crm.policy.stages import RelationshipKind, Stage
from recovery import actions
from recovery.models import Decision
from recovery.policy import Facts
from tests.architecture.source import kept_files, name_of, product_files
from tests.conftest import NOON, ROOT
from tests.crm.stories import colleague, message
from tests.recovery.test_grants import DAMAGED

MAY_KNOW = {
    "crm/policy/stages.py", "crm/models/stages.py", "crm/models/__init__.py", "crm/actions/stages.py", "crm/admin/stages.py",
    "crm/admin/pages.py", "crm/admin/customer.py", "crm/admin/talk.py", "crm/admin/conversation.py", "crm/tasks.py",
    "crm/actions/staff.py", "crm/actions/package_contents.py", "evenhand/accounts.py", "evenhand/belongings.py",
    "evenhand/personal.py", "evenhand/management/commands/stages_page.py",
}  # fmt: skip
"""Every file of the product that can name where a relationship stands. Nothing that decides, promises, orders, sends or gives."""
SPEAKS = re.compile(
    r"\bstages\b|RelationshipStage|RelationshipRole|RelationshipKind|relationshipstage|relationshiprole", re.IGNORECASE
)


def _names_stages(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        names = [getattr(node, field, None) for field in ("id", "attr", "name", "module")]
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if any(isinstance(name, str) and SPEAKS.search(name) for name in names):
            return True
        if re.search(r"relationship_?(stage|role)", text, re.IGNORECASE):
            return True
    return False


def test_nothing_that_decides_promises_orders_or_gives_can_name_it_R087():
    assert {name_of(file) for file in product_files() if _names_stages(file.read_text(encoding="utf-8"))} == MAY_KNOW


def test_a_planted_reader_would_be_seen_R087():
    for source in (
        "from crm.policy.stages import Stage",
        "from crm.actions import stages",
        "from crm import models\nmodels.RelationshipStage.objects",
        "cursor.execute('SELECT stage FROM crm_relationshipstage')",
    ):
        assert _names_stages(source), source


def test_no_word_to_a_customer_names_it_R087():
    said = [
        (ROOT / name).read_text(encoding="utf-8")
        for name in kept_files()
        if name.startswith(("templates/email/", "templates/crm/", "templates/loyalty/", "docs/openapi.yaml", "locale/"))
        and not name.endswith(".mo")
    ]  # fmt: skip
    assert not [text for text in said if SPEAKS.search(text)]
    labels = {str(stage.label) for stage in (Stage.ADVOCATE, Stage.ADVERSARY, Stage.WON_BACK, Stage.LAPSED)}
    assert not [text for text in said if any(f'"{label}"' in text for label in labels)]


def test_no_text_calls_a_customer_names_R004():
    """The labels of the seed's title and their like stand in no text of the product, of stages least of all."""
    names = re.compile(r"\b(terrorists?|attackers?|trolls?|crackpots?|enemy|enemies|whiners?|haters?)\b", re.IGNORECASE)
    texts = {name_of(file): file.read_text(encoding="utf-8") for file in product_files()}
    texts |= {name: (ROOT / name).read_text(encoding="utf-8") for name in kept_files() if name.startswith("templates/")}
    assert not [name for name, text in texts.items() if names.search(text)]
    for label in (*Stage.labels, *RelationshipKind.labels):
        assert not names.search(str(label))


def told(stage: Stage | None) -> dict[str, object]:
    """The same failure told by somebody whose relationship stands there: what they get, by when, and their place."""
    number = Customer.objects.count()
    conversation = intake.receive(
        message(sender_address=f"p{number}@home.example"), at=NOON, origin="test"
    ).conversation
    ada = colleague()
    if stage is not None:
        stages.note(conversation.customer_id, stage, because="A test.", by=ada, at=NOON)
        for role in RelationshipKind:
            stages.add_role(conversation.customer_id, role, evidence="A test.", by=ada, at=NOON)
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=DAMAGED, by=ada, at=NOON)
    conversation.refresh_from_db()
    decision = Decision.objects.filter(case=case).latest("pk")
    return {
        "entitlement": decision.entitlement_hash,
        "facts": decision.facts_hash,
        "promises": sorted(Promise.objects.filter(conversation=conversation).values_list("kind", "due_at", "warn_at")),
        "place": (conversation.queue_class, conversation.due_at, conversation.spoke_at),
        "state": conversation.state,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("stage", Stage)
def test_remedy_promise_and_place_are_equal_for_every_stage_and_role_R087_R048(stage):
    assert told(stage) == told(None)
    assert RelationshipStage.objects.filter(stage=stage).exists()


@pytest.mark.django_db
def test_the_queue_serves_in_the_same_order_whatever_the_stages_are_R087():
    def served() -> list[str]:
        from crm.models import Conversation

        return list(Conversation.objects.unowned().in_due_order().values_list("subject", flat=True))

    talks = [
        intake.receive(message(subject=f"s{number}", sender_address=f"q{number}@home.example"), at=NOON, origin="test").conversation
        for number in range(len(Stage))
    ]  # fmt: skip
    before = served()
    for talk, stage in zip(talks, reversed(Stage), strict=True):
        stages.note(talk.customer_id, stage, because="A test.", by=colleague(), at=NOON)
    assert served() == before
    assert not [name for name in dir(queue) if SPEAKS.search(name)]
