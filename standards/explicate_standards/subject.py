"""One input that is measured: its game, whose coalitions go through the model once, and its explanations.

All metrics of an input share a subject, so that a coalition which two of them ask for, or an explanation that two of
them rest on, is paid for once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput
from explicate_server.explain import GameExplanation, explain_game
from explicate_server.explain.estimators import kernel_shap
from explicate_server.inference.asking.targets import PREDICTED_CLASS, Outputs
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions
from explicate_server.modalities.modality import Game, Player
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

METHOD = kernel_shap.METHOD.name
SEED = 0
# Coalitions that go through the model at once. Those of a table are as many rows each as it has background rows.
_CHUNK = 512


@dataclass(frozen=True)
class Effort:
    """How hard an explanation tries: None is the method's own default, as a server takes it."""

    tolerance: float | None = None
    evaluations_per_player: int | None = None  # before the tolerance may stop


SERVED = Effort()


class Subject:
    """An input with its game. `number` is its place in the order in which inputs are measured, from 0."""

    def __init__(
        self,
        model: EvaluatedModel,
        row: LabelledInput,
        number: int = 0,
        *,
        granularity: str | None = None,
        output: int | None = None,
    ) -> None:
        """Make the game with the model's default players, or those of a `granularity`.

        `output` is the one that is explained; None for the one that the model answers, as a server does it.
        """
        self.model = model
        self.row = row
        self.number = number
        self._output = output
        self._granularity = granularity
        self._known: dict[bytes, Floats] = {}
        self._explained: dict[tuple[str, Effort], GameExplanation] = {}
        self._related: list[Subject] = []
        self._evaluations = 0

    @cached_property
    def game(self) -> Game:
        """The players are those of an explanation that asks for nothing in particular."""
        modality = self.model.modality
        options = self.model.options(1, self._asked(SERVED))
        players = modality.players_of(options.granularity, options.segments)
        encoded = modality.encode(self.row.value)
        return modality.game(self.row.value, encoded, players=players, masking=options.masking)

    @property
    def players(self) -> Sequence[Player]:
        """In reading order."""
        return self.game.players

    @property
    def n(self) -> int:
        """How many players there are."""
        return len(self.game.players)

    @cached_property
    def output(self) -> int:
        """The output that is explained: the one that the model answers, 0 of a regression."""
        if self._output is not None:
            return self._output
        full = self.model.scales.raw(self.kept(np.ones((1, self.n), np.bool_)))[0]
        outputs = Outputs.choose(
            PREDICTED_CLASS,
            self.model.scales.spaces[0],
            scales=self.model.scales,
            prediction=full,
            labels=self.model.labels,
        )
        return outputs.class_indices[0]

    def kept(self, coalitions: Booleans) -> Floats:
        """What is kept of coalitions bool[m, n] on all scales, float64[m, width]; see `Scales`."""
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        places = list(new.values())
        for first in range(0, len(places), _CHUNK):
            chunk = places[first : first + _CHUNK]
            values = self._evaluated(coalitions[chunk])
            self._known.update(zip([keys[place] for place in chunk], values, strict=True))
        self._evaluations += len(places)
        width = self.model.scales.width
        return np.stack([self._known[key] for key in keys]) if keys else np.zeros((0, width))

    def _evaluated(self, coalitions: Booleans) -> Floats:
        game, scales = self.game, self.model.scales
        answers = self.model.answers(game.rows(coalitions))
        return scales.means(answers.reshape(len(coalitions), -1, scales.outputs), game.weights)

    def scores(self, coalitions: Booleans) -> Floats:
        """All outputs as callers are told them, float64[m, outputs]: probabilities, or the value."""
        return self.model.scales.of(self.kept(coalitions), self.model.scales.spaces[0])

    def values(self, coalitions: Booleans, space: str | None = None) -> Floats:
        """v(S) of the explained output, float64[m], on the scale that explanations have by default or on `space`."""
        scales = self.model.scales
        return scales.of(self.kept(coalitions), space or scales.spaces[0])[:, self.output]

    def explained(self, effort: Effort = SERVED, space: str | None = None) -> GameExplanation:
        """The explanation by kernel-shap with the seed 0, as a server gives it; made once for an effort and a scale."""
        space = space or self.model.scales.spaces[0]
        known = self._explained.get((space, effort))
        if known is None:
            known = self._explained[space, effort] = self._explain(effort, space)
        return known

    def _explain(self, effort: Effort, space: str) -> GameExplanation:
        options = self.options(effort)
        return explain_game(
            lambda coalitions: self.values(np.asarray(coalitions, np.bool_), space),
            self.n,
            method=METHOD,
            seed=SEED,
            max_evaluations=options.max_evaluations,
            min_evaluations=options.min_evaluations,
            tolerance=options.tolerance,
            max_players=options.max_players,
            reads=self.model.kind.reads.name,
            breaks=self.game.breaks,
        )

    def options(self, effort: Effort = SERVED) -> ResolvedOptions:
        """What a server makes of an effort for this input."""
        return self.model.options(self.n, self._asked(effort, self.n))

    def _asked(self, effort: Effort, players: int = 1) -> ExplainOptions:
        least = effort.evaluations_per_player
        return ExplainOptions(
            method=METHOD,
            granularity=self._granularity,
            tolerance=effort.tolerance,
            min_evaluations=None if least is None else max(1, least * players),
            seed=SEED,
        )

    @property
    def rows_evaluated(self) -> int:
        """Rows that went through a model for it, and for the subjects that were made of it."""
        own = self._evaluations * len(self.game.weights) if self._evaluations else 0
        return own + sum(subject.rows_evaluated for subject in self._related)

    @property
    def attributions(self) -> Floats:
        """Of each player, float64[n], of the explanation as served; a group's are spread evenly over its members."""
        explanation = self.explained()
        if explanation.groups is None:
            return explanation.values
        sizes = np.bincount(explanation.groups)
        return np.asarray((explanation.values / sizes)[explanation.groups])

    def generator(self, stream: int) -> np.random.Generator:
        """A random stream of this input for one metric's draws, the same in every run."""
        return np.random.Generator(np.random.Philox(key=np.array([self.row.place, stream], dtype=np.uint64)))

    def like(self, value: ModelInput, *, granularity: str | None = None) -> "Subject":
        """Another input in the place of this one, whose explanation is of the same output."""
        row = LabelledInput(self.row.place, value, self.row.label, self.row.line)
        granularity = granularity or self._granularity
        return self._relate(self.model, row, granularity)

    def under(self, model: EvaluatedModel) -> "Subject":
        """The same input under another model, explained for the same output."""
        return self._relate(model, self.row, self._granularity)

    def _relate(self, model: EvaluatedModel, row: LabelledInput, granularity: str | None) -> "Subject":
        made = Subject(model, row, self.number, granularity=granularity, output=self.output)
        self._related.append(made)
        return made
