"""Which runtime serves a bundle: the one asked for, or the fastest that gives the bundle's golden answers here."""

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from explicate_bundle.bundle import VerifiedBundle
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import GoldenCheck, Trial
from explicate_server.runtime.model_runtime import Runtime, RuntimeUnavailable
from explicate_server.runtime.queue import Row
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME, RUNTIMES, Loader

AUTO = "auto"
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


def choose_runtime(
    bundle: VerifiedBundle,
    modality: Modality,
    *,
    runtime: str,
    threads: int,
    loaders: Mapping[str, Loader] = RUNTIMES,
) -> tuple[Runtime, list[Trial]]:
    """The runtime named, or for ``AUTO`` the fastest that passes; and all trials, the chosen one's first.

    Raises:
        NoRuntime: no runtime passed.
        BundleError: the golden inputs are not in the format.
    """
    check = GoldenCheck(bundle, modality)
    trials: dict[str, Trial] = {}
    passed: dict[str, Runtime] = {}
    for name in loaders if runtime == AUTO else (runtime,):
        loaded, trials[name] = _try(check, bundle, name=name, load=loaders[name], threads=threads)
        if loaded is not None:
            passed[name] = loaded
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
    check: GoldenCheck, bundle: VerifiedBundle, *, name: str, load: Loader, threads: int
) -> tuple[Runtime | None, Trial]:
    """Load and judge; a runtime that fails in any way is a trial that was not passed."""
    try:
        runtime = load(bundle.model_path, threads=threads, reduced=check.allows_reduced_precision)
        trial = check.judge(runtime)
    except RuntimeUnavailable as error:
        return None, Trial(name, reason=str(error))
    except Exception as error:  # a runtime may fail with anything, and another one may do better
        _log.warning("%s failed with %s", name, bundle.model_path, exc_info=True)
        return None, Trial(name, reason=f"{name} failed: {type(error).__name__}: {' '.join(str(error).split())}")
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
