"""Whether a runtime gives a bundle's golden answers on this machine.

The checks run as serving does, in full batches over all lanes, so they also warm up the shapes that requests bring.
Export computes attributions of golden inputs and writes them; a server computes and compares them. Both go through the
engine and the modality that answer requests, so they agree only if explanations are served as they were when the model
was exported.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import Bundle, GoldenAttributions, ModelVariant
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.objective import Objective
from explicate_server.explain.explain_game import GameExplanation, explain_game
from explicate_server.explain.methods import METHODS
from explicate_server.modalities.modality import Modality
from explicate_server.runtime.model_runtime import Runtime, run_rows
from explicate_server.runtime.queue import Row
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME

Evaluate = Callable[[Sequence[Row]], NDArray[np.float32]]

# What an input of one or two players is given at least.
_LEAST_EVALUATIONS = 8


def comparable(recipe: GoldenAttributions, modality: Modality) -> bool:
    """Whether this server's engine, with its players, is the one that made them."""
    method = METHODS.get(recipe.method)
    same_method = method is not None and method.version == recipe.method_version
    return same_method and recipe.players_version == modality.players_version


def attribute(
    value: ModelInput, output: int, *, recipe: GoldenAttributions, modality: Modality, evaluate: Evaluate
) -> GameExplanation:
    """What each word, column or cell of a grid adds to one of the graph's outputs; its arrays are float64[players].

    Args:
        value: a golden input.
        output: the class that the exported model predicts; 0 of a regression.
        recipe: method, seed and evaluations per player.
        modality: of the bundle; its default masking is taken, and its default players but for images.
        evaluate: the graph's answers float32[rows, outputs] of model rows.
    """
    granularity = "grid" if recipe.segments else next(iter(modality.granularities), None)
    kind = modality.players_of(granularity, recipe.segments)
    game = modality.game(value, modality.encode(value), players=kind, masking=modality.maskings[0])
    players = len(game.players)

    def values(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        answers = evaluate(game.rows(coalitions))[:, output].astype(np.float64)
        return answers.reshape(len(coalitions), -1) @ game.weights

    return explain_game(
        values,
        players,
        method=recipe.method,
        seed=recipe.seed,
        max_evaluations=max(_LEAST_EVALUATIONS, recipe.evaluations_per_player * players),
    )


def relative_difference(values: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """‖values − expected‖ / ‖expected‖; infinite when they have different lengths."""
    if values.shape != expected.shape:
        return float("inf")
    difference, norm = np.linalg.norm(values - expected), np.linalg.norm(expected)
    return float(difference / norm) if norm > 0 else float("inf" if difference > 0 else 0)


def score_difference(answers: NDArray[np.float32], expected: NDArray[np.float32], objective: Objective) -> float:
    """The largest absolute difference of what callers are told: a probability, or a value; NaN if one is not finite."""
    told, known = (objective.scores(each.astype(np.float64)) for each in (answers, expected))
    return float(np.abs(told - known).max())


def variant_of(manifest: Bundle, runtime: Runtime) -> ModelVariant | None:
    """The variant that a loaded runtime has; None for model.onnx, which OpenVINO takes in any precision."""
    if not runtime.name.startswith(f"{DEFAULT_RUNTIME}-"):
        return None
    return next((each for each in manifest.variants if each.precision == runtime.precision), None)


def allowed_difference(manifest: Bundle, runtime: Runtime) -> float:
    """How far an output of a loaded runtime may be off: a probability or value of a variant, else a logit or value."""
    return _allowed(manifest, runtime.precision, variant_of(manifest, runtime))


def _allowed(manifest: Bundle, precision: str, variant: ModelVariant | None) -> float:
    if variant is not None:
        return variant.output_tolerance
    return manifest.golden_tolerance if precision == manifest.precision else manifest.golden_reduced_tolerance


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """How a runtime did with a bundle's golden inputs on this machine.

    Attributes:
        runtime: runtime and device; the name it was asked for by when it could not be loaded.
        precision: numeric precision; empty when it could not be loaded.
        reason: why it did not pass; empty when it did.
        logit_difference: largest absolute difference of a golden logit or value; None when it did not get that far.
        attribution_difference: largest relative difference of an input's attributions; None when not compared.
        seconds_per_row: model time of one golden row, median of the rounds; None when it was not timed.
        score_difference: largest absolute difference of a golden probability or value; None but for a variant.
    """

    runtime: str
    precision: str = ""
    reason: str = ""
    logit_difference: float | None = None
    attribution_difference: float | None = None
    seconds_per_row: float | None = None
    score_difference: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it met the golden outputs and attributions."""
        return not self.reason


class GoldenCheck:
    """A bundle's golden inputs, made ready once for all the runtimes that are tried."""

    def __init__(self, bundle: VerifiedBundle, modality: Modality) -> None:
        """Read the golden inputs.

        Raises:
            BundleError: they are not in the format.
        """
        self._manifest = manifest = bundle.manifest
        self._modality = modality
        self._objective = bundle.kind.predicts
        self._golden = bundle.golden()
        self.rows = [modality.encode(value).row for value in self._golden.inputs]
        self._recipe = recipe = manifest.golden_attributions
        self._attributes = bool(self._golden.attributions) and comparable(recipe, modality)
        if self._golden.attributions and not self._attributes:
            _log.warning(
                "%s/%d: golden attributions are not compared: they are %s version %s of players version %d, which this "
                "server does not have",
                *(manifest.model, manifest.version, recipe.method, recipe.method_version, recipe.players_version),
            )

    @property
    def allows_reduced_precision(self) -> bool:
        """Whether a lower precision than the bundle's may serve it."""
        return self._manifest.golden_reduced_tolerance > 0

    def judge(self, runtime: Runtime, variant: ModelVariant | None = None) -> Trial:
        """Compare the runtime's answers with the golden ones; as closely as a variant says, if it has loaded one."""
        answers, golden = self.answers(runtime, self.rows), self._golden.outputs
        trial = Trial(runtime.name, runtime.precision, logit_difference=float(np.abs(answers - golden).max()))
        if variant is not None:
            trial = replace(trial, score_difference=score_difference(answers, golden, self._objective))
        difference, allowed = self._output_difference(trial, variant)
        if not difference <= allowed:
            return replace(trial, reason=_refusal("outputs", difference, trial, allowed))
        if self._attributes:
            return self._judge_attributions(runtime, trial, variant)
        if variant is not None:
            return replace(trial, reason=f"{trial.precision} cannot be held to golden attributions of another engine")
        return trial

    def _output_difference(self, trial: Trial, variant: ModelVariant | None) -> tuple[float, float]:
        """What the outputs are off by, and may be."""
        difference = trial.logit_difference if variant is None else trial.score_difference
        assert difference is not None
        return difference, _allowed(self._manifest, trial.precision, variant)

    def _judge_attributions(self, runtime: Runtime, trial: Trial, variant: ModelVariant | None) -> Trial:
        difference = max(self._attribution_differences(runtime))
        trial = replace(trial, attribution_difference=difference)
        allowed = self._recipe.tolerance if variant is None else variant.attribution_tolerance
        if not difference <= allowed:
            return replace(trial, reason=_refusal("attributions", difference, trial, allowed))
        return trial

    def answers(self, runtime: Runtime, rows: Sequence[Row]) -> NDArray[np.float32]:
        """The graph's answers, float32[rows, outputs]."""
        return run_rows(runtime, self._modality.collate, rows, batch_tokens=self._modality.batch_tokens(runtime))

    def _attribution_differences(self, runtime: Runtime) -> Iterator[float]:
        golden = self._golden
        for index, expected in golden.attributions.items():
            explanation = attribute(
                golden.inputs[index],
                int(golden.outputs[index].argmax()),
                recipe=self._recipe,
                modality=self._modality,
                evaluate=lambda rows: self.answers(runtime, rows),
            )
            yield relative_difference(explanation.values, expected)


def _refusal(what: str, difference: float, trial: Trial, allowed: float) -> str:
    return f"golden {what} differ by {difference:.3g} on {trial.runtime} in {trial.precision}; {allowed:.3g} is allowed"
