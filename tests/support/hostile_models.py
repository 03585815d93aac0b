"""Bundles whose labels, columns and categories are what nobody should name them: markup, other directions, emoji."""

from pathlib import Path

from explicate.v1.bundle_pb2 import COLUMN_TYPE_CATEGORY, COLUMN_TYPE_NUMBER, ColumnSchema
from support.tiny_table_bundle import tiny_table

MARKUP = "<img src=x onerror=\"window.hacked = 'label'\">"
RIGHT_TO_LEFT = "שלום \u202eevil\u202c مرحبا"
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈"
LONG = "x" * 10_000
LABELS = (MARKUP, RIGHT_TO_LEFT, EMOJI)


def publish_hostile_models(repository: Path) -> None:
    """The tabular classifier "hostile"."""
    columns = (
        ColumnSchema(name=MARKUP, type=COLUMN_TYPE_NUMBER, may_be_missing=True),
        ColumnSchema(name=RIGHT_TO_LEFT, type=COLUMN_TYPE_CATEGORY, categories=[MARKUP, EMOJI, "plain"]),
        ColumnSchema(name=EMOJI, type=COLUMN_TYPE_NUMBER),
        ColumnSchema(name="w" * 200, type=COLUMN_TYPE_NUMBER),
    )
    tiny_table(columns, labels=LABELS).publish(repository, "hostile")
