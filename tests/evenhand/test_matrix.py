"""Who may read what of a customer: every address of the product, every role, every object – and nothing that is not theirs.

The addresses come from the URLconf and the objects from the database (tests/evenhand/matrix.py), so that a new page is walked
without anybody thinking of it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from crm.api import shapes
from crm.models import User
from crm.policy import Role
from tests.crm.api.door import client_for
from tests.crm.stories import colleague
from tests.evenhand import matrix
from tests.evenhand.test_gets import tables

pytestmark = pytest.mark.django_db
BY_KEY = ("admin/attachment/<uuid:public_id>/inline/",)
"""Opened by a key of five minutes in the address alone: see test_admin_files."""
OUTSIDERS = ("nobody", "stranger", "without role", "phone system")


@pytest.fixture
def world() -> matrix.World:
    return matrix.made()


def account(who: str, world: matrix.World) -> User | None:
    made: dict[str, Any] = {
        "nobody": lambda: None,
        "stranger": lambda: world.stranger,
        "own": lambda: world.owner,
        "without role": matrix.without_role,
        "phone system": matrix.phone_system,
    }
    return made[who]() if who in made else colleague(Role(who))


def walked(world: matrix.World) -> list[str]:
    return [one for one in matrix.addresses() if not one.startswith(matrix.OWN_WAYS)]


def without_ids(text: str) -> str:
    """An answer's words but for what it repeats of the address, and what is new in each page."""
    plain = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    plain = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|nonce-[\w+/=-]+', "TOKEN", plain)
    return re.sub(r"(?<=/)\d+(?=/)|(?<=%2F)\d+(?=%2F)", "N", plain)


