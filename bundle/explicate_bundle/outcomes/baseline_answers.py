"""baseline.json of a run: what a simple model that was fitted to the same training rows answers to the held-out rows.

Training writes it beside held_out.jsonl, whose digest it names. So a model can be compared with the simple one on the
same rows later, without the training data and without the packages that fit it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.decision_rule import Decision

BASELINE_NAME = "baseline.json"


@dataclass(frozen=True, eq=False)
class BaselineAnswers:
    """A simple model's answers.

    Attributes:
        name: of the model.
        outputs: float64[lines, outputs] as a graph gives them, one a line of the rows.
        rule: what decides by them, where that is not the most probable answer.
    """

    name: str
    outputs: NDArray[np.float64]
    rule: Decision | None = None


def write_baseline(rows: Path, answers: BaselineAnswers) -> None:
    """Write the answers beside the file of rows that they are of."""
    document = {
        "name": answers.name,
        "held_out_sha256": hashlib.sha256(rows.read_bytes()).hexdigest(),
        **(_rule_document(answers.rule) if answers.rule is not None else {}),
        "outputs": [[float(f"{output:.9g}") for output in of_row] for of_row in answers.outputs.tolist()],
    }
    rows.with_name(BASELINE_NAME).write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def _rule_document(rule: Decision) -> dict[str, Any]:
    thresholds = [threshold if isfinite(threshold) else None for threshold in rule.thresholds.tolist()]
    return {"thresholds": thresholds, "costs": None if rule.costs is None else rule.costs.tolist()}


def rule_of(document: Mapping[str, Any], *, several: bool) -> Decision | None:
    """The rule of such a document; None without one.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    if "thresholds" not in document:
        return None
    thresholds = np.array([np.nan if one is None else one for one in document["thresholds"]], dtype=np.float64)
    return Decision(several, thresholds, None if document["costs"] is None else np.array(document["costs"], np.float64))
