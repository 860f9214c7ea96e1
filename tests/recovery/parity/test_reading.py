"""Exports become cases: what is kept, what is rejected, and what time it was."""

from __future__ import annotations

import zipfile
from datetime import date, datetime

import numpy as np
import openpyxl
import pytest

from recovery.parity import Unusable, guess, maps, reading, tables
from tests.recovery.parity.files import COLUMNS, plan, write

GOOD = ("1", "phone", "2026-01-05 10:00:00", "2026-01-05 12:00:00", "bill")


def test_every_unusable_row_has_one_counted_reason(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [
            GOOD,
            ("1", "phone", "2026-01-05 10:00:00", "", "bill"),
            ("2", "", "2026-01-05 10:00:00", "", "bill"),
            ("3", "app", "yesterday", "", "bill"),
            ("4", "app", "", "", "bill"),
            ("5", "app", "2026-01-05 10:00:00", "2026-01-04 10:00:00", "bill"),
            ("6", "app", "2026-01-05 10:00:00", "", "bill", "a field more"),
            ("7", "app", "2026-01-05 10:00:00", "", "bill", ""),
        ],
    )
    cases = reading.read(file, plan())

    assert (cases.read, len(cases)) == (8, 2)
    assert cases.rejected == {
        "duplicate_id": 1,
        "missing_channel": 1,
        "unreadable_date": 1,
        "missing_opened": 1,
        "closed_before_opened": 1,
        "wrong_number_of_fields": 1,
    }
    assert cases.rejected_by_channel == {"phone": 1, "app": 3}


def test_hours_run_over_clock_changes(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [
            ("1", "phone", "2026-03-07 12:00:00", "2026-03-08 12:00:00", "bill"),  # clocks went forward
            ("2", "phone", "2026-10-31 12:00:00", "2026-11-01 12:00:00", "bill"),  # and back
            ("3", "phone", "2026-11-01 01:50:00", "2026-11-01 01:10:00", "bill"),  # the hour came twice
            ("4", "phone", "2026-01-05T10:00:00+01:00", "2026-01-05T10:00:00Z", "bill"),
        ],
    )
    cases = reading.read(file, plan())

    assert cases.hours == pytest.approx([23, 25, 1 / 3, 1])
    assert cases.rejected == {}


def test_open_cases_wait_until_the_snapshot(tmp_path):
    file = write(tmp_path / "a.csv", [GOOD, ("2", "app", "2026-01-05 11:00:00", "", "bill")])
    default = reading.read(file, plan())
    earlier = reading.read(file, plan(), snapshot="2026-01-05 11:30")

    assert default.snapshot.isoformat() == "2026-01-05T17:00:00+00:00"
    assert default.hours == pytest.approx([2, 1])
    assert list(default.closed) == [True, False]
    assert earlier.hours == pytest.approx([1.5, 0.5])
    assert list(earlier.closed) == [False, False]
    assert any("after the snapshot" in note for note in earlier.notes)


def test_days_are_days(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [("1", "phone", "2026-03-07", "2026-03-09", "bill"), ("2", "app", "2026-03-07", "2026-03-07", "bill")],
    )
    cases = reading.read(file, plan())

    assert list(cases.hours) == [48, 0]
    assert cases.by_day
    assert any("whole days" in note for note in cases.notes)


def test_many_dates_without_a_time_of_day_are_told_and_few_are_not(tmp_path):
    def notes(without: int) -> list[str]:
        closed = ["2026-01-06" if at < without else "2026-01-06 12:30" for at in range(100)]
        rows = [(str(at), "phone", "2026-01-05 10:15", each, "bill") for at, each in enumerate(closed)]
        cases = reading.read(write(tmp_path / "a.csv", rows), plan())
        assert not cases.by_day
        return [note for note in cases.notes if "no time of day" in note]

    assert notes(5) == ["closed: 5 of 100 dates have no time of day: waits from or to them are in whole days."]
    assert notes(4) == []


def test_one_date_without_a_time_of_day_does_not_make_a_duration_whole_days(tmp_path):
    outcome = {"name": "answer", "kind": "duration", "from": "opened", "to": "closed"}
    mapped = maps.parse({"columns": {"channel": "channel"}, "outcome": [outcome]})

    def answer(without: int) -> bool:
        closed = ["2026-01-06" if at < without else "2026-01-06 12:30" for at in range(10)]
        rows = [(str(at), "phone", "2026-01-05 10:15", each, "bill") for at, each in enumerate(closed)]
        return reading.read(write(tmp_path / "a.csv", rows), mapped).outcomes[0].by_day

    assert (answer(1), answer(5), answer(6)) == (False, False, True)


