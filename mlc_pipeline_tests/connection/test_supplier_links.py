"""`supplier_links.csv`: what it says, what is wrong with it, and which rows disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlc_pipeline.connection.mappings import read_mappings, read_supplier_links
from mlc_pipeline.connection.supplier_links import NO_LINKS, Decision, SupplierLinks

HEADER = "syspro_supplier,cin7_supplier,decision,note"


def links(folder: Path, *rows: str, header: str = HEADER) -> SupplierLinks:
    """Write the file and read it."""
    (folder / "supplier_links.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return read_supplier_links(folder)


def test_without_the_file_nothing_is_decided(tmp_path: Path) -> None:
    assert read_supplier_links(tmp_path) == NO_LINKS
    assert NO_LINKS.against(Decision("link", "1", "x")) is None


def test_good_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    read = links(tmp_path, "0000123,id-1,link,same VAT number", ",id-2,ignore,", "77,,ignore,")
    assert read.rows == (
        Decision("link", "0000123", "id-1", "same VAT number", 2),
        Decision("ignore", "", "id-2", "", 3),
        Decision("ignore", "77", "", "", 4),
    )
    assert (read.problems, read.refused, read.unread) == ((), (), None)


def test_the_note_may_be_left_out_and_the_mapping_tables_do_not_know_the_file(
    tmp_path: Path,
) -> None:
    links(tmp_path, "1,id-1,link", header="syspro_supplier,cin7_supplier,decision")
    mappings = read_mappings(tmp_path)
    assert [p.kind for p in mappings.problems] == ["no_file"]  # gl_accounts.csv
    assert mappings.tables == {}
    assert not mappings.is_dated
    assert len(mappings.supplier_links.rows) == 1


def test_bad_rows_hold_what_they_name_and_the_good_ones_go_on(tmp_path: Path) -> None:
    read = links(
        tmp_path,
        "1,id-1,link,",
        "1,id-2,link,",  # one supplier, two links
        "2,id-3,link,",
        "3,id-3,link,",  # one Cin7 supplier, two codes
        "4,id-4,lnik,",
        "5,id-5,link,same, I think",  # a comma too many
        "6,id-6,link,",
    )
    assert [row.line for row in read.rows] == [8]
    assert {(row.supplier, row.cin7_id) for row in read.refused} == {
        ("1", "id-1"),
        ("1", "id-2"),
        ("2", "id-3"),
        ("3", "id-3"),
        ("4", "id-4"),
        ("5", "id-5"),
    }
    kinds = {p.line: p.kind for p in read.problems}
    assert kinds == {
        **dict.fromkeys((2, 3, 4, 5), "disagreeing"),
        6: "unknown_decision",
        7: "too_many_values",
    }
    assert read.unread is None


@pytest.mark.parametrize(
    "text",
    ["", "syspro_supplier;cin7_supplier;decision\n", "syspro_supplier,decision\n1,link\n"],
)
def test_a_file_whose_rows_cannot_be_read_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "supplier_links.csv").write_text(text, "utf-8")
    read = read_supplier_links(tmp_path)
    assert read.rows == ()
    assert read.unread is not None


LINKED = Decision("link", "0001", "x")


@pytest.mark.parametrize(
    ("one", "other", "disagree"),
    [
        (LINKED, Decision("link", "1", "x"), False),  # the same, zeros aside
        (LINKED, Decision("link", "1", "y"), True),
        (LINKED, Decision("link", "2", "x"), True),
        (LINKED, Decision("link", "2", "y"), False),
        (LINKED, Decision("unlink", "1", "x"), True),
        (LINKED, Decision("unlink", "1", "y"), False),  # parted from one, linked to another
        (LINKED, Decision("ignore", "1", "x"), True),
        (LINKED, Decision("ignore", "1", ""), True),
        (LINKED, Decision("ignore", "", "x"), True),
        (LINKED, Decision("ignore", "1", "y"), False),  # the other proposals of a supplier
        (Decision("unlink", "1", "x"), Decision("ignore", "1", "x"), False),
        (Decision("heed", "1", ""), Decision("ignore", "1", ""), True),
        (Decision("heed", "1", "x"), Decision("ignore", "1", ""), True),
        (Decision("heed", "1", ""), Decision("ignore", "1", "x"), False),
        (Decision("heed", "1", "x"), LINKED, False),
    ],
)
def test_decisions_disagree_when_both_cannot_hold(
    one: Decision, other: Decision, disagree: bool
) -> None:
    assert one.disagrees(other) is disagree
    assert other.disagrees(one) is disagree
