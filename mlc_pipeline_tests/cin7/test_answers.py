"""Every status and shape of an answer becomes the error that says what to do."""

from __future__ import annotations

import pytest

from mlc_pipeline.cin7 import answers
from mlc_pipeline.cin7.errors import (
    Call,
    Cin7Error,
    NotAuthorised,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    UncertainOutcome,
    UnexpectedAnswer,
)
from mlc_pipeline_tests.cin7.support import LIMIT_TEXT, Reply, answer, html, text

READ = Call("main", "GET", "/supplier", "Name 'Acme'")
WRITE = Call("main", "POST", "/supplier", "Name 'Acme'")
ERRORS = [{"ErrorCode": 400, "Exception": "Name is required"}]
MISSING_LOCATION = [
    {"ErrorCode": 404, "Exception": "Location 'X' was not found in Locations reference book"}
]


def _of(response: Reply) -> answers.Answer:
    assert not isinstance(response, Exception)
    return answers.Answer.of(response.status_code, response.headers, response.content)


def _error(call: Call, response: Reply) -> Cin7Error:
    with pytest.raises(Cin7Error) as caught:
        answers.read(call, _of(response), str)
    return caught.value


def test_a_json_answer_is_returned() -> None:
    body = {"Total": 1, "SupplierList": [{"ID": "1", "Comments": LIMIT_TEXT}]}
    assert answers.read(READ, _of(answer(body)), str) == body
    assert _of(answer(body)).wait_seconds is None


def test_no_content_is_an_empty_object() -> None:
    assert answers.read(WRITE, _of(text("", 204)), str) == {}


@pytest.mark.parametrize(
    ("response", "of_read", "of_write"),
    [
        (answer(ERRORS, 400), Refused, Refused),
        (answer(ERRORS[0], 400), Refused, Refused),
        (answer(ERRORS, 200), Refused, Refused),
        (text("The requested resource does not support 'PUT'.", 405), Refused, Refused),
        (answer({"Message": "No."}, 405), Refused, Refused),
        (answer(MISSING_LOCATION, 400), NotFound, Refused),
        (answer(MISSING_LOCATION, 404), NotFound, NotFound),
        (html(404), NotFound, NotFound),
        (text("Incorrect credentials!", 403), NotAuthorised, NotAuthorised),
        (html(401), NotAuthorised, NotAuthorised),
        (text("Too many requests", 429), Throttled, Throttled),
        (html(429), Throttled, Throttled),
        (text(LIMIT_TEXT, 503), Throttled, Throttled),
        (answer([{"ErrorCode": 400, "Exception": LIMIT_TEXT}], 400), Throttled, Throttled),
        (text("You reached 60 Calls per Minute API limit.", 403), Throttled, Throttled),
        (text(LIMIT_TEXT, 200), Throttled, Throttled),
        (text(LIMIT_TEXT, 500), Throttled, Throttled),
        (text("Service Unavailable", 503), Throttled, UncertainOutcome),
        (text("oops", 500), Unavailable, UncertainOutcome),
        (answer([{"ErrorCode": 500, "Exception": "oops"}], 500), Unavailable, UncertainOutcome),
        (answer([{"ErrorCode": 500, "Exception": "oops"}], 200), Unavailable, UncertainOutcome),
        (html(502), Unavailable, UncertainOutcome),
        (text("", 504), Unavailable, UncertainOutcome),
        (text("", 408), Unavailable, UncertainOutcome),
        (html(200), UnexpectedAnswer, UncertainOutcome),
        (text('{"a": 1}', 200, "text/html"), UnexpectedAnswer, UncertainOutcome),
        (
            text('{"SupplierList": [', 200, "application/json"),
            UnexpectedAnswer,
            UncertainOutcome,
        ),
        (text('{"a": NaN}', 200, "application/json"), UnexpectedAnswer, UncertainOutcome),
        (text("", 200, "application/json"), UnexpectedAnswer, UncertainOutcome),
        (text("", 302, location="http://other.test/"), UnexpectedAnswer, UncertainOutcome),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do(
    response: Reply, of_read: type[Cin7Error], of_write: type[Cin7Error]
) -> None:
    assert type(_error(READ, response)) is of_read
    assert type(_error(WRITE, response)) is of_write


@pytest.mark.parametrize(
    "sentence", ["Account with specified ID not found", "Purchase was NOT FOUND"]
)
def test_not_found_in_a_400_of_a_read_is_not_found(sentence: str) -> None:
    response = answer([{"ErrorCode": 400, "Exception": sentence}], 400)
    assert type(_error(READ, response)) is NotFound


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [
        (429, "60 Seconds", 60),
        (429, "30", 30),
        (429, " 7 seconds ", 7),
        (503, "31 Seconds", 31),
        (429, None, 60),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", 60),
        (429, "soon", 60),
        (429, "0", 1),
        (429, "86400", answers.LONGEST_WAIT_SECONDS),
        (503, None, 60),
    ],
)
def test_the_wait_is_read_from_either_shape_of_retry_after(
    status: int, retry_after: str | None, seconds: int
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    assert _of(text("slow down", status, **headers)).wait_seconds == seconds


def test_only_throttling_asks_for_a_wait() -> None:
    assert _of(text("oops", 500, **{"retry-after": "30"})).wait_seconds is None
    assert _of(text(LIMIT_TEXT, 400)).wait_seconds == 60


def test_a_refusal_carries_every_problem_that_cin7_names() -> None:
    problems = [
        {"ErrorCode": 400, "Exception": "Name is required"},
        {"ErrorCode": "404", "Exception": "TaxRule not found"},
        {"Exception": "no code"},
    ]
    error = _error(WRITE, answer(problems, 400))
    assert isinstance(error, Refused)
    assert error.errors == (
        (400, "Name is required"),
        (404, "TaxRule not found"),
        (None, "no code"),
    )
    assert error.messages == ("Name is required", "TaxRule not found", "no code")


def test_a_message_names_call_record_finding_and_remedy() -> None:
    error = _error(WRITE, answer(ERRORS, 400))
    assert str(error) == (
        "Cin7 application main: POST /supplier (Name 'Acme'): answered 400: [400] Name is "
        "required. Nothing was written: correct what Cin7 names and send it again"
    )
    assert (error.method, error.path, error.status) == ("POST", "/supplier", 400)
    assert (error.application, error.record) == ("main", "Name 'Acme'")


def test_a_page_of_html_is_named_by_its_title() -> None:
    assert "an HTML page titled 'Page not found'" in str(_error(READ, html()))


def test_a_long_text_is_cut() -> None:
    assert len(str(_error(READ, text("x" * 10_000, 500)))) < 700


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (NotFound, {Refused}),
        (Throttled, {Unavailable}),
        (Refused, set()),
        (NotAuthorised, set()),
        (Unavailable, set()),
        (UncertainOutcome, set()),
        (UnexpectedAnswer, set()),
    ],
)
def test_the_tree_of_errors_has_one_branch_per_thing_to_do(
    kind: type[Cin7Error], bases: set[type[Cin7Error]]
) -> None:
    others = {Refused, NotAuthorised, Unavailable, UncertainOutcome, UnexpectedAnswer} - {kind}
    assert {base for base in others if issubclass(kind, base)} == bases
    assert kind.advice
