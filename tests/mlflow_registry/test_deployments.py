"""The plugin for MLflow's deployments, with a real server, and a pull that a server is told of."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

mlflow = pytest.importorskip("mlflow")

from mlflow.deployments import get_deploy_client  # noqa: E402
from mlflow.deployments.interface import plugin_store  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from explicate import Client  # noqa: E402
from explicate.cli import main  # noqa: E402
from explicate.mlflow.deployments import target_help  # noqa: E402
from explicate_export.mlflow.model_versions import push  # noqa: E402
from support.harness import server_process  # noqa: E402
from support.installed import project  # noqa: E402
from support.tiny_table_bundle import build_table_repository, tiny_table  # noqa: E402

MODEL = tiny_table()


@dataclass(frozen=True)
class Served:
    """A server with "loans" and "losses", and MLflow's client for it."""

    address: str
    repository: Path
    client: Any


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    ((name, module),) = project()["entry-points"]["mlflow.deployments"].items()
    plugin_store.register(name, module)  # as declared, also where what is installed is older
    repository = build_table_repository(tmp_path_factory.mktemp("served"))
    with server_process(repository, "--device", "cpu", "--threads", "1") as (_, address):
        yield Served(address, repository, get_deploy_client(f"explicate://{address}"))


def rows(count: int = 4) -> tuple[pd.DataFrame, Any]:
    """Rows as a frame, and the probabilities that the model's formula gives."""
    numbers, codes = MODEL.rows(count, seed=5, missing=0.0)
    cells = [MODEL.cells(list(numbers[i]), list(codes[i])) for i in range(count)]
    return pd.DataFrame(cells), MODEL.probabilities(MODEL.answers(numbers, codes))


@pytest.mark.parametrize("form", ["frame", "rows", "inputs", "dataframe_split", "dataframe_records"])
def test_predictions_are_those_of_the_model_however_the_rows_come(served: Served, form: str) -> None:
    frame, probabilities = rows()
    records = frame.to_dict("records")
    given = {
        "frame": frame,
        "rows": records,
        "inputs": {"inputs": records, "params": {"priority": "bulk"}},
        "dataframe_split": {"dataframe_split": frame.to_dict("split")},
        "dataframe_records": {"dataframe_records": records},
    }[form]
    answered = served.client.predict("loans", given)
    columns = [f"probability_{label}" for label in MODEL.labels]
    np.testing.assert_allclose(answered[columns].to_numpy(), probabilities, atol=1e-6)
    np.testing.assert_array_equal(served.client.predict(endpoint="loans", inputs=given), answered)


def test_explanations_take_parameters(served: Served) -> None:
    frame, _ = rows(2)
    numbers, codes = MODEL.rows(2, seed=5, missing=0.0)
    explained = served.client.explain("loans", frame, params={"method": "exact-shap", "target": MODEL.labels[0]})
    columns = [name for name in explained.columns if name.startswith("attr_")]
    assert len(explained) == 2
    for number in range(2):
        values = MODEL.shapley_values(numbers[number], codes[number], probability=True)[0]
        np.testing.assert_allclose(explained[columns].iloc[number].to_numpy(), values, atol=1e-5)
    one_by_one = served.client.explain("loans", {"inputs": frame.to_dict("records"), "params": {"seed": 3}})
    assert set(one_by_one["input"]) == {0, 1}
    assert {"feature", "value", "lower", "upper"} <= set(one_by_one.columns)


def test_what_is_served_is_listed(served: Served) -> None:
    assert {each["name"] for each in served.client.list_deployments()} == {"loans", "losses"}
    assert [each["name"] for each in served.client.list_deployments("loans")] == ["loans"]
    assert served.client.get_deployment("loans")["class_labels"] == list(MODEL.labels)
    assert served.client.list_endpoints()[0] == {
        "name": "loans",
        "endpoint_type": "explicate/tabular-classification",
        "endpoint_url": served.address,
    }
    assert served.client.get_endpoint("losses")["endpoint_type"] == "explicate/tabular-regression"
    assert "explicate://HOST:PORT" in target_help()


def test_errors_are_mlflows_with_the_servers_sentence(served: Served) -> None:
    frame, _ = rows(1)
    cases = [
        (lambda: served.client.predict("nobody", frame), "RESOURCE_DOES_NOT_EXIST"),
        (lambda: served.client.predict("loans", frame.drop(columns="age")), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.predict("loans", {"inputs": [], "instances": []}), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.predict("loans", {"dataframe_split": {"data": 1}}), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.predict("loans"), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.predict(None, frame), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.explain("loans", frame, params={"sed": 1}), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.create_deployment("loans", "", config={"version": 99}), "RESOURCE_DOES_NOT_EXIST"),
        (lambda: served.client.create_deployment("loans", ""), "INVALID_PARAMETER_VALUE"),
        (lambda: served.client.delete_deployment("loans"), "INVALID_PARAMETER_VALUE"),
        (lambda: get_deploy_client("explicate://127.0.0.1:1").list_endpoints(), "TEMPORARILY_UNAVAILABLE"),
    ]
    for act, code in cases:
        with pytest.raises(MlflowException) as caught:
            act()
        assert caught.value.error_code == code, caught.value


def test_an_alias_becomes_a_label(
    served: Served,
    tracking_uri: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = tiny_table(seed=9).publish(tmp_path / "made", "loans", version=2)
    push(made, name="served-loans", alias="challenger", tracking_uri=tracking_uri)
    wanted = ["models:/served-loans@challenger", "--repository", str(served.repository), "--tracking-uri", tracking_uri]
    assert main.main(["mlflow", "pull", *wanted, "--activate", "--server", served.address]) == 0
    assert f"challenger of loans is version 2 at {served.address}" in capsys.readouterr().err
    with Client(served.address) as client:
        assert client.get_model("loans", label="challenger").status.version == 2
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
        served.client.create_deployment("loans", "models:/served-loans@challenger", config={"label": "canary"})
        assert client.get_model("loans", label="canary").status.version == 2
        assert client.get_model("loans").status.version == 1
        served.client.delete_deployment("loans", {"label": "canary"})
        with pytest.raises(Exception, match="label"):
            client.get_model("loans", label="canary")
    shutil.rmtree(served.repository / "loans" / "2")
