"""Client for Explicate servers: predictions and the reasons for them.

    import explicate

    with explicate.Client("127.0.0.1:8500") as client:
        result = client.explain("reviews", "Great soup, slow service.")
        for word in result.explanation.top(3):
            print(word.feature.text, word.value, word.lower, word.upper)

        result = client.explain("credit", {"age": 34, "job": "clerk", "income": None})  # None: missing
        for column in result.explanation.top(3):
            print(column.feature.name, column.feature.values, column.value)

        result = client.explain("animals", explicate.Image.open("cat.jpg"))
        result.to_image().save("why-cat.png")  # needs explicate[cli]

    explicate.score("credit", "in/*.parquet", "out", explain="kernel-shap")  # needs explicate[batch]

`explicate.Client` and `explicate.AsyncClient` answer with frozen dataclasses (`explicate.results`,
`explicate.model_info`) and raise the exceptions of `explicate.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from explicate._wire.channel import Tls
from explicate.errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    ExplicateError,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    MessageTooLarge,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from explicate.inputs import Image, TextPair
from explicate.model_info import (
    Column,
    Interpretability,
    InterpretabilityFigure,
    InterpretabilityMetric,
    ModelChanges,
    ModelDescription,
    ModelLabel,
    ModelStatus,
    ModelVariant,
    Rival,
    RuntimeTrial,
    ServingLimits,
    ShadowReport,
    Switched,
    Traffic,
    Verdict,
)
from explicate.options import ALL, CallOptions, ClientOptions, Contrast, ExplainOptions
from explicate.results import (
    Attribution,
    ClassScore,
    Contribution,
    ExplainResult,
    Explanation,
    Faithfulness,
    Feature,
    ImageSegment,
    ImageUsage,
    ModelVersion,
    PackedResult,
    Prediction,
    PredictResult,
    Quality,
    ResolvedOptions,
    SegmentMap,
    Span,
    TextUsage,
    Timing,
)
from explicate.table_results import TableAttribution, TableFeature, TableQuality, TableResult

if TYPE_CHECKING:
    from explicate.async_client import AsyncClient
    from explicate.bulk.many import Outcome
    from explicate.client import Client
    from explicate.scoring.batch_score import score
    from explicate.views.shap import rows_to_shap

__all__ = [
    "ALL",
    "Aborted",
    "AsyncClient",
    "Attribution",
    "CallOptions",
    "Cancelled",
    "ClassScore",
    "Client",
    "ClientOptions",
    "Column",
    "Contrast",
    "Contribution",
    "DeadlineExceeded",
    "ExplainOptions",
    "ExplainResult",
    "Explanation",
    "ExplicateError",
    "FailedPrecondition",
    "Faithfulness",
    "Feature",
    "Image",
    "ImageSegment",
    "ImageUsage",
    "InternalError",
    "Interpretability",
    "InterpretabilityFigure",
    "InterpretabilityMetric",
    "InvalidArgument",
    "MessageTooLarge",
    "ModelChanges",
    "ModelDescription",
    "ModelLabel",
    "ModelStatus",
    "ModelVariant",
    "ModelVersion",
    "NotFound",
    "Outcome",
    "Overloaded",
    "PackedResult",
    "PermissionDenied",
    "PredictResult",
    "Prediction",
    "Quality",
    "ResolvedOptions",
    "Rival",
    "RuntimeTrial",
    "SegmentMap",
    "ServerError",
    "ServingLimits",
    "ShadowReport",
    "Span",
    "Switched",
    "TableAttribution",
    "TableFeature",
    "TableQuality",
    "TableResult",
    "TextPair",
    "TextUsage",
    "Timing",
    "Tls",
    "Traffic",
    "Unauthenticated",
    "Unavailable",
    "UsageError",
    "Verdict",
    "rows_to_shap",
    "score",
]

# Loaded at first use: they bring gRPC and protobuf, which the offline tools do without, or what has its own extra.
_LAZY = {
    "Outcome": "explicate.bulk.many",
    "Client": "explicate.client",
    "AsyncClient": "explicate.async_client",
    "rows_to_shap": "explicate.views.shap",
    "score": "explicate.scoring.batch_score",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return globals().setdefault(name, getattr(importlib.import_module(_LAZY[name]), name))
    raise AttributeError(f"module 'explicate' has no attribute {name!r}")
