"""What is known of the explanations of a table's rows, and which outputs they explain."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.quality import Faithfulness, QualityFigures
from explicate_server.explain.rounds import StopReason
from explicate_server.explain.shared_rounds import Ended
from explicate_server.inference.asking.targets import PREDICTED_CLASS, Outputs
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.explain_work import know_the_ends_only
from explicate_server.modalities.rows.table_games import TablePlayer
from explicate_server.registry.records import Scales


@dataclass(frozen=True)
class TableOutputs:
    """The explained outputs of each row.

    Attributes:
        scales: of the model.
        space: the scale they are explained on.
        class_indices: intp[rows, explained].
        reference_index: of the class whose score is taken off, for a contrast.
    """

    scales: Scales
    space: str
    class_indices: Indices
    reference_index: int | None

    @classmethod
    def choose(
        cls, options: ResolvedOptions, *, scales: Scales, predictions: Floats, labels: Sequence[str]
    ) -> "TableOutputs":
        """Those that the options mean, given the graph's own answers float64[rows, outputs]."""
        target, space = options.target, options.output_space
        of_one = Outputs.choose(target, space, scales=scales, prediction=predictions[0], labels=labels)
        indices = np.tile(np.array(of_one.class_indices, np.intp), (len(predictions), 1))
        if target == PREDICTED_CLASS:
            indices = scales.objective.leading(predictions)[:, np.newaxis]
        return cls(scales, space, indices, of_one.reference_index)

    def of_row(self, row: int) -> Outputs:
        """Those of one row."""
        indices = tuple(self.class_indices[row].tolist())
        return Outputs(self.scales, indices, self.space, self.reference_index)

    def of(self, scores: Floats, rows: Indices) -> Floats:
        """Explained outputs float64[m, len(rows) · explained], row after row, of scores float64[m, len(rows), outputs]
        of some rows on the scale that is explained.
        """
        explained = np.take_along_axis(scores, self.class_indices[np.newaxis, rows], axis=2)
        if self.reference_index is not None:
            explained = explained - scores[:, :, [self.reference_index]]
        return np.asarray(explained.reshape(len(scores), -1))


@dataclass
class TableAnswer:
    """The predictions of all rows, and their explanations as far as they are known; NaN where they are not.

    Attributes:
        predictions: float64[rows, outputs], the graph's own answers.
        baseline, full: float64[explained, rows], v(∅) and v(N).
        values, standard_errors, lower, upper: float64[explained, rows, players].
        figures: how far each row can be trusted.
        comprehensiveness, sufficiency: float64[rows, 2], the value and that of a random ranking; None unless asked for.
        evaluations, rounds: intp[rows].
        stop_reasons: of each row.
        converged: bool[rows].
        rows_sent: rows that went to the model for all of it.
        cut_by_clock: whether a round had fewer rows than it wanted, for want of time.
    """

    predictions: Floats
    outputs: TableOutputs
    players: Sequence[TablePlayer]
    options: ResolvedOptions
    baseline: Floats
    full: Floats
    timings: Timings
    unknown_category_columns: Sequence[str] = ()
    rows_sent: int = 0
    cut_by_clock: bool = False
    values: Floats = field(init=False)
    standard_errors: Floats = field(init=False)
    lower: Floats = field(init=False)
    upper: Floats = field(init=False)
    figures: QualityFigures = field(init=False)
    comprehensiveness: Floats | None = field(init=False)
    sufficiency: Floats | None = field(init=False)
    evaluations: Indices = field(init=False)
    rounds: Indices = field(init=False)
    stop_reasons: list[StopReason] = field(init=False)
    converged: Booleans = field(init=False)

    def __post_init__(self) -> None:
        rows, explained = self.outputs.class_indices.shape
        shape = (explained, rows, len(self.players))
        self.values, self.standard_errors, self.lower, self.upper = (np.full(shape, np.nan) for _ in range(4))
        self.figures = QualityFigures(**{item.name: np.full(rows, np.nan) for item in fields(QualityFigures)})
        full = self.options.quality == "full"
        self.comprehensiveness, self.sufficiency = (np.full((rows, 2), np.nan) if full else None for _ in range(2))
        self.evaluations, self.rounds = np.full(rows, self.ends), np.zeros(rows, np.intp)
        self.stop_reasons = [StopReason.DEADLINE] * rows
        self.converged = np.zeros(rows, np.bool_)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.predictions)

    @property
    def ends(self) -> int:
        """Evaluations that a row has without any coalition between the empty and the whole one."""
        return 2 if self.options.method.needs_empty else 1

    @property
    def known(self) -> Booleans:
        """Whether something is known of a row beside its ends, bool[rows]."""
        return np.asarray(~np.isnan(self.values).all(axis=(0, 2)))

    def keep(self, rows: Indices, ended: Ended) -> None:
        """Take in what some rows ended with; ``rows`` are the places of its games.

        Of a row that ended for want of time and knows its two ends alone, the values stay NaN.
        """
        attribution, explained = ended.attribution, len(self.values)
        by_row = (-1, explained, attribution.values.shape[1])
        read = slice(attribution.values.shape[1])
        in_time = np.array([reason is not StopReason.DEADLINE for reason in ended.stop_reasons])
        told = in_time | ((ended.evaluations > self.ends) & ~know_the_ends_only(attribution, len(rows)))
        for name in ("values", "standard_errors", "lower", "upper"):
            ours = getattr(self, name)
            ours[:, rows[told]] = 0.0  # also of columns that the model does not read
            ours[:, rows[told], read] = np.swapaxes(getattr(attribution, name).reshape(by_row), 0, 1)[:, told]
        for item in fields(QualityFigures):
            getattr(self.figures, item.name)[rows[told]] = getattr(ended.figures, item.name)[told]
        self.evaluations[rows], self.rounds[rows] = ended.evaluations, ended.rounds
        self.converged[rows] = ended.converged
        for row, reason in zip(rows.tolist(), ended.stop_reasons, strict=True):
            self.stop_reasons[row] = reason

    def keep_faithfulness(self, row: int, comprehensiveness: Faithfulness, sufficiency: Faithfulness) -> None:
        """Take in what a row's output does without its top players, and with them alone."""
        for ours, told in ((self.comprehensiveness, comprehensiveness), (self.sufficiency, sufficiency)):
            assert ours is not None
            ours[row] = told.value, told.random
