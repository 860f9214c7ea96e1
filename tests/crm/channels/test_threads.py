"""Threads of public messages: read, linked, and measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import threads
from crm.channels.rows import NotThisShape
from crm.channels.threads import Post, Rejected

NOW = datetime(2018, 1, 1, tzinfo=UTC)
START = datetime(2017, 10, 31, 10, 0, tzinfo=UTC)
HEAD = "tweet_id,author_id,inbound,created_at,text,response_tweet_id,in_response_to_tweet_id\n"


def read(text: str) -> list[Post | Rejected]:
    return list(threads.parse(text.encode().splitlines(keepends=True), not_after=NOW))


def post(number: int, author: str, minute: int, answers: int | str = "", text: str = "words") -> Post:
    return Post(str(number), author, author.isdigit(), START + timedelta(minutes=minute), text, str(answers))


# --- reading --------------------------------------------------------------------------------------------------------


def test_rows_are_read_with_quotes_line_breaks_and_ids_that_were_numbers() -> None:
    (one,) = read(HEAD + '3.0,77,True,Tue Oct 31 22:10:47 +0000 2017,"Two\nlines, ""quoted""",,2.0\n')

    assert one == Post("3", "77", True, datetime(2017, 10, 31, 22, 10, 47, tzinfo=UTC), 'Two\nlines, "quoted"', "2")


def test_columns_may_stand_in_any_order_and_zones_are_heard() -> None:
    head = "text;created_at;tweet_id;in_response_to_tweet_id;inbound;author_id;more\n"
    (one,) = read("\ufeff" + head + "Hello;2017-10-31T23:10:47+01:00;5;;1;77;x\n")

    assert one == Post("5", "77", True, datetime(2017, 10, 31, 22, 10, 47, tzinfo=UTC), "Hello", "")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",77,True,2017-10-31,Hello,,", "missing_id"),
        ("5.70306E+17,77,True,2017-10-31,Hello,,", "damaged_id"),
        ("5,,True,2017-10-31,Hello,,", "no_author"),
        ("5," + "x" * 101 + ",True,2017-10-31,Hello,,", "unusable_author"),
        ("5,77,perhaps,2017-10-31,Hello,,", "unknown_direction"),
        ("5,77,True,31/10,Hello,,", "unreadable_date"),
        ("5,77,True,Tue Foo 31 22:10:47 +0000 2017,Hello,,", "unreadable_date"),
        ("5,77,True,2019-10-31,Hello,,", "future_date"),
        ("5,77,True,2017-10-31, ,,", "no_text"),
        ("5,77,True,2017-10-31,Hello,,,,more", "wrong_columns"),
        ("1,77,True,2017-10-31,Hello,,", "duplicate_id"),
    ],
)
def test_a_bad_row_is_rejected_with_its_bytes_and_the_next_go_on(row: str, code: str) -> None:
    first, bad, last = read(HEAD + f"1,77,True,2017-10-31,Hi,,\n{row}\n2,77,True,2017-10-31,Hi,,\n")

    assert bad == Rejected(code, row.encode() + b"\n")
    assert isinstance(first, Post)
    assert isinstance(last, Post)
    assert code in bad.reason


@pytest.mark.parametrize("content", [b"", b"\n\n", b"name,age\n", b"\xff\xfe\x00", b"tweet_id,text\n1,x\n"])
def test_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(NotThisShape):
        list(threads.parse(content.splitlines(keepends=True), not_after=NOW))


@given(st.binary())
def test_no_bytes_stop_the_reading(content: bytes) -> None:
    list(threads.parse([HEAD.encode(), *content.splitlines(keepends=True)], not_after=NOW))


def test_a_message_can_be_written_as_a_row_again() -> None:
    one = post(1, "77", 0, 2, 'a, "b"\nc')
    row = (",".join(threads.COLUMNS) + "\n").encode() + threads.written(one)

    assert list(threads.parse(row.splitlines(keepends=True), not_after=NOW)) == [one]


# --- linking --------------------------------------------------------------------------------------------------------


def test_threads_are_linked_by_answers_also_through_missing_messages() -> None:
    built = threads.build(
        [post(2, "Shop", 5, 1), post(1, "77", 0), post(4, "78", 7, 99), post(5, "79", 8, 99), post(6, "80", 9)]
    )

    assert [[each.id for each in thread.posts] for thread in built] == [["1", "2"], ["4", "5"], ["6"]]
    assert [each.id for each in built[1].openings] == ["4", "5"]


def test_messages_that_answer_each_other_in_a_ring_are_one_thread() -> None:
    (thread,) = threads.build([post(1, "77", 0, 2), post(2, "77", 1, 1), post(3, "77", 2, 3)][:2])
    assert thread.openings == ()


# --- measuring ------------------------------------------------------------------------------------------------------


def test_the_first_response_answers_the_opening_message_itself() -> None:
    (response,) = threads.first_responses(
        threads.build(
            [
                post(1, "77", 0),
                post(2, "77", 1, 1),
                post(3, "Shop", 2, 2),  # answers the second message
                post(4, "Shop", 9, 1),
                post(5, "Shop", 4, 1),
            ]
        )
    )
    assert (response.company, response.minutes) == ("Shop", 4.0)


def test_an_unanswered_opening_belongs_to_the_company_of_its_thread_else_to_the_one_it_names() -> None:
    responses = threads.first_responses(
        threads.build(
            [
                post(1, "77", 0),
                post(2, "78", 1, 1),
                post(3, "Other", 2, 2),
                post(4, "Shop", 3, 2),
                post(5, "Shop", 4, 2),
                post(6, "79", 5, text="Hello @nobody @OTHER"),
                post(7, "80", 6),
            ]
        )
    )
    assert [(each.company, each.minutes) for each in responses] == [
        ("Shop", None),
        ("Other", None),
        (threads.NO_COMPANY, None),
    ]


def test_an_answer_older_than_the_question_is_no_answer() -> None:
    (response,) = threads.first_responses(threads.build([post(1, "77", 5), post(2, "Shop", 3, 1)]))
    assert response.minutes is None


def test_waits_are_summed_up_by_company_busiest_first() -> None:
    posts = [post(1, "77", 0), post(2, "Small", 3, 1), post(90, "Quiet", 0), post(91, "77", 1, 90)]
    for number, minutes in ((10, 1), (20, 2), (30, 10)):
        posts += [post(number, "78", 0), post(number + 1, "Shop", minutes, number)]
    waits = threads.waits(threads.build(posts))

    assert list(waits) == ["Shop", "Small", "Quiet"]
    assert (waits["Shop"].opening, waits["Shop"].no_reply) == (3, 0)
    assert (waits["Shop"].median_minutes, waits["Shop"].p90_minutes) == (2.0, 8.4)
    assert (waits["Quiet"].opening, waits["Quiet"].median_minutes) == (0, None)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_lies_between_the_least_and_the_greatest(values: list[float], share: float) -> None:
    values.sort()
    assert values[0] - 1e-6 <= threads.percentile(values, share) <= values[-1] + 1e-6


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        threads.percentile([], 0.5)
