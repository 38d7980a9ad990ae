"""Holding requests and answers of Cin7 Core against its OpenAPI description.

OpenAPI 3.0 is not JSON Schema: `nullable` is turned into a type with null, and the
description's own `x-decimals` (most decimal places) becomes a check.
What must not come in: the stand-in, the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DESCRIPTION = Path(__file__).with_name("cin7-core.openapi.yaml")
BASE_PATH = "/externalapi/v2"
_NAME = "urn:cin7-core"


class ContractBrokenError(AssertionError):
    """A body does not fit the description; the text lists every mismatch."""


def validate_request(method: str, path: str, body: Any) -> None:
    """The body must fit the closed request schema of the operation.

    Args:
        method: HTTP method, any case.
        path: path with or without the base path, any case, without query.
        body: the decoded JSON, fractions as `Decimal`.

    Raises:
        ContractBrokenError: it does not fit, or the operation takes no body.
    """
    operation, pointer = _operation(method, path)
    if "requestBody" not in operation:
        if body is not None:
            raise ContractBrokenError(f"{method} {path} takes no body")
        return
    _hold(f"{method} {path} request", f"{pointer}/requestBody/content/{_JSON}/schema", body)


def validate_response(method: str, path: str, status: int, body: Any) -> None:
    """The JSON body must fit the schema of the operation's answer with that status.

    Raises:
        ContractBrokenError: it does not fit, or such an answer is not described.
    """
    operation, pointer = _operation(method, path)
    content = operation["responses"].get(str(status), {}).get("content", {})
    if "application/json" not in content:
        raise ContractBrokenError(f"{method} {path} has no described JSON answer {status}")
    pointer = f"{pointer}/responses/{status}/content/{_JSON}/schema"
    _hold(f"{method} {path} answer {status}", pointer, body)


_JSON = "application~1json"


@cache
def _description() -> dict[str, Any]:
    # The C loader reads this file ten times faster, where PyYAML was built with it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load(DESCRIPTION.read_text(encoding="utf-8"), loader)
    return loaded


@cache
def _registry() -> Registry[Any]:
    resource = Resource(contents=_as_json_schema(_description()), specification=DRAFT202012)
    return Registry[Any]().with_resource(_NAME, resource)


def _as_json_schema(node: Any) -> Any:
    """The same tree with `nullable` schemas accepting null."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {key: _as_json_schema(value) for key, value in node.items()}
    if converted.get("nullable") is not True:
        return converted
    del converted["nullable"]
    return {"anyOf": [converted, {"type": "null"}]}


def _most_decimals(
    validator: Any, most: int, number: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(number, Decimal):
        return
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > most:
        yield ValidationError(f"{number} has more than {most} decimal places")


_Validator = validators.extend(Draft202012Validator, {"x-decimals": _most_decimals})


@cache
def _paths() -> dict[str, str]:
    """The described path of each path in lower case."""
    return {path.lower(): path for path in _description()["paths"]}


def _operation(method: str, path: str) -> tuple[dict[str, Any], str]:
    below = "/" + path.lower().removeprefix(BASE_PATH).strip("/")
    described = _paths().get(below)
    operations = _description()["paths"].get(described, {})
    operation = operations.get(method.lower())
    if described is None or operation is None:
        raise ContractBrokenError(f"{method} {path} is not described")
    escaped = described.replace("~", "~0").replace("/", "~1")
    return operation, f"{_NAME}#/paths/{escaped}/{method.lower()}"


@cache
def _validator(pointer: str) -> Any:
    checker = FormatChecker(["uuid"])
    return _Validator({"$ref": pointer}, registry=_registry(), format_checker=checker)


def _hold(what: str, pointer: str, body: Any) -> None:
    wrong = _validator(pointer).iter_errors(body)
    errors = [f"{error.json_path}: {error.message}" for error in wrong]
    if errors:
        raise ContractBrokenError(f"{what} breaks the contract:\n" + "\n".join(errors))
