"""What the model card says of a model of tables: its columns, and how absent ones are expressed."""

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.date_notation import DateNotation
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_export.markdown import code, escaped, table
from explicate_export.objectives import InputWords

_NAMED_CATEGORIES = 8


def words(target: str, columns: int) -> InputWords:
    """How sentences speak of rows with so many columns."""
    return InputWords(
        one="row",
        many="rows",
        source=f"{columns} columns of a table",
        judged=f"by {columns} columns of a table row",
        classifier=f"A classifier of table rows that predicts {code(target)} from {columns} columns,",
        alike="same source, columns and units",
        of_no_class="for rows that belong to none",
        of_no_value="far from the rows it was trained on, where nothing is known of it",
        probabilities_fade=False,
        edge_cases="with holes",
        limits=(
            "Every column takes missing values, and a category that is not among those above is answered as unknown, "
            'which the answer says. Where a column was never missing in training ("no" above), or a category never '
            "unknown, nothing was learnt of it.",
        ),
    )


def columns_section(schema: bundle_pb2.TabularSchema, rows_of: str = "training") -> str:
    """The columns, and what the model does not read; `rows_of` says where values were missing or not."""
    promises = any(column.HasField("monotone") for column in schema.columns)
    rows = [
        (
            escaped(column.name),
            bundle_pb2.ColumnType.Name(column.type).removeprefix("COLUMN_TYPE_").lower(),
            _written(column) or _categories(column),
            escaped(column.group),
            "yes" if column.may_be_missing else "no",
            *((_promise(column),) if promises else ()),
        )
        for column in schema.columns
    ]
    head = ["column", "type", "categories, or how it is written", "group", f"missing in {rows_of}"]
    head += ["promised"] if promises else []
    lines = ["## Columns", "", *table(head, rows)]
    if schema.left_out:
        unread = [(escaped(one.name), escaped(one.reason)) for one in schema.left_out]
        lines += ["", "Not read:", "", *table(("column", "why"), unread)]
    return "\n".join(lines)


def _written(column: bundle_pb2.ColumnSchema) -> str:
    """How texts of a number or date column are read, by an example; "" for another column or a plain number."""
    notation: NumberNotation | DateNotation | None = None
    if column.HasField("number_notation"):
        notation = NumberNotation.of(column.number_notation)
    elif column.HasField("date_notation"):
        notation = DateNotation.of(column.date_notation)
    marks = [f"{escaped(word)} is missing" for word in column.missing_words]
    return "; ".join([*([escaped(notation.example)] if notation else []), *marks])


def _categories(column: bundle_pb2.ColumnSchema) -> str:
    named = ", ".join(map(escaped, column.categories[:_NAMED_CATEGORIES]))
    more = len(column.categories) > _NAMED_CATEGORIES
    return f"{named}, … ({len(column.categories)} in all)" if more else named


def absence(schema: bundle_pb2.TabularSchema, rows: str = "training rows") -> str:
    """How explanations express that a column is absent; the background summarises these rows."""
    lime = (
        " `lime.npz` says of each column how the training values are spread: quartiles, least and largest value, means "
        "and deviations of a number, frequencies of categories. The method lime draws its rows from it."
        if schema.lime_statistics
        else ""
    )
    return (
        f"A column, or a group of columns, is absent when it takes the values of the {schema.background_rows} "
        "background rows in `background.npz`, one after the other; the outputs are averaged with the rows' weights "
        f"(interventional). The background summarises the {rows} and holds none of them. Where columns depend on "
        f"each other this asks the model about rows that do not occur: give such columns a group.{lime}{_trees(schema)}"
        f"{_baselines(schema, rows)}"
    )


def _baselines(schema: bundle_pb2.TabularSchema, rows: str) -> str:
    """The groups that explanations may be set against; empty where there are none."""
    told = ", ".join(
        f"{group.name} ({escaped(group.of)}, {group.summarised_rows:,} rows)" for group in schema.baselines
    )
    if not told:
        return ""
    return (
        f" A request may name a group of the {rows} in the background's place, summarised in `baselines.npz` as the "
        f"background is: {', '.join(groups)}."
    )


def _trees(schema: bundle_pb2.TabularSchema) -> str:
    """What explanations make of the model's decision trees; empty for a model without any."""
    told = schema.trees
    if not schema.HasField("trees"):
        return ""
    if told.missing:
        return f" Explanations do not use the model's decision trees: {told.missing}."
    scale = "probabilities" if told.probabilities else "outputs, before they become probabilities if they do,"
    return (
        f" The model's {scale} are a sum of {told.trees:,} decision trees ({told.leaves:,} leaves), which `trees.npz` "
        "holds: explained on that scale, Shapley values against the background are exact."
    )


def form_sentence(schema: bundle_pb2.TabularSchema) -> str:
    """What the network lets work together; empty where that is everything."""
    if schema.form == bundle_pb2.TABULAR_FORM_ADDITIVE:
        return (
            " It is a sum of one function for each column or group of columns, which never work together: what a "
            "column adds depends on that column alone. So its explanations are exact."
        )
    if schema.form == bundle_pb2.TABULAR_FORM_PAIRS:
        pairs = ", ".join(f"{code(pair.first)} with {code(pair.second)}" for pair in schema.pairs)
        return (
            " It is a sum of one function for each column or group of columns and one for each of some pairs "
            f"({pairs or 'none was above chance'}), which the training rows chose."
        )
    return ""


def _promise(column: bundle_pb2.ColumnSchema) -> str:
    """What the network promises of a column, such as "raises good"; empty for nothing."""
    if not column.HasField("monotone"):
        return ""
    claim = column.monotone
    what = f"the probability of {escaped(claim.label)}" if claim.HasField("label") else "the answer"
    return f"as it rises, {what} never {'rises' if claim.decreasing else 'falls'}"
