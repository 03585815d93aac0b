"""Which runtime serves a bundle, and in which precision: as asked for, or the best that gives its golden answers here.

On a CPU that is the fastest. On another device the variant that suits it is taken if it passes, and model.onnx is not
even loaded: both at once would take half as much memory again.
"""

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from explicate.v1.bundle_pb2 import ModelVariant
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.writing import GRAPH_PRECISION
from explicate_server.device import CPU, Device
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import GoldenCheck, Trial
from explicate_server.runtime.model_runtime import Runtime, RuntimeUnavailable
from explicate_server.runtime.queue import Row
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME, RUNTIMES, Loader

AUTO = "auto"
# OpenVINO reduces precision by itself, and was not tried with variants.
_READS_VARIANTS = (DEFAULT_RUNTIME,)
# What is worth trying unasked. fp16 takes as long as fp32 on a CPU, which computes it in fp32 (MiniLM-L6: 69 against 79
# rows a second); int8 is made for its instructions. A GPU computes fp16 at several times the rate: docs/gpu.md.
_SUITS_CPU = ("int8",)
_SUITS_DEVICE = ("fp16", "bf16")
# Another runtime must be this much faster to take the default's place. Less is noise.
LEAST_SPEEDUP = 1.1
# Timing ends with the first round that ends after this many seconds, but not before the least rounds.
_TIMING_S = 1.0
_LEAST_ROUNDS = 3
_MOST_ROUNDS = 9
_BATCHES_PER_LANE = 2
_log = logging.getLogger(__name__)


class NoRuntime(Exception):
    """No runtime can serve the bundle; the message says why."""


@dataclass(frozen=True)
class Candidate:
    """A runtime by its name, and what it loads: a variant of the bundle, or if there is none model.onnx."""

    runtime: str
    variant: ModelVariant | None = None

    @property
    def name(self) -> str:
        """Such as "onnxruntime", or "onnxruntime int8"."""
        return f"{self.runtime} {self.variant.precision}" if self.variant else self.runtime


def choose_runtime(
    bundle: VerifiedBundle,
    modality: Modality,
    *,
    runtime: str,
    threads: int,
    loaders: Mapping[str, Loader] = RUNTIMES,
    precision: str = AUTO,
    device: Device = CPU,
) -> tuple[Runtime, list[Trial]]:
    """The runtime and precision named, or for ``AUTO`` the best that passes; and all trials, the chosen one's first.

    Raises:
        NoRuntime: nothing passed, or the bundle does not have the precision.
        BundleError: the golden inputs are not in the format.
    """
    candidates = _candidates(bundle, list(loaders) if runtime == AUTO else [runtime], precision, device)
    check = GoldenCheck(bundle, modality)
    trials: dict[str, Trial] = {}
    passed: dict[str, Runtime] = {}
    for candidate in candidates:
        if device != CPU and any(name.startswith(f"{candidate.runtime} ") for name in passed):
            continue
        reduced = check.allows_reduced_precision and precision == AUTO
        loaded, trial = _try(check, bundle, candidate, loaders[candidate.runtime], threads=threads, reduced=reduced)
        trials[candidate.name] = trial
        if loaded is not None:
            passed[candidate.name] = loaded
    if not passed:
        raise NoRuntime("; ".join(trial.reason for trial in trials.values()))
    best = next(iter(passed))
    if len(passed) > 1:
        rounds = _time(check, modality, passed)
        for name, seconds in rounds.items():
            trials[name] = replace(trials[name], seconds_per_row=statistics.median(seconds))
        best = fastest(rounds)
    _log.info(
        "%s/%d runtimes: %s", bundle.manifest.model, bundle.manifest.version, "; ".join(map(_line, trials.values()))
    )
    return passed[best], [trials.pop(best), *trials.values()]


def _candidates(bundle: VerifiedBundle, runtimes: Sequence[str], precision: str, device: Device) -> list[Candidate]:
    """What to try, in this order."""
    as_exported = [Candidate(name) for name in runtimes]
    if precision == GRAPH_PRECISION:
        return as_exported
    variants = [
        Candidate(name, each) for name in runtimes if name in _READS_VARIANTS for each in bundle.manifest.variants
    ]
    if precision != AUTO:
        asked = [each for each in variants if each.variant and each.variant.precision == precision]
        if not asked:
            raise NoRuntime(_lacks(bundle, runtimes, precision))
        return asked
    suits = _SUITS_CPU if device == CPU else _SUITS_DEVICE
    suited = [each for each in variants if each.variant and each.variant.precision in suits]
    return [*as_exported, *suited] if device == CPU else [*suited, *as_exported]