def test_statuses_without_a_status_column_are_told(tmp_path):
    cases = reading.read(write(tmp_path / "a.csv", [GOOD]), plan(closed_statuses=["done"]))

    assert any("closed_statuses and no column status" in note for note in cases.notes)


def test_channel_names_that_differ_only_in_case_or_spaces_are_told_and_not_merged(tmp_path):
    names = ("Phone", "phone", "web  form", "web form", "app")
    file = write(tmp_path / "a.csv", [(str(at), name, *GOOD[2:]) for at, name in enumerate(names)])
    cases = reading.read(file, plan())

    assert cases.channels == names
    assert [note for note in cases.notes if "case or spaces" in note] == [
        "Channel names that differ only in case or spaces are counted apart: “Phone”, “phone”.",
        "Channel names that differ only in case or spaces are counted apart: “web  form”, “web form”.",
    ]


def test_two_columns_of_the_same_name_are_refused_where_the_map_uses_them(tmp_path):
    used = write(tmp_path / "a.csv", [(*GOOD, "x")], header=(*COLUMNS, "closed"))
    spare = write(tmp_path / "b.csv", [(*GOOD, "x", "y")], header=(*COLUMNS, "note", "note"))
    near = write(tmp_path / "c.csv", [(*GOOD, "x")], header=("id", "channel", "opened", "Closed", "type", "CLOSED"))

    with pytest.raises(Unusable, match="has 2 columns named closed"):
        reading.read(used, plan())
    with pytest.raises(Unusable, match="more than one that is nearly so: Closed, CLOSED"):
        reading.read(near, plan())
    assert len(reading.read(spare, plan())) == 1


def test_a_promise_is_due_when_closed_or_past(tmp_path):
    header = (*COLUMNS, "due")
    opened = "2026-01-05 10:00:00"
    file = write(
        tmp_path / "a.csv",
        [
            ("1", "phone", opened, "2026-01-05 12:00:00", "bill", "2026-01-05 12:00:00"),
            ("2", "phone", opened, "2026-01-07 12:00:00", "bill", "2026-01-05 12:00:00"),
            ("3", "phone", opened, "", "bill", "2026-01-06 12:00:00"),
            ("4", "phone", opened, "", "bill", "2026-01-09 12:00:00"),
            ("5", "phone", opened, "", "bill", "soon"),
        ],
        header=header,
    )
    cases = reading.read(file, maps.parse({"columns": COLUMNS | {"promised": "due"}}))

    assert list(cases.due) == [True, True, True, False, False]
    assert list(cases.kept) == [True, False, False, False, False]
    assert cases.rejected == {}  # only opened and closed reject a row


def test_a_promise_before_the_opening_is_no_promise(tmp_path):
    opened, closed = "2026-01-05 10:00:00", "2026-01-05 11:00:00"
    dues = ("2026-01-05 12:00:00", "2026-01-04 12:00:00", "1970-01-01 00:00:00", "2026-01-05 10:00:00")
    rows = [(str(at), "phone", opened, closed, "bill", due) for at, due in enumerate(dues)]
    file = write(tmp_path / "a.csv", rows, header=(*COLUMNS, "due"))
    cases = reading.read(file, maps.parse({"columns": COLUMNS | {"promised": "due"}}))

    assert cases.promised_hours == pytest.approx([2, np.nan, np.nan, 0], nan_ok=True)
    assert list(cases.due) == [True, False, False, True]
    assert list(cases.kept) == [True, False, False, False]
    assert "2 promised times lie before the opening: counted as no promise." in cases.notes


def test_day_first_and_month_first_are_told_apart_or_refused(tmp_path):
    clear = write(tmp_path / "a.csv", [("1", "phone", "21/01/2026 10:00", "01/02/2026 10:00", "bill")])
    unclear = write(tmp_path / "b.csv", [("1", "phone", "02/01/2026 10:00", "03/02/2026 10:00", "bill")])

    assert reading.read(clear, plan()).hours == pytest.approx([11 * 24])
    with pytest.raises(Unusable, match="day first or month first"):
        reading.read(unclear, plan())
    assert reading.read(unclear, plan(date_formats=["%m/%d/%Y %H:%M"])).hours == pytest.approx([29 * 24])


def test_status_goes_before_a_closed_date(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [(*GOOD, "Open"), ("2", "app", "2026-01-05 10:00:00", "", "bill", "CLOSED"), ("3", *GOOD[1:], "closed")],
        header=(*COLUMNS, "status"),
    )
    cases = reading.read(
        file, maps.parse({"columns": COLUMNS | {"status": "status"}, "options": {"closed_statuses": ["Closed"]}})
    )

    assert list(cases.closed) == [False, True]
    assert cases.rejected == {"closed_without_date": 1}


