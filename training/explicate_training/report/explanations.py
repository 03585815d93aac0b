"""Why the model answers as it does, on test rows: what the report shows of single answers and of all together.

Shapley values by shap's own explainers, on the trained torch model: an explanation that comes neither from the server
nor from the exported graph, to hold those against. The client's views draw them, so a report looks like an answer.
"""

import time
import warnings
from collections import Counter
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
from explicate_training.loop.progress import duration
from explicate_training.report.directions import SignedRow, directed
from explicate_training.tasks.task import Evaluation, Task

_EVALUATIONS = 200  # of one row, unless a single pair of orders needs more
_EXACT_PLAYERS = 8  # up to so many all coalitions are asked
_MOST_EXAMPLES = 8  # classes with an example
_MOST_MISTAKES = 5
_MOST_COLUMNS = 10  # of a row
_FEWEST_ROWS = 5  # of which importance is told
_CONFUSIONS, _CONFUSED_ROWS, _FEWEST_CONFUSED, _CONFUSED_PARTS = 3, 8, 3, 8


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
class Confusion:
    """Rows of one class that are answered rightly beside those that are taken for another one.

    right_rows, wrong_rows: how many test rows there are of each; right_explained, wrong_explained: on how many of them
    `parts` rest: a part's name, and by how much it speaks for the true class rather than the other, on average over the
    rows of either kind; a row without the part counts as 0.
    """

    true: str
    answered: str
    right_rows: int
    wrong_rows: int
    right_explained: int
    wrong_explained: int
    parts: list[tuple[str, float, float]]

    @property
    def largest(self) -> float:
        """The size of the strongest."""
        return max(max(abs(right), abs(wrong)) for _, right, wrong in self.parts)


@dataclass(frozen=True)
class Explanations:
    """What a report shows. `rows`: how many rows `importance` rests on; 0 when they were too few to tell it."""

    examples: list[ExplainedRow]
    mistakes: list[ExplainedRow]
    importance: list[Importance]
    rows: int
    wanted: int
    seconds: float
    confusions: list[Confusion] = field(default_factory=list)
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
        confusions=_confusions(teller, labels, in_time),
        rows=len(enough),
        wanted=len(rows),
        seconds=time.monotonic() - begin_s,
        parts=directed([Ground(one.name, one.value, one.lower, one.upper) for one in importance], enough, labels),
    )


