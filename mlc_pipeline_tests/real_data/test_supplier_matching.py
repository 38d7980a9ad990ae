"""The Sheffield supplier master: nothing is merged that a person would have to part again."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import pytest

from mlc_pipeline.sync.supplier_matching import Matching, Party, shared_among

pytestmark = pytest.mark.real_data


def _master(real_data: Path) -> list[Party]:
    with gzip.open(
        real_data / "sheffield" / "suppliers.csv.gz", "rt", encoding="utf-8"
    ) as file:
        return [Party(r["supplier_id"], r["name"]) for r in csv.DictReader(file)]


def _respelt(name: str, chance: random.Random) -> str:
    """Return a name as another clerk writes it."""
    spellings = (
        lambda n: n.title(),
        lambda n: n.replace(" LTD", " LIMITED"),
        lambda n: n.replace(" LIMITED", " Ltd."),
        lambda n: n.replace("&", "AND"),
        lambda n: n.replace(" AND ", " & "),
        lambda n: f"  {n.lower()} ",
    )
    for spell in chance.sample(spellings, 2):
        name = spell(name)
    return name


def test_no_pair_that_must_not_merge_is_linked_and_most_others_are(real_data: Path) -> None:
    master = _master(real_data)
    chance = random.Random(1)
    # Cin7 has each account under the same name, as another clerk writes it.
    cin7 = [Party(f"cin7-{p.key}", _respelt(p.name, chance)) for p in master]
    shared = shared_among(master)
    matching = Matching(cin7, shared, shared_among(cin7))
    for party in master:
        matching.hold_against(party)
    found = matching.found()

    wrong = {code: key for code, key in found.links.items() if key != f"cin7-{code}"}
    assert wrong == {}
    negatives = [p for p in master if p.normalised in shared.names]
    assert len(negatives) > 30
    assert not {p.key for p in negatives} & found.links.keys()
    positives = len(master) - len(negatives)
    recall = len(found.links) * 100 // positives
    assert recall >= 99, f"{len(found.links)} of {positives} linked"
    # Each that was not linked by itself is proposed, so that no person has to search.
    proposed = {(p.syspro.key, p.cin7.key) for p in found.proposals}
    lost = [p.key for p in negatives if not any(code == p.key for code, _ in proposed)]
    assert lost == []
