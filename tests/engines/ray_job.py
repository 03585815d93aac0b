"""`python -m engines.ray_job ROWS OUTPUT SERVER RAY`: the driver of a job, which a test kills."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from engines.local_ray import local_ray

import explicate.ray

PARTS = 3
JOB: dict[str, Any] = {"parts": PARTS, "by": ["id"], "explain": "exact-shap", "seed": 3}


class ScorerThatDiesOnce(explicate.ray.Scorer):
    """A scorer whose process ends once, with answers that nobody has seen."""

    def __init__(self, job: Any, marker: str) -> None:
        super().__init__(job)
        self._marker, self._batches = Path(marker), 0

    def __call__(self, rows: pa.Table) -> pa.Table:
        answered = super().__call__(rows)
        self._batches += 1
        if self._batches == 2 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answered


def main() -> None:
    """Score the rows, part by part."""
    rows, output, server, address = sys.argv[1:]
    with local_ray(address):
        explicate.ray.score_to(ray.data.read_parquet(rows), output, "loans", server=server, **JOB)


if __name__ == "__main__":
    main()
