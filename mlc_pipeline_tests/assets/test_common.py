"""Every asset fails with the message of an error of ours; a fault keeps its trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlc_pipeline.assets import proof, reference
from mlc_pipeline.assets.common import Site, plain
from mlc_pipeline.connection.errors import GlCodeError
from mlc_pipeline_tests.connection.examples import connection


@plain
def _at_once(error: Exception) -> int:
    raise error


@plain
def _by_and_by(error: Exception) -> Iterator[int]:
    yield 1
    raise error


@pytest.mark.parametrize("compute", [_at_once, lambda error: list(_by_and_by(error))])
def test_an_error_of_ours_is_told_in_words_and_a_fault_is_not(compute: object) -> None:
    assert callable(compute)
    with pytest.raises(dg.Failure, match="10-20 is no code") as caught:
        compute(GlCodeError("10-20 is no code"))
    assert caught.value.metadata["error"].value == "GlCodeError"
    assert caught.value.__cause__ is None
    with pytest.raises(ZeroDivisionError):
        compute(ZeroDivisionError())


def test_the_comparison_and_the_mappings_are_told_in_words_too() -> None:
    site = Site(connection(), Path("acme"))
    for made in (*proof.proof_assets(site), *reference.mapping_assets(site)):
        compute = made.node_def.compute_fn.decorated_fn
        assert hasattr(compute, "__wrapped__"), made.node_def.name