def test_outcomes_know_what_they_do_not_know(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [
            ("phone", "Yes", "2026-01-05", "2026-01-04"),
            ("phone", "N/A", "2026-01-05", ""),
            ("app", "no", "2026-01-05", "2026-01-08"),
        ],
        header=("channel", "happy", "got", "sent"),
    )
    cases = reading.read(
        file,
        maps.parse(
            {
                "columns": {"channel": "channel"},
                "outcome": [
                    {"name": "happy", "kind": "bool", "column": "happy", "true": ["yes"]},
                    {"name": "delay", "kind": "duration", "from": "got", "to": "sent", "unit": "days"},
                ],
            }
        ),
    )
    happy, delay = cases.outcomes

    assert np.isnan(happy.values).tolist() == [False, True, False]
    assert delay.values[[0, 2]].tolist() == [-1, 3]
    assert "delay: 1 of 2 durations are negative; they are kept and counted." in cases.notes
    assert not cases.timed


def test_tab_separated_utf_16_and_cp1252_are_read(tmp_path):
    tabs = write(tmp_path / "a.tsv", [GOOD], delimiter="\t")
    wide = tmp_path / "b.csv"
    wide.write_text(tabs.read_text().replace("\t", ";"), encoding="utf-16")
    old = tmp_path / "c.csv"
    old.write_bytes(tabs.read_text().replace("\t", ",").replace("phone", "Postfächer").encode("cp1252"))

    assert len(reading.read(tabs, plan())) == len(reading.read(wide, plan())) == 1
    assert reading.read(old, plan(encoding="cp1252")).channels == ("Postfächer",)
    with pytest.raises(Unusable, match="is not utf-8"):
        reading.read(old, plan())


def test_a_first_line_that_names_the_delimiter_is_understood(tmp_path):
    body = ";".join(COLUMNS) + "\n" + ";".join((*GOOD[:4], "one, two, three, four, five")) + "\n"
    for first in ("sep=;\n", "SEP=;\r\n", "\ufeffsep=;\n", '"sep=;"\n'):
        (tmp_path / "a.csv").write_text(first + body, encoding="utf-8", newline="")
        cases = reading.read(tmp_path / "a.csv", plan())
        assert (cases.read, cases.types) == (1, ("one, two, three, four, five",))
    (tmp_path / "a.csv").write_text("sep=|\n" + body)
    assert len(reading.read(tmp_path / "a.csv", plan(delimiter=";"))) == 1


@pytest.mark.parametrize("zone", ["", " +00:00", "Z"])
@pytest.mark.parametrize("decimals", ["1234567", "123456789", "9999999"])
def test_seconds_with_more_than_six_decimals_are_read(tmp_path, decimals, zone):
    times = (f"2026-01-05 10:00:00.0000000{zone}", f"2026-01-05 10:00:01.{decimals}{zone}")
    file = write(tmp_path / "a.csv", [("1", "phone", *times, "bill")])

    assert reading.read(file, plan()).hours == pytest.approx([1 / 3600])


def test_a_workbook_gives_what_the_same_text_gives(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(list(COLUMNS))
    book.active.append([101004113637, "phone", datetime(2026, 1, 5, 10, 0), datetime(2026, 1, 5, 12, 0, 1), "bill"])
    book.active.append([101004113638, "app", date(2026, 1, 5), None, "bill"])
    book.save(tmp_path / "a.xlsx")
    cases = reading.read(tmp_path / "a.xlsx", plan())

    assert cases.channels == ("phone", "app")
    assert cases.hours[0] == pytest.approx(2 + 1 / 3600)


def test_a_workbook_that_counts_from_1904_has_the_same_dates(tmp_path):
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.active.append(list(COLUMNS))
    book.active.append(["1", "phone", datetime(2026, 1, 5, 10, 0), datetime(2026, 1, 5, 12, 0, 1), "bill"])
    book.save(tmp_path / "a.xlsx")
    cases = reading.read(tmp_path / "a.xlsx", plan())

    assert cases.hours[0] == pytest.approx(2 + 1 / 3600)
    assert cases.snapshot.isoformat() == "2026-01-05T17:00:01+00:00"


def packed(path, parts: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in parts.items():
            pack.writestr(name, content)
    return path


def far_cell(path):
    book = openpyxl.Workbook()
    book.active.append(list(COLUMNS))
    book.active["XFD1048576"] = "lost"
    book.save(path)
    return path


def cut_short(path):
    far_cell(path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def lying(path):
    """A part that says it is small and is not."""
    packed(path, {"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": b"0" * 50_000_000})
    path.write_bytes(path.read_bytes().replace((50_000_000).to_bytes(4, "little"), (50).to_bytes(4, "little")))
    return path


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: packed(path, {"a.csv": b"id,channel"}), "packed file but no XLSX workbook"),
        (far_cell, "1,048,576 rows and 16,384 columns"),
        (cut_short, "is not a workbook that can be read"),
        (lying, "is not a workbook that can be read"),
        (lambda path: packed(path, {"xl/workbook.xml": b"<workbook/>"}), "is not a workbook that can be read"),
        (lambda path: path.write_bytes(b"id,channel\n1,phone\n"), "is not a workbook that can be read"),
        (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600)), "or one with a password"),
    ],
)
def test_a_workbook_that_cannot_be_read_is_refused_in_words(tmp_path, made, says):
    made(tmp_path / "a.xlsx")

    with pytest.raises(Unusable, match=says):
        reading.read(tmp_path / "a.xlsx", plan())


