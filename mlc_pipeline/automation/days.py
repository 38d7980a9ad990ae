"""Which days are done and which are red, as Dagster shows them.

What must not come in: what is done about a red day.
"""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from mlc_pipeline.assets.common import Site

LONGEST_DAYS = 400
"""How far back days are looked at."""

GAP_DAYS = 31
"""How far back a cycle looks for days that were left out or failed."""


def states(instance: dg.DagsterInstance, site: Site, today: date) -> dict[date, str]:
    """Return the state of each day that ever ran, by its last asset, the tie-out.

    Returns:
        MATERIALIZED, FAILED or IN_PROGRESS by day. A day is failed when its last run
        failed before it came to the tie-out.
    """
    first = max(site.connection.start_date, today - timedelta(days=LONGEST_DAYS))
    keys = [str(first + timedelta(days=n)) for n in range((today - first).days + 1)]
    found = instance.get_status_by_partition(site.key("tie_out", "ap"), keys, site.days)
    return {date.fromisoformat(k): v.name for k, v in (found or {}).items() if v is not None}


def red(found: dict[date, str]) -> list[date]:
    """Return the failed days."""
    return sorted(day for day, state in found.items() if state == "FAILED")


def due_since(found: dict[date, str], today: date, *, filling: bool = False) -> date:
    """Return the first day that cycles owe: where a gap or a red day follows a done one.

    Looks `GAP_DAYS` back; with nothing done there, at the newest day that is done at all;
    with nothing done ever, at the first red day. Without a gap it is today.

    Args:
        found: state by day.
        today: the connection's today.
        filling: whether a backfill is under way: then what is in progress is its own, else
            it is of a run whose process died.
    """
    span = [today - timedelta(days=n) for n in range(GAP_DAYS, -1, -1)]
    settled = ("MATERIALIZED", "IN_PROGRESS") if filling else ("MATERIALIZED",)
    done = {day for day, state in found.items() if state in settled}
    known = [day for day in span if found.get(day) == "MATERIALIZED"]
    if not known:
        older = [day for day, state in found.items() if state == "MATERIALIZED"]
        if older:
            return min(max(older) + timedelta(days=1), today)
        return min((day for day in span if found.get(day) == "FAILED"), default=today)
    return next((day for day in span if day >= known[0] and day not in done), today)
