"""Models of tables: graph, background and golden rows of their bundles."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns, TableRows
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.input_kind import split_kind
from explicate_bundle.writing import BACKGROUND_NAME, GOLDEN_NAME, GRAPH_NAME, LIME_NAME
from explicate_export.contents import CardText, Contents, Say
from explicate_export.description import GOLDEN_TOLERANCE
from explicate_export.evenly import evenly
from explicate_export.model_card import code, plain, table
from explicate_export.onnx_graph import write_graph
from explicate_export.parity import LOGITS, MAX_DIFFERENCE, Graph, Scale, check_parity, measure_parity
from explicate_export.table import model as tabular_model
from explicate_export.table.golden import attribute_golden_rows, choose_golden_rows, edge_rows
from explicate_export.table.run import TabularRun, read_tabular_run
from explicate_export.training_run import TrainingRun

_NAMED_CATEGORIES = 8
_TYPE_NAMES = {
    bundle_pb2.COLUMN_TYPE_NUMBER: "number",
    bundle_pb2.COLUMN_TYPE_CATEGORY: "category",
    bundle_pb2.COLUMN_TYPE_BOOLEAN: "boolean",
    bundle_pb2.COLUMN_TYPE_ORDINAL: "ordinal",
}


def tabular_card(run: TabularRun) -> CardText:
    """The sentences for the card of a classifier, a model of several labels or a regression."""
    return CardText(
        summary=f"{_summary(run)} A network for tables, trained from nothing; imputing, scaling and encoding are "
        "part of the graph.",
        inputs="rows",
        limits=_limits(run),
        absence=_absence(run),
        sections=(_columns(run.schema),),
    )


def _summary(run: TabularRun) -> str:
    columns = len(run.schema.columns)
    if run.regression:
        return f"A regression that predicts {code(run.target_name)} from {columns} columns of a table, in its own unit."
    labels = ", ".join(map(code, run.labels))
    if run.kind == bundle_pb2.MODEL_KIND_TABULAR_MULTI_LABEL:
        return (
            f"A model that says by {columns} columns of a table row which of {len(run.labels)} labels fit, any number "
            f"of them: {labels}."
        )
    return (
        f"A classifier of table rows that predicts {code(run.target_name)} from {columns} columns, with "
        f"{len(run.labels)} classes: {labels}."
    )


def _columns(schema: bundle_pb2.TabularSchema) -> str:
    rows = [
        (
            column.name,
            _TYPE_NAMES[column.type],
            _categories(column),
            column.group,
            "yes" if column.may_be_missing else "no",
        )
        for column in schema.columns
    ]
    head = ("column", "type", "categories", "group", "missing in training")
    return "\n".join(["## Columns", "", *table(head, rows)])


def _categories(column: bundle_pb2.ColumnSchema) -> str:
    named = ", ".join(map(plain, column.categories[:_NAMED_CATEGORIES]))
    more = len(column.categories) > _NAMED_CATEGORIES
    return f"{named}, … ({len(column.categories)} in all)" if more else named


def _limits(run: TabularRun) -> tuple[str, ...]:
    always = f"It always answers one of its {len(run.labels)} classes, also for rows that belong to none."
    if run.regression:
        always = (
            "It answers a number for every row, also far from the rows it was trained on, where nothing is known of it."
        )
    elif run.kind == bundle_pb2.MODEL_KIND_TABULAR_MULTI_LABEL:
        always = f"It knows its {len(run.labels)} labels only, and judges each of them on its own."
    return (
        "Meant for rows like those it was trained on: same source, columns and units. On others its metrics do not "
        "hold.",
        always,
        "Every column takes missing values, and a category that is not among those above is answered as unknown, which "
        'the answer says. Where a column was never missing in training ("no" above), or a category never unknown, '
        "nothing was learnt of it.",
    )


def _absence(run: TabularRun) -> str:
    rows = len(run.background)
    lime = (
        " `lime.npz` says of each column how the training values are spread: quartiles, least and largest value, means "
        "and deviations of a number, frequencies of categories. The method lime draws its rows from it."
        if run.schema.lime_statistics
        else ""
    )
    return (
        f"A column, or a group of columns, is absent when it takes the values of the {rows} background rows in "
        "`background.npz`, one after the other; the outputs are averaged with the rows' weights (interventional). "
        "The background summarises the training rows and holds none of them. Where columns depend on each other this "
        f"asks the model about rows that do not occur: give such columns a group.{lime}"
    )


BASE_MODEL = "tabular-network"


def open_tabular_run(directory: Path, say: Say) -> "TabularExport":
    """Raises UsageError when the run is not complete, or its model does not fit what run.json says."""
    run = read_tabular_run(directory)
    say(f"loading {run.training.model_directory}")
    return TabularExport(run, tabular_model.load(run))


@dataclass(frozen=True)
class TabularExport:
    """A finished run of a classifier, a model of several labels or a regression of table rows."""

    tabular_run: TabularRun
    trained: tabular_model.TabularModel

    @property
    def run(self) -> TrainingRun:
        """What all runs say of themselves."""
        return self.tabular_run.training

    def fill(self, folder: Path, *, compared_inputs: int, say: Say) -> Contents:
        """Writes model.onnx, background.npz, lime.npz where the run has it, and golden.npz; see ModelExport."""
        run = self.tabular_run
        for name in (BACKGROUND_NAME, *([LIME_NAME] if run.schema.lime_statistics else [])):
            shutil.copyfile(run.training.directory / name, folder / name)
        path = folder / GRAPH_NAME
        say("converting the network to ONNX")
        write_graph(self.trained.graph_source("values" if run.regression else "logits"), path)

        held_out = run.held_out[evenly(range(len(run.held_out)), compared_inputs)]
        rows = TableRows.concatenated([held_out, edge_rows(held_out)])
        say(f"comparing with torch on {len(held_out)} held-out rows and {len(rows) - len(held_out)} with holes")
        reference = self.trained.outputs(rows)
        graph = Graph(path)
        scale = Scale(_spread(run.held_out_targets), "of the target's spread") if run.regression else LOGITS
        parity = measure_parity(
            lambda indices: graph.run(rows[indices].feeds()),
            reference,
            order=range(len(rows)),
            batch_rows=len(rows),
            scale=scale,
        )
        check_parity(parity)
        say(f"largest difference {parity.difference:.1e} {scale.words} (allowed {MAX_DIFFERENCE:g})")

        recipe, golden = self._golden(rows, reference, held_out=len(held_out), graph=graph, unit=scale.unit)
        say(f"{len(golden.outputs)} golden rows, {len(golden.attributions)} of them attributed")
        manifest = self._manifest(recipe, scale)
        write_golden(folder / GOLDEN_NAME, golden, manifest)
        return Contents(manifest, parity, tabular_card(run))

    def _golden(
        self, rows: TableRows, reference: NDArray[np.float32], *, held_out: int, graph: Graph, unit: float
    ) -> tuple[bundle_pb2.GoldenAttributions | None, Golden]:
        """Golden rows from those compared: some of the first `held_out`, and all the edge rows behind them."""
        whole = choose_golden_rows(reference[:held_out])
        indices = [*whole, *range(held_out, len(rows))]
        columns = TableColumns(self.tabular_run.schema)
        recipe, attributions = attribute_golden_rows(
            rows[indices],
            reference[indices],
            range(len(whole)),
            columns=columns,
            outputs=lambda asked: graph.run(asked.feeds()),
            background=self.tabular_run.background,
            unit=unit,
        )
        return recipe, Golden(columns.inputs_of(rows[indices]), reference[indices], attributions)

    def _manifest(self, recipe: bundle_pb2.GoldenAttributions | None, scale: Scale) -> bundle_pb2.Bundle:
        run = self.tabular_run
        manifest = bundle_pb2.Bundle(
            kind=run.kind,  # type: ignore[arg-type]  # an enum's number, which the stubs know by another name
            class_labels=run.labels,
            target_name=run.target_name if run.regression else None,
            tabular=run.schema,
            golden_tolerance=GOLDEN_TOLERANCE * scale.unit,
            # No lower precision: a number such as 12,345.6 loses what counts in it before the graph has scaled it.
            golden_reduced_tolerance=None,
            golden_attributions=recipe,
            provenance=bundle_pb2.Provenance(base_model=BASE_MODEL),
        )
        return split_kind(manifest)


def _spread(targets: Sequence[float]) -> float:
    """The standard deviation of a target; its size, or 1, when it does not vary."""
    values = np.array(targets)
    return float(values.std()) or float(np.abs(values).max()) or 1.0
