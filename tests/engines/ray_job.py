"""`python -m engines.ray_job ROWS OUTPUT SERVER RAY`: the driver of a job, which a test kills."""

import sys
from typing import Any

import ray
from engines.local_ray import local_ray

import explicate.ray

PARTS = 3
JOB: dict[str, Any] = {"parts": PARTS, "by": ["id"], "explain": "exact-shap", "seed": 3}


def main() -> None:
    """Score the rows, part by part."""
    rows, output, server, address = sys.argv[1:]
    with local_ray(address):
        explicate.ray.score_to(ray.data.read_parquet(rows), output, "loans", server=server, **JOB)


if __name__ == "__main__":
    main()
