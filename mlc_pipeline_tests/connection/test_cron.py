from __future__ import annotations

import warnings
from datetime import timedelta

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlc_pipeline.connection.cron import cron_problem, longest_pause


@pytest.mark.parametrize(
    "text",
    [
        "*/30 6-20 * * *",
        "0 6 * * mon-fri",
        "5,35 0-23/2 1 jan,JUL 0",
        "0 0 29 2 *",
        "0 0 31 2 1",
    ],
)
def test_a_good_expression_has_no_problem(text):
    assert cron_problem(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@daily", "found 1 field(s), expected 5: minute, hour"),
        ("0 0 * * * *", "found 6 field(s)"),
        ("60 * * * *", "minute: '60' is not 0 to 59"),
        ("* * 0 * *", "day of the month: '0' is not 1 to 31"),
        ("* * * 13 *", "month: '13' is not 1 to 12"),
        ("* * * * 7", "day of the week: '7' is not 0 to 6"),
        ("* * * feb-xyz *", "month: 'xyz' is not 1 to 12"),
        ("* 22-2 * * *", "hour: '22-2' does not count up; write two ranges"),
        ("0-0 * * * *", "minute: '0-0' does not count up"),
        ("*/0 * * * *", "minute: the step of '*/0' is not 1 to 59"),
        ("*/90 * * * *", "minute: the step of '*/90' is not 1 to 59"),
        ("* 6-8/3 * * *", "hour: the step of '6-8/3' is not 1 to 2"),
        ("5/10 * * * *", "minute: '5/10' steps through one value"),
        ("1, * * * *", "minute: '' is not *, a number, a range or a step"),
        ("0 0 30,31 2 *", "the day does not exist in any of the months"),
    ],
)
def test_a_bad_expression_is_told_field_by_field(text, said):
    assert said in str(cron_problem(text))


def _parts(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(lambda two: f"{two[0]}-{two[1]}")
    step = st.integers(0, high + 1)
    stepped = st.tuples(st.one_of(st.just("*"), pair, number.map(str)), step).map(
        lambda two: f"{two[0]}/{two[1]}"
    )
    one = st.one_of(st.just("*"), number.map(str), pair, stepped)
    return st.lists(one, min_size=1, max_size=3).map(",".join)


@given(
    st.tuples(
        _parts(0, 59),
        _parts(0, 23),
        _parts(1, 31),
        _parts(1, 12),
        st.one_of(st.just("*"), _parts(0, 7)),
    )
)
@settings(max_examples=150, deadline=None)
@example(("0", "0", "31", "2,4,6,9,11", "*"))
@example(("0", "0", "30-31", "2", "*"))
def test_dagster_takes_what_passes_here_without_a_warning(parts):
    text = " ".join(parts)
    if cron_problem(text) is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dg.ScheduleDefinition(name="s", job_name="j", cron_schedule=text)


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("*/30 6-20 * * *", timedelta(hours=9, minutes=30)),
        ("*/5 * * * *", timedelta(minutes=5)),
        ("0 6,18 * * *", timedelta(hours=12)),
        ("0 6 * * 1-5", timedelta(days=3)),
        ("0 0 1 * *", timedelta(days=31)),
        ("15 8 1 * 1", timedelta(days=7)),  # the first, or a Monday
        ("0 0 29 2 *", timedelta(days=4 * 365 + 1)),
    ],
)
def test_the_longest_pause_is_the_night_or_the_weekend(text, pause):
    assert longest_pause(text) == pause
