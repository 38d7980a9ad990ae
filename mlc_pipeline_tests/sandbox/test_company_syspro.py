"""From the neutral form to SYSPRO rows: no document lost, no cent changed, no key twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sandbox.company import Company, generate, key_changes, syspro_tables
from mlc_pipeline.sandbox.company.model import (
    Distribution,
    GlAccount,
    Invoice,
    PoLine,
    PurchaseOrder,
    Receipt,
    Supplier,
)
from mlc_pipeline.sandbox.company.rules import UNBILLED, invoice_keys
from mlc_pipeline.sandbox.company.syspro_rows import WIDTHS
from mlc_pipeline.syspro.entities import ENTITIES, SCALES

DAY = date(2026, 5, 29)


def _invoice(document_no: str, invoice_no: str = "A", **more: Any) -> Invoice:
    given = {"supplier_id": "7", "invoice_date": DAY, "net": Decimal("10.00")} | more
    return Invoice(document_no=document_no, invoice_no=invoice_no, **given)


def _line(line: int = 1, **more: Any) -> PoLine:
    given = {"qty_ordered": Decimal(4), "unit_price": Decimal("2.50"), "stock_code": "S"} | more
    return PoLine(purchase_order="P1", line=line, **given)


def _receipt(value: str, line: int = 1, **more: Any) -> Receipt:
    given = {"qty": Decimal(4), "value": Decimal(value), "receipt_date": DAY} | more
    return Receipt(purchase_order="P1", line=line, **given)


def _company(**more: Any) -> Company:
    """A ledger of one supplier and, unless given, one order line."""
    order = PurchaseOrder(purchase_order="P1", supplier_id="7", order_date=DAY)
    standing: dict[str, Any] = {
        "suppliers": (Supplier(supplier_id="7", name="Seven Ltd"),),
        "purchase_orders": (order,),
        "po_lines": (_line(),),
    }
    return Company("small", **(standing | more))


@pytest.fixture(scope="module")
def company() -> Company:
    return generate(2)


@pytest.fixture(scope="module")
def tables(company: Company) -> dict[str, list[dict[str, Any]]]:
    return syspro_tables(company)


# Few letters and lengths around the limit, so that cuts and suffixes meet each other.
NUMBERS = st.one_of(
    st.text("0A~2 ", max_size=4),
    st.text("0~2", min_size=17, max_size=24),
    st.builds(lambda text, n: text * n + "~2", st.sampled_from("AB"), st.integers(0, 22)),
    st.text(max_size=30),
)


@given(st.lists(st.tuples(st.sampled_from(["7", "8"]), NUMBERS), max_size=25))
def test_every_invoice_gets_a_key_of_its_own_that_fits(numbers: list[tuple[str, str]]) -> None:
    invoices = [
        _invoice(str(n), number, supplier_id=supplier)
        for n, (supplier, number) in enumerate(numbers, start=1)
    ]
    keys = invoice_keys(invoices)
    assert keys.keys() == {each.document_no for each in invoices}
    assert len({(e.supplier_id, keys[e.document_no]) for e in invoices}) == len(invoices)
    assert all(0 < len(key) <= 20 and key == key.strip() for key in keys.values())


@given(st.lists(NUMBERS, max_size=25))
def test_a_number_that_fits_is_kept_and_every_other_is_listed(numbers: list[str]) -> None:
    invoices = tuple(_invoice(str(n), number) for n, number in enumerate(numbers, start=1))
    changes = {each.document_no: each for each in key_changes(_company(invoices=invoices))}
    seen = set()
    for each in invoices:
        number = each.invoice_no
        kept = 0 < len(number) <= 20 and number == number.strip() and number not in seen
        assert (each.document_no not in changes) == kept
        seen.add(number)
    assert all(each.reason for each in changes.values())


@pytest.mark.parametrize(
    ("numbers", "keys", "reasons"),
    [
        (["", "  "], ["DOC1", "DOC2"], ["blank", "blank"]),
        (["A", "A", "A"], ["A", "A~2", "A~3"], ["repeated", "repeated"]),
        # A number that was really given is never taken by a made one.
        (["A", "A", "A~2"], ["A", "A~3", "A~2"], ["repeated"]),
        (["B" * 21], ["B" * 20], ["longer than 20 characters"]),
        (
            ["B" * 21, "B" * 20, "B" * 22],
            ["B" * 18 + "~2", "B" * 20, "B" * 18 + "~3"],
            ["longer than 20 characters, repeated"] * 2,
        ),
        ([" 7", "7"], ["7~2", "7"], ["blanks at its ends, repeated"]),
        (["007", "7"], ["007", "7"], []),
    ],
)
def test_the_rule_of_keys(numbers: list[str], keys: list[str], reasons: list[str]) -> None:
    invoices = tuple(_invoice(str(n), number) for n, number in enumerate(numbers, start=1))
    company = _company(invoices=invoices)
    assert list(map(invoice_keys(invoices).get, map(str, range(1, 9))))[: len(keys)] == keys
    assert [each.reason for each in key_changes(company)] == reasons
    rows = {row["Journal"]: row for row in syspro_tables(company)["ApInvoice"]}
    for change in key_changes(company):
        row = rows[int(change.document_no)]
        assert (row["Invoice"], row["Reference"]) == (change.key, change.invoice_no)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_document_is_lost_and_totals_are_kept_to_the_cent(seed: int) -> None:
    company = generate(seed, 60)
    tables = syspro_tables(company)
    counts = {
        "ApSupplier": company.suppliers,
        "ApInvoice": company.invoices,
        "ApPosting": company.gl_distributions,
        "PorMasterHdr": company.purchase_orders,
        "PorMasterDetail": company.po_lines,
        "GrnDetails": company.receipts,
    }
    assert {name: len(tables[name]) for name in counts} == {
        n: len(r) for n, r in counts.items()
    }
    _same(tables["ApInvoice"], "OrigInvValue", [each.value for each in company.invoices])
    _same(
        [row for row in tables["ApPosting"] if row["Supplier"] in _local(tables)],
        "DistrValue",
        [e.amount for e in company.gl_distributions if _is_local(company, e.document_no)],
    )
    _converted_postings_make_the_converted_invoice(company, tables)
    _same(tables["GrnDetails"], "QtyReceived", [each.qty for each in company.receipts])
    billed = [each.qty for each in company.receipts if each.document_no != UNBILLED]
    _same(tables["GrnMatching"], "MatchedQty", billed)


def _is_local(company: Company, document_no: str) -> bool:
    invoice = next(e for e in company.invoices if e.document_no == document_no)
    return (invoice.currency or company.local_currency) == company.local_currency


def _local(tables: dict[str, list[dict[str, Any]]]) -> set[str]:
    return {row["Supplier"] for row in tables["ApInvoice"] if row["Currency"] == "GBP"}


def _converted_postings_make_the_converted_invoice(
    company: Company, tables: dict[str, list[dict[str, Any]]]
) -> None:
    """SYSPRO's ledger is local: foreign postings add up to the invoice, converted."""
    whole: dict[str, Decimal] = defaultdict(Decimal)
    for each in company.gl_distributions:
        whole[each.document_no] += each.amount
    for invoice in company.invoices:
        if _is_local(company, invoice.document_no) or whole[invoice.document_no] == 0:
            continue
        rows = [r for r in tables["ApPosting"] if r["Journal"] == int(invoice.document_no)]
        rate = invoice.exchange_rate
        exact = whole[invoice.document_no]
        converted = exact / rate if invoice.mul_div == "D" else exact * rate
        assert sum(r["DistrValue"] for r in rows) == converted.quantize(
            Decimal("0.01"), ROUND_HALF_UP
        )


