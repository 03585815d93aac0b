"""What the rows are like that a model was tested on: how many, and the ranges of their numbers, for the limits of its
card.
"""

from collections.abc import Iterator, Sequence

from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import TabularInput
from explicate_export.described import HeldOutInput

_MOST_COLUMNS = 30


def seen_rows(schema: bundle_pb2.TabularSchema, values: Sequence[HeldOutInput]) -> Iterator[str]:
    """Sentences without markup."""
    rows = [value for value in values if isinstance(value, TabularInput)]
    numbers: dict[str, list[float]] = {}
    for column in schema.columns:
        found = [row.cells.get(column.name) for row in rows] if column.type == bundle_pb2.COLUMN_TYPE_NUMBER else []
        if known := [cell for cell in found if isinstance(cell, float | int)]:
            numbers[column.name] = known
    told = [f"{name} {min(found):.6g} to {max(found):.6g}" for name, found in [*numbers.items()][:_MOST_COLUMNS]]
    more = f" and {len(numbers) - _MOST_COLUMNS:,} more columns" if len(numbers) > _MOST_COLUMNS else ""
    if told:
        yield (
            f"The numbers of the {len(rows):,} test rows: {', '.join(told)}{more}. Outside of these ranges nothing is "
            "known of its answers."
        )
