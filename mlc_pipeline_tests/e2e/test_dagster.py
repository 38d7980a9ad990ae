"""What Dagster shows and does: definitions, schedule, partitions, backfills, failures."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlc_pipeline import database
from mlc_pipeline.assets.columns import column_schema
from mlc_pipeline.assets.runtime import runtime_resource
from mlc_pipeline.automation.schedules import range_tags
from mlc_pipeline.connection import model
from mlc_pipeline.connection.errors import ConnectionsFolderError
from mlc_pipeline.definitions import build_definitions, every_connection, job_name, load_sites
from mlc_pipeline.sandbox.company import cin7_account, write_connection
from mlc_pipeline.sandbox.company.model import Company, Supplier
from mlc_pipeline.staging.tables import PUSH, SYSPRO
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import counted

pytestmark = pytest.mark.e2e


def _write(root: Path, *names: str) -> None:
    company = companies.one_invoice()
    for name in names:
        write_connection(
            company,
            cin7_account(company),
            root / name,
            enet_url="http://127.0.0.1:1/SYSPROWCFService/Rest",
            odata_url="http://127.0.0.1:1/SYSPRO8Odata/SYSPROOData",
            base_url="http://127.0.0.1:1/ExternalApi/v2",
        )


def _prefixes(keys: Any) -> set[str]:
    return {key.path[0] for key in keys}


def test_two_connections_stand_side_by_side_and_share_nothing(tmp_path: Path) -> None:
    _write(tmp_path, "north", "south")
    definitions = build_definitions(load_sites(tmp_path))
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    assert _prefixes(graph.get_all_asset_keys()) == {"north", "south"}
    for name in ("north", "south"):
        own = {k for k in graph.get_all_asset_keys() if k.path[0] == name}
        assert len(own) * 2 == len(graph.get_all_asset_keys())
        assert _prefixes(p for k in own for p in graph.get(k).parent_keys) == {name}
        assert {graph.get(k).group_name for k in own} == {
            f"{name}_{stage}"
            for stage in ("syspro", "cin7", "mapping", "plan", "push", "tie_out", "ledger")
        }
        job = definitions.resolve_job_def(job_name(name))
        assert _prefixes(job.asset_layer.executable_asset_keys) == {name}
        assert (job.description or "").startswith("Sandbox: ")
        schedule = definitions.resolve_schedule_def(f"{name}_cycle")
        assert schedule.job_name == job_name(name)
        push = definitions.resolve_assets_def(dg.AssetKey([name, "push", "invoices"]))
        assert push.op.pool == f"cin7_{name}"


def test_a_broken_connection_is_told_and_leaves_the_others_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path, "good", "broken")
    file = tmp_path / "broken" / "connection.yaml"
    file.write_text(file.read_text().replace("start_date:", "start_dat:"), encoding="utf-8")
    with caplog.at_level(logging.ERROR):
        definitions = build_definitions(load_sites(tmp_path))
    dg.Definitions.validate_loadable(definitions)
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert _prefixes(keys) == {"good"}
    assert "broken" in caplog.text
    assert "start_dat" in caplog.text


def test_what_dagster_refuses_of_a_connection_leaves_the_others_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, "good", "strange")
    file = tmp_path / "strange" / "connection.yaml"
    monkeypatch.setattr(model, "_LATEST", date.max)  # let pass what Dagster cannot count
    file.write_text(
        re.sub("start_date: .*", "start_date: 9999-12-31", file.read_text()), encoding="utf-8"
    )
    with caplog.at_level(logging.ERROR):
        loaded = every_connection(tmp_path)
    dg.Definitions.validate_loadable(loaded)
    assert _prefixes(loaded.resolve_asset_graph().get_all_asset_keys()) == {"good"}
    assert "strange is left out" in caplog.text


def test_a_folder_of_connections_that_is_not_there_is_no_empty_green_location(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConnectionsFolderError, match="MLC_CONNECTIONS_DIR"):
        every_connection(tmp_path / "nowhere")


def _tick(schedule: dg.ScheduleDefinition, moment: datetime) -> Any:
    with (
        dg.instance_for_test() as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=moment) as context,
    ):
        return schedule.evaluate_tick(context)


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        # Long after the start: the look-back window.
        (datetime(2026, 3, 20, 9, 30, tzinfo=UTC), day(11), day(18)),
        # Soon after it: never before the start.
        (datetime(2026, 3, 4, 9, 30, tzinfo=UTC), DAY, day(2)),
        # After midnight in London, before it in UTC.
        (datetime(2026, 7, 1, 23, 30, tzinfo=UTC), day(115), day(122)),
    ],
)
def test_a_tick_asks_for_one_run_over_the_look_back_window(
    tmp_path: Path, moment: datetime, first: Any, last: Any
) -> None:
    _write(tmp_path, "north")
    definitions = build_definitions(load_sites(tmp_path))
    schedule = definitions.resolve_schedule_def("north_cycle")
    told = _tick(schedule, moment)
    (request,) = told.run_requests or []
    assert range_tags(first, last).items() <= request.tags.items()
    assert request.run_key


def test_a_tick_before_the_start_runs_nothing(tmp_path: Path) -> None:
    _write(tmp_path, "north")
    schedule = build_definitions(load_sites(tmp_path)).resolve_schedule_def("north_cycle")
    before = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    told = _tick(schedule, before)
    assert told.run_requests == []
    assert str(DAY) in (told.skip_message or "")


def _materialized(instance: dg.DagsterInstance, name: str, *key: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey([name, *key])))


def test_a_range_records_each_of_its_days(start: Start) -> None:
    pair = start(companies.six_documents(), name="ranged")
    summary = pair.run(DAY, day(3))
    assert summary.succeeded
    days = {str(day(n)) for n in range(4)}
    with pair.dagster() as instance:
        for key in (("syspro", "invoices"), ("plan", "invoices"), ("push", "invoices")):
            assert _materialized(instance, "ranged", *key) == days
        run = instance.get_run_by_id(summary.run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["connection"] == "ranged"


_SENT_TO = {
    "/supplier": "Supplier",
    "/product": "Product",
    "/advanced-purchase": "Purchase",
    "/purchase/order": "Order",
    "/advanced-purchase/stock": "Stock",
    "/advanced-purchase/invoice": "Invoice",
    "/advanced-purchase/creditnote": "CreditNote",
}


def _fields(value: Any, path: str) -> set[str]:
    """Return the path of each field of a body that holds no fields of its own."""
    if isinstance(value, dict) and value:
        return {p for key, inner in value.items() for p in _fields(inner, f"{path}.{key}")}
    if isinstance(value, list):  # an empty one says nothing
        return {p for inner in value for p in _fields(inner, path)}
    return {path}


def _days(instance: dg.DagsterInstance, *key: str) -> dict[str | None, dict[str, Any]]:
    """Return what the UI shows of each day's last materialisation."""
    records = instance.fetch_materializations(dg.AssetKey([*key]), limit=50).records
    shown: dict[str | None, dict[str, Any]] = {}
    for record in records:
        event = record.asset_materialization
        assert event is not None
        shown.setdefault(
            event.partition, {name: value.value for name, value in event.metadata.items()}
        )
    return shown


