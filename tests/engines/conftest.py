"""A real server, and what engines are asked to score: `make test-engines`, skipped where no engine is installed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from explicate import Client
from support.harness import server_process
from support.tiny_table_bundle import TinyTable, build_table_repository, tiny_table

ROWS = 60
TEXTS = ["this tea is great", "the box was not good and it came very late", "", "great"]
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Engines warn of many things that are not ours, and take their time to start."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
            item.add_marker(pytest.mark.timeout(1800))


@dataclass(frozen=True)
class Loans:
    """Rows of the model "loans", in a Parquet file, with what it answers to them by its formula.

    probabilities float64[rows, classes]; attributions float64[rows, players] of the predicted class. Row 7 has an
    infinite number, row 11 a truth value that is none: neither can be sent.
    """

    path: Path
    table: pa.Table
    model: TinyTable
    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]
    bad: tuple[int, ...] = (7, 11)

    @property
    def good(self) -> list[int]:
        """The rows that have an answer."""
        return [row for row in range(self.table.num_rows) if row not in self.bad]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        return self.model.probabilities(self.model.answers(self.numbers, self.codes))

    def attributions(self, row: int) -> NDArray[np.float64]:
        values = self.model.shapley_values(self.numbers[row], self.codes[row], probability=True)
        return np.asarray(values[self.probabilities[row].argmax()])

    def check_predictions(self, scored: Sequence[dict[str, Any]]) -> None:
        """That each row came once, with what the formula gives for it, or with why it has no answer."""
        by_id = {row["id"]: row for row in scored}
        assert len(scored) == len(by_id) == self.table.num_rows
        for row in self.good:
            assert by_id[row]["error"] is None
            np.testing.assert_allclose(by_id[row]["probabilities"], self.probabilities[row], atol=1e-6)
            assert by_id[row]["label"] == self.model.labels[self.probabilities[row].argmax()]
        assert [by_id[row]["error"]["field"] for row in self.bad] == ["income", "owner"]
        for row in self.bad:
            assert by_id[row]["label"] is None
            assert by_id[row]["probabilities"] is None
            assert by_id[row]["age"] == self.table["age"][row].as_py()


@pytest.fixture(scope="session")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Loans:
    """Rows to score, in three groups of a Parquet file."""
    model = tiny_table()
    numbers, codes = model.rows(ROWS, seed=5, missing=0.0)
    numbers[3, 0] = np.nan
    rows = [{"id": i, **model.cells(list(numbers[i]), list(codes[i]))} for i in range(ROWS)]
    rows[7]["income"], rows[11]["owner"] = float("inf"), "perhaps"
    path = tmp_path_factory.mktemp("loans") / "loans.parquet"
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, path, row_group_size=20)
    return Loans(path, table, model, numbers, codes)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with "loans", whose version 1 is live and version 2 has other weights, and "losses"."""
    repository = build_table_repository(tmp_path_factory.mktemp("served"))
    tiny_table(seed=9).publish(repository, "loans", version=2)
    with server_process(repository, "--device", "cpu", "--threads", "1") as (_, address):
        with Client(address) as client:
            client.wait_ready(timeout_s=60)
            client.activate_version("loans", 1, timeout_s=60)
        yield address


@pytest.fixture(scope="session")
def text_server(tiny_repository: Path) -> Iterator[str]:
    """The address of a server with the model "tiny" of texts."""
    with server_process(tiny_repository, "--device", "cpu", "--threads", "1") as (_, address):
        yield address
