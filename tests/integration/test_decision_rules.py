"""Bundles that say how probabilities become an answer: every way to ask, and the client, decide by that rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import explicate
from explicate.views import wording
from explicate_bundle.bundle import verify_bundle
from explicate_bundle.errors import BundleError
from support.bundle_edits import edit_manifest
from support.harness import running_server
from support.packed_tables import packed
from support.tiny_table_bundle import TinyTable, tiny_table

CLASSES, LABELS = tiny_table(), tiny_table(multi_label=True, seed=3)
FIRST, LAST = CLASSES.labels[0], CLASSES.labels[-1]
THRESHOLD = 0.3
ROWS = 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models "classes" and "labels" with a threshold each, and "costs" of three classes."""
    folder = tmp_path_factory.mktemp("decisions")
    rule = {"thresholds": [{"label": FIRST, "threshold": THRESHOLD, "goal": "recall of at least 0.9"}], "rows": "100"}
    n = len(CLASSES.labels)
    costs = (np.ones((n, n)) - np.eye(n)).tolist()
    costs[n - 1] = [9.0] * (n - 1) + [0.0]
    for table, model, decision in (
        (CLASSES, "classes", rule),
        (LABELS, "labels", rule),
        (CLASSES, "costs", {"costs": [cost for row in costs for cost in row]}),
    ):
        published = table.publish(folder, model)
        edit_manifest(published, lambda manifest, decision=decision: manifest.update(decision=decision))
    return folder


def rows_of(table: TinyTable) -> list[dict[str, Any]]:
    held: dict[str, Any] = {}
    for column in packed(table, *table.rows(ROWS, seed=8)).columns:
        names = [*column.categories.names, None]
        held[column.name] = [names[code] for code in column.categories.codes] or [
            None if value != value else value for value in column.numbers.values
        ]
    return [dict(zip(held, cells, strict=True)) for cells in zip(*held.values(), strict=True)]


async def test_a_class_is_answered_from_its_threshold_on_however_it_is_asked_for(repository: Path) -> None:
    rows = rows_of(CLASSES)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        single = await client.predict("classes", rows)
        whole = await client.predict_table("classes", pd.DataFrame(rows))
        explained = await client.explain_table("classes", pd.DataFrame(rows), method="kernel-shap", seed=1)
        alone = await client.explain("classes", rows[0], seed=1)
        told = await client.get_model("classes")
    scores = np.array(whole.probabilities)
    expected = np.where(scores[:, 0] >= THRESHOLD, 0, 1 + scores[:, 1:].argmax(axis=1)).tolist()
    assert expected != scores.argmax(axis=1).tolist()  # the rule matters
    assert [one.index for one in single.predictions] == expected
    assert list(whole.predicted) == expected == list(explained.attributions[0].class_indices)
    assert [explained.row(place).prediction.index for place in range(ROWS)] == expected
    assert whole.labels == tuple(one.label for one in single.predictions)
    assert whole.to_frame()["probability"].tolist() == pytest.approx([one.probability for one in single.predictions])
    assert alone.explanation.attributions[0].class_index == expected[0]
    assert {score.threshold for score in single.predictions[0].scores} == {THRESHOLD, None}
    answered, below = (next(one for one in single.predictions if (one.index == 0) == first) for first in (True, False))
    assert wording.decided_by(answered) == f"{FIRST} from 0.3 on"
    assert wording.decided_by(below) == f"{FIRST} only from 0.3 on"
    assert told.decision is not None
    assert [(one.label, one.goal) for one in told.decision.thresholds] == [(FIRST, "recall of at least 0.9")]


async def test_a_label_is_given_from_its_own_threshold_on_and_others_from_one_half(repository: Path) -> None:
    rows = rows_of(LABELS)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        single = await client.predict("labels", rows)
        explained = await client.explain_table("labels", pd.DataFrame(rows), method="kernel-shap", seed=1)
    changed = 0
    for place, one in enumerate(single.predictions):
        wanted = {score.label for score in one.scores if score.probability >= (THRESHOLD if score.index == 0 else 0.5)}
        changed += wanted != {score.label for score in one.scores if score.probability >= 0.5}
        assert set(one.labels or ()) == wanted == set(explained.row(place).prediction.labels or ())
    assert changed


async def test_what_costs_least_is_answered(repository: Path) -> None:
    rows = rows_of(CLASSES)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        single = await client.predict("costs", rows)
        whole = await client.predict_table("costs", pd.DataFrame(rows))
    scores = np.array(whole.probabilities)
    wrong = 1 - scores
    wrong[:, :-1] += 8 * scores[:, [-1]]  # whatever else is answered to what is the last class costs 9
    assert [one.index for one in single.predictions] == wrong.argmin(axis=1).tolist() == list(whole.predicted)
    for one, costs in zip(single.predictions, wrong.tolist(), strict=True):
        assert [score.expected_cost for score in one.scores] == pytest.approx(costs)
        assert wording.decided_by(one).startswith(f"expected cost {one.label} {min(costs):.3g}, ")
    assert whole.labels.count(LAST) > scores.argmax(axis=1).tolist().count(len(CLASSES.labels) - 1)


def test_a_rule_about_a_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    published = CLASSES.publish(tmp_path, "classes")
    rule = {"thresholds": [{"label": "nobody", "threshold": 0.5}]}
    edit_manifest(published, lambda manifest: manifest.update(decision=rule))
    with pytest.raises(BundleError, match="'nobody', which is not a label"):
        verify_bundle(published, model="classes", version=1)