def test_a_workbook_that_is_too_large_once_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_UNPACKED", 1_000_000)
    file = packed(tmp_path / "a.xlsx", {"xl/workbook.xml": b"<workbook/>", "xl/bomb.xml": bytes(2_000_000)})

    with pytest.raises(Unusable, match="too large once unpacked"):
        reading.read(file, plan())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n \n\n", "The file is empty"),
        ("a;b\n1;2\n", "has no column channel"),
        ("channel,id,opened,closed,type\n", "no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path, text, says):
    file = tmp_path / "a.csv"
    file.write_text(text)

    with pytest.raises(Unusable, match=says):
        reading.read(file, plan())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"columns": {}}, "names no channel"),
        ({"columns": {"channel": "a", "chanel": "b"}}, "has chanel"),
        ({"columns": {"channel": "a"}, "options": {"timezone": "Mars/Olympus"}}, "time zone"),
        ({"columns": {"channel": "a"}, "outcome": [{"name": "x", "kind": "bool", "column": "x"}]}, "needs true"),
        ({"columns": {"channel": "a"}, "outcome": [{"name": "x", "kind": "guess", "column": "x"}]}, "has kind guess"),
    ],
)
def test_a_map_with_a_mistake_is_refused_in_words(raw, says):
    with pytest.raises(Unusable, match=says):
        maps.parse(raw)


@pytest.mark.parametrize("ready", sorted(maps.READY.glob("*.toml")), ids=lambda each: each.stem)
def test_every_ready_map_can_be_loaded_and_carries_no_snapshot(ready):
    plan = maps.load(ready.stem)

    assert plan.columns["channel"]
    assert plan.snapshot == ""


def test_a_guessed_map_reads_the_file_it_was_guessed_for(tmp_path):
    file = write(
        tmp_path / "a.csv",
        [
            (str(each), "phone" if each % 3 else "app", "2026-01-21 10:00", "2026-01-22 10:00", "bill", "Solved")
            for each in range(30)
        ],
        header=("Ticket ID", "Via", "Created at", "Solved at", "Category", "Status"),
    )
    (tmp_path / "map.toml").write_text(guess.propose(file))
    cases = reading.read(file, maps.load(tmp_path / "map.toml"))

    assert len(cases) == 30
    assert cases.typed
    assert cases.closed.all()


def test_a_guess_for_a_file_that_is_not_utf_8_names_the_encoding(tmp_path):
    rows = "".join(f"{at},Postfächer,2026-01-21 10:00,2026-01-22 10:00,bill\n" for at in range(9))
    file = tmp_path / "a.csv"
    file.write_bytes(f"{','.join(COLUMNS)}\n{rows}".encode("cp1252"))
    (tmp_path / "map.toml").write_text(guess.propose(file), encoding="utf-8")

    assert 'encoding = "cp1252"' in (tmp_path / "map.toml").read_text()
    assert reading.read(file, maps.load(tmp_path / "map.toml")).channels == ("Postfächer",)


def test_a_guess_stays_toml_whatever_the_file_says(tmp_path):
    names = ("web\nform = 1", "\x07app\x7f", "phone\r[columns]")
    rows = [(str(at), names[at % 3], *GOOD[2:], "2026-01-06 10:00") for at in range(9)]
    file = write(tmp_path / "a\nb.csv", rows, header=(*COLUMNS, "sent\nat\x7f"))
    (tmp_path / "map.toml").write_text(guess.propose(file))

    assert maps.load(tmp_path / "map.toml").columns["channel"] == "channel"
    assert "web form = 1 (3)" in (tmp_path / "map.toml").read_text()
