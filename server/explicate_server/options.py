"""The options of an explanation: checked as a whole, every default resolved, nothing guessed later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from explicate_server.errors import InvalidRequest, NotServable, Violation
from explicate_server.explain.registry import METHODS, Method
from explicate_server.settings import Settings

DEFAULT_METHOD = "kernel-shap"
GRANULARITIES = ("word", "token", "sentence")
OUTPUT_SPACES = ("probability", "logit")
_MIN_EVALUATIONS = 4
# Coalitions times players of one explanation: a fit holds several arrays of this many float64, 64 MiB each.
_MAX_CELLS = 1 << 23
_CONFIDENCE_RANGE = (0.5, 0.999)


@dataclass(frozen=True)
class Target:
    """Which outputs to explain; the predicted class when nothing is said."""

    index: int | None = None
    label: str | None = None
    all: bool = False


@dataclass(frozen=True)
class ExplainOptions:
    """Options as the caller gave them; None where nothing was said. Units as in ``explanation.proto``."""

    method: str | None = None
    target: Target = Target()
    output_space: str | None = None
    masking: str | None = None
    max_evaluations: int | None = None
    min_evaluations: int | None = None
    tolerance: float | None = None
    confidence: float | None = None
    time_limit_s: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class ResolvedOptions:
    """Options with every default filled in."""

    method: Method
    target: Target
    output_space: str
    masking: str
    max_evaluations: int
    min_evaluations: int
    tolerance: float
    confidence: float
    time_limit_s: float
    seed: int


def resolve(
    options: ExplainOptions, *, labels: Sequence[str], maskings: Sequence[str], settings: Settings
) -> Callable[[int], ResolvedOptions]:
    """Check the options against a model, before any work.

    Returns:
        A function that completes them with what depends on the number of players.

    Raises:
        InvalidRequest: names every bad field.
        NotServable: the masking does not fit the model.
    """
    name = DEFAULT_METHOD if options.method is None else options.method
    method = METHODS.get(name)
    if method is None:
        raise InvalidRequest(
            [Violation("options.method", f"{name!r} is not a method; there are {', '.join(METHODS)}")],
            reason="UNKNOWN_METHOD",
        )
    violations = [*_number_violations(options, method, settings), *_target_violations(options.target, labels)]
    if violations:
        raise InvalidRequest(violations)
    masking = options.masking or method.default_masking
    if masking not in maskings:
        raise NotServable(
            "MASKING_UNSUPPORTED", f"masking {masking!r} needs what this model has not; it can {', '.join(maskings)}"
        )
    resolved = ResolvedOptions(
        method=method,
        target=options.target,
        output_space=options.output_space or "probability",
        masking=masking,
        max_evaluations=options.max_evaluations or 0,
        min_evaluations=options.min_evaluations or 0,
        tolerance=method.default_tolerance if options.tolerance is None else options.tolerance,
        confidence=0.95 if options.confidence is None else options.confidence,
        time_limit_s=settings.max_call_s if options.time_limit_s is None else options.time_limit_s,
        seed=options.seed or 0,
    )
    return lambda players: _with_budget(resolved, players, settings)


def _with_budget(options: ResolvedOptions, players: int, settings: Settings) -> ResolvedOptions:
    """Budgets that were left open follow the number of players.

    Raises:
        InvalidRequest: the evaluations asked for are too many for so many players.
    """
    most = _MAX_CELLS // max(1, players)
    if options.max_evaluations > most:
        problem = f"is {options.max_evaluations:,}; at most {most:,} are possible for {players:,} words"
        raise InvalidRequest([Violation("options.max_evaluations", problem)])
    default = max(_MIN_EVALUATIONS, options.method.default_max_evaluations(players))
    maximum = options.max_evaluations or min(default, settings.max_evaluations, most)
    minimum = options.min_evaluations or options.method.default_min_evaluations(players)
    return replace(options, max_evaluations=maximum, min_evaluations=min(minimum, maximum))


def _number_violations(options: ExplainOptions, method: Method, settings: Settings) -> list[Violation]:
    maximum = settings.max_evaluations if options.max_evaluations is None else options.max_evaluations
    low, high = _CONFIDENCE_RANGE
    checks = (
        ("max_evaluations", options.max_evaluations, _MIN_EVALUATIONS, settings.max_evaluations),
        ("min_evaluations", options.min_evaluations, 1, max(1, maximum)),
        ("tolerance", options.tolerance, 0.0, 1.0),
        ("confidence", options.confidence, low, high),
        ("seed", options.seed, 0, method.max_seed),
    )
    violations = [
        Violation(f"options.{name}", f"is {value}; it must be between {least:,} and {most:,}")
        for name, value, least, most in checks
        if value is not None and not least <= value <= most
    ]
    if options.time_limit_s is not None and not 0 < options.time_limit_s < float("inf"):
        violations.append(Violation("options.time_limit_seconds", f"is {options.time_limit_s}; it must be above 0"))
    return violations


def _target_violations(target: Target, labels: Sequence[str]) -> list[Violation]:
    if target.index is not None and not 0 <= target.index < len(labels):
        return [Violation("options.target.index", f"is {target.index}; the model has classes 0 to {len(labels) - 1}")]
    if target.label is not None and target.label not in labels:
        known = ", ".join(repr(label) for label in labels[:20])
        return [Violation("options.target.label", f"{target.label!r} is not a class; there are {known}")]
    return []