def explanations_of(run: Any, test: Evaluation) -> Explanations:
    """What the report of a run shows of its answers to the test rows, by its `[output]`."""
    output, counted = run.config.output, run.config.data.counted
    found = explain_rows(
        run.game,
        run.task,
        test,
        run.labels,
        target_name=run.config.data.target_name,
        count=output.explained,
        limit_s=output.explain_seconds,
        seed=run.config.training.seed,
    )
    if output.explained:
        few = "" if found.rows == found.wanted else f" of {found.wanted:,}: output.explain_seconds were over"
        run.say(f"explained {found.rows:,} test {counted}{few} in {duration(found.seconds)}")
    return found


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
        self._found: dict[int, tuple[Game, NDArray[np.float64], NDArray[np.float64]] | None] = {}

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
            self._found[row] = None if game is None else (game, *self._values(game))
        return self._found[row] is not None

    def _output(self, row: int) -> int:
        return int(self._scores[row].argmax())

    def _values(self, game: Game) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shapley values float64 [players, outputs] of the scores, and the scores [outputs] without any part."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its plots call what matplotlib is about to change
            import shap  # a second or two, which a check of the data need not take

        players, outputs = len(game.features), self._scores.shape[1]

        def score(present: NDArray[Any]) -> NDArray[np.float64]:
            if not len(present):  # shap asks so at times
                return np.zeros((0, outputs))
            return self._task.scores(game.outputs(np.asarray(present) > 0.5))

        absent, present = np.zeros((1, players)), np.ones((1, players))
        if players <= _EXACT_PLAYERS:
            found = shap.explainers.Exact(score, absent)(present, max_evals=2**players, silent=True)
        else:
            orders = max(1, _EVALUATIONS // (2 * players + 1))
            explainer = shap.explainers.Permutation(score, absent, seed=self._seed)
            evaluations = orders * (2 * players + 1)
            found = explainer(present, max_evals=evaluations, batch_size=_EVALUATIONS, silent=True)
        values = np.asarray(found.values[0], dtype=np.float64).reshape(players, outputs)
        return values, np.asarray(found.base_values, dtype=np.float64).reshape(-1)[:outputs]

    def signed(self, row: int) -> SignedRow:
        """Values by key; parts with one key add up."""
        game, values, _ = self._known(row)
        return SignedRow(
            self._output(row),
            _by_key(game, values[:, self._output(row)]),
            game.given.get("row") or {},
            placed=game.granularity == "grid",
        )

    def towards(self, row: int, right: int, wrong: int) -> dict[str, float]:
        """By how much each key speaks for one output rather than another."""
        game, values, _ = self._known(row)
        return _by_key(game, values[:, right] - values[:, wrong])

    def told(self, row: int) -> ExplainedRow:
        game, of_outputs, starts = self._known(row)
        output = self._output(row)
        values, start = of_outputs[:, output], float(starts[output])
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

    def confused(self) -> list[tuple[int, int, list[int], list[int]]]:
        """The most confused pairs of classes (true, answered), with the rows of each answered rightly, and so."""
        decided, targets = self._task.decided(self._test.outputs), self._test.targets
        if decided is None or not self._task.one_of_classes:
            return []
        pairs = Counter(zip(targets.tolist(), decided.tolist(), strict=True))
        wrong = [pair for pair, count in pairs.most_common() if pair[0] != pair[1] and count >= _FEWEST_CONFUSED]
        rows = {pair: np.flatnonzero((targets == pair[0]) & (decided == pair[1])).tolist() for pair in pairs}
        return [
            (true, answered, rows.get((true, true), []), rows[true, answered]) for true, answered in wrong[:_CONFUSIONS]
        ]

    def known_first(self, rows: Sequence[int]) -> list[int]:
        """Rows in the order in which to explain them: those that are explained cost nothing."""
        return sorted(rows, key=lambda row: self._found.get(row) is None)

    def _known(self, row: int) -> tuple[Game, NDArray[np.float64], NDArray[np.float64]]:
        found = self._found[row]
        assert found is not None, "only rows that were explained are told"
        return found


def _confusions(
    teller: _Teller, labels: Sequence[str], in_time: Callable[[Iterable[int]], list[int]]
) -> list[Confusion]:
    """The most confused classes side by side; those of which too few rows could be explained are left out."""
    found = []
    for true, answered, *sides in teller.confused():
        rows = [in_time(teller.known_first(side)[:_CONFUSED_ROWS]) for side in sides]
        if min(map(len, rows)) < _FEWEST_CONFUSED:
            continue
        right, wrong = (_mean([teller.towards(row, true, answered) for row in side]) for side in rows)
        size = {name: max(abs(right.get(name, 0.0)), abs(wrong.get(name, 0.0))) for name in {**right, **wrong}}
        strongest = sorted(size, key=lambda name: (-size[name], name))[:_CONFUSED_PARTS]
        parts = [(name, right.get(name, 0.0), wrong.get(name, 0.0)) for name in strongest]
        (right_rows, wrong_rows), (right_known, wrong_known) = (tuple(map(len, both)) for both in (sides, rows))
        found.append(Confusion(labels[true], labels[answered], right_rows, wrong_rows, right_known, wrong_known, parts))
    return found


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            sums[name] = sums.get(name, 0.0) + value / len(rows)
    return sums


def _by_key(game: Game, values: NDArray[np.float64]) -> dict[str, float]:
    """Values float64 [players] by key; parts with one key add up."""
    sums: dict[str, float] = {}
    for key, value in zip(game.keys, values.tolist(), strict=True):
        sums[key] = sums.get(key, 0.0) + value
    return sums


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
