"""Why the model answers as it does, on test rows: what the report shows of single answers and of all together.

Shapley values by shap's own explainers, on the trained torch model: an explanation that comes neither from the server
nor from the exported graph, to hold those against. The client's views draw them, so a report looks like an answer.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any  # what ExplainResult is given by kind; JSON values

import numpy as np
from numpy.typing import NDArray

import explicate
from explicate.results import ResolvedOptions
from explicate.views import html
from explicate_bundle.outcomes.resampling import RESAMPLES, draws, interval
from explicate_bundle.telling.grounds import GROUNDS_KEY, Ground, Grounds
from explicate_training.report.directions import SignedRow, directed
from explicate_training.tasks.task import Evaluation, Task

_EVALUATIONS = 200  # of one row, unless a single pair of orders needs more
_EXACT_PLAYERS = 8  # up to so many all coalitions are asked
_MOST_EXAMPLES = 8  # classes with an example
_MOST_MISTAKES = 5
_MOST_COLUMNS = 10  # of a row
_FEWEST_ROWS = 5  # of which importance is told


@dataclass(frozen=True)
class Game:
    """A test row as a game: which of its parts are present, and what the model then answers.

    features: the players. keys: what importance over many rows calls each, such as a word in lower case.
    outputs: of coalitions bool [m, players] the model's answers float [m, outputs], logits or values.
    given: the input as `explicate.ExplainResult` has it, and its `segment_map`.
    """

    features: tuple[explicate.Feature, ...]
    keys: tuple[str, ...]
    outputs: Callable[[NDArray[np.bool_]], NDArray[np.floating[Any]]]
    given: dict[str, Any] = field(default_factory=dict)
    granularity: str | None = None


@dataclass(frozen=True)
class ExplainedRow:
    """A test row with its true and its predicted answer, in words, and the drawing of its explanation."""

    row: int
    true: str
    predicted: str
    output: str  # whose score is explained
    start: float  # the score without any part
    score: float
    drawing: str  # HTML, escaped


@dataclass(frozen=True)
class Importance:
    """The mean of |value| of a part over the explained rows, with its bootstrap interval."""

    name: str
    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Explanations:
    """What a report shows. `rows`: how many rows `importance` rests on; 0 when they were too few to tell it."""

    examples: list[ExplainedRow]
    mistakes: list[ExplainedRow]
    importance: list[Importance]
    rows: int
    wanted: int
    seconds: float
    parts: tuple[Ground, ...] = ()  # the strongest, with their directions

    @property
    def recorded(self) -> dict[str, Any]:
        """What metrics.json has of them; nothing where too few rows were explained to tell."""
        return {GROUNDS_KEY: Grounds(self.rows, self.parts).document()} if self.parts else {}

    @classmethod
    def none(cls) -> "Explanations":
        """Of a report without any."""
        return cls([], [], [], 0, 0, 0.0)


def explain_rows(
    game: Callable[[int], Game | None],
    task: Task,
    test: Evaluation,
    labels: Sequence[str],
    *,
    target_name: str,
    count: int,
    limit_s: float,
    seed: int,
) -> Explanations:
    """Explains an example of each class, the worst mistakes, and `count` rows drawn at random, in this order.

    Args:
        game: the game of a test row; None for one without a part, such as an empty text.
        task: what the model predicts.
        test: its answers to the test rows.
        labels: of its outputs; empty for a regression.
        target_name: what a regression predicts.
        count: rows drawn at random for the importance; 0 explains nothing.
        limit_s: seconds after which no more rows are begun.
        seed: of the draw and of shap's orders.
    """
    if not count:
        return Explanations.none()
    begin_s = time.monotonic()
    teller = _Teller(game, task, test, labels, target_name, seed)
    rows = np.random.Generator(np.random.Philox(seed)).permutation(len(test.targets))[:count].tolist()

    def in_time(wanted: Iterable[int]) -> list[int]:
        return [row for row in wanted if time.monotonic() - begin_s < limit_s and teller.explain(row)]

    examples, mistakes = in_time(teller.examples()), in_time(teller.mistakes())
    known = in_time(rows)
    enough = [teller.signed(row) for row in (known if len(known) >= _FEWEST_ROWS else [])]
    importance = _importance([{key: abs(value) for key, value in row.values.items()} for row in enough])
    return Explanations(
        examples=[teller.told(row) for row in examples],
        mistakes=[teller.told(row) for row in mistakes],
        importance=importance,
        rows=len(enough),
        wanted=len(rows),
        seconds=time.monotonic() - begin_s,
        parts=directed([Ground(one.name, one.value, one.lower, one.upper) for one in importance], enough, labels),
    )


class _Teller:
    """Explains rows, each once."""

    def __init__(
        self,
        game: Callable[[int], Game | None],
        task: Task,
        test: Evaluation,
        labels: Sequence[str],
        target_name: str,
        seed: int,
    ) -> None:
        self._game, self._task, self._test, self._seed = game, task, test, seed
        self._labels, self._names = labels, list(labels) or [target_name]
        self._sizes, self._true, self._predicted = task.mistakes(test, labels)
        self._scores = task.scores(test.outputs)
        self._found: dict[int, tuple[Game, NDArray[np.float64], float] | None] = {}

    def examples(self) -> list[int]:
        """The row of each class that is answered rightly and surest; of numbers those nearest to three quantiles."""
        if not self._labels:
            values = self._scores[:, 0]
            wanted = np.quantile(values, [0.1, 0.5, 0.9])
            return list(dict.fromkeys(int(np.abs(values - value).argmin()) for value in wanted))
        surest = []
        for output in range(len(self._names)):
            right = (self._sizes == 0) & (self._scores.argmax(axis=1) == output)
            if right.any():
                surest.append(int(np.where(right, self._scores[:, output], -np.inf).argmax()))
        return surest[:_MOST_EXAMPLES]

    def mistakes(self) -> list[int]:
        worst = np.argsort(-self._sizes, kind="stable")[:_MOST_MISTAKES]
        return [int(row) for row in worst if self._sizes[row] > 0]

    def explain(self, row: int) -> bool:
        """Whether the row has parts to explain."""
        if row not in self._found:
            game = self._game(row)
            self._found[row] = None if game is None else (game, *self._values(game, self._output(row)))
        return self._found[row] is not None

    def _output(self, row: int) -> int:
        return int(self._scores[row].argmax())

    def _values(self, game: Game, output: int) -> tuple[NDArray[np.float64], float]:
        """Shapley values float64 [players] of one output's score, and the score without any part."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its plots call what matplotlib is about to change
            import shap  # a second or two, which a check of the data need not take

        players = len(game.features)

        def score(present: NDArray[Any]) -> NDArray[np.float64]:
            if not len(present):  # shap asks so at times
                return np.zeros(0)
            return self._task.scores(game.outputs(np.asarray(present) > 0.5))[:, output]

        absent, present = np.zeros((1, players)), np.ones((1, players))
        if players <= _EXACT_PLAYERS:
            found = shap.explainers.Exact(score, absent)(present, max_evals=2**players, silent=True)
        else:
            orders = max(1, _EVALUATIONS // (2 * players + 1))
            explainer = shap.explainers.Permutation(score, absent, seed=self._seed)
            evaluations = orders * (2 * players + 1)
            found = explainer(present, max_evals=evaluations, batch_size=_EVALUATIONS, silent=True)
        return np.asarray(found.values[0], dtype=np.float64), float(np.ravel(found.base_values)[0])

    def signed(self, row: int) -> SignedRow:
        """Values by key; parts with one key add up."""
        game, values, _ = self._known(row)
        sums: dict[str, float] = {}
        for key, value in zip(game.keys, values.tolist(), strict=True):
            sums[key] = sums.get(key, 0.0) + value
        return SignedRow(self._output(row), sums, game.given.get("row") or {}, placed=game.granularity == "grid")

    def told(self, row: int) -> ExplainedRow:
        game, values, start = self._known(row)
        output = self._output(row)
        score = float(self._scores[row, output])
        return ExplainedRow(
            row=row,
            true=self._true(row),
            predicted=self._predicted(row),
            output=self._names[output],
            start=start,
            score=score,
            drawing=html.drawing(_result(game, values, self._names[output], output, start, score), most=_MOST_COLUMNS),
        )

    def _known(self, row: int) -> tuple[Game, NDArray[np.float64], float]:
        found = self._found[row]
        assert found is not None, "only rows that were explained are told"
        return found


def _result(
    game: Game, values: NDArray[np.float64], name: str, output: int, start: float, score: float
) -> explicate.ExplainResult:
    """The explanation in the form that the client's views draw; what they do not draw is empty."""
    unknown = (float("nan"),) * len(values)
    attribution = explicate.Attribution(
        output, name, start, score, tuple(values.tolist()), unknown, unknown, unknown
    )  # fmt: skip
    options = ResolvedOptions(
        "", None, "", game.granularity, "", 0, 0, 0.0, 0.95, 0.0, 0, None, "basic", None
    )  # fmt: skip
    given = {"text": "", "row": None, **game.given}
    explanation = explicate.Explanation(
        features=game.features,
        attributions=(attribution,),
        quality=explicate.Quality(),
        evaluations=0,
        reused_evaluations=0,
        rounds=0,
        stop_reason="budget",
        converged=True,
        method_version="",
        options=options,
        segment_map=given.pop("segment_map", None),
    )
    return explicate.ExplainResult(
        **given,
        prediction=explicate.Prediction(index=None, label="", scores=(), text_usage=None, value=score),
        explanation=explanation,
        model=explicate.ModelVersion("", 0, "", "", ""),
        timing=explicate.Timing(0.0, 0.0, 0.0, 0.0, 0.0),
    )


def _importance(rows: Sequence[dict[str, float]]) -> list[Importance]:
    """The mean strength of each key over the rows, the strongest first; a row without it counts as 0."""
    if not rows:
        return []
    keys = sorted({key for row in rows for key in row})
    strengths = np.array([[row.get(key, 0.0) for key in keys] for row in rows])  # [rows, keys]
    means = np.concatenate([counts @ strengths / len(rows) for counts in draws(len(rows), count=RESAMPLES)])
    found = []
    for place, key in enumerate(keys):
        lower, upper = interval(means[:, place]) or (0.0, 0.0)
        found.append(Importance(key, float(strengths[:, place].mean()), lower, upper))
    return sorted(found, key=lambda one: (-one.value, one.name))
