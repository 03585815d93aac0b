"""Descriptions of models as a server gives them, for what reads rows for a model without asking one."""

from __future__ import annotations

from explicate.model_info import Column, ModelDescription, ModelStatus, ServingLimits

COLUMNS = (
    Column("age", "number", (), "", may_be_missing=True),
    Column("income", "number", (), "", may_be_missing=True),
    Column("job", "category", ("clerk", "driver", "7"), "", may_be_missing=True),
    Column("owner", "boolean", ("false", "true"), "", may_be_missing=True),
)


def described(kind: str, *, columns: tuple[Column, ...] = (), pairs: bool = False) -> ModelDescription:
    """A model of a kind, such as "tabular-classification"."""
    return ModelDescription(
        status=ModelStatus("credit", 1, "ready", ("live",), "", kind, "0" * 64, "onnxruntime-cpu", "fp32"),
        class_labels=("bad", "good"),
        max_tokens=64,
        precision="fp32",
        metrics={},
        methods=("exact-shap",),
        granularities=(),
        maskings=(),
        limits=ServingLimits(1024, 65_536, 100_000, 60.0, 100_000, max_image_bytes=1000),
        base_model="",
        model_card="",
        runtimes=(),
        columns=columns,
        pairs=pairs,
    )


CREDIT = described("tabular-classification", columns=COLUMNS)
REVIEWS = described("text-classification")
PAIRS = described("text-classification", pairs=True)
ANIMALS = described("image-classification")
