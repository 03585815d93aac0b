"""What may be asked of an explanation, named once for both clients and the command line.

Each key may be left out; the server then resolves it and the answer says to what.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypedDict

from explicate.inputs import Input


class AllClasses(enum.Enum):
    """The type of `ALL`. An enum, because any string could be a class label."""

    ALL = "all"


ALL: Final = AllClasses.ALL
"""As a target: explain every class, from the same evaluations."""

ClassChoice: TypeAlias = int | str
"""A class by its index, from 0, or by its label, a string also where it is a number: "2". An index that is the number
of another class's label is refused, as either could be meant.
"""


@dataclass(frozen=True)
class Contrast:
    """As a target: why `target` rather than `reference`: explains the score of the one minus that of the other."""

    target: ClassChoice
    reference: ClassChoice


Target: TypeAlias = ClassChoice | AllClasses | Contrast
OutputSpace: TypeAlias = Literal["probability", "logit", "value"]
Granularity: TypeAlias = Literal["word", "token", "sentence", "slic", "quickshift", "grid", "patch"]
Masking: TypeAlias = Literal[
    "attention", "mask-token", "delete", "background", "drawn", "mean", "blur", "grey", "reference"
]
QualityLevel: TypeAlias = Literal["basic", "full"]
Priority: TypeAlias = Literal["interactive", "bulk"]


class ExplainOptions(TypedDict, total=False):
    """Keyword arguments of `explain` and `stream_explain`; None means the same as leaving it out.

    method: one that `get_model(name).methods` lists, or "auto", the default: exact-shap where all combinations fit the
        budget, else kernel-shap.
    target: a class by index or label, `explicate.ALL`, or an `explicate.Contrast`. Default: the predicted class.
    output_space: the scale that is explained, "probability", "logit", or "value" for a regression, which has no other.
        Default: "logit" for a contrast, else "probability"; of "tree-shap" the only one that it has.
    granularity: what gets a number of its own. In a text each "word" (default), "token" or "sentence"; in an image
        each segment of similar colour, of about the same size with "slic" (default) or of any size with "quickshift"
        (default of lime), each rectangle of a "grid", or each "patch" that the model itself reads, if it does.
    masking: how a word is left out: "attention" (default), "mask-token" or "delete" (default of the lime methods). A
        column is left out by "background": it takes the values of typical rows, and the outputs are averaged; for lime
        it takes values "drawn" from the training data's statistics. A segment takes its "mean" colour (default), a
        "blur" of the image, or "grey". With a baseline it is "reference", of rows "background"; leave it out.
    max_evaluations: rows through the model at most, for a table times its background rows. Default: 32 per word or
        column for kernel-shap and permutation-shap, 1000 for lime (for a table 5000, each one row), as many as the
        other methods take.
    min_evaluations: rows before `tolerance` may stop the work. Default: 8 per word.
    tolerance: stop once the widest interval's half-width is below this fraction of the range of the attributions and
        0, in (0, 1]; 0 never stops early. Default: 0.2 for kernel-shap and permutation-shap, else 0.
    confidence: coverage of the intervals, each of its own feature, in [0.5, 0.999]. Default: 0.95.
    time_limit_s: seconds the explanation may take; the best answer so far is given when they are over.
    seed: of all random choices, from 0. Same seed, same answer. Default: 0.
    top_k: stop once it is certain, at .975 or `confidence` if that is higher, which `top_k` words weigh most, from 1.
        Default: never stop for that.
    quality: "full" adds comprehensiveness and sufficiency, for at most twenty more rows. Default: "basic".
    max_players: a text of more words than this, from 2 to 1024, is grouped into phrases first. Default: as many as
        `max_evaluations` has 8 rows for, at least 64; kernel-shap never groups the words of a text of 150 and more,
        it tells sentences beside them.
    segments: about how many segments "slic" or "grid" cut an image into, from 2 to 1024. Default: 49.
    baseline: what stands in for what is left out, so that the numbers say why this and not that. For a text another
        text, for a pair another pair: where they differ, the words of the other one stand in; words that both have are
        no features. For a row another row, or the name of a group of rows that `get_model(name).baselines` lists. For
        an image an `explicate.Image`, or a colour such as "#ff8800". Default: see masking. Not for the lime methods.
    """

    method: str | None
    target: Target | None
    output_space: OutputSpace | None
    granularity: Granularity | None
    masking: Masking | None
    max_evaluations: int | None
    min_evaluations: int | None
    tolerance: float | None
    confidence: float | None
    time_limit_s: float | None
    seed: int | None
    top_k: int | None
    quality: QualityLevel | None
    max_players: int | None
    segments: int | None
    baseline: Input | None


class CallOptions(TypedDict, total=False):
    """Keyword arguments of every call about a model; None means the same as leaving it out.

    version, label: the version to ask, or the one with this label, at most one of them. Default: the live one.
    priority: "interactive" (default), or "bulk" for batch work, which lets interactive requests go first.
    request_id: what the server's log, traces and audit call this request; 1 to 64 of letters, digits and ._:-
    timeout_s: seconds the call may take; `math.inf` sets no deadline. Default: the client's own.
    """

    version: int | None
    label: str | None
    priority: Priority | None
    request_id: str | None
    timeout_s: float | None


class ExplainCallOptions(CallOptions, ExplainOptions, total=False):
    """Keyword arguments of `explain`: those of every call and those of an explanation."""


class ClientOptions(ExplainOptions, total=False):
    """Keyword arguments of `with_options`: what a client asks with where a call does not say.

    Those of `ExplainOptions`, and version, label, priority and timeout_s of `CallOptions`. None takes a default away.

    model: which is asked where a call names none: `client.explain(text)`. version and label go with it.
    token: in place of the client's own.
    metadata: what goes along with every call, by names of small letters; bytes under a name that ends with "-bin".
    """

    model: str | None
    version: int | None
    label: str | None
    priority: Priority | None
    timeout_s: float | None
    token: str | None
    metadata: Mapping[str, str | bytes] | None
