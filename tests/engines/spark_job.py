"""`python -m engines.spark_job ROWS OUTPUT SERVER`: the driver of a job, which a test kills."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from engines.local_spark import local_spark

import explicate.spark

PARTS = 3
JOB: dict[str, Any] = {"parts": PARTS, "by": ["id"], "explain": "exact-shap", "seed": 3}


def main() -> None:
    """Score the rows; one row after another, so that there is time to kill it."""
    rows, output, server = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        spark = local_spark("local[1]", Path(folder))
        explicate.spark.score_to(spark.read.parquet(rows), output, "loans", server=server, **JOB)


if __name__ == "__main__":
    main()
