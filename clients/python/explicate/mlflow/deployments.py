"""The plugin for MLflow's deployments: predictions and explanations of a served model through MLflow's own client.

    from mlflow.deployments import get_deploy_client

    client = get_deploy_client("explicate://127.0.0.1:8500")  # "explicate" alone: as `explicate.Client.from_env`
    client.predict("reviews", ["Great soup!"])
    client.explain("credit", rows, params={"method": "kernel-shap", "seed": 0})

What is deployed is a model of the server's repository. `explicate mlflow pull` brings one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlflow.deployments import BaseDeploymentClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from explicate import errors
from explicate.client import Client
from explicate.json_documents import dumps

if TYPE_CHECKING:
    import pandas as pd

_SCHEME = "explicate"
_CODES = {
    errors.NotFound: RESOURCE_DOES_NOT_EXIST,
    errors.Unauthenticated: PERMISSION_DENIED,
    errors.PermissionDenied: PERMISSION_DENIED,
    errors.Overloaded: TEMPORARILY_UNAVAILABLE,
    errors.Unavailable: TEMPORARILY_UNAVAILABLE,
    errors.DeadlineExceeded: TEMPORARILY_UNAVAILABLE,
    errors.InternalError: INTERNAL_ERROR,
}
_TABLES = ("dataframe_split", "dataframe_records")
_LISTS = ("inputs", "instances")
_PULL = "explicate mlflow pull MODEL --repository DIR brings a bundle into the server's repository"


def target_help() -> str:
    """What `mlflow deployments help -t explicate` prints."""
    return (
        f"{__doc__}\nTarget: explicate, or explicate://HOST:PORT.\n"
        "config of create and update: version (default: that of the bundle behind the model URI), label (default: the "
        "alias of the URI, else live).\nparams of predict and explain: the options of explicate.Client.explain.\n"
    )


def run_local(target: str, name: str, model_uri: str, flavor: str | None = None, config: object = None) -> None:  # noqa: ARG001
    """Not offered: `explicate serve --repository DIR` is the local server."""
    raise MlflowException(f"run `explicate serve --repository DIR`; {_PULL}", INVALID_PARAMETER_VALUE)


class ExplicateDeploymentClient(BaseDeploymentClient):  # type: ignore[misc]  # mlflow may not be installed
    """Asks an Explicate server; errors come as MlflowException with the server's sentence."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        address = target_uri.removeprefix(_SCHEME).removeprefix(":").removeprefix("//")
        with _told():
            self._client = Client(address) if address else Client.from_env()

    def predict(self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None) -> Any:
        """The predictions as a DataFrame, a line for each input.

        inputs: a DataFrame, a list of inputs, or a dict as MLflow's servers take it: inputs, instances,
        dataframe_split or dataframe_records, and params.
        """
        with _told():
            given, params = _given(inputs)
            model = _named(deployment_name, endpoint)
            if hasattr(given, "columns") and not self._reads_texts(model):
                return self._client.predict_table(model, given, **params).to_frame()
            return self._client.predict(model, _listed(given), **params).to_frame()

    def explain(
        self,
        deployment_name: str | None = None,
        df: Any = None,
        endpoint: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """What each feature adds, as a DataFrame: of a table a line for each row, else a line for each feature.

        df: as `inputs` of `predict`; params: the options of `explicate.Client.explain`.
        """
        import pandas

        with _told():
            given, own = _given(df)
            model, options = _named(deployment_name, endpoint), {**own, **(params or {})}
            if hasattr(given, "columns") and not self._reads_texts(model):
                return self._client.explain_table(model, given, **options).to_frame(intervals=True)
            frames = [
                outcome.result.to_frame().assign(input=outcome.index)
                for outcome in self._client.explain_many(model, _listed(given), **options)
            ]
            return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Any = None, endpoint: str | None = None
    ) -> dict[str, Any]:
        """Point a label at the version that a model URI names, whose bundle is in the server's repository."""
        version, label = _version_and_label(model_uri, config or {})
        with _told(_PULL):
            self._client.activate_version(name, version, label=label)
        return {"name": name, "flavor": flavor, "version": version, "label": label, "endpoint": endpoint}

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Any = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """The same as `create_deployment`, for a model that is served."""
        return self.create_deployment(name, model_uri or "", flavor, config, endpoint)

    def delete_deployment(self, name: str, config: Any = None, endpoint: str | None = None) -> None:  # noqa: ARG002
        """Take a label from the model, config["label"]; the live one stays."""
        label = (config or {}).get("label")
        if not label:
            raise MlflowException(
                "name the label to take away: config={'label': ...}; live is not: see explicate models --help",
                INVALID_PARAMETER_VALUE,
            )
        with _told():
            self._client.remove_label(name, label)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Every version that the server knows: name, version, state, labels and so on."""
        with _told():
            return [
                {"name": status.model, **_plain(status)}
                for status in self._client.list_models()
                if endpoint in (None, status.model)
            ]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        """The live version of a model in full."""
        with _told():
            return {"name": name, **_plain(self._client.get_model(name))}

    def list_endpoints(self) -> list[dict[str, Any]]:
        """The models that answer now."""
        with _told():
            ready = {status.model: status for status in self._client.list_models() if status.state == "ready"}
        return [self._endpoint(name, status.kind) for name, status in sorted(ready.items())]

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """One of them."""
        with _told():
            return self._endpoint(endpoint, self._client.get_model(endpoint).status.kind)

    def _endpoint(self, name: str, kind: str) -> dict[str, Any]:
        return {"name": name, "endpoint_type": f"explicate/{kind}", "endpoint_url": self._client.target}

    def _reads_texts(self, model: str) -> bool:
        return self._client.get_model(model).status.kind.startswith("text-")


@contextmanager
def _told(hint: str = "") -> Iterator[None]:
    """Our errors as MLflow's."""
    try:
        yield
    except errors.ExplicateError as error:
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), INVALID_PARAMETER_VALUE)
        more = f"; {hint}" if hint and isinstance(error, errors.NotFound | errors.FailedPrecondition) else ""
        raise MlflowException(f"{error}{more}", code) from error


