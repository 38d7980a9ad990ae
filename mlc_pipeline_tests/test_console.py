"""What people see of documents: numbers are shown as they are, whatever they look like."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

from rich.console import Console

from mlc_pipeline.console import plan_tables
from mlc_pipeline.sync.preview import Preview, Row
from mlc_pipeline.sync.staged import Window

DAY = date(2026, 3, 2)
NUMBER = "100100|[/INV] [bold]7"


def test_a_number_in_brackets_is_a_number_and_no_style() -> None:
    content = {"charges": []}
    change = {"field": "lines[0]", "before": "[/a]", "after": "[b]"}
    row = Row(
        DAY, "invoice", NUMBER, "update", Decimal(5), "GBP", None, None, content, (change,)
    )
    shown = Console(file=io.StringIO(), width=150)
    for table in plan_tables(Preview(Window("acme", DAY, DAY), [row])):
        shown.print(table)
    assert isinstance(shown.file, io.StringIO)
    text = shown.file.getvalue()
    assert all(part in text for part in (NUMBER, "lines[0]", "[/a]", "[b]"))
