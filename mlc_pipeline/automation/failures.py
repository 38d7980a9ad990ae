"""What a failed run failed of, by its root cause.

What must not come in: what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

CHECK_FAILED = "DagsterAssetCheckFailedError"
"""The class of a step that a red blocking check ended; the check itself says why."""

INTERRUPTED = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})
"""The class of a step that a person stopped, by Ctrl-C or in the UI."""

NEEDS_A_PERSON = frozenset(
    {
        # Tried again, a wrong password locks the operator out.
        "LogonRefused",
        "NotAuthorised",
        "MissingSecret",
        "SecretUnreadable",
        "KeyUnusable",
        "MetadataMismatch",
    }
)
"""Errors that no retry can cure."""


@dataclass(frozen=True)
class Failure:
    """A step that failed: its key, the class and the message of the root cause."""

    step: str
    error: str
    message: str


def failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Failure]:
    """Return why a run failed; a run whose process died has one failure without a step."""
    found = list(_steps(instance, run))
    if found:
        return found
    return [Failure("", "RunLost", "the run ended without a word: its process died")]


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Failure]:
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None:
            continue
        told = event.step_failure_data.user_failure_data
        if told is not None and "error" in told.metadata:
            # Ours: told without a trace, with its class beside it; see `assets.common.plain`.
            name = str(told.metadata["error"].value)
            yield Failure(event.step_key or "", name, told.description or "")
            continue
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        name = (error.cls_name or "error") if error else "error"
        # Dagster puts the class before the message.
        text = error.message.strip().partition(f"{name}: ")[2] if error else ""
        yield Failure(
            event.step_key or "", name, text or (error.message.strip() if error else "")
        )


def needs_a_person(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Tell whether a run failed of something that a retry cannot cure."""
    return any(failure.error in NEEDS_A_PERSON for failure in failures(instance, run))
