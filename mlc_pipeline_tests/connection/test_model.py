from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlc_pipeline.connection.errors import GlCodeError
from mlc_pipeline.connection.model import Connection, GlCode, is_loopback
from mlc_pipeline.connection.reference import reference_table
from mlc_pipeline.syspro.entities import ENTITIES
from mlc_pipeline_tests.connection.examples import connection

SECTIONS = st.text(alphabet="0123456789AZ-", min_size=1, max_size=8)


def test_entities_are_syspros_own_but_for_the_overrides():
    entities = connection().entities()
    assert list(entities) == list(ENTITIES)
    assert entities["invoices"] is ENTITIES["invoices"]
    assert entities["postings"].entity_set == "ApDistribution"
    assert entities["postings"].column("amount").source == "DistrAmount"
    assert entities["postings"].date_column == "post_date"


def test_an_override_may_move_the_key_and_the_home_date():
    override = {"receipts": {"key": ["grn", "journal"], "date_column": "receipt_date"}}
    receipts = connection(syspro={"entities": override}).entities()["receipts"]
    assert receipts.key == ("grn", "journal")
    assert receipts.entity_set == ENTITIES["receipts"].entity_set


def test_the_secrets_a_connection_needs_follow_its_settings():
    changed = connection(
        syspro={"odata_auth": "basic"}, cin7={"applications": ["main", "second"]}
    )
    assert "syspro_odata_user" not in connection().secret_names()
    assert changed.secret_names() == (
        "syspro_operator_password",
        "syspro_company_password",
        "syspro_odata_user",
        "syspro_odata_password",
        "cin7_account_id",
        "cin7_application_key_main",
        "cin7_application_key_second",
    )


@pytest.mark.parametrize("host", ["127.0.0.1:8472", "localhost", "[::1]:8472"])
def test_a_stand_in_on_this_machine_may_use_http_and_any_pace(host):
    url = f"http://{host}/ExternalApi/v2/"
    cin7 = connection(cin7={"base_url": url, "calls_per_minute": 600_000}).cin7
    assert cin7.base_url == url.rstrip("/")
    assert is_loopback(cin7.base_url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.example.com/v2",
        "http://localhost.example.com/v2",
        "http://10.0.0.1/v2",
        "https://host:99999/v2",
        "https://[::1/v2",
        "https:///v2",
        "https://host/v2#part",
        "https://host/a b",
        "//host/v2",
    ],
)
def test_any_other_address_is_refused(url):
    with pytest.raises(ValidationError) as caught:
        connection(cin7={"base_url": url})
    (error,) = caught.value.errors()
    assert error["loc"] == ("cin7", "base_url")


@pytest.mark.parametrize("url", ["https://host/purchase", "https://host/{id}/{id}"])
def test_a_document_link_names_the_id_once(url):
    with pytest.raises(ValidationError, match=r"expected \{id\} once"):
        connection(cin7={"document_url": url})


def test_a_document_link_may_have_other_braces():
    url = "https://host/{tenant}?at={}#{id}"
    settings = connection(cin7={"document_url": url})
    assert settings.cin7.link("4f2a") == "https://host/{tenant}?at={}#4f2a"
    assert settings.cin7.link(None) == ""


def test_a_connection_cannot_be_changed_nor_shown_with_its_input():
    with pytest.raises(ValidationError):
        connection().name = "beta"
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"name": "acme", "password": "hunter2"})
    assert "hunter2" not in str(caught.value)


@given(SECTIONS, SECTIONS)
def test_a_gl_code_is_split_into_account_and_cost_centre(cost_centre, account):
    layout = GlCode(separator=".", account_section=2, cost_centre_section=1)
    assert layout.split(f"{cost_centre}.{account}.99") == (account, cost_centre)


@given(st.text(alphabet="0123456789.-", min_size=1))
def test_a_gl_code_without_separator_is_the_account_whole(code):
    assert GlCode(separator="", account_section=1).split(code) == (code, None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("4000", "found 1 section(s) parted by '.', expected the account in section 2"),
        ("0100.", "expected the account in section 2"),
        ("0100. ", "expected the account in section 2"),
        (".4000", "expected the cost centre in section 1"),
        ("", "GL code ''"),
    ],
)
def test_a_gl_code_with_too_few_sections_is_told_in_full(code, said):
    layout = GlCode(separator=".", account_section=2, cost_centre_section=1)
    with pytest.raises(GlCodeError) as caught:
        layout.split(code)
    assert said in str(caught.value)
    assert "correct syspro.gl_code in connection.yaml" in str(caught.value)


def test_every_setting_is_in_the_reference_with_its_default_and_meaning():
    rows = {row.split("|")[1].strip(): row for row in reference_table().splitlines()}
    assert "| required | Company id |" in rows["`syspro.company`"]
    assert "| 1 to 5000 | `5000` | Rows a page |" in rows["`syspro.page_size`"]
    assert "| `hold`, `create` | `hold` |" in rows["`policies.missing_product`"]
    assert "| whole number |" in rows["`syspro.gl_code.cost_centre_section`"]
    assert "| `[main]` |" in rows["`cin7.applications`"]
    assert "`syspro.entities.<name>.columns`" in rows
    assert "`name`" not in rows
    assert all(row.count("|") == 5 and not row.endswith("|  |") for row in rows.values())
