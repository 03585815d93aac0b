"""Models of scikit-learn for tables: a linear one and gradient-boosted trees, by way of the export of fitted models.

They read the columns as training types them, so that a bundle of theirs takes the same rows as one of a network.
"""

import json
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # scikit-learn's estimators; values of options

import numpy as np
import optuna
import pandas as pd
from google.protobuf import json_format
from optuna.trial import TrialState
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from explicate.errors import ExplicateError, UsageError
from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_export.errors import first_line
from explicate_export.estimators.fitted_export import FittedExport
from explicate_export.estimators.fitted_model import fitted_model
from explicate_export.estimators.frame import LEAST_ROWS, FrameColumns
from explicate_export.estimators.table_graph import TableGraphParts, table_graph
from explicate_export.export import ExportOptions, publish_model
from explicate_export.objectives import EXPORT_OBJECTIVES
from explicate_export.sources.bundle_report import report_of
from explicate_export.sources.sources import Brought
from explicate_standards.held_out_rows import HELD_OUT_NAME
from explicate_studies.auto.budget import Need
from explicate_studies.auto.candidates import Answers, Candidate, Finished, Say, Shared, write_bare_run
from explicate_studies.study import FILE_NAME
from explicate_training.table.config import TableConfig
from explicate_training.table.data import NUMERIC_TYPES, Table
from explicate_training.tasks.task import baseline_loss

_MOST_TREES, _MOST_TRIALS = 300, 40
_GRID = [{"learning_rate": rate, "max_leaf_nodes": leaves} for rate in (0.1, 0.03) for leaves in (6, 31)]
"""What is tried first, as training does with the trees that it compares a network with."""
_REST = {"min_samples_leaf": 20, "l2_regularization": 1e-3}
_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
_LEAST_PROBABILITY = 1e-12
_MOST_CATEGORIES = 250  # of a column, which these trees tell apart


@dataclass(frozen=True)
class TypedColumns(FrameColumns):
    """Columns of a frame as the table's own reader has them: dates, notations, words for missing, groups."""

    told: bundle_pb2.TabularSchema

    def schema(self) -> bundle_pb2.TabularSchema:
        """The manifest's part."""
        known = {column.name: column for column in self.told.columns}
        merged = bundle_pb2.TabularSchema(missing_words=self.told.missing_words, left_out=self.told.left_out)
        for own in super().schema().columns:
            column = merged.columns.add()
            column.CopyFrom(known[own.name])
            del column.categories[:]
            column.categories.extend(own.categories)
        return merged


