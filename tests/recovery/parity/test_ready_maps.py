"""The ready maps on small exports with the columns that each program documents; the rows are invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recovery.parity import maps, reading, report
from recovery.parity.reading import Cases
from tests.recovery.parity.files import write

NYC = (
    "Unique Key,Created Date,Closed Date,Agency,Agency Name,Complaint Type,Descriptor,Location Type,Incident Zip,"
    "Incident Address,Street Name,Cross Street 1,Cross Street 2,Intersection Street 1,Intersection Street 2,"
    "Address Type,City,Landmark,Facility Type,Status,Due Date,Resolution Description,Resolution Action Updated Date,"
    "Community Board,BBL,Borough,X Coordinate (State Plane),Y Coordinate (State Plane),Open Data Channel Type,"
    "Park Facility Name,Park Borough,Vehicle Type,Taxi Company Borough,Taxi Pick Up Location,Bridge Highway Name,"
    "Bridge Highway Direction,Road Ramp,Bridge Highway Segment,Latitude,Longitude,Location"
)
NYC_RENAMED = NYC.replace("Complaint Type,Descriptor", "Problem,Problem Detail,Additional Details")
EXPLORE = (
    "Ticket ID,Ticket created - Timestamp,Ticket solved - Timestamp,Ticket due - Timestamp,Ticket channel,"
    "Ticket type,Ticket status,Ticket group,Ticket satisfaction rating"
)
ZENDESK_FULL = (
    "Summation column,Id,Requester,Requester id,Requester external id,Requester email,Requester domain,Submitter,"
    "Assignee,Group,Subject,Tags,Status,Priority,Via,Ticket type,Created at,Updated at,Assigned at,Organization,"
    "Due date,Initially assigned at,Solved at,Resolution time,Satisfaction Score,Group stations,Assignee stations,"
    "Reopens,Replies,First reply time in minutes"
)
FRESHDESK = (
    "Ticket ID,Subject,Status,Priority,Source,Type,Agent,Group,Created time,Due by Time,Resolved time,Closed time,"
    "Last update time,Initial response time,Tracked hours,First response time (in hrs),Resolution time (in hrs),"
    "Agent interactions,Customer interactions,Resolution status,First response status,Tags,Survey results"
)
ZAMMAD = (
    "id,group,priority,state,organization,number,title,owner,customer,note,first_response_at,"
    "first_response_escalation_at,first_response_in_min,first_response_diff_in_min,close_at,close_escalation_at,"
    "close_in_min,close_diff_in_min,update_escalation_at,last_contact_at,create_article_type,create_article_sender,"
    "article_count,escalation_at,pending_time,type,time_unit,preferences,created_at,updated_at"
)
CHATWOOT = "display_id,channel_type,created_at,first_reply_created_at,resolved_at,label,status"
HELPDESK = "id,queue,created,due_date,status,resolved,submitted_via"


def export(path: Path, header: str, rows: list[dict[str, str]]) -> Path:
    names = header.split(",")
    assert not {name for row in rows for name in row} - set(names)
    return write(path, [[row.get(name, "") for name in names] for row in rows], header=names)


def nyc(kind: str) -> list[dict[str, str]]:
    first = {"Unique Key": "63000001", "Created Date": "03/07/2026 11:30:00 PM", kind: "Noise - Residential"}
    return [
        first
        | {"Closed Date": "03/08/2026 05:30:00 AM", "Due Date": "03/08/2026 07:30:00 AM", "Status": "Closed"}
        | {"Open Data Channel Type": "PHONE"},
        first
        | {"Unique Key": "63000002", "Status": "In Progress", "Open Data Channel Type": "MOBILE"}
        | {"Due Date": "03/08/2026 01:30:00 AM"},
        first | {"Unique Key": "63000003", "Status": "Open", "Open Data Channel Type": "UNKNOWN"},
    ]


@pytest.mark.parametrize(("header", "kind"), [(NYC, "Complaint Type"), (NYC_RENAMED, "Problem")])
def test_new_york_under_its_old_and_its_new_names(tmp_path, header, kind):
    cases = reading.read(export(tmp_path / "a.csv", header, nyc(kind)), maps.load("nyc311"))

    assert cases.channels == ("PHONE", "MOBILE")
    assert cases.types == ("Noise - Residential",)
    assert cases.hours[0] == pytest.approx(5)  # clocks went forward
    assert waits_and_promises(cases) == ([True, False], [True, True], [True, False])
    assert cases.rejected == {"missing_channel": 1}


def test_new_york_from_its_interface(tmp_path):
    names = ("unique_key", "created_date", "closed_date", "complaint_type", "status", "due_date")
    file = write(
        tmp_path / "a.csv",
        [("1", "2026-01-05T10:00:00.000", "2026-01-05T12:00:00.000", "Heat", "Closed", "", "ONLINE")],
        header=(*names, "open_data_channel_type"),
    )

    assert reading.read(file, maps.load("nyc311")).hours == pytest.approx([2])


def waits_and_promises(cases: Cases) -> tuple[list[bool], list[bool], list[bool]]:
    assert cases.timed
    assert not np.isnan(cases.hours).any()
    return list(cases.closed), list(cases.due), list(cases.kept)


def test_zendesk_from_explore(tmp_path):
    first = {"Ticket ID": "101", "Ticket created - Timestamp": "2026-01-05T10:00:00", "Ticket type": "Task"}
    rows = [
        first
        | {"Ticket solved - Timestamp": "2026-01-05T16:00:00", "Ticket due - Timestamp": "2026-01-05T15:00:00"}
        | {"Ticket channel": "Email", "Ticket status": "Closed", "Ticket satisfaction rating": "Good"},
        first
        | {"Ticket ID": "102", "Ticket channel": "Web", "Ticket status": "Open"}
        | {"Ticket satisfaction rating": "Offered"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", EXPLORE, rows), maps.load("zendesk"))

    assert waits_and_promises(cases) == ([True, False], [True, False], [False, False])
    assert cases.hours == pytest.approx([6, 6])
    assert np.isnan(cases.outcomes[0].values).tolist() == [False, True]


def test_zendesk_as_the_full_export(tmp_path):
    first = {"Summation column": "1", "Id": "101", "Created at": "2026-01-05 10:00:00 +0100", "Ticket type": "Problem"}
    rows = [
        first
        | {"Solved at": "2026-01-05 12:00:00 +0100", "Due date": "2026-01-06 10:00:00 +0100", "Via": "Mail"}
        | {"Status": "Solved", "Satisfaction Score": "Bad"},
        first | {"Id": "102", "Via": "Chat", "Status": "Pending", "Satisfaction Score": "Not Offered"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", ZENDESK_FULL, rows), maps.load("zendesk"))

    assert waits_and_promises(cases) == ([True, False], [True, False], [True, False])
    assert cases.snapshot.isoformat() == "2026-01-05T11:00:00+00:00"
    assert cases.outcomes[0].values[0] == 0


def test_freshdesk(tmp_path):
    first = {"Ticket ID": "7", "Created time": "2026-01-05 10:00:00", "Type": "Question", "Group": "Billing"}
    rows = [
        first
        | {"Resolved time": "2026-01-05 13:00:00", "Due by Time": "2026-01-06 10:00:00", "Source": "Phone"}
        | {"Initial response time": "2026-01-05 10:30:00", "Status": "Resolved"},
        first | {"Ticket ID": "8", "Due by Time": "2026-01-05 11:00:00", "Source": "Portal", "Status": "Open"},
        first | {"Ticket ID": "9", "Due by Time": "2026-01-05 11:00:00", "Source": "Outbound Email", "Status": "Open"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", FRESHDESK, rows), maps.load("freshdesk"))

    assert waits_and_promises(cases) == ([True, False, False], [True, True, True], [True, False, False])
    assert cases.outcomes[1].values[0] == pytest.approx(0.5)
    assert cases.excluded == {"Outbound Email", "Bot"}


def test_zammad(tmp_path):
    first = {"number": "22001", "created_at": "2026-01-05T10:00:00.000Z", "group": "Users"}
    rows = [
        first
        | {"close_at": "2026-01-05T13:00:00.000Z", "state": "closed", "create_article_type": "phone"}
        | {"close_escalation_at": "2026-01-05T14:00:00.000Z", "first_response_at": "2026-01-05T10:15:00.000Z"},
        first
        | {"number": "22002", "state": "open", "create_article_type": "email"}
        | {"close_escalation_at": "2026-01-05T12:00:00.000Z"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", ZAMMAD, rows), maps.load("zammad"))

    assert waits_and_promises(cases) == ([True, False], [True, True], [True, False])
    assert cases.outcomes[1].values[0] == pytest.approx(0.25)


def test_chatwoot(tmp_path):
    first = {"display_id": "1", "created_at": "2026-01-05 10:00:00.123456", "label": "billing"}
    rows = [
        first
        | {"first_reply_created_at": "2026-01-05 10:30:00.123456", "resolved_at": "2026-01-05 14:00:00.123456"}
        | {"channel_type": "Channel::WebWidget", "status": "1"},
        first | {"display_id": "2", "channel_type": "Channel::Email", "status": "0"},
        first
        | {"display_id": "3", "channel_type": "Channel::Email", "status": "0"}  # opened again
        | {"resolved_at": "2026-01-05 12:00:00.123456"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", CHATWOOT, rows), maps.load("chatwoot"))

    assert cases.timed
    assert not cases.promises
    assert list(cases.closed) == [True, False, False]
    assert cases.hours == pytest.approx([4, 4, 4])
    assert cases.outcomes[1].values[0] == pytest.approx(0.5)


def test_django_helpdesk(tmp_path):
    first = {"id": "1", "queue": "Support", "created": "2026-01-05 10:00:00.123456+00"}
    rows = [
        first
        | {"resolved": "2026-01-05 13:00:00.5+00", "status": "4", "submitted_via": "email"}
        | {"due_date": "2026-01-05 12:00:00+00"},
        first | {"id": "2", "status": "1", "submitted_via": "web", "due_date": "2026-01-09 12:00:00+00"},
    ]
    cases = reading.read(export(tmp_path / "a.csv", HELPDESK, rows), maps.load("django_helpdesk"))

    assert waits_and_promises(cases) == ([True, False], [True, False], [False, False])
    assert cases.hours == pytest.approx([3, 3], abs=0.001)


def test_a_ready_map_makes_a_whole_report(tmp_path):
    rows = [
        {"Unique Key": str(each), "Created Date": f"01/{each % 28 + 1:02d}/2026 10:00:00 AM", "Status": "Closed"}
        | {"Closed Date": f"01/{each % 28 + 1:02d}/2026 12:{each % 60:02d}:00 PM"}
        | {"Due Date": f"01/{each % 28 + 1:02d}/2026 12:45:00 PM", "Complaint Type": "Heat"}
        | {"Open Data Channel Type": ("PHONE", "ONLINE", "MOBILE")[each % 3]}
        for each in range(300)
    ]
    made, _ = report.make(export(tmp_path / "a.csv", NYC, rows), maps.load("nyc311"), by_stratum=True)

    assert made["rows"]["kept"] == 300
    assert {each["metric"] for each in made["contrasts"]} == {"promise_kept", "time_to_resolution"}
