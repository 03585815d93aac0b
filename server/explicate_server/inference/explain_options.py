"""The options of an explanation: checked as a whole, every default resolved, nothing guessed later."""

from dataclasses import dataclass
from functools import partial

from explicate.reading.nearest import did_you_mean
from explicate.sentences.language import DEFAULT, lookup, tags
from explicate_bundle.images import DEFAULT_SEGMENTS
from explicate_server.errors import InvalidRequest, NotServable, Violation
from explicate_server.explain.method import DRAWN, MAX_SEED, Method
from explicate_server.explain.methods import AUTO, NAMES, chosen, methods_of
from explicate_server.inference.asking.baselines import (
    Baseline,
    baseline_masking,
    baseline_violations,
    resolved_baseline,
)
from explicate_server.inference.asking.change_wish import ChangeWish, change_violations
from explicate_server.inference.asking.pairs_asked import BUDGET_FACTOR, interactions_violations
from explicate_server.inference.asking.player_groups import PlayerGroup, player_violations
from explicate_server.inference.asking.targets import PREDICTED_CLASS, Target, target_violations
from explicate_server.modalities.parts import Part
from explicate_server.registry.records import Choices
from explicate_server.settings import Settings

# Unless the caller says otherwise, more players than this are grouped if the budget has fewer rows for each than the
# second number; but for the words of a long text, see `Method.long_texts_from`. With more rows the words themselves
# come out better: relative L2 error .30 against .31 at 4 rows a word, .15 against .23 at 8 (two reviews of 85 words).
PLAYERS_WORTH_GROUPING = 64
ROWS_THAT_TELL_A_PLAYER = 8
_MIN_EVALUATIONS = 4
# Coalitions of one explanation times (players + `_CELLS_PER_OUTPUT` outputs): a fit holds that many more arrays of what
# it is told than of coalitions. With 1,000 outputs that is 2,000 evaluations, for which a fit takes .05 to .17 s and
# up to 140 MB (`python -m benchmarks.fit_cost`); without the bound 16,384 took 3 s and 1.3 GB.
_MAX_CELLS = 1 << 23
_CELLS_PER_OUTPUT = 4
# Players times outputs: 4 MB of attributions with their errors and intervals.
_MAX_ATTRIBUTIONS = 1 << 17
# More players than this make the fit, not the model, the cost (n² numbers, n³ work).
MAX_PLAYERS = 1024
_CONFIDENCE_RANGE = (0.5, 0.999)
_MOST_SHOWN_OF_A_TAG = 40  # characters of what is no language


def most_evaluations(players: int, outputs: int) -> int:
    """The largest budget that memory and a fit's time allow, whatever the server's own limit is."""
    return _MAX_CELLS // (players + _CELLS_PER_OUTPUT * outputs)


@dataclass(frozen=True)
class ExplainOptions:
    """Options as the caller gave them; None where nothing was said. Units as in ``explanation.proto``."""

    method: str | None = None
    target: Target = PREDICTED_CLASS
    output_space: str | None = None
    granularity: str | None = None
    masking: str | None = None
    max_evaluations: int | None = None
    min_evaluations: int | None = None
    tolerance: float | None = None
    confidence: float | None = None
    time_limit_s: float | None = None
    seed: int | None = None
    top_k: int | None = None
    quality: str | None = None
    max_players: int | None = None
    segments: int | None = None
    interactions: int | None = None
    language: str | None = None
    change: ChangeWish | None = None
    baseline: Baseline | None = None
    groups: tuple[PlayerGroup, ...] = ()
    fixed: tuple[Part, ...] = ()


@dataclass(frozen=True)
class ResolvedOptions:
    """Options with every default filled in.

    ``granularity`` is None where there is nothing to choose, ``max_players`` for a method that does not group players,
    ``segments`` where their number is not chosen, ``language`` where the answer has no sentences, ``baseline`` for the
    model's own background or masking.
    """

    method: Method
    target: Target
    output_space: str
    granularity: str | None
    masking: str
    max_evaluations: int
    min_evaluations: int
    tolerance: float
    confidence: float
    time_limit_s: float
    seed: int
    top_k: int | None
    quality: str
    max_players: int | None
    segments: int | None
    interactions: int | None
    language: str | None = None
    baseline: Baseline | None = None
    change: ChangeWish | None = None
    groups: tuple[PlayerGroup, ...] = ()
    fixed: tuple[Part, ...] = ()

    @property
    def reserved_evaluations(self) -> int:
        """What the whole answer may take."""
        return self.max_evaluations + (self.change.max_evaluations or 0 if self.change else 0)


