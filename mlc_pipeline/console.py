"""Tables that the command line prints.

What must not come in: reading arguments, running anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal

import sqlalchemy as sa
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.cycle import ALL_DONE, SOMETHING_HELD, Summary
from mlc_pipeline.database import engine
from mlc_pipeline.staging.tables import PUSH, documents
from mlc_pipeline.sync.preview import Preview, account_totals
from mlc_pipeline.sync.vocabulary import READY, REASONS, Outcome, Verdict

_NAMES = {
    "supplier": "suppliers",
    "syspro_supplier": "suppliers to SYSPRO",
    "purchase_order": "purchase orders",
    "receipt": "receipts",
    "invoice": "invoices",
    "credit_note": "credit notes",
    "posting": "stray postings",
}
_REASONS_SHOWN = 12
_CHANGES_SHOWN = 40


def _money(amounts: dict[str, Decimal]) -> str:
    return "\n".join(
        f"{amount:,.2f} {currency}" for currency, amount in sorted(amounts.items())
    )


def summary_table(summary: Summary) -> Table:
    """Return what a cycle did, a row a kind of document."""
    table = Table(
        title=f"{summary.connection}: {summary.first} to {summary.last}",
        caption=f"{summary.cin7_calls:,} Cin7 calls ({summary.cin7_writes:,} writes), "
        f"{summary.syspro_calls:,} SYSPRO calls, {summary.seconds:.0f} s "
        f"(of them {summary.waited_seconds:.0f} s waiting for the call budget)",
    )
    shown = [o for o in Outcome if o is Outcome.FAILED or summary.count(o)]
    table.add_column("documents", no_wrap=True)
    for heading in ("read", *(outcome.value for outcome in shown)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("money", justify="right", no_wrap=True)
    for kind, name in _NAMES.items():
        found = summary.kinds.get(kind)
        if found is None:
            continue
        counts = [found.outcomes.get(outcome, 0) for outcome in shown]
        cells = [f"{n:,}" if n else "·" for n in counts]
        table.add_row(name, f"{found.read:,}", *cells, _money(found.money))
    return table


def held_table(summary: Summary) -> Table | None:
    """Return why documents are not in Cin7, a row a reason with an example; None if all are."""
    if not summary.stopped:
        return None
    counts = Counter((r["outcome"], r["reason_code"]) for r in summary.stopped)
    examples = {(r["outcome"], r["reason_code"]): r for r in reversed(summary.stopped)}
    table = Table(title="Not in Cin7 yet", show_lines=True)
    for heading in ("", "documents", "why", "for example", "what to do"):
        table.add_column(heading, overflow="fold")
    for (outcome, code), count in counts.most_common(_REASONS_SHOWN):
        example = examples[(outcome, code)]
        reason = REASONS.get(code)
        table.add_row(
            outcome,
            str(count),
            reason.meaning if reason else "It failed.",
            escape(f"{example['source_key']}: {example['reason']}"),
            reason.remedy if reason else "See the run in the Dagster UI.",
        )
    return table


def plan_tables(preview: Preview) -> Iterator[Table]:
    """Yield a plan: documents by verdict, what is stopped, what differs, the accounts."""
    window, counts = preview.window, preview.counts()
    shown = [v for v in Verdict if any(c[v] for c in counts.values())]
    table = Table(title=f"{window.connection}: {window.first} to {window.last}, planned")
    table.add_column("documents", no_wrap=True)
    for heading in shown:
        table.add_column(heading, justify="right")
    table.add_column("money to write", justify="right")
    for kind, name in _NAMES.items():
        if kind in counts:
            cells = [f"{counts[kind][v]:,}" if counts[kind][v] else "·" for v in shown]
            table.add_row(name, *cells, _money(_to_write(preview, kind)))
    yield table
    if preview.stopped():
        yield _stopped_table(preview)
    if preview.changed():
        yield _changed_table(preview)
    if account_totals(preview.rows):
        yield _accounts_table(preview)


def _accounts_table(preview: Preview) -> Table:
    table = Table(title="Accounts of the invoices and credits to write")
    for heading in ("account", "cost centre", "currency"):
        table.add_column(heading)
    table.add_column("amount", justify="right")
    for (currency, account, centre), amount in sorted(account_totals(preview.rows).items()):
        table.add_row(escape(account), escape(centre), currency, f"{amount:,.2f}")
    return table


def _to_write(preview: Preview, kind: str) -> dict[str, Decimal]:
    money: dict[str, Decimal] = {}
    for row in preview.rows:
        if row.kind == kind and row.verdict in READY and row.amount:
            currency = row.currency or ""
            money[currency] = money.get(currency, Decimal(0)) + row.amount
    return money


def _stopped_table(preview: Preview) -> Table:
    table = Table(title="Not to be written", show_lines=True)
    for heading in ("", "documents", "why", "for example", "what to do"):
        table.add_column(heading, overflow="fold")
    counts = Counter((row.verdict, row.reason_code) for row in preview.stopped())
    examples = {(row.verdict, row.reason_code): row for row in preview.stopped()}
    for (stopped, code), count in counts.most_common(_REASONS_SHOWN):
        example, reason = examples[(stopped, code)], REASONS[code or ""]
        text = escape(f"{example.source_key}: {example.reason}")
        table.add_row(stopped, str(count), reason.meaning, text, reason.remedy)
    return table


def _changed_table(preview: Preview) -> Table:
    table = Table(title="Differs from what is in Cin7")
    for heading in ("document", "", "field", "in Cin7", "wanted"):
        table.add_column(heading, overflow="fold")
    for row in preview.changed()[:_CHANGES_SHOWN]:
        for change in row.difference:
            before, after = (escape(str(change.get(side))) for side in ("before", "after"))
            key, field = escape(row.source_key), escape(change["field"])
            table.add_row(key, row.verdict, field, before, after)
    return table


def verdict(summary: Summary) -> Iterator[str]:
    """Yield the closing lines: the tie-out, what failed, what a second run would do."""
    if summary.accounts:
        rounding = summary.in_cin7 - summary.posted
        agree = "they agree to the cent" if not rounding else "they agree"
        yield (
            f"Tie-out over {summary.accounts} accounts: SYSPRO {summary.posted:,.2f}, Cin7 "
            f"{summary.in_cin7:,.2f}: {'they DIFFER' if summary.different else agree}"
            + (f"; {rounding:+.2f} arose from converting currencies." if rounding else ".")
        )
    yield from (f"[red]•[/red] {escape(problem)}" for problem in summary.problems)
    if summary.exit_code == ALL_DONE:
        waiting = summary.count(Outcome.WAITING)
        more = f"; {waiting} documents wait for their counterpart" if waiting else ""
        yield f"[green]All done[/green]{more}."
    elif summary.exit_code == SOMETHING_HELD:
        yield (
            f"[green]Done[/green], {summary.count(Outcome.HELD)} documents are held for a "
            "person; fix the cause and run again."
        )
    else:
        yield "[red]Something failed[/red]; see above and the run in the Dagster UI."


def status_tables(names: Iterable[str]) -> Iterator[Table]:
    """Yield, per connection, what the ledger holds and what the last pushes left out."""
    with engine().connect() as connection:
        for name in names:
            table = Table(title=name)
            for heading in ("documents", "in Cin7", "begun", "last written"):
                table.add_column(heading)
            done = sa.func.count().filter(documents.c.state.in_(["done", "voided"]))
            query = (
                sa.select(
                    documents.c.kind,
                    done.label("done"),
                    (sa.func.count() - done).label("begun"),
                    sa.func.max(documents.c.updated_at).label("last"),
                )
                .where(documents.c.connection == name)
                .group_by(documents.c.kind)
                .order_by(documents.c.kind)
            )
            for row in connection.execute(query):
                last = f"{row.last:%Y-%m-%d %H:%M}"
                shown = _NAMES.get(row.kind, row.kind)
                table.add_row(shown, str(row.done), str(row.begun), last)
            yield table
            yield _stopped_now(connection, name)


def _stopped_now(connection: sa.Connection, name: str) -> Table:
    """Return what stands held or waiting, each document by its latest outcome."""
    table = Table(title=f"{name}: not in Cin7")
    for heading in ("", "why", "documents", "money"):
        table.add_column(
            heading, justify="right" if heading in ("documents", "money") else "left"
        )
    for pushed in PUSH.values():
        latest = (
            sa.select(pushed)
            .where(pushed.c.connection == name)
            .distinct(pushed.c.kind, pushed.c.source_key)
            .order_by(pushed.c.kind, pushed.c.source_key, pushed.c.pushed_at.desc())
            .subquery()
        )
        query = (
            sa.select(
                latest.c.outcome,
                latest.c.reason_code,
                latest.c.currency,
                sa.func.count().label("documents"),
                sa.func.sum(latest.c.amount).label("amount"),
            )
            .where(latest.c.outcome.in_([Outcome.HELD, Outcome.WAITING, Outcome.FAILED]))
            .group_by(latest.c.outcome, latest.c.reason_code, latest.c.currency)
        )
        for row in connection.execute(query):
            reason = REASONS.get(row.reason_code)
            table.add_row(
                row.outcome,
                reason.meaning if reason else row.reason_code,
                str(row.documents),
                f"{row.amount:,.2f} {row.currency or ''}",
            )
    return table
