"""baseline.json of a run: what a simple model that was fitted to the same training rows answers to the held-out rows.

Training writes it beside held_out.jsonl, whose digest it names. So a model can be compared with the simple one on the
same rows later, without the training data and without the packages that fit it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BASELINE_NAME = "baseline.json"


@dataclass(frozen=True, eq=False)
class BaselineAnswers:
    """A simple model's answers. `outputs` float64[lines, outputs] are as a graph gives them, one a line of the rows."""

    name: str
    outputs: NDArray[np.float64]


def write_baseline(rows: Path, answers: BaselineAnswers) -> None:
    """Write the answers beside the file of rows that they are of."""
    document = {
        "name": answers.name,
        "held_out_sha256": hashlib.sha256(rows.read_bytes()).hexdigest(),
        "outputs": [[float(f"{output:.9g}") for output in of_row] for of_row in answers.outputs.tolist()],
    }
    rows.with_name(BASELINE_NAME).write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
