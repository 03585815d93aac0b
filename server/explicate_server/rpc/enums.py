"""The enums of the API and what the rest of the server calls their values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import model_service_pb2 as model_messages
from explicate_server.explain.run import StopReason
from explicate_server.registry.records import State

_Number = TypeVar("_Number")

OUTPUT_SPACES = {
    explanation_messages.OUTPUT_SPACE_UNSPECIFIED: None,
    explanation_messages.OUTPUT_SPACE_PROBABILITY: "probability",
    explanation_messages.OUTPUT_SPACE_LOGIT: "logit",
    explanation_messages.OUTPUT_SPACE_VALUE: "value",
}
MASKINGS = {
    explanation_messages.MASKING_UNSPECIFIED: None,
    explanation_messages.MASKING_ATTENTION: "attention",
    explanation_messages.MASKING_MASK_TOKEN: "mask-token",
    explanation_messages.MASKING_DELETE: "delete",
    explanation_messages.MASKING_BACKGROUND: "background",
    explanation_messages.MASKING_MEAN: "mean",
    explanation_messages.MASKING_BLUR: "blur",
    explanation_messages.MASKING_GREY: "grey",
    explanation_messages.MASKING_DRAWN: "drawn",
}
GRANULARITIES = {
    explanation_messages.GRANULARITY_UNSPECIFIED: None,
    explanation_messages.GRANULARITY_WORD: "word",
    explanation_messages.GRANULARITY_TOKEN: "token",
    explanation_messages.GRANULARITY_SENTENCE: "sentence",
    explanation_messages.GRANULARITY_SLIC: "slic",
    explanation_messages.GRANULARITY_QUICKSHIFT: "quickshift",
    explanation_messages.GRANULARITY_GRID: "grid",
    explanation_messages.GRANULARITY_PATCH: "patch",
}
QUALITY_LEVELS = {
    explanation_messages.QUALITY_LEVEL_UNSPECIFIED: None,
    explanation_messages.QUALITY_LEVEL_BASIC: "basic",
    explanation_messages.QUALITY_LEVEL_FULL: "full",
}
ENUM_OPTIONS: Mapping[str, Mapping[Any, str | None]] = {
    "output_space": OUTPUT_SPACES,
    "granularity": GRANULARITIES,
    "masking": MASKINGS,
    "quality": QUALITY_LEVELS,
}
STOP_REASONS = {
    StopReason.TOLERANCE: explanation_messages.STOP_REASON_TOLERANCE,
    StopReason.TOP_K: explanation_messages.STOP_REASON_TOP_K,
    StopReason.BUDGET: explanation_messages.STOP_REASON_BUDGET,
    StopReason.DEADLINE: explanation_messages.STOP_REASON_DEADLINE,
    StopReason.EXACT: explanation_messages.STOP_REASON_EXACT,
    StopReason.RUNNING: explanation_messages.STOP_REASON_RUNNING,
}
STATES = {
    State.AVAILABLE: model_messages.MODEL_STATE_AVAILABLE,
    State.LOADING: model_messages.MODEL_STATE_LOADING,
    State.READY: model_messages.MODEL_STATE_READY,
    State.FAILED: model_messages.MODEL_STATE_FAILED,
    State.UNLOADING: model_messages.MODEL_STATE_UNLOADING,
    State.REMOVED: model_messages.MODEL_STATE_REMOVED,
}


def key_of(table: Mapping[_Number, str | None], value: str | None) -> _Number:
    """The number of a value; None is the unspecified one."""
    return next(number for number, name in table.items() if name == value)
