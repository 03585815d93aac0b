"""What may be asked of an explanation, named once for both clients and the command line.

Each key may be left out; the server then resolves it and the answer says to what.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Final, Literal, TypeAlias, TypedDict

from explicate.inputs import File, Input


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


@dataclass(frozen=True)
class ValueRange:
    """Numbers or dates from `low` to `high` that a column may take.

    step: from one value to the next, of dates in days. Without it those of the bundle's background rows in the range,
    and both ends.
    """

    low: float | str
    high: float | str
    step: float | None = None


@dataclass(frozen=True)
class ChangeSearch:
    """As `change`: the smallest change of the input that changes the answer.

    Of a text or an image it is words or segments that are left out; of a row of a table other values of columns, fewest
    columns first, then nearest.

    to: the class that is to be answered, by index or label. Default: any other than the predicted one; of several
        labels the change is of the one that `target` names. to_value: of a regression, which has no default, the value
        to reach from below or to fall below.
    keep: columns that keep their values. vary: what other columns may become, each a `ValueRange` or a list of values.
    keep_others: columns that are not in `vary` keep their values. Default: they take the values of the bundle's
        background rows.
    absence: of a table, leave columns out, as explanations do, in the place of giving them values.
    max_evaluations: changes that may be tried. Default: 8 for each word or segment, at least 64; of a table 128 for
        each column that may change.
    """

    to: ClassChoice | None = None
    to_value: float | None = None
    keep: tuple[str, ...] = ()
    vary: Mapping[str, ValueRange | tuple[float | str | bool | None, ...]] = field(default_factory=dict, hash=False)
    keep_others: bool = False
    absence: bool = False
    max_evaluations: int | None = None


@dataclass(frozen=True)
class TextRange:
    """As a part of a text: its code points from `start` up to `end`; in_pair: of the second text of a pair."""

    start: int
    end: int
    in_pair: bool = False


@dataclass(frozen=True)
class Segment:
    """As a part of an image: the segment with this `id` on the segment map of an explanation."""

    id: int


@dataclass(frozen=True)
class PixelBox:
    """As a part of an image: exactly the pixels in a box, whatever their segments, in pixels of the upright image."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class PixelPolygon:
    """As a part of an image: exactly the pixels in a closed polygon, each of whose `points` is (x, y)."""

    points: tuple[tuple[float, float], ...]


Part: TypeAlias = str | TextRange | Segment | PixelBox | PixelPolygon
"""A part of an input. A string is the name of a column, or of a group of columns that the model knows; for a text all
places of a word, or of several in a row, written as there.
"""

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
    top_k: stop once it is certain, at .98 or `confidence` if that is higher, which `top_k` words weigh most, from 1.
        Default: never stop for that.
    quality: "full" adds comprehensiveness and sufficiency, for at most twenty more rows. Default: "basic".
    max_players: a text of more words than this, from 2 to 1024, is grouped into phrases first. Default: as many as
        `max_evaluations` has 8 rows for, at least 64; kernel-shap never groups the words of a text of 150 and more,
        it tells sentences beside them.
    segments: about how many segments "slic" or "grid" cut an image into, from 2 to 1024. Default: 49.
    interactions: also tell so many of the strongest interactions, from 1 to 100: what two words add together beyond
        what each adds alone, below 0 where one takes from what the other adds. With kernel-shap,
        exact-shap and methods that ask for no rows. Without a `tolerance` it then does not stop early, and
        `max_evaluations` of kernel-shap is 64 per word. Default: none.
    language: of the answer's `sentences`, such as "de"; "de-AT" takes the nearest one that there is. Default: "en".
    change: True, or a `ChangeSearch`, also looks for the smallest change that changes the answer. Not for many rows of
        a table at once.
    baseline: what stands in for what is left out, so that the numbers say why this and not that. For a text another
        text, for a pair another pair: where they differ, the words of the other one stand in; words that both have are
        no features. For a row another row, or the name of a group of rows that `get_model(name).baselines` lists. For
        an image an `explicate.Image`, or a colour such as "#ff8800". Default: see masking. Not for the lime methods.
    groups: parts of the input that get one number together, by the name that they then have: columns, words or
        segments, or regions drawn on an image, such as {"means": ["income", "savings"]} or {"denied": ["not good"]}.
    fixed: parts that are never left out, and so get no number: the baseline value has them. See `Part`.
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
    interactions: int | None
    language: str | None
    change: ChangeSearch | bool | None
    baseline: Input | None
    groups: Mapping[str, Sequence[Part]] | None
    fixed: Sequence[Part] | None


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


def plain_option(value: object) -> object:
    """The value of an option as JSON has it; of a file its SHA-256."""
    if isinstance(value, File):
        return hashlib.sha256(value.content).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.value if isinstance(value, enum.Enum) else value
