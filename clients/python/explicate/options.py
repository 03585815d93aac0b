"""What may be asked of an explanation, named once for both clients and the command line.

Each key may be left out; the server then resolves it and the answer says to what.
"""

from __future__ import annotations

import enum
from typing import Final, Literal, TypeAlias, TypedDict


class AllClasses(enum.Enum):
    """The type of `ALL`. An enum, because any string could be a class label."""

    ALL = "all"


ALL: Final = AllClasses.ALL
"""As a target: explain every class, from the same evaluations."""

Target: TypeAlias = int | str | AllClasses
OutputSpace: TypeAlias = Literal["probability", "logit"]
Masking: TypeAlias = Literal["attention", "mask-token", "delete"]


class ExplainOptions(TypedDict, total=False):
    """Keyword arguments of `explain` and `stream_explain`; None means the same as leaving it out.

    method: "kernel-shap" (default) or "lime".
    target: a class by index or label, or `explicate.ALL`. Default: the predicted class.
    output_space: the scale that is explained, "probability" (default) or "logit".
    masking: how a word is left out: "attention" (default), "mask-token" or "delete" (default of "lime").
    max_evaluations: rows through the model at most. Default: 32 per word; 1000 for "lime".
    min_evaluations: rows before `tolerance` may stop the work. Default: 8 per word.
    tolerance: stop once the widest interval's half-width is below this fraction of the range of the attributions,
        in (0, 1]; 0 never stops early. Default: 0.2; 0 for "lime".
    confidence: coverage of the intervals, in [0.5, 0.999]. Default: 0.95.
    time_limit_s: seconds the explanation may take; the best answer so far is given when they are over.
    seed: of all random choices, from 0. Same seed, same answer. Default: 0.
    """

    method: str | None
    target: Target | None
    output_space: OutputSpace | None
    masking: Masking | None
    max_evaluations: int | None
    min_evaluations: int | None
    tolerance: float | None
    confidence: float | None
    time_limit_s: float | None
    seed: int | None