def shape(answer: Any) -> tuple[int, str, dict[str, str]]:
    """What somebody outside can tell of an answer: status, words, headers."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = {
        name: without_ids(value) for name, value in answer.headers.items() if name not in ("Content-Length", "Expires")
    }
    return answer.status_code, without_ids(body.decode("utf-8", "replace")), headers


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nobody_reads_what_is_not_theirs_at_any_address_C01_Q8_P05_P15_P16_P17(world: matrix.World) -> None:
    """One walk by somebody with every right finds what stands where; then everybody else walks there.

    Outsiders are told the same, in status, words and headers, of what is somebody else's and of what is not there. A role reads no
    mark of a kind that it has no right to. Whatever somebody logged in reads is kept in no cache, and looking changes nothing.
    """
    boss = colleague(Role.ADMINISTRATOR)
    User.objects.filter(pk=boss.pk).update(is_superuser=True)
    everything = opened_by(matrix.browser(User.objects.get(pk=boss.pk)), world)
    shut = [one for one in walked(world) if "<uuid" in one and one not in everything and not one.startswith("api/")]
    shut = [one for one in shut if one not in BY_KEY]
    assert shut == [], (
        "No row of the matrix's world opens these addresses, so nothing is proved of them. Plant a row in made() of "
        f"tests/evenhand/matrix.py, with a mark in it: {shut}"
    )
    for who in OUTSIDERS:
        _walks_outside(who, account(who, world), everything, world)
    found_at_all: set[str] = set()
    for role in [*(role.value for role in Role), "own"]:
        found_at_all |= _walks_inside(role, account(role, world), everything, world)
    assert set(matrix.READ_BY) - found_at_all == set(), "marks that stand on no page guard nothing"


def _walks_outside(who: str, user: User | None, everything: dict[str, list[str]], world: matrix.World) -> None:
    client, before, leaks, told = matrix.browser(user), tables(), [], []
    for address in walked(world):
        nothing = matrix.filled(address, [world.nothing], ["987654321"])[0]
        first = client.get(nothing)
        assert not matrix.marks_in(first), (who, nothing)
        absent = shape(first)
        for made in everything.get(address, []):
            answer = client.get(made)
            if found := matrix.marks_in(answer):
                leaks.append((made, found))
            if made != nothing and answer.status_code != 405 and not _is_public_form(made) and shape(answer) != absent:
                told.append((made, [pair for pair in zip(shape(answer), absent, strict=True) if pair[0] != pair[1]]))
            if user is not None and answer.status_code == 200:
                assert "no-store" in answer["Cache-Control"], (who, made)
    assert leaks == [], who
    assert told == [], who
    assert {name for name, digest in tables().items() if before[name] != digest} == set(), who


def _walks_inside(role: str, user: User | None, everything: dict[str, list[str]], world: matrix.World) -> set[str]:
    assert user is not None
    client, before, leaks, opened = matrix.browser(user), tables(), [], set()
    seen: set[str] = set()
    for address, objects in everything.items():
        for made in objects:
            answer = client.get(made)
            assert answer.status_code < 500 or made == "/readyz", (role, made)
            if answer.status_code == 200:
                opened.add(address)
                assert "no-store" in answer["Cache-Control"], (role, made)
            for kind in matrix.marks_in(answer):
                seen.add(kind)
                may = kind in matrix.OWN if role == "own" else any(map(user.has_perm, matrix.READ_BY[kind]))
                if not may:
                    leaks.append((made, kind))
    assert leaks == [], role
    assert {name for name, digest in tables().items() if before[name] != digest} == set(), role
    assert len(opened) > (40 if role != "own" else 3), (role, sorted(opened))
    return seen


def _is_public_form(made: str) -> bool:
    return made.startswith("/contact/")  # a form of the house is there for everybody


@pytest.mark.parametrize("who", ["nobody", "stranger", "without role", "phone system"])
def test_what_is_not_yours_cannot_be_changed_or_told_by_the_api_C01_Q8(who: str, world: matrix.World) -> None:
    user = account(who, world)
    client = client_for(user)
    before = tables()
    for address in walked(world):
        if not address.startswith("api/v1/") or "<uuid" not in address:
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            absent = shape(
                getattr(client, method)(matrix.filled(address, [world.nothing], ["9"])[0], {}, format="json")
            )
            for made in matrix.filled(address, world.ids, world.numbers):
                answer = getattr(client, method)(made, {}, format="json")
                assert matrix.marks_in(answer) == set(), made
                assert shape(answer) == absent, (method, made)
                assert "no-store" in answer["Cache-Control"], made
    changed = {name for name, digest in tables().items() if before[name] != digest}
    assert changed <= {"crm_user"}  # when somebody logged in last


def opened_by(client: Client, world: matrix.World) -> dict[str, list[str]]:
    """For each address those of its objects at which something is, as somebody with every right finds it."""
    found: dict[str, list[str]] = {}
    for address in walked(world):
        status = {made: client.get(made).status_code for made in matrix.filled(address, world.ids, world.numbers)}
        shown = [made for made, one in status.items() if one == 200]
        rest = [made for made, one in status.items() if one in (302, 403, 405, 409)]  # of a row that is not there too
        if several := shown + rest[: max(0, 4 - len(shown))]:
            found[address] = several
    return found


# --- filters, orders, fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["stranger", "own", "agent"])
def test_no_list_is_filtered_or_ordered_by_what_it_does_not_offer_C02(who: str, world: matrix.World) -> None:
    client = client_for(account(who, world))
    for path in ("/api/v1/conversations/", "/api/v1/cases/", "/api/v1/me/"):
        plain = client.get(path).json()
        for query in (
            "ordering=owner__password", "order=customer__user__password", "customer=1", "include=customer", "expand=owner",
            "fields=password", "owner__password__startswith=p", "is_staff=true", "limit=100000", "page=1000000000", "search=zq",
        ):  # fmt: skip
            asked = client.get(f"{path}?{query}")
            assert asked.status_code in (200, 400), (path, query)
            assert asked.status_code == 400 or asked.json() == plain, (path, query)
        for cursor in ("x", "WzFd", "W10=", "bnVsbA==", "eyJhIjoxfQ==", "WzFlNDAwXQ==", "A" * 5000):
            assert client.get(f"{path}?cursor={cursor}").status_code in (200, 400), (path, cursor)


def test_no_list_of_the_admin_answers_whether_somebodys_password_begins_with_a_letter_C02(world: matrix.World) -> None:
    client = matrix.browser(colleague(Role.LEAD))
    refused = 0
    for model, found in admin.site._registry.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        if client.get(path).status_code != 200:
            continue
        ways = [one.name for one in model._meta.get_fields() if one.many_to_one and one.related_model is User]
        for way in [*ways, "customer__user", "password", "by", "owner"]:
            lookup = f"{way}__password__startswith" if way != "password" else "password__startswith"
            answer = client.get(f"{path}?{lookup}=p", follow=False)
            assert answer.status_code in (302, 400), (path, lookup, found)
            refused += 1
    assert refused > 20


def shapes_in() -> list[type[shapes.StrictIn]]:
    def below(one: type[shapes.StrictIn]) -> list[type[shapes.StrictIn]]:
        return [inner for each in one.__subclasses__() for inner in [each, *below(each)]]

    import recovery.api  # noqa: F401  its shapes are below the same one

    return below(shapes.StrictIn)


@pytest.mark.parametrize("found", shapes_in(), ids=lambda one: one.__name__)
def test_no_shape_takes_a_field_that_is_not_named_C03(found: type[shapes.StrictIn]) -> None:
    barred = (
        "severity", "status", "customer", "customer_id", "is_staff", "is_superuser", "deceased", "owner", "sees_since",
        "signed_up", "public_id", "id", "due_at", "owed", "approved_by", "groups", "user_permissions", "__class__",
    )  # fmt: skip
    taken = set(found().fields)
    for name in barred:
        if name in taken:
            continue
        given = found(data={name: None})
        assert not given.is_valid()
        assert given.errors[name].code == "unknown_field", name
    for name, one in found().fields.items():
        if not one.allow_null:
            given = found(data={name: None})
            assert not given.is_valid()
            assert name in given.errors, f"null passed for {name}"


def test_every_view_of_the_api_that_takes_a_body_reads_it_by_such_a_shape_C03() -> None:
    """A body that is read past the shapes would be a way around the fields that are named."""
    import pathlib

    from tests.conftest import ROOT

    for file in [*(ROOT / "crm/api").glob("*.py"), ROOT / "recovery/api.py"]:
        for line in pathlib.Path(file).read_text("utf-8").splitlines():
            if "request.data" in line:
                assert re.search(r"read\([\w.]+, request\.data\)", line), f"{file.name}: {line.strip()}"


def test_a_link_from_a_forwarded_mail_leads_to_the_log_in_P17(world: matrix.World) -> None:
    for made in (f"/admin/conversation/{one}/" for one in world.ids):
        answer = Client().get(made)
        assert answer.status_code == 302
        assert "/login/" in answer["Location"], made
