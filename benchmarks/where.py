"""How long `mlc where` takes on a large ledger, by each kind of number.

    python benchmarks/where.py            # 27,000 invoices, made up in the database
    python benchmarks/where.py 100000

Prints milliseconds of one run on this machine, without the start of the command.

What must not come in: assertions; speed is no test.
"""

from __future__ import annotations

import sys
import tempfile
import time

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from mlc_pipeline.database import database_url, engine_at
from mlc_pipeline.sync.where import find, life

INVOICES = 27_000

_FILL = """
INSERT INTO syspro.suppliers (connection, supplier, name, run_id)
SELECT 'bench', lpad(s::text, 15, '0'), 'Supplier ' || s, 'r' FROM generate_series(1, 900) s;

INSERT INTO syspro.purchase_orders (connection, purchase_order, supplier, order_date, partition,
    run_id)
SELECT 'bench', lpad(n::text, 6, '0'), lpad((n % 900 + 1)::text, 15, '0'), d, d, 'r'
FROM (SELECT n, date '2026-01-01' + n % 300 AS d FROM generate_series(1, :n / 3) n) made;

INSERT INTO syspro.receipts (connection, supplier, grn, grn_source, journal, journal_entry,
    purchase_order, line, receipt_date, partition, run_id)
SELECT 'bench', lpad((n % 900 + 1)::text, 15, '0'), lpad(n::text, 10, '0'), 'P', n, 1,
    lpad(n::text, 6, '0'), 1, d, d, 'r'
FROM (SELECT n, date '2026-01-01' + n % 300 AS d FROM generate_series(1, :n / 3) n) made;

INSERT INTO syspro.invoices (connection, supplier, invoice, journal, invoice_date, value,
    partition, run_id)
SELECT 'bench', lpad((n % 900 + 1)::text, 15, '0'), 'INV-' || n, 1000 + n / 20, d, n, d, 'r'
FROM (SELECT n, date '2026-01-01' + n % 300 AS d FROM generate_series(1, :n) n) made;

INSERT INTO syspro.postings (connection, posting_year, posting_month, journal, entry_number,
    sub_entry, supplier, invoice, post_date, gl_code, amount, partition, run_id)
SELECT 'bench', 2026, 1, 1000 + n / 20, n, p, lpad((n % 900 + 1)::text, 15, '0'), 'INV-' || n,
    d, '110.7010', 10, d, 'r'
FROM (SELECT n, date '2026-01-01' + n % 300 AS d FROM generate_series(1, :n) n) made,
    generate_series(1, 4) p;

INSERT INTO ledger.documents (connection, kind, source_key, state, cin7_id, task_id,
    cin7_number, home, amount, run_id)
SELECT 'bench', 'invoice', lpad((n % 900 + 1)::text, 15, '0') || '|INV-' || n, 'done',
    md5('p' || n)::uuid, md5('t' || n)::uuid, 'PO-' || lpad(n::text, 5, '0'),
    date '2026-01-01' + n % 300, n, 'r'
FROM generate_series(1, :n) n;

INSERT INTO ledger.writes (connection, kind, source_key, step, state, request_hash, run_id)
SELECT 'bench', 'invoice', lpad((n % 900 + 1)::text, 15, '0') || '|INV-' || n, step, 'done',
    'h', 'r'
FROM generate_series(1, :n) n,
    unnest(ARRAY['create_purchase', 'post_order', 'post_invoice']) step;

INSERT INTO ledger.audit_events (connection, seq, at, run_id, kind, source_key, action,
    previous_hash, hash)
SELECT 'bench', 6 * (n - 1) + e, now(), 'r', 'invoice',
    lpad((n % 900 + 1)::text, 15, '0') || '|INV-' || n, 'done', 'h', 'h'
FROM generate_series(1, :n) n, generate_series(1, 6) e;

INSERT INTO plan.invoices (connection, partition, source_key, kind, verdict, amount, run_id)
SELECT 'bench', date '2026-01-01' + n % 300,
    lpad((n % 900 + 1)::text, 15, '0') || '|INV-' || n, 'invoice', 'create', n, 'r'
FROM generate_series(1, :n) n;

INSERT INTO push.invoices (connection, partition, source_key, kind, outcome, amount, run_id)
SELECT 'bench', date '2026-01-01' + n % 300,
    lpad((n % 900 + 1)::text, 15, '0') || '|INV-' || n, 'invoice', 'created', n, 'r'
FROM generate_series(1, :n) n;

ANALYZE;
"""


def main(invoices: int = INVOICES) -> None:
    """Fill a database of its own, and look up one document by each kind of number."""
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_at(database_url({"MLC_HOME": folder}))
        with engine.begin() as connection:
            for statement in _FILL.split(";"):
                if statement.strip():
                    connection.execute(sa.text(statement), {"n": invoices})
        middle = invoices // 2
        with engine.connect() as connection:
            ids = connection.execute(
                sa.text("SELECT md5('p' || :n)::uuid::text, md5('t' || :n)::uuid::text"),
                {"n": str(middle)},
            ).one()
            numbers = {
                "supplier invoice": f"INV-{middle}",
                "supplier code and invoice": f"{middle % 900 + 1} INV-{middle}",
                "purchase order": str(invoices // 6),
                "goods receipt": str(invoices // 7),
                "SYSPRO journal": str(1000 + middle // 20),
                "Cin7 order number": f"PO-{middle:05}",
                "Cin7 id": ids[0],
                "task id": ids[1],
                "a number that nothing has": "INV-none",
            }
            table = Table(
                "number", "example", "documents", "ms", title=f"{invoices:,} invoices"
            )
            for what, number in numbers.items():
                started = time.monotonic()
                subjects = find(connection, number)
                for subject in subjects[:3]:
                    life(connection, subject)
                passed = 1000 * (time.monotonic() - started)
                table.add_row(what, number, str(len(subjects)), f"{passed:.0f}")
        engine.dispose()
    Console(width=100).print(table)


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:2]])