def _same(rows: list[dict[str, Any]], column: str, values: list[Decimal]) -> None:
    assert sum(row[column] for row in rows) == sum(values)
    assert sorted(row[column] for row in rows) == sorted(values)


def test_every_row_has_every_column_typed_at_its_scale_and_width(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    assert tables.keys() == {each.entity_set for each in ENTITIES.values()}
    for entity in ENTITIES.values():
        for row in tables[entity.entity_set]:
            assert list(row) == [column.source for column in entity.columns]
            for column in entity.columns:
                value = row[column.source]
                if column.kind in ("key", "text"):
                    assert len(value) <= WIDTHS.get(column.source, 1)
                elif column.kind == "date":
                    assert value is None or type(value) is date
                elif column.kind == "integer":
                    assert type(value) is int
                else:
                    assert value.as_tuple().exponent == -SCALES[column.kind][1]


def test_keys_of_every_table_are_unique(tables: dict[str, list[dict[str, Any]]]) -> None:
    for entity in ENTITIES.values():
        columns = [entity.column(name).source for name in entity.key]
        keys = Counter(tuple(row[c] for c in columns) for row in tables[entity.entity_set])
        assert [key for key, count in keys.items() if count > 1] == [], entity.name


def test_postings_and_matches_stand_under_the_key_of_their_invoice(
    company: Company, tables: dict[str, list[dict[str, Any]]]
) -> None:
    invoices = {(row["Supplier"], row["Invoice"]): row for row in tables["ApInvoice"]}
    for row in tables["ApPosting"]:
        invoice = invoices[row["Supplier"], row["Invoice"]]
        assert row["Journal"] == invoice["Journal"]
        assert row["PostDate"] >= invoice["InvoiceDate"]
        assert (row["TrnYear"], row["TrnMonth"]) == (
            row["PostDate"].year,
            row["PostDate"].month,
        )
    receipts = {
        (r["Supplier"], r["Grn"], r["Journal"], r["JournalEntry"]) for r in tables["GrnDetails"]
    }
    for row in tables["GrnMatching"]:
        assert (row["Supplier"], row["Grn"], row["Journal"], row["EntryNumber"]) in receipts
        assert row["MatchedDate"] == invoices[row["Supplier"], row["Invoice"]]["JournalDate"]


def test_credit_notes_that_name_an_invoice_have_its_key_as_reference(
    company: Company, tables: dict[str, list[dict[str, Any]]]
) -> None:
    keys = {row["Journal"]: row["Invoice"] for row in tables["ApInvoice"]}
    rows = {row["Journal"]: row for row in tables["ApInvoice"]}
    named = [each for each in company.invoices if each.credit_of]
    assert named
    for note in named:
        row = rows[int(note.document_no)]
        assert row["Reference"] == keys[int(note.credit_of)]
        assert row["OrigInvValue"] < 0


def test_every_code_that_is_used_has_its_row(tables: dict[str, list[dict[str, Any]]]) -> None:
    ledger = {row["GlCode"] for row in tables["GenMaster"]}
    assert {row["ExpenseGlCode"] for row in tables["ApPosting"]} <= ledger
    assert {row["DebitRecGlCode"] for row in tables["GrnDetails"]} <= ledger
    assert {row["MGlCode"] for row in tables["PorMasterDetail"]} <= ledger | {""}
    taxes = {row["TaxCode"] for row in tables["AdmTax"]}
    assert {row["FirstTaxCode"] for row in tables["ApInvoice"]} <= taxes
    assert {row["MTaxCode"] for row in tables["PorMasterDetail"]} <= taxes | {""}
    terms = {row["TermsCode"] for row in tables["TblApTerms"]}
    assert {row["TermsCode"] for row in tables["ApSupplier"]} <= terms
    stocked = [row for row in tables["PorMasterDetail"] if row["LineType"] == "1"]
    items = {row["StockCode"] for row in tables["InvMaster"]}
    assert {row["MStockCode"] for row in stocked} <= items


def test_numeric_suppliers_are_zero_filled_and_others_kept() -> None:
    suppliers = tuple(Supplier(supplier_id=each, name="X") for each in ("615999", "00A7", "V1"))
    company = Company("small", suppliers=suppliers)
    rows = syspro_tables(company)["ApSupplier"]
    assert [row["Supplier"] for row in rows] == ["000000000615999", "00A7", "V1"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("7", "007"), "found '7' and '007', which both become 000000000000007"),
        (("1" * 16,), "expected at most 15 characters"),
    ],
)
def test_supplier_ids_that_syspro_cannot_tell_apart_are_refused(
    ids: tuple[str, ...], message: str
) -> None:
    suppliers = tuple(Supplier(supplier_id=each, name="X") for each in ids)
    with pytest.raises(ValueError, match=message):
        syspro_tables(Company("small", suppliers=suppliers))