def _named(deployment_name: str | None, endpoint: str | None) -> str:
    name = deployment_name or endpoint
    if not name:
        raise errors.UsageError("name the deployment: a model that the server serves")
    return name


def _given(inputs: Any) -> tuple[Any, dict[str, Any]]:
    """The inputs and the options that a dict of MLflow's scoring protocol brings."""
    if inputs is None:
        raise errors.UsageError("give the inputs: a DataFrame, a list of inputs, or a dict with inputs")
    keys = [key for key in (*_TABLES, *_LISTS) if isinstance(inputs, Mapping) and key in inputs]
    if not isinstance(inputs, Mapping) or not keys:
        return inputs, {}
    if len(keys) > 1 or not isinstance(inputs.get("params", {}), Mapping):
        raise errors.UsageError(f"give one of {', '.join((*_TABLES, *_LISTS))}, and params as a dict")
    held, params = inputs[keys[0]], dict(inputs.get("params", {}))
    return _frame(keys[0], held) if keys[0] in _TABLES else held, params


def _frame(form: str, held: Any) -> pd.DataFrame:
    import pandas

    try:
        if form == "dataframe_records":
            return pandas.DataFrame.from_records(held)
        return pandas.DataFrame(held["data"], columns=held["columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise errors.UsageError(f"{form} is not a table: {error}") from error


def _listed(given: Any) -> list[Any]:
    """Inputs one by one: of a frame of texts its one column, or its two as pairs; a single one as a list."""
    if hasattr(given, "columns"):
        columns = [list(given[name]) for name in given.columns]
        if len(columns) not in (1, 2):
            raise errors.UsageError(f"texts are one column, pairs of texts two; the table has {len(columns)}")
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    if isinstance(given, str | Mapping):
        return [given]
    if isinstance(given, Sequence) or hasattr(given, "tolist"):
        return given.tolist() if hasattr(given, "tolist") else list(given)
    raise errors.UsageError(f"inputs cannot be a {type(given).__name__}")


def _version_and_label(model_uri: str, config: Mapping[str, Any]) -> tuple[int, str]:
    """What to point at: config's version, or that of the bundle which `explicate mlflow push` put behind the URI."""
    reference = model_uri.removeprefix("models:").lstrip("/")
    name, _, alias = reference.partition("@")
    label = str(config.get("label") or alias or "live")
    said = str(config["version"]) if "version" in config else _pushed_version(name, alias)
    if not said.isdecimal():
        raise MlflowException(f"version must be a whole number, not {said!r}", INVALID_PARAMETER_VALUE)
    return int(said), label


def _pushed_version(name: str, alias: str) -> str:
    import mlflow

    model, _, version = name.partition("@")[0].partition("/")
    if not model or not (alias or version):
        raise MlflowException("give config={'version': N}, or models:/NAME@ALIAS", INVALID_PARAMETER_VALUE)
    client = mlflow.MlflowClient()
    found = client.get_model_version_by_alias(model, alias) if alias else client.get_model_version(model, version)
    if "explicate.version" not in found.tags:
        raise MlflowException(
            "that version of MLflow is not a bundle of `explicate mlflow push`", INVALID_PARAMETER_VALUE
        )
    return str(found.tags["explicate.version"])


def _plain(described: object) -> dict[str, Any]:
    import json

    plain: dict[str, Any] = json.loads(dumps(described))
    return plain
