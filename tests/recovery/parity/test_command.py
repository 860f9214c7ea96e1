"""The two commands, end to end, without a database."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from recovery.management.commands.parity_demo import MAP, export
from recovery.parity import maps, page, report
from tests.recovery.parity.files import write

SCHEMA = Path(report.__file__).with_name("report.schema.json")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "demo.csv").write_text(export(), encoding="utf-8", newline="")
    (folder / "demo.toml").write_text(MAP, encoding="utf-8")
    return folder / "demo.csv"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_demonstration_shows_the_trap(demo):
    made, audit = report.make(demo, maps.load(demo.with_suffix(".toml")), reference="app", by_stratum=True)
    before = next(each for each in made["crude"] if each["channel"] == "phone" and each["effect"] == "odds_ratio")
    after = next(each for each in made["contrasts"] if each["channel"] == "phone" and each["effect"] == "odds_ratio")
    waits = next(each for each in made["contrasts"] if each["channel"] == "phone" and each["effect"] == "time_ratio")

    assert before["estimate"] > 1.2  # all together the phone keeps more promises …
    assert after["estimate"] < 0.6  # … and like for like far fewer
    assert (after["verdict"], waits["verdict"]) == ("red", "red")
    assert waits["low"] < 1.45 < waits["high"]  # as planted
    assert any("reverses" in note for note in made["notes"])
    assert page.answer(audit).startswith("No, not alike: for phone")
    assert export() == export()


def test_the_page_tells_of_case_mix_only_where_a_gap_is_more_than_chance(demo):
    made, audit = report.make(demo, maps.load(demo.with_suffix(".toml")), reference="app")
    chance = {
        name: tuple(replace(each, tested=replace(each.tested, p=0.06)) for each in getattr(audit, name))
        for name in ("crude", "contrasts")
    }
    crude_only = chance | {"crude": audit.crude}

    assert page.context(audit, made)["trap_sentence"]
    assert page.context(replace(audit, **crude_only), made)["trap_sentence"]
    told = page.context(replace(audit, **chance), made)
    assert told["trap_sentence"] == ""
    assert {row["mix"] for row in told["trap"]["rows"]} == {""}


def test_the_report_keeps_to_its_schema(demo):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(SCHEMA.read_text())
    for reference, strata, by_stratum in (("app", "type", True), (None, "type,month", False)):
        made, _ = report.make(
            demo, maps.load(demo.with_suffix(".toml")), reference=reference, strata=strata, by_stratum=by_stratum
        )
        jsonschema.validate(json.loads(json.dumps(made, allow_nan=False)), schema)
        assert ("strata" in made) == by_stratum


def test_a_repeated_report_is_the_same_to_the_byte(demo):
    plan = maps.load(demo.with_suffix(".toml"))

    assert json.dumps(report.make(demo, plan)[0]) == json.dumps(report.make(demo, plan)[0])


def test_the_command_writes_json_and_a_page_that_needs_no_network(demo, tmp_path):
    out = io.StringIO()
    call_command(
        "parity_report", demo, map=str(demo.with_suffix(".toml")), by_stratum=True,
        json=tmp_path / "r.json", html=tmp_path / "r.html", stdout=out,
    )  # fmt: skip
    text = (tmp_path / "r.html").read_text()
    tags = Page(text).tags

    assert "No, not alike" in out.getvalue()
    assert json.loads((tmp_path / "r.json").read_text())["rows"]["kept"] == 5919
    assert "http" not in text
    assert not [tag for tag, attributes in tags if tag in ("script", "link", "img", "iframe") or "src" in attributes]
    assert all(attributes.get("aria-label") for tag, attributes in tags if tag == "svg")
    assert [tag for tag, _ in tags].count("h1") == 1
    assert "None of" not in text
    assert list(tmp_path.glob(".*")) == []  # nothing half-written is left


def test_customers_and_going_public_are_shown_and_nobody_is_named_R083_R061(demo, tmp_path):
    out = io.StringIO()
    call_command(
        "parity_report", demo, map=str(demo.with_suffix(".toml")), json=tmp_path / "r.json", html=tmp_path / "r.html",
        stdout=out,
    )  # fmt: skip
    made = json.loads((tmp_path / "r.json").read_text())
    texts = [out.getvalue(), (tmp_path / "r.json").read_text(), (tmp_path / "r.html").read_text()]
    waits = next(
        each
        for each in made["within_customer"]["contrasts"]
        if (each["channel"], each["effect"]) == ("phone", "time_ratio") and each["metric"] == "time_to_resolution"
    )
    keys = {line.split(",")[1] for line in demo.read_text().splitlines()[1:]}

    assert waits["verdict"] == "red"
    assert waits["low"] < 1.45 < waits["high"]
    assert made["went_public"]["whole"]["verdict"] == "red"
    assert made["went_public"]["whole"]["low"] < 1.8 < made["went_public"]["whole"]["high"]
    assert all("oing public pays" in text for text in (texts[0], texts[2]))
    assert "The same customer on two channels" in texts[2]
    assert "Does going public pay?" in texts[2]
    assert not [key for key in keys for text in texts if key in text]


def test_an_older_map_gets_the_older_report(demo, tmp_path):
    text = demo.with_suffix(".toml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("customer", "response", "public_channels"))]
    (tmp_path / "old.toml").write_text("\n".join(kept))
    made, audit = report.make(demo, maps.load(tmp_path / "old.toml"))

    assert not {"within_customer", "went_public", "response"} & set(made)
    assert (audit.within, audit.went_public, audit.cases.response) == (None, None, None)
    assert {each["metric"] for each in made["contrasts"]} == {"promise_kept", "time_to_resolution", "first_response"}


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ('customer = "customer"', 'customer = "client"', "has no column client"),
        ('["social network"]', '["social network", "pigeon"]', "public channel pigeon is not in the file; it has app"),
        ('response = "first_response"', 'response = "answer"', "names answer, which is no outcome"),
    ],
)
def test_what_the_file_does_not_have_ends_with_2_and_one_line(demo, tmp_path, wrong, right, says):
    (tmp_path / "m.toml").write_text(demo.with_suffix(".toml").read_text().replace(wrong, right))
    with pytest.raises(CommandError, match=says) as refusal:
        call_command("parity_report", demo, map=str(tmp_path / "m.toml"), stdout=io.StringIO())

    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)


def test_a_customer_column_that_is_not_there_is_noted_and_the_rest_reported(demo, tmp_path):
    text = demo.with_suffix(".toml").read_text().replace('customer = "customer"', 'customer = "client"')
    kept = [line for line in text.splitlines() if not line.startswith("public_channels")]
    (tmp_path / "m.toml").write_text("\n".join(kept))
    made, audit = report.make(demo, maps.load(tmp_path / "m.toml"))

    assert "The file has no column client: customers cannot be compared with themselves." in made["notes"]
    assert audit.within is None
    assert made["contrasts"]


def test_names_from_the_file_cannot_become_markup(tmp_path):
    names = ("<script>alert(1)</script>", "app")
    rows = [
        (
            str(each),
            names[each % 2],
            "2026-01-05 10:00",
            f"2026-01-0{6 + each % 3} 10:00",
            "a & b",
        )
        for each in range(80)
    ]
    file = write(tmp_path / "a.csv", rows)
    (tmp_path / "m.toml").write_text(
        '[columns]\nid = "id"\nchannel = "channel"\nopened = "opened"\nclosed = "closed"\ntype = "type"\n'
        '[options]\ndate_formats = ["%Y-%m-%d %H:%M"]\n'
    )
    call_command("parity_report", file, map=str(tmp_path / "m.toml"), html=tmp_path / "r.html", stdout=io.StringIO())
    text = (tmp_path / "r.html").read_text()

    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "No map"),
        ({"map": "no such map"}, "cannot be read"),
        ({"reference": "pigeon"}, "not a channel"),
        ({"snapshot": "tomorrow"}, "is not a time"),
        ({"strata": "colour"}, "--strata colour is not known; it may be type or type,month"),
    ],
)
def test_unusable_input_ends_with_2_and_one_line(demo, options, says):
    given = options if "map" in options or not options else options | {"map": str(demo.with_suffix(".toml"))}
    with pytest.raises(CommandError, match=says) as refusal:
        call_command("parity_report", demo, stdout=io.StringIO(), **given)

    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"json": "a.csv"}, "--json would overwrite the file"),
        ({"html": "../here/a.csv"}, "--html would overwrite the file"),
        ({"html": "linked.csv"}, "--html would overwrite the file"),
        ({"json": "m.toml"}, "--json would overwrite the map"),
        ({"json": "new.json", "html": "new.json"}, "--html would overwrite the json"),
    ],
)
def test_an_output_never_overwrites_what_is_read_or_the_other_output(tmp_path, outputs, says):
    folder = tmp_path / "here"
    folder.mkdir()
    file = write(folder / "a.csv", [("1", "phone", "2026-01-21 10:00", "2026-01-22 10:00", "bill")])
    (folder / "m.toml").write_text('[columns]\nchannel = "channel"\n')
    (folder / "linked.csv").hardlink_to(file)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    given = {name: folder / path for name, path in outputs.items()}
    with pytest.raises(CommandError, match=says) as refusal:
        call_command("parity_report", file, map=str(folder / "m.toml"), stdout=io.StringIO(), **given)

    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_a_file_of_one_channel_is_a_report_all_the_same(tmp_path):
    file = write(tmp_path / "a.csv", [("1", "phone", "2026-01-21 10:00", "2026-01-22 10:00", "bill")])
    (tmp_path / "m.toml").write_text('[columns]\nchannel = "channel"\nopened = "opened"\nclosed = "closed"\n')
    out = io.StringIO()
    call_command("parity_report", file, map=str(tmp_path / "m.toml"), html=tmp_path / "r.html", stdout=out)

    assert "nothing to compare" in out.getvalue()


def test_months_that_are_not_known_are_told(tmp_path):
    file = write(tmp_path / "a.csv", [("phone", "bill"), ("app", "bill")], header=("channel", "type"))
    made, _ = report.make(file, maps.parse({"columns": {"channel": "channel", "type": "type"}}), strata="type,month")

    assert made["strata_by"] == ["type"]
    assert any("months are not known" in note for note in made["notes"])


def test_a_map_that_leaves_every_channel_out_is_told(tmp_path):
    file = write(tmp_path / "a.csv", [("1", "phone", "2026-01-21 10:00", "2026-01-22 10:00", "bill")])
    mapped = maps.parse({"columns": {"channel": "channel"}, "options": {"exclude_channels": ["phone"]}})

    assert page.answer(report.make(file, mapped)[1]) == (
        "Every channel of the file is left out by the map's exclude_channels."
    )


def test_guess_prints_a_map(demo):
    out = io.StringIO()
    call_command("parity_report", demo, guess=True, stdout=out)

    assert 'channel = "channel"' in out.getvalue()
    assert 'promised = "promised"' in out.getvalue()
    assert '# customer = "customer"' in out.getvalue()


def test_the_demonstration_is_written_with_its_map(tmp_path):
    out = io.StringIO()
    call_command("parity_demo", tmp_path / "x.csv", stdout=out)

    assert (tmp_path / "x.toml").read_text() == MAP
    assert "manage.py parity_report" in out.getvalue()


def test_importing_the_app_does_not_load_numpy():
    code = "import sys, recovery.management.commands.parity_report as report; print('numpy' in sys.modules, report)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.startswith("False")
