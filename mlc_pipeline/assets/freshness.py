"""How old the results of a connection may be before the UI says so.

What must not come in: schedules themselves, checks.
"""

from datetime import timedelta
from functools import lru_cache

import dagster as dg

from mlc_pipeline.connection.cron import longest_pause
from mlc_pipeline.connection.model import Connection

SHOWS_AGE = ("push", "tie_out")
"""Stages whose age is watched: a cycle that did not come to its end is late there."""

_WARN, _FAIL = timedelta(hours=1), timedelta(hours=4)
"""How much later than the longest pause of the schedule a cycle may end."""


def freshness_of(connection: Connection, stage: str) -> dg.FreshnessPolicy | None:
    """Return the freshness policy of a stage; None when nothing comes by itself.

    Late is what did not come for the longest pause of the schedule, a night or a weekend,
    and an hour more (a warning) or four (a failure).
    """
    if stage not in SHOWS_AGE or not connection.schedule.enabled:
        return None
    return _policy(connection.schedule.cron)


@lru_cache(maxsize=256)
def _policy(cron: str) -> dg.FreshnessPolicy:
    pause = longest_pause(cron)
    return dg.FreshnessPolicy.time_window(fail_window=pause + _FAIL, warn_window=pause + _WARN)
