"""MLflow with a database and artifacts in a folder, no server (`make test-mlflow`); skipped where it is not there."""

from collections.abc import Sequence
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """MLflow warns of what is not ours, and makes its tables for seconds."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry of this session; its artifacts are beside it."""
    mlflow = pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.MlflowClient(tracking_uri=uri).create_experiment("explicate", artifact_location=(folder / "runs").as_uri())
    return uri