def test_the_ui_shows_each_day_its_own_and_where_every_cin7_field_comes_from(
    start: Start,
) -> None:
    pair = start(companies.six_documents(), name="shown")
    assert pair.run(DAY, day(2)).succeeded
    with pair.dagster() as instance:
        pushed = _days(instance, "shown", "push", "invoices")
        staged = _days(instance, "shown", "syspro", "invoices")
    first, last = pushed[str(DAY)], pushed[str(day(2))]
    assert (first["summary"], first["created"]) == ("3 documents: 3 created", 3)
    assert (last["summary"], last["created"]) == ("no documents", 0)
    assert first["run"] == last["run"] == f"{DAY} to {day(2)}: 3 documents: 3 created"
    assert first["read_GBP"] == 192.0  # 60 and its tax, 150 and -50
    assert "read_GBP" not in last
    assert {key: shown["rows"] for key, shown in staged.items()} == {
        str(DAY): 3,
        str(day(1)): 0,
        str(day(2)): 0,
    }
    # The UI looks for lineage in the latest event alone.
    assert "Invoice.InvoiceNumber" in last["dagster/column_lineage"].deps_by_column
    assert last["dagster/column_schema"] == column_schema("push", "invoices")
    assert "dagster/column_lineage" not in first

    told = {
        column.name
        for name in ("cin7_suppliers", "purchases", "invoices")
        for column in column_schema("push", name).columns
    }
    sent = set()
    for request in pair.traffic():
        if request["method"] == "POST":
            path = request["path"].lower().removeprefix("/externalapi/v2")
            sent |= _fields(request["body"], _SENT_TO[path])
    assert "Invoice.AdditionalCharges.Account" in sent
    assert sent - told == set()


def test_a_system_that_is_down_is_told_once_and_in_words(start: Start) -> None:
    pair = start(companies.one_invoice(), name="away")
    pair.configure(syspro={"enet_url": "http://127.0.0.1:1/SYSPROWCFService/Rest"})
    summary = pair.run(DAY)
    assert summary.exit_code == 1
    told = [problem for problem in summary.problems if "SYSPRO" in problem]
    assert len(told) == 1
    assert "other steps" in told[0]
    assert "no answer" in told[0]
    with pair.dagster() as instance:
        failures = [
            entry.dagster_event.step_failure_data
            for entry in instance.all_logs(
                summary.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
            )
            if entry.dagster_event is not None
        ]
    assert failures
    for failure in failures:
        # What the UI shows in place of a stack trace.
        assert failure.user_failure_data is not None
        assert "no answer" in (failure.user_failure_data.description or "")
        assert failure.error is not None
        assert failure.error.cause is None


