"""What the model card of a table's model says beside the rest: its columns, its limits, how absence is expressed."""

from explicate.v1 import bundle_pb2
from explicate_export.contents import CardText
from explicate_export.markdown import code, plain, table
from explicate_export.table.run import TabularRun

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
