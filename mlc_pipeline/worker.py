"""The Celery application whose workers execute whole runs.

    celery -A mlc_pipeline.worker worker --concurrency 1

Dagster's `CeleryRunLauncher` puts a run into the queue; a worker takes it and executes all
of it in one fresh process, as the default launcher does. Settings are here once, for the
launcher's side see `deploy/dagster-celery.yaml`.

What must not come in: runs, assets; this only says how a worker behaves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from celery import Celery
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

TWO_DAYS = 172_800
"""Longer than any run may take (`max_runtime_seconds`): Redis gives a task that was taken
and not begun for so long to another worker."""


def application(environ: Mapping[str, str] = os.environ) -> Celery:
    """Return the Celery application of a worker.

    Raises:
        KeyError: `MLC_CELERY_BROKER` does not say where Redis is.
    """
    broker = environ["MLC_CELERY_BROKER"]
    made: Celery = make_app({"broker": broker, "backend": broker})
    made.conf.update(
        # Modules are imported once, in the parent; connection files are read by each run.
        include=["mlc_pipeline.definitions"],
        # A run is a process of its own: no memory grows, no setting grows old.
        worker_max_tasks_per_child=1,
        # A worker takes what it can begin, so that idle ones get the rest.
        worker_prefetch_multiplier=1,
        # What was begun is never given to a second worker: Dagster decides about retries.
        task_acks_late=False,
        broker_transport_options={"visibility_timeout": TWO_DAYS},
        broker_connection_retry_on_startup=True,
        task_default_queue="dagster",
    )
    return made


app = application()
execute_job = create_execute_job_task(app)
resume_job = create_resume_job_task(app)