def test_a_backfill_of_a_range_is_one_run_and_yields_to_live_calls(start: Start) -> None:
    pair = start(companies.six_documents(), name="backfilled")
    definitions = build_definitions([(pair.connection, pair.folder)])
    with pair.dagster() as instance:
        result = dg.materialize(
            [*definitions.assets, *definitions.asset_checks],
            instance=instance,
            resources={"runtime": runtime_resource(pair.environ)},
            tags={**range_tags(DAY, day(2)), "dagster/backfill": "by-hand"},
        )
        assert result.success
        assert _materialized(instance, "backfilled", "tie_out", "ap") == {
            str(day(n)) for n in range(3)
        }
    assert len(pair.booked()) == 3
    pair.assert_clean()
    assert pair.run(DAY, day(2)).cin7_writes == 0


def _two_suppliers_on_two_days() -> Company:
    other = Supplier(supplier_id="100200", name="Ostrabeck Steel PLC", tax_code="S20")
    first = invoice("INV-1", "100.00")
    second = replace(
        invoice("INV-2", "40.00", document_no="5002"),
        supplier_id=other.supplier_id,
        invoice_date=day(1),
    )
    return companies.company(
        suppliers=(companies.SUPPLIER, other),
        invoices=(first, second),
        gl_distributions=(
            *postings(first, {"110.7010": "100.00"}),
            *postings(second, {"110.7010": "40.00"}),
        ),
    )


def test_a_failure_in_a_range_fails_its_day_alone(start: Start) -> None:
    pair = start(_two_suppliers_on_two_days(), name="troubled")
    assert pair.run(DAY, day(1)).succeeded
    for row in pair.rows("ApSupplier"):
        pair.put("ApSupplier", row | {"Telephone": "01632 960099"})
    (gone,) = [s for s in pair.suppliers() if s["Name"].startswith("Ostrabeck")]
    pair.cin7.control("edit", {"supplier": gone["ID"], "delete": True})

    with pair.dagster() as instance:
        before = datetime.now(UTC).timestamp()
    summary = pair.run(DAY, day(1))
    assert summary.exit_code == 1
    assert counted(summary, Outcome.FAILED) == 1
    assert counted(summary, Outcome.UPDATED) == 1
    assert any("Ostrabeck" in p or "100200" in p for p in summary.problems)
    key = dg.AssetKey(["troubled", "push", "cin7_suppliers"])
    with pair.dagster() as instance:
        events = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, after_timestamp=before), limit=10
        )
        job = build_definitions([(pair.connection, pair.folder)]).resolve_assets_def(key)
        assert job.partitions_def is not None
        status = instance.get_status_by_partition(
            key, [str(DAY), str(day(1))], job.partitions_def
        )
    assert [record.partition_key for record in events.records] == [str(DAY)]
    assert status is not None
    assert {k: str(v).rpartition(".")[2] for k, v in status.items()} == {
        str(DAY): "MATERIALIZED",
        str(day(1)): "FAILED",
    }


def test_no_secret_stands_in_what_dagster_keeps(start: Start) -> None:
    pair = start(companies.one_invoice(), name="discreet")
    pair.run(DAY)
    pair.fault("html_200", times=100)
    failed = pair.run(DAY)
    assert failed.exit_code == 1
    kept = []
    with pair.dagster() as instance:
        for record in instance.get_run_records(dg.RunsFilter(job_name=job_name("discreet"))):
            run = record.dagster_run
            kept += [str(event) for event in instance.all_logs(run.run_id)]
            kept += [str(run.tags), str(run.run_config)]
    text = "\n".join(kept)
    assert "push" in text
    for name, secret in pair.environ.items():
        if name.startswith("MLC_SECRET_"):
            assert secret not in text, name


def test_a_check_that_runs_alone_looks_at_the_last_run_and_is_never_green_for_nothing(
    start: Start,
) -> None:
    pair = start(companies.six_documents(), name="alone")
    definitions = build_definitions(
        [(pair.connection, pair.folder)], {"runtime": runtime_resource(pair.environ)}
    )
    looked = [("syspro", "invoices", "schema"), ("push", "invoices", "conservation")]
    keys = {dg.AssetCheckKey(dg.AssetKey(["alone", *key[:2]]), key[2]) for key in looked}
    job = definitions.resolve_job_def(job_name("alone")).get_subset(
        asset_selection=set(), asset_check_selection=keys
    )

    def alone() -> list[dg.AssetCheckEvaluation]:
        with pair.dagster() as instance:
            job.execute_in_process(instance=instance, raise_on_error=False)
        return [pair.check(*key) for key in looked]

    assert [(c.passed, (c.description or "")[:20]) for c in alone()] == [
        (False, "nothing was compared")
    ] * 2
    pair.run(DAY)
    assert [check.passed for check in alone()] == [True, True]
    push, staged = PUSH["invoices"], SYSPRO["invoices"]
    with database.engine(pair.environ).begin() as connection:
        connection.execute(push.delete().where(push.c.kind == Kind.CREDIT_NOTE))
        connection.execute(staged.update().where(staged.c.value < 0).values(invoice=" "))
    assert [check.passed for check in alone()] == [False, False]
