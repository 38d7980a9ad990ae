"""Whether a text is a cron expression of five fields that ever comes due.

Stricter than Dagster on purpose (no nicknames, no ranges that wrap): what passes here never
fails when the schedules are built, where one bad text would take every connection down.

What must not come in: schedules, time zones.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from itertools import pairwise

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = {month: 30 if month in (4, 6, 9, 11) else 31 for month in range(1, 13)} | {2: 29}
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,4}))?")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: dict[str, int]

    def values(self, text: str) -> set[int]:
        """Return every value that the field's text names; ValueError says what is wrong."""
        return {value for part in text.split(",") for value in self._part(part)}

    def _part(self, text: str) -> range:
        match = _PART.fullmatch(text)
        if match is None:
            raise ValueError(f"{self.name}: {text!r} is not *, a number, a range or a step")
        first = self._number(match["first"]) if match["first"] else self.low
        last = self._last(match, first)
        if match["last"] and first >= last:
            raise ValueError(f"{self.name}: {text!r} does not count up; write two ranges")
        step = int(match["step"] or 1)
        if step < 1 or (match["step"] and step > last - first):
            # Dagster takes a step beyond the range for a shorter one (dagster#15294).
            raise ValueError(f"{self.name}: the step of {text!r} is not 1 to {last - first}")
        return range(first, last + 1, step)

    def _last(self, match: re.Match[str], first: int) -> int:
        if match["last"]:
            return self._number(match["last"])
        if match["first"] and match["step"]:
            raise ValueError(
                f"{self.name}: {match[0]!r} steps through one value; write a range"
            )
        return first if match["first"] else self.high

    def _number(self, text: str) -> int:
        number = self.words.get(text.lower())
        if number is None and re.fullmatch(r"[0-9]{1,2}", text):
            number = int(text)
        if number is None or not self.low <= number <= self.high:
            raise ValueError(f"{self.name}: {text!r} is not {self.low} to {self.high}")
        return number


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {word: number for number, word in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 6, {word: number for number, word in enumerate(_DAYS)}),
)


def cron_problem(text: str) -> str | None:
    """Return what is wrong with a cron expression, None when it is good."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        return f"found {len(parts)} field(s), expected {len(_FIELDS)}: {names}"
    try:
        values = [field.values(part) for field, part in zip(_FIELDS, parts, strict=True)]
    except ValueError as problem:
        return str(problem)
    any_weekday = parts[4] == "*"  # else either day field may bring the schedule due
    if any_weekday and min(values[2]) > max(_LONGEST[month] for month in values[3]):
        return "the day does not exist in any of the months"
    return None


_SEEN_DAYS = 5 * 366
"""Days looked at for the longest pause: every weekday of every date, and a 29 February."""


def longest_pause(text: str) -> dt.timedelta:
    """Return the longest time between two ticks of a good cron expression.

    A clock change aside. As in cron, a day is due by its date or by its weekday when both
    are restricted.
    """
    parts = text.split()
    minutes, hours, dates, months, weekdays = (
        field.values(part) for field, part in zip(_FIELDS, parts, strict=True)
    )
    by_either = parts[2] != "*" and parts[4] != "*"

    def is_due(day: dt.date) -> bool:
        on_date, on_weekday = day.day in dates, day.isoweekday() % 7 in weekdays
        return day.month in months and (
            (on_date or on_weekday) if by_either else (on_date and on_weekday)
        )

    first = dt.date(2024, 1, 1)
    ordinals = range(_SEEN_DAYS)
    due = [n for n in ordinals if is_due(first + dt.timedelta(days=n))]
    times = sorted(60 * hour + minute for hour in hours for minute in minutes)
    within = max((later - sooner for sooner, later in pairwise(times)), default=0)
    nights = max((later - sooner for sooner, later in pairwise(due)), default=_SEEN_DAYS)
    return dt.timedelta(minutes=max(within, 24 * 60 * nights - times[-1] + times[0]))
