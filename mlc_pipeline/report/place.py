"""Where the report of a period stands on this machine.

What must not come in: writing it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mlc_pipeline.database import home_directory

PAGE = "report.html"


def report_folder(environ: Mapping[str, str], connection: str, period: str) -> Path:
    """Return the folder of a period's report, below `MLC_HOME`."""
    name = re.sub(r"[^0-9-]+", "_", period)
    return home_directory(environ) / "reports" / connection / name


def report_place(environ: Mapping[str, str], connection: str, period: str) -> Path:
    """Return the page of a period's report; it may not be there yet."""
    return report_folder(environ, connection, period) / PAGE