@dataclass(frozen=True)
class Frames:
    """The table as pipelines read it, with its targets."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    schema: bundle_pb2.TabularSchema
    numbers: list[str]
    categories: dict[str, list[str]]


def frames_of(shared: Shared) -> Frames:
    """The splits of a run on a table, whose model was made."""
    schema = shared.run.describe_model().tabular
    parts = {name: _frame(part, schema) for name, part in shared.run.splits.by_name().items()}
    train = parts["train"]
    numbers = [str(name) for name in train if not isinstance(train[name].dtype, pd.CategoricalDtype)]
    categories = {column.name: list(column.categories) for column in schema.columns if column.name not in numbers}
    return Frames(**parts, schema=schema, numbers=numbers, categories=categories)


def _frame(part: Table, schema: bundle_pb2.TabularSchema) -> pd.DataFrame:
    """Numbers as a server reads them, with 32 bits; categories that the model does not know are missing."""
    known = {column.name: list(column.categories) for column in schema.columns}
    columns: dict[str, Any] = {}
    for column in part.columns:
        if column.name not in known:
            continue  # forbidden
        if column.type in NUMERIC_TYPES:
            columns[column.name] = column.values.astype(np.float32).astype(np.float64)
        else:
            names = known[column.name]
            of_the_model = set(names)
            columns[column.name] = pd.Categorical(
                [one if one in of_the_model else None for one in column.values], names
            )
    return pd.DataFrame(columns)


class FittedTable(Candidate):
    """A model of scikit-learn on a table's columns.

    Attributes:
        most_s, share: for choosing its values: seconds at most, and a part of the whole time at most.
    """

    most_s: float
    share: float

    def need(self, shared: Shared) -> Need:
        """A part of the time: how long it takes is known when it is fitted."""
        seconds = min(self.most_s, self.share * shared.budget.seconds)
        return Need(min(seconds, 2.0), seconds)

    def fit(self, shared: Shared, seconds: float) -> tuple[Finished, Answers]:
        clock, frames = shared.budget.clock, frames_of(shared)
        begin_s = clock()
        if len(frames.train) < LEAST_ROWS:
            raise UsageError(f"fewer than {LEAST_ROWS} training rows: a bundle of a fitted model cannot be checked")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of convergence, and of categories that the validation has not
                point = self._choose(shared, frames, begin_s + seconds)
                model = self._model(shared, frames, point).fit(frames.train, shared.run.targets["train"])
        except (ValueError, TypeError, MemoryError, FloatingPointError) as error:
            raise ExplicateError(f"scikit-learn cannot fit it: {first_line(error)}") from error
        parts = _graph(shared, frames, model)
        answers = {name: _answers(shared, model, getattr(frames, name)) for name in ("validation", "test")}
        output = shared.candidate_folder(self.name)
        taken, graph = clock() - begin_s, parts.model.SerializeToString()
        write_bare_run(shared, output, self.name, self.title, answers, seconds=taken, point=point, graph=graph)
        found = Finished(self.name, self.title, str(output), round(taken, 1), self.simplicity, point=point)
        return found, answers["validation"]

    def export(self, shared: Shared, finished: Finished, repository: Path, options: ExportOptions, say: Say) -> Path:
        """Fits it again by its values, which gives the same model, and publishes it."""
        frames, run = frames_of(shared), Path(finished.run)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = self._model(shared, frames, finished.point).fit(frames.train, shared.run.targets["train"])
        export = _export(shared, frames, model, run)
        brought = Brought(export, [None] * len(export.kept), export.notes())
        report = report_of(brought, options.model)
        return publish_model(export, repository, options, rows=run / HELD_OUT_NAME, report=report, say=say).folder

    @abstractmethod
    def _choose(self, shared: Shared, frames: Frames, until_s: float) -> dict[str, Any]:
        """The values that the validation rows like best."""

    @abstractmethod
    def _model(self, shared: Shared, frames: Frames, point: Mapping[str, Any]) -> Any:
        """A model that is not fitted yet."""


class LinearTable(FittedTable):
    """Logistic or ridge regression on scaled numbers and categories."""

    name, title, simplicity = "linear", "a linear model", 0
    most_s, share = 5.0, 0.05

    def _choose(self, shared: Shared, frames: Frames, until_s: float) -> dict[str, Any]:
        targets, classes, found = shared.run.targets, len(shared.run.labels), []
        for strength in _STRENGTHS:
            model = self._model(shared, frames, {"strength": strength}).fit(frames.train, targets["train"])
            answers = _answers(shared, model, frames.validation)
            found.append((baseline_loss(answers, targets["validation"], classes), strength))
            if shared.budget.clock() >= until_s:
                break
        return {"strength": min(found)[1]}

    def _model(self, shared: Shared, frames: Frames, point: Mapping[str, Any]) -> Any:
        strength = point["strength"]
        names = OneHotEncoder(categories=list(frames.categories.values()), handle_unknown="ignore", sparse_output=False)
        numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        steps = [("numbers", numbers, frames.numbers), ("names", names, list(frames.categories))]
        last = LogisticRegression(C=strength, max_iter=500) if shared.run.labels else Ridge(alpha=1 / strength)
        return make_pipeline(ColumnTransformer([step for step in steps if step[2]]), last)


def _opened(shared: Shared) -> optuna.Study:
    """The study of trees in the folder, or a new one."""
    folder = shared.folder / "tuning" / TreesTable.name
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / FILE_NAME).resolve()}",
        study_name=TreesTable.name,
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=shared.run.config.training.seed),
    )
    if not study.get_trials(deepcopy=False):
        for point in _GRID:
            study.enqueue_trial({**point, **_REST})
    return study


class TreesTable(FittedTable):
    """Gradient-boosted trees, whose number and size the validation rows choose."""

    name, title, simplicity = "trees", "gradient-boosted trees", 2
    most_s, share = 20.0, 0.15
    tunable = True

    def __init__(self) -> None:
        self._study: optuna.Study | None = None

    def _choose(self, shared: Shared, frames: Frames, until_s: float) -> dict[str, Any]:
        """By Optuna until the time is over; more time, also of a later command, goes on where it was."""
        for name, known in frames.categories.items():
            if len(known) > _MOST_CATEGORIES:
                raise UsageError(f"{name} has {len(known)} categories, more than {_MOST_CATEGORIES}")
        if self._study is None:
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self._study = _opened(shared)
        study = self._study
        study.optimize(
            lambda trial: self._fitted(shared, frames, trial),
            n_trials=max(1, _MOST_TRIALS - self.tried),
            callbacks=[lambda study, _: study.stop() if shared.budget.clock() >= until_s else None],
        )
        best = study.best_trial
        return {**best.params, "trees": best.user_attrs["trees"]}

    @property
    def tried(self) -> int:
        """How many values were tried."""
        return 0 if self._study is None else len(self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))

    def _fitted(self, shared: Shared, frames: Frames, trial: optuna.Trial) -> float:
        point = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 63, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10.0, log=True),
        }
        targets, classes = shared.run.targets, len(shared.run.labels)
        model = self._model(shared, frames, {**point, "trees": _MOST_TREES}).fit(frames.train, targets["train"])
        staged = model.staged_predict_proba if classes else model.staged_predict
        losses = [
            baseline_loss(_as_outputs(shared, told), targets["validation"], classes)
            for told in staged(frames.validation)
        ]
        trial.set_user_attr("trees", int(np.argmin(losses)) + 1)
        return min(losses)

    def _model(self, shared: Shared, frames: Frames, point: Mapping[str, Any]) -> Any:  # noqa: ARG002
        kind = HistGradientBoostingClassifier if shared.run.labels else HistGradientBoostingRegressor
        options = {name: value for name, value in point.items() if name != "trees"}
        return kind(
            max_iter=point["trees"],
            early_stopping=False,
            categorical_features="from_dtype",
            random_state=shared.run.config.training.seed,
            **options,
        )


def _answers(shared: Shared, model: Any, frame: pd.DataFrame) -> Answers:
    return _as_outputs(shared, model.predict_proba(frame) if shared.run.labels else model.predict(frame))


def _as_outputs(shared: Shared, told: Any) -> Answers:
    """Probabilities as their logarithms, values as they are, float64 [rows, outputs]."""
    if not shared.run.labels:
        return np.asarray(told, dtype=np.float64).reshape(-1, 1)
    return np.log(np.maximum(np.asarray(told, dtype=np.float64), _LEAST_PROBABILITY))


def _graph(shared: Shared, frames: Frames, model: Any) -> TableGraphParts:
    """The graph; raises UsageError if there is none."""
    fitted = fitted_model(model, list(shared.run.labels) or None)
    output = EXPORT_OBJECTIVES[shared.run.task.name].output_name
    parts = table_graph(fitted, frames.train, as_array=False, output_name=output)
    columns = parts.columns
    return replace(parts, columns=TypedColumns(columns.first, columns.read, columns.as_array, told=frames.schema))


def _export(shared: Shared, frames: Frames, model: Any, run: Path) -> FittedExport:
    config = shared.run.config
    assert isinstance(config, TableConfig)
    export = FittedExport(
        fitted_model(model, list(shared.run.labels) or None),
        _graph(shared, frames, model),
        frames.train,
        target_name=config.data.target_name,
        metrics=json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"],
        background_rows=config.data.background_rows,
        seed=config.training.seed,
    )
    record = json_format.Parse((run / "run.json").read_text(encoding="utf-8"), TrainingRun())
    export.described.record.MergeFrom(
        TrainingRun(seed=record.seed, data_sha256=record.data_sha256, verdict=record.verdict, train_s=record.train_s)
    )
    told = replace(
        export.described.origin,
        metrics_of="the held-out test split",
        made="It was fitted by `explicate auto`.",
        data="The rows given are the training rows.",
        reproduction=f"With the same data (seed {record.seed}):",
        commands=("explicate auto DATA --label COLUMN",),
    )
    export.described = replace(export.described, origin=told)
    return export
