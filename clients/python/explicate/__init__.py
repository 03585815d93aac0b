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

if TYPE_CHECKING:
    from explicate._wire.channel import Tls
    from explicate.async_client import AsyncClient
    from explicate.bulk.many import Outcome
    from explicate.client import Client
    from explicate.described.found_change import Change, ChangedAnswer, ColumnChange
    from explicate.described.interaction import Interaction
    from explicate.described.plots import InterpretabilityPlot, PlotBin, PlotLine, PlotMark, PlotPoint
    from explicate.described.trust import Faithfulness, Quality
    from explicate.described.usage import ImageUsage, TextUsage
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
    from explicate.options import (
        ALL,
        CallOptions,
        ChangeSearch,
        ClientOptions,
        Contrast,
        ExplainOptions,
        PixelBox,
        PixelPolygon,
        Segment,
        TextRange,
        ValueRange,
    )
    from explicate.results import (
        Attribution,
        ClassScore,
        Contribution,
        ExplainResult,
        Explanation,
        Feature,
        ImageSegment,
        ModelVersion,
        PackedResult,
        Prediction,
        PredictResult,
        ResolvedOptions,
        SegmentMap,
        Span,
        Timing,
    )
    from explicate.scoring.batch_score import score
    from explicate.table_results import TableAttribution, TableFeature, TableQuality, TableResult
    from explicate.views.shap import rows_to_shap

__all__ = [
    "ALL",
    "Aborted",
    "AsyncClient",
    "Attribution",
    "CallOptions",
    "Cancelled",
    "Change",
    "ChangeSearch",
    "ChangedAnswer",
    "ClassScore",
    "Client",
    "ClientOptions",
    "Column",
    "ColumnChange",
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
    "Interaction",
    "InternalError",
    "Interpretability",
    "InterpretabilityFigure",
    "InterpretabilityMetric",
    "InterpretabilityPlot",
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
    "PixelBox",
    "PixelPolygon",
    "PlotBin",
    "PlotLine",
    "PlotMark",
    "PlotPoint",
    "PredictResult",
    "Prediction",
    "Quality",
    "Reason",
    "ResolvedOptions",
    "Rival",
    "RuntimeTrial",
    "Segment",
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
    "TextRange",
    "TextUsage",
    "Timing",
    "Tls",
    "Traffic",
    "Unauthenticated",
    "Unavailable",
    "UsageError",
    "ValueRange",
    "Verdict",
    "rows_to_shap",
    "score",
]

# Where the names above are. Everything is loaded at first use: classes by the dozen would be a third of what a health
# probe costs, and gRPC and protobuf are not needed by the offline tools.
_HOMES = ("errors", "options", "inputs", "_wire.channel", "model_info", "results", "table_results")
_OF_THEIR_OWN = {
    "Change": "described.found_change",
    "ChangedAnswer": "described.found_change",
    "ColumnChange": "described.found_change",
    "Outcome": "bulk.many",
    "Client": "client",
    "AsyncClient": "async_client",
    "Interaction": "described.interaction",
    "InterpretabilityPlot": "described.plots",
    "PlotBin": "described.plots",
    "PlotLine": "described.plots",
    "PlotMark": "described.plots",
    "PlotPoint": "described.plots",
    "Faithfulness": "described.trust",
    "Quality": "described.trust",
    "Reason": "views.reasons",
    "rows_to_shap": "views.shap",
    "score": "scoring.batch_score",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:  # `explicate.errors.NotFound` after `import explicate`
        return importlib.import_module(f"explicate.{name}")
    if name in __all__:
        for home in [_OF_THEIR_OWN[name]] if name in _OF_THEIR_OWN else _HOMES:
            module = importlib.import_module(f"explicate.{home}")
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module 'explicate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(home for home in _HOMES if "." not in home)})