def _lacks(bundle: VerifiedBundle, runtimes: Sequence[str], precision: str) -> str:
    """Why there is nothing to try in a precision."""
    if precision in bundle.precisions:
        return f"--precision {precision} is for --runtime {DEFAULT_RUNTIME}, and --runtime is {', '.join(runtimes)}"
    return (
        f"--precision is {precision}, and the bundle has {' and '.join(bundle.precisions)}: serve it with --precision "
        f"auto or one of these, or export it again with --variants {precision}"
    )


def fastest(rounds: Mapping[str, Sequence[float]], *, default: str = DEFAULT_RUNTIME) -> str:
    """The name of the fastest; the default's unless another is clearly faster.

    Args:
        rounds: seconds of each round by name. A round's ratio is taken within it, for machines are now fast, now slow.
        default: the one to displace; the first when it is not among them.
    """
    default = default if default in rounds else next(iter(rounds))
    speedups = {
        name: statistics.median(ours / theirs for ours, theirs in zip(rounds[default], seconds, strict=True))
        for name, seconds in rounds.items()
    }
    best = max(speedups, key=speedups.__getitem__)
    return best if speedups[best] >= LEAST_SPEEDUP else default


def _try(
    check: GoldenCheck, bundle: VerifiedBundle, candidate: Candidate, load: Loader, *, threads: int, reduced: bool
) -> tuple[Runtime | None, Trial]:
    """Load and judge; a runtime that fails in any way is a trial that was not passed."""
    name, variant = candidate.runtime, candidate.variant
    path = bundle.variant_path(variant) if variant else bundle.model_path
    precision = variant.precision if variant else ""
    try:
        runtime = load(path, threads=threads, reduced=reduced and variant is None)
        trial = check.judge(runtime, variant)
    except RuntimeUnavailable as error:
        return None, Trial(name, precision, reason=str(error))
    except Exception as error:  # a runtime may fail with anything, and another one may do better
        _log.warning("%s failed with %s", name, path, exc_info=True)
        words = " ".join(str(error).split())
        return None, Trial(name, precision, reason=f"{candidate.name} failed: {type(error).__name__}: {words}")
    if variant and not trial.passed:
        _log.warning("%s/%d: %s", bundle.manifest.model, bundle.manifest.version, trial.reason)
    return (runtime if trial.passed else None), trial


def _time(check: GoldenCheck, modality: Modality, runtimes: Mapping[str, Runtime]) -> dict[str, list[float]]:
    """Seconds per golden row of each runtime, in rounds in which all of them take their turn."""
    rows = _timed_rows(check.rows, max(runtime.lanes * modality.batch_tokens(runtime) for runtime in runtimes.values()))
    rounds: dict[str, list[float]] = {name: [] for name in runtimes}
    begun_s = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        if done >= _LEAST_ROUNDS and time.perf_counter() - begun_s > _TIMING_S:
            break
        for name, runtime in runtimes.items():
            started_s = time.perf_counter()
            check.answers(runtime, rows)
            rounds[name].append((time.perf_counter() - started_s) / len(rows))
    return rounds


def _timed_rows(rows: Sequence[Row], lanes_tokens: int) -> list[Row]:
    """Golden rows of all lengths, over and over, that keep every lane of the larger runtime busy for a few batches."""
    stream = np.random.Generator(np.random.Philox(0))
    shuffled = cycle([rows[index] for index in stream.permutation(len(rows))])
    timed, tokens = [], 0
    while tokens < _BATCHES_PER_LANE * lanes_tokens:
        timed.append(next(shuffled))
        tokens += timed[-1].length
    return timed


def _line(trial: Trial) -> str:
    if not trial.passed:
        return f"{trial.runtime} refused ({trial.reason})"
    timed = "" if trial.seconds_per_row is None else f", {trial.seconds_per_row * 1e3:.2f} ms a row"
    return f"{trial.runtime} in {trial.precision} passed{timed}"
