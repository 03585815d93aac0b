"""`python -m engines.spark_executors ROWS FOLDER SERVER`: a job that kills one of its two executors while it scores."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyspark
from engines.local_spark import local_spark

import explicate.spark


def ends_an_executor(marker: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What passes batches on, and once kills the executor that it runs in: the parent of Python's daemon."""

    def passes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not Path(marker).exists():
                Path(marker).touch()
                daemon = Path(f"/proc/{os.getppid()}/stat").read_text(encoding="ascii")
                os.kill(int(daemon.rpartition(")")[2].split()[1]), signal.SIGKILL)

    return passes


def main() -> None:
    """Score the rows in four partitions, and write them as Parquet."""
    rows, folder, server = sys.argv[1:]
    with tempfile.TemporaryDirectory() as own:
        spark = local_spark("local-cluster[2,1,1024]", Path(own))
        loans = spark.read.parquet(rows).repartition(4, "id")
        passed = loans.mapInArrow(ends_an_executor(f"{folder}/killed"), loans.schema)
        explicate.spark.score(passed, "loans", server=server).write.parquet(f"{folder}/scored")
        spark.stop()
    shutil.rmtree(Path(pyspark.__file__).parent / "work", ignore_errors=True)  # the logs of executors


if __name__ == "__main__":
    main()