def test_postings_are_spread_by_document_unless_told_otherwise() -> None:
    invoices = tuple(_invoice(str(n), str(n)) for n in range(1, 200))
    company = _company(invoices=invoices)
    days = {row["PostDate"] for row in syspro_tables(company)["ApPosting"]}
    assert {(day - DAY).days for day in days} == set(range(11))
    flat = syspro_tables(company, spread_postings=False)
    assert {row["PostDate"] for row in flat["ApPosting"]} == {DAY}
    assert {row["JournalDate"] for row in flat["ApInvoice"]} == {DAY}


def test_a_posted_date_that_is_given_is_kept_and_the_first_is_the_journals() -> None:
    postings = tuple(
        Distribution(
            document_no="1",
            line=day,
            account="8550",
            cost_centre="9",
            amount=Decimal(5),
            post_date=date(2026, 6, day),
        )
        for day in (3, 2)
    )
    company = _company(
        invoices=(_invoice("1"),),
        gl_distributions=postings,
        gl_accounts=(GlAccount(account="8550", description="Other"),),
    )
    tables = syspro_tables(company)
    assert [row["PostDate"].day for row in tables["ApPosting"]] == [3, 2]
    assert tables["ApInvoice"][0]["JournalDate"] == date(2026, 6, 2)
    assert tables["ApPosting"][0]["ExpenseGlCode"] == "9.8550"


