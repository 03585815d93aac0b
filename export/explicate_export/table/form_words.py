"""What the card says of a table's network that is a sum over columns, and of what it promises."""

from explicate.v1 import bundle_pb2
from explicate_export.markdown import code


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


def promise(column: bundle_pb2.ColumnSchema) -> str:
    """What the network promises of a column, such as "raises good"; empty for nothing."""
    if not column.HasField("monotone"):
        return ""
    claim = column.monotone
    what = f"the probability of {claim.label}" if claim.HasField("label") else "the answer"
    return f"as it rises, {what} never {'rises' if claim.decreasing else 'falls'}"
