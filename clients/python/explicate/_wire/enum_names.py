"""The names that callers use for the contract's enums, both ways."""

from __future__ import annotations

from collections.abc import Mapping

from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb

OUTPUT_SPACES: dict[str, int] = {
    "probability": explanation_pb.OUTPUT_SPACE_PROBABILITY,
    "logit": explanation_pb.OUTPUT_SPACE_LOGIT,
    "value": explanation_pb.OUTPUT_SPACE_VALUE,
}
GRANULARITIES: dict[str, int] = {
    "word": explanation_pb.GRANULARITY_WORD,
    "token": explanation_pb.GRANULARITY_TOKEN,
    "sentence": explanation_pb.GRANULARITY_SENTENCE,
    "slic": explanation_pb.GRANULARITY_SLIC,
    "quickshift": explanation_pb.GRANULARITY_QUICKSHIFT,
    "grid": explanation_pb.GRANULARITY_GRID,
    "patch": explanation_pb.GRANULARITY_PATCH,
}
MASKINGS: dict[str, int] = {
    "attention": explanation_pb.MASKING_ATTENTION,
    "mask-token": explanation_pb.MASKING_MASK_TOKEN,
    "delete": explanation_pb.MASKING_DELETE,
    "background": explanation_pb.MASKING_BACKGROUND,
    "mean": explanation_pb.MASKING_MEAN,
    "blur": explanation_pb.MASKING_BLUR,
    "grey": explanation_pb.MASKING_GREY,
    "drawn": explanation_pb.MASKING_DRAWN,
}
QUALITY_LEVELS: dict[str, int] = {
    "basic": explanation_pb.QUALITY_LEVEL_BASIC,
    "full": explanation_pb.QUALITY_LEVEL_FULL,
}
STOP_REASONS: dict[str, int] = {
    "tolerance": explanation_pb.STOP_REASON_TOLERANCE,
    "top-k": explanation_pb.STOP_REASON_TOP_K,
    "budget": explanation_pb.STOP_REASON_BUDGET,
    "deadline": explanation_pb.STOP_REASON_DEADLINE,
    "exact": explanation_pb.STOP_REASON_EXACT,
    "running": explanation_pb.STOP_REASON_RUNNING,
}
PRIORITIES: dict[str, int] = {
    "interactive": inference_pb.PRIORITY_INTERACTIVE,
    "bulk": inference_pb.PRIORITY_BULK,
}
MODEL_STATES: dict[str, int] = {
    "available": model_pb.MODEL_STATE_AVAILABLE,
    "loading": model_pb.MODEL_STATE_LOADING,
    "ready": model_pb.MODEL_STATE_READY,
    "failed": model_pb.MODEL_STATE_FAILED,
    "unloading": model_pb.MODEL_STATE_UNLOADING,
    "removed": model_pb.MODEL_STATE_REMOVED,
}
MODEL_KINDS: dict[str, int] = {
    "text-classification": bundle_pb.MODEL_KIND_TEXT_CLASSIFICATION,
    "text-multi-label": bundle_pb.MODEL_KIND_TEXT_MULTI_LABEL,
    "text-regression": bundle_pb.MODEL_KIND_TEXT_REGRESSION,
    "tabular-classification": bundle_pb.MODEL_KIND_TABULAR_CLASSIFICATION,
    "tabular-multi-label": bundle_pb.MODEL_KIND_TABULAR_MULTI_LABEL,
    "tabular-regression": bundle_pb.MODEL_KIND_TABULAR_REGRESSION,
    "image-classification": bundle_pb.MODEL_KIND_IMAGE_CLASSIFICATION,
    "image-multi-label": bundle_pb.MODEL_KIND_IMAGE_MULTI_LABEL,
    "image-regression": bundle_pb.MODEL_KIND_IMAGE_REGRESSION,
}
COLUMN_TYPES: dict[str, int] = {
    "number": bundle_pb.COLUMN_TYPE_NUMBER,
    "category": bundle_pb.COLUMN_TYPE_CATEGORY,
    "boolean": bundle_pb.COLUMN_TYPE_BOOLEAN,
    "ordinal": bundle_pb.COLUMN_TYPE_ORDINAL,
}

# Of grpc.health.v1, which the client speaks without its package.
HEALTH_STATES: dict[str, int] = {"serving": 1, "not-serving": 2, "service-unknown": 3}


def name_of(names: Mapping[str, int], number: int) -> str:
    """The name of `number`; empty for 0, which is unspecified, and the number itself when this client has no name."""
    if number == 0:
        return ""
    return next((name for name, known in names.items() if known == number), str(number))