def test_an_invoice_without_postings_in_a_ledger_that_has_them_gets_none() -> None:
    posting = Distribution(document_no="1", line=1, account="8550", amount=Decimal(10))
    company = _company(
        invoices=(_invoice("1"), _invoice("2", "B")),
        gl_distributions=(posting,),
        gl_accounts=(GlAccount(account="8550", description="Other"),),
    )
    assert [row["Invoice"] for row in syspro_tables(company)["ApPosting"]] == ["A"]


def test_a_ledger_without_postings_gets_them_from_receipts_and_tax() -> None:
    invoice = _invoice("1", net=Decimal("25.00"), tax=Decimal("3.75"), purchase_order="P1")
    company = _company(
        po_lines=(_line(1), _line(2), _line(3, gl_code="100.9999")),
        receipts=(_receipt("10.00"), _receipt("7.00", 2), _receipt("5.00", 3)),
        invoices=(invoice,),
    )
    posted = [
        (r["ExpenseGlCode"], r["DistrValue"]) for r in syspro_tables(company)["ApPosting"]
    ]
    assert posted == [
        ("100.1400", Decimal("17.00")),
        ("100.9999", Decimal("5.00")),
        ("100.7000", Decimal("3.00")),
        ("100.2200", Decimal("3.75")),
    ]


def test_a_chart_without_the_accounts_to_post_to_is_refused() -> None:
    company = _company(
        invoices=(_invoice("1"),), gl_accounts=(GlAccount(account="1", description="X"),)
    )
    with pytest.raises(
        ValueError, match=r"no account with role stock, tax or expense.*document 1"
    ):
        syspro_tables(company)


