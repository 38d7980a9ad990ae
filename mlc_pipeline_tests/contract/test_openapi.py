"""The contract checker itself: what it accepts and what it must catch."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline_tests.contract.openapi import (
    ContractBrokenError,
    validate_request,
    validate_response,
)

ID = "11111111-1111-4111-8111-111111111111"
CHARGE = {
    "Description": "Consulting",
    "Quantity": 1,
    "Price": Decimal("10.1234"),
    "Tax": 0,
    "TaxRule": "No VAT",
    "Total": Decimal("10.12"),
}


def _order(**more: Any) -> dict[str, Any]:
    return {"TaskID": ID, "Status": "DRAFT", "Lines": [], **more}


@pytest.mark.parametrize("path", ["purchase/order", "/ExternalApi/v2/Purchase/Order"])
def test_a_right_request_is_accepted_under_any_spelling_of_the_path(path: str) -> None:
    validate_request("post", path, _order(AdditionalCharges=[CHARGE]))


def test_a_nullable_field_takes_null_and_another_does_not() -> None:
    validate_request("POST", "purchase/order", _order(Memo=None))
    with pytest.raises(ContractBrokenError, match=r"\$\.Status"):
        validate_request("POST", "purchase/order", _order(Status=None))


@pytest.mark.parametrize(
    "wrong",
    [
        _order(Approach="INVOICE"),
        _order(TaskID="not-a-guid"),
        _order(Status="AUTHORIZED"),
        _order(Memo="m" * 1025),
        _order(AdditionalCharges=[{**CHARGE, "Price": Decimal("1.00001")}]),
        _order(AdditionalCharges=[{**CHARGE, "Quantity": "1"}]),
        {"TaskID": ID, "Status": "DRAFT"},
    ],
)
def test_a_wrong_request_is_caught(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContractBrokenError):
        validate_request("POST", "purchase/order", wrong)


def test_every_mismatch_is_told_at_once() -> None:
    with pytest.raises(ContractBrokenError) as caught:
        validate_request("POST", "purchase/order", _order(TaskID="x", Status="y"))
    assert "$.TaskID" in str(caught.value)
    assert "$.Status" in str(caught.value)


def test_an_operation_that_is_not_described_is_caught() -> None:
    for method, path in (("PUT", "purchase/order"), ("GET", "AdvancedPurchase")):
        with pytest.raises(ContractBrokenError, match="is not described"):
            validate_request(method, path, None)
    with pytest.raises(ContractBrokenError, match="takes no body"):
        validate_request("GET", "me", {})


def test_an_answer_is_held_against_its_status() -> None:
    validate_response("GET", "me", 200, {"Company": "x", "Currency": "GBP"})
    validate_response("GET", "me", 400, [{"ErrorCode": 400, "Exception": "x"}])
    with pytest.raises(ContractBrokenError):
        validate_response("GET", "me", 200, {"Company": "x"})
    with pytest.raises(ContractBrokenError):
        validate_response("GET", "me", 400, [{"Exception": "x"}])
    with pytest.raises(ContractBrokenError, match="no described JSON answer 204"):
        validate_response("GET", "me", 204, None)