@dataclass(frozen=True)
class CheckedOptions:
    """Options that fit a model, before the number of players is known. ``method`` is what "auto" means for many."""

    given: ExplainOptions
    method: Method
    masking: str
    granularity: str | None
    choices: Choices
    settings: Settings

    @property
    def baseline(self) -> Baseline | None:
        """What stands in for absent players; None for the model's own background or masking."""
        return resolved_baseline(self.given.baseline, self.choices.baselines)

    @property
    def time_limit_s(self) -> float:
        """What the call may take."""
        return self.settings.max_call_s if self.given.time_limit_s is None else self.given.time_limit_s

    @property
    def segments(self) -> int | None:
        """About how many players there are to be; None where their number is not chosen."""
        return self.given.segments or DEFAULT_SEGMENTS if self.granularity in self.choices.counted else None

    @property
    def _outputs(self) -> int:
        """How many outputs are explained."""
        return len(self.choices.labels) if self.given.target.all else 1

    def for_players(self, players: int) -> ResolvedOptions:
        """The method that "auto" means, and what was left open and follows from it or from the number of players.

        Raises:
            InvalidRequest: the evaluations asked for are too many for the number of players and outputs, or too few for
                the method; or there are too many of these.
        """
        given, scales = self.given, self.choices.scales.spaces
        method = _method(given, self.choices, players)
        space = scales[-1 if given.target.contrast else 0]
        spaces = self.choices.spaces_of(method)
        maximum = self._max_evaluations(method, players)
        max_players = given.max_players or max(
            2, min(self._worthwhile(method, players, maximum), _MAX_ATTRIBUTIONS // self._outputs)
        )
        if given.interactions and self._is_long(method, players):  # its pairs of whole sentences tell no interactions
            max_players = min(max_players, (method.long_texts_from or MAX_PLAYERS) - 1)
        attributed = min(players, max_players) if method.refines else players
        if attributed * self._outputs > _MAX_ATTRIBUTIONS:
            problem = (
                f"is all {self._outputs:,} classes, for {attributed:,} players each; an answer has at most "
                f"{_MAX_ATTRIBUTIONS:,} attributions: explain one class, or a shorter input"
            )
            raise InvalidRequest([Violation("options.target", problem)])
        return ResolvedOptions(
            method=method,
            target=given.target,
            output_space=given.output_space or (space if space in spaces else spaces[0]),
            granularity=self.granularity,
            masking=self.masking,
            max_evaluations=maximum,
            min_evaluations=min(given.min_evaluations or method.default_min_evaluations(attributed), maximum),
            tolerance=self._tolerance(method),
            confidence=0.95 if given.confidence is None else given.confidence,
            time_limit_s=self.time_limit_s,
            seed=given.seed or 0,
            top_k=given.top_k,
            quality=given.quality or "basic",
            max_players=min(max_players, MAX_PLAYERS) if method.refines else None,
            segments=self.segments,
            interactions=given.interactions,
            language=_taken_language(given.language),
            change=given.change and given.change.resolved(players, method, self.choices, self.settings),
            baseline=self.baseline,
            groups=given.groups,
            fixed=given.fixed,
        )

    def _tolerance(self, method: Method) -> float:
        """Interactions take all rows there are, unless the caller says otherwise."""
        default = 0.0 if self.given.interactions else method.default_tolerance
        return default if self.given.tolerance is None else self.given.tolerance

    def _is_long(self, method: Method, players: int) -> bool:
        """Whether it is a long text, which goes by sentences."""
        return self.choices.reads == "text" and players >= (method.long_texts_from or MAX_PLAYERS + 1)

    def _worthwhile(self, method: Method, players: int, max_evaluations: int) -> int:
        """More players than this are grouped unless the caller says otherwise."""
        if self._is_long(method, players) and not self.given.interactions:
            return MAX_PLAYERS
        return max(PLAYERS_WORTH_GROUPING, max_evaluations // ROWS_THAT_TELL_A_PLAYER)

    def _max_evaluations(self, method: Method, players: int) -> int:
        given = self.given
        most = most_evaluations(players, self._outputs)
        if given.max_evaluations and given.max_evaluations > most:
            explained = f"{players:,} players" + (f" and {self._outputs:,} classes" if self._outputs > 1 else "")
            problem = f"is {given.max_evaluations:,}; at most {most:,} are possible for {explained}"
            raise InvalidRequest([Violation("options.max_evaluations", problem)])
        paid = min(players, given.max_players or PLAYERS_WORTH_GROUPING) if method.refines else players
        default = max(_MIN_EVALUATIONS, method.default_max_evaluations(paid))
        if given.interactions and method.refines:
            default *= BUDGET_FACTOR
        maximum = given.max_evaluations or min(default, self.settings.max_evaluations, most)
        if maximum < method.least_evaluations(players):
            field = "max_evaluations" if given.max_evaluations else "method"
            problem = (
                f"{method.name} needs 2^{players} evaluations for {players:,} players; at most {maximum:,} are allowed"
            )
            raise InvalidRequest([Violation(f"options.{field}", problem)])
        return maximum


def check_options(options: ExplainOptions, *, choices: Choices, settings: Settings) -> CheckedOptions:
    """Check the options against a model, before any work.

    Raises:
        InvalidRequest: names every bad field.
        NotServable: the method or the masking does not fit the model.
    """
    if options.method not in (None, AUTO, *NAMES):
        known = (AUTO, *methods_of(choices.reads))
        problem = f"{options.method!r} is not a method; there are {', '.join(known)}"
        problem += did_you_mean(options.method or "", known, most=1)
        raise InvalidRequest([Violation("options.method", problem)], reason="UNKNOWN_METHOD")
    if options.method in NAMES and options.method not in methods_of(choices.reads):
        raise NotServable("METHOD_UNSUPPORTED", f"{options.method} does not explain {choices.reads} models")
    method = _method(options, choices, MAX_PLAYERS)
    if not choices.fits(method):
        other = "or take a method that `explicate models show` lists"
        why = choices.untold.get(method.needs or "")
        lacks = f"{method.lacks} ({why})" if why else method.lacks
        raise NotServable("METHOD_UNSUPPORTED", f"{method.name} {lacks}, {other}")
    violations = [
        *_number_violations(options, settings),
        *target_violations(options.target, choices.labels, regression=not choices.scales.objective.least_labels),
        *_method_violations(options, method, choices),
        *interactions_violations(
            options.interactions,
            method,
            outputs=len(choices.labels) if options.target.all else 1,
            reads=choices.reads,
            fits=choices.fits,
        ),
        *_language_violations(options.language),
        *change_violations(options.change, choices, settings, target=options.target, method=method),
        *baseline_violations(options.baseline, method, choices.baselines),
        *player_violations(options.groups, options.fixed, drawn=method.drawn),
    ]
    if violations:
        raise InvalidRequest(violations)
    masking = _masking(options, method, choices)
    return CheckedOptions(options, method, masking, _granularity(options, method, choices), choices, settings)


def _masking(options: ExplainOptions, method: Method, choices: Choices) -> str:
    """How absence is expressed.

    Raises:
        InvalidRequest: the method or the baseline knows another one.
        NotServable: the model does not have it.
    """
    if resolved_baseline(options.baseline, choices.baselines) is not None:
        return baseline_masking(options.masking, choices.baselines)
    default = method.default_masking if method.default_masking in choices.maskings else choices.maskings[0]
    masking = options.masking or default
    if masking not in choices.maskings:
        raise NotServable(
            "MASKING_UNSUPPORTED",
            f"{masking!r} is not a masking of this model; it has {', '.join(choices.maskings)}",
        )
    if method.maskings is not None and masking not in method.maskings:
        problem = f"is {masking}; {method.name} knows {', '.join(method.maskings)} alone"
        raise InvalidRequest([Violation("options.masking", problem)])
    if method.drawn is not (masking == DRAWN):
        problem = f"is {masking}; for a table, lime knows only the masking drawn, and only lime knows it"
        raise InvalidRequest([Violation("options.masking", problem)])
    return masking


def _method(options: ExplainOptions, choices: Choices, players: int) -> Method:
    # Whoever asks for groups of players wants a method that makes them.
    told = (
        []
        if options.max_players is not None
        else [
            name for name, spaces in choices.tells.items() if spaces is None or options.output_space in (None, *spaces)
        ]
    )
    name, most = options.method or AUTO, options.max_evaluations
    return chosen(name, n_players=players, max_evaluations=most, reads=choices.reads, told=told)


def _granularity(options: ExplainOptions, method: Method, choices: Choices) -> str | None:
    """What the players are; None where there is nothing to choose."""
    offered, default = choices.granularities, method.default_granularity
    return options.granularity or (default if default in offered else next(iter(offered), None))


def _number_violations(options: ExplainOptions, settings: Settings) -> list[Violation]:
    maximum = settings.max_evaluations if options.max_evaluations is None else options.max_evaluations
    low, high = _CONFIDENCE_RANGE
    checks = (
        ("max_evaluations", options.max_evaluations, _MIN_EVALUATIONS, settings.max_evaluations),
        ("min_evaluations", options.min_evaluations, 1, max(1, maximum)),
        ("tolerance", options.tolerance, 0.0, 1.0),
        ("confidence", options.confidence, low, high),
        ("seed", options.seed, 0, MAX_SEED),
        ("top_k", options.top_k, 1, MAX_PLAYERS),
        ("max_players", options.max_players, 2, MAX_PLAYERS),
        ("segments", options.segments, 2, MAX_PLAYERS),
    )
    violations = [
        Violation(f"options.{name}", f"is {value}; it must be between {least:,} and {most:,}")
        for name, value, least, most in checks
        if value is not None and not least <= value <= most
    ]
    if options.time_limit_s is not None and not 0 < options.time_limit_s < float("inf"):
        violations.append(Violation("options.time_limit_seconds", f"is {options.time_limit_s}; it must be above 0"))
    return violations


def _method_violations(options: ExplainOptions, method: Method, choices: Choices) -> list[Violation]:
    violations = []
    spaces = choices.spaces_of(method)
    if options.output_space not in (None, *spaces):
        has = (
            "this model has"
            if options.output_space not in choices.scales.spaces
            else f"{method.name} of this model has"
        )
        problem = f"is {options.output_space}; {has} {' and '.join(spaces)}"
        violations.append(Violation("options.output_space", problem))
    if options.granularity is not None and not choices.granularities:
        problem = "is for texts and images only; the players of a table are its columns and groups of columns"
        violations.append(Violation("options.granularity", problem))
    elif options.granularity not in (None, *choices.granularities):
        problem = f"is {options.granularity}; the players of this model may be {', '.join(choices.granularities)}"
        violations.append(Violation("options.granularity", problem))
    elif method.players == "distinct-words" and options.granularity not in (None, "word"):
        problem = f"is {options.granularity}; {method.name} knows words only"
        violations.append(Violation("options.granularity", problem))
    if options.max_players is not None and not method.refines:
        violations.append(Violation("options.max_players", f"has no effect: {method.name} does not group players"))
    if options.segments is not None and _granularity(options, method, choices) not in choices.counted:
        violations.append(
            Violation("options.segments", "has an effect for the granularities slic and grid of images only")
        )
    return violations


def _language_violations(tag: str | None) -> list[Violation]:
    """What is wrong with the language that was asked for; empty where there is one that is near."""
    if tag is None or lookup(tag) is not None:
        return []
    told, known = tag[:_MOST_SHOWN_OF_A_TAG], tags()
    problem = f"{told!r} is not a language of sentences; there are {', '.join(known)}"
    return [Violation("options.language", problem, partial(did_you_mean, told, known, most=1))]


def _taken_language(tag: str | None) -> str:
    """The language that is taken for one that was checked."""
    return lookup(tag or DEFAULT) or DEFAULT