def test_receipts_of_an_order_with_several_invoices_must_name_theirs() -> None:
    company = _company(
        receipts=(_receipt("10.00"), _receipt("10.00", document_no="2")),
        invoices=(
            _invoice("1", purchase_order="P1"),
            _invoice("2", "B", purchase_order="P1"),
        ),
    )
    tables = syspro_tables(company)
    assert [row["Invoice"] for row in tables["GrnMatching"]] == ["B"]
    assert [row["MatchedValue"] for row in tables["GrnDetails"]] == [0, 10]


def test_a_receipt_can_say_that_nothing_bills_it_yet() -> None:
    company = _company(
        receipts=(_receipt("10.00"), _receipt("7.00", document_no=UNBILLED)),
        invoices=(_invoice("1", purchase_order="P1"),),
    )
    tables = syspro_tables(company)
    assert [row["MatchedValue"] for row in tables["GrnMatching"]] == [10]


def test_a_credit_note_has_a_row_and_its_postings_name_what_it_credits() -> None:
    company = _company(
        invoices=(
            _invoice("1", "LONG" * 6),
            _invoice("2", "CN", net=Decimal(-4), credit_of="1"),
            _invoice("3", "CN2", net=Decimal(-4)),
        )
    )
    tables = syspro_tables(company)
    assert [row["OrigInvValue"] for row in tables["ApInvoice"]] == [10, -4, -4]
    credited = tables["ApInvoice"][0]["Invoice"]
    postings = [
        (r["TransactionCode"], r["Invoice"], r["Reference"]) for r in tables["ApPosting"]
    ]
    assert postings == [("I", credited, ""), ("C", "CN", credited), ("C", "CN2", "")]


@pytest.mark.parametrize(
    ("order", "received", "status", "cancelled"),
    [
        ({}, "4", "9", "N"),
        ({}, "3", "4", "N"),
        ({"complete": False}, "4", "4", "N"),
        ({"complete": True}, "0", "9", "N"),
        ({"status": "cancelled"}, "4", "*", "Y"),
    ],
)
def test_an_order_is_complete_by_its_receipts_unless_it_says(
    order: dict[str, Any], received: str, status: str, cancelled: str
) -> None:
    base = PurchaseOrder(purchase_order="P1", supplier_id="7", order_date=None)
    company = _company(
        purchase_orders=(replace(base, **order),),
        po_lines=(_line(), _line(2, type="6", qty_ordered=Decimal(0))),
        receipts=(_receipt("1", qty=Decimal(received)),),
    )
    row = syspro_tables(company)["PorMasterHdr"][0]
    assert (row["OrderStatus"], row["CancelledFlag"]) == (status, cancelled)
    assert row["OrderEntryDate"] is None
    assert (row["DatePoCompleted"] == DAY) == (status == "9")


@pytest.mark.parametrize(("mul_div", "local"), [("M", "5.00000"), ("D", "1.25000")])
def test_a_foreign_price_is_kept_beside_the_local_one(mul_div: Any, local: str) -> None:
    order = PurchaseOrder(
        purchase_order="P1",
        supplier_id="7",
        order_date=DAY,
        currency="USD",
        exchange_rate=Decimal(2),
        mul_div=mul_div,
    )
    tables = syspro_tables(_company(purchase_orders=(order,)))
    header, line = tables["PorMasterHdr"][0], tables["PorMasterDetail"][0]
    assert (header["OrderType"], header["Currency"], header["MulDiv"]) == ("I", "USD", mul_div)
    assert (line["MForeignPrice"], line["MPrice"]) == (Decimal("2.5"), Decimal(local))
    assert (line["MConvFactPrcUm"], line["MMulDivPrc"]) == (1, "M")


@pytest.mark.parametrize(("codes", "status"), [(("E", "E"), "E"), (("E", "S20"), "N")])
def test_an_order_is_exempt_when_none_of_its_lines_is_taxed(
    codes: tuple[str, str], status: str
) -> None:
    lines = tuple(_line(n, tax_code=code) for n, code in enumerate(codes, start=1))
    tables = syspro_tables(_company(po_lines=lines))
    assert tables["PorMasterHdr"][0]["TaxStatus"] == status
    assert [row["MTaxCode"] for row in tables["PorMasterDetail"]] == list(codes)


def test_a_supplier_keeps_its_address_line_by_line() -> None:
    supplier = Supplier(
        supplier_id="7",
        name="Seven",
        postal1="Unit 7",
        postal2="Kiln Lane",
        postal3="Wexcombe",
        postal4="Wessex",
        postal5="United Kingdom",
        postal_postcode="ZA1 1XY",
    )
    row = syspro_tables(Company("one", suppliers=(supplier,)))["ApSupplierAddr"][0]
    lines = [row[f"SupAddr{n}"] for n in range(1, 6)]
    assert lines == ["Unit 7", "Kiln Lane", "Wexcombe", "Wessex", "United Kingdom"]
    assert row["SupPostalCode"] == "ZA1 1XY"


@pytest.mark.parametrize(("outstanding", "balance"), [(None, "10"), (Decimal(0), "0")])
def test_what_is_still_owed_is_the_balance(outstanding: Decimal | None, balance: str) -> None:
    tables = syspro_tables(_company(invoices=(_invoice("1", outstanding=outstanding),)))
    assert tables["ApInvoice"][0]["MthInvBal1"] == Decimal(balance)


def test_charges_carry_a_value_and_a_text_and_comments_only_a_text() -> None:
    charge = _line(1, type="4", description="Carriage", qty_ordered=Decimal(1), stock_code="")
    comment = _line(2, type="6", description="Gate 2", qty_ordered=Decimal(0), stock_code="")
    rows = syspro_tables(_company(po_lines=(charge, comment)))["PorMasterDetail"]
    assert [row["NComment"] for row in rows] == ["Carriage", "Gate 2"]
    assert [row["NMscChargeValue"] for row in rows] == [Decimal("2.50"), 0]
    assert [row["MOrderQty"] for row in rows] == [0, 0]


def test_long_descriptions_are_cut_and_long_keys_refused() -> None:
    company = _company(po_lines=(_line(description="D" * 60),))
    assert syspro_tables(company)["PorMasterDetail"][0]["MStockDes"] == "D" * 50
    with pytest.raises(ValueError, match=r"PorMasterDetail.MStockCode: found .* at most 30"):
        syspro_tables(_company(po_lines=(_line(stock_code="S" * 31),)))
    with pytest.raises(ValueError, match=r"DefTaxCode: found 'VAT20', expected at most 3"):
        syspro_tables(_company(invoices=(_invoice("1", tax_code="VAT20"),)))


@pytest.mark.parametrize("net", ["10.005", "1234567890123.00"])
def test_an_amount_that_syspro_cannot_hold_is_refused_not_rounded(net: str) -> None:
    with pytest.raises(
        ValueError, match=rf"ApInvoice.OrigInvValue: found {net}, expected a numb"
    ):
        syspro_tables(_company(invoices=(_invoice("1", net=Decimal(net)),)))


@pytest.mark.parametrize(
    ("net", "tax", "code"),
    [("100", "0", "E"), ("313.50", "47.03", "S15"), ("-10", "-2", "S20")],
)
def test_a_tax_code_follows_from_the_tax_when_none_is_given(
    net: str, tax: str, code: str
) -> None:
    tables = syspro_tables(
        _company(invoices=(_invoice("1", net=Decimal(net), tax=Decimal(tax)),))
    )
    assert tables["ApInvoice"][0]["FirstTaxCode"] == code
    rates = {row["TaxCode"]: row["CurTaxRate"] for row in tables["AdmTax"]}
    assert rates[code] == (int(code[1:]) if code != "E" else 0)
    assert rates["E"] == 0
