"""A study: trials one after the other, kept in an SQLite file, so that it can be cut off at any moment and go on.

Optuna chooses the values (Akiba and others 2019, "Optuna: A Next-generation Hyperparameter Optimization Framework").
Each suggestion has a random stream of its own, made from the study's seed and the number of suggestions before it. So
the same seed gives the same suggestions, also in a study that was interrupted and went on. TPE looks at the figures of
the trials before, too: where these differ, because of another machine, another number of threads or a clock that
stopped a run, what it suggests differs.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from explicate.errors import ExplicateError, UsageError
from explicate_studies.choice import Tried
from explicate_studies.space import Point, Space, grid, point_of, told
from explicate_studies.trial import Measure, Say, Subject, discard, from_json, run_trial, to_json
from explicate_studies.tune_options import TuneOptions
from explicate_training.config.config_file import format_config
from explicate_training.loop.progress import duration

FILE_NAME = "study.sqlite3"
_NAME = "tune"
_RANDOM_FIRST = 5  # suggestions that TPE makes at random before it learns
_TRIED, _AGAIN, _WHY, _IDENTITY = "tried", "again", "why", "identity"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_FAILURES_IN_A_ROW = 3


class Study:
    """The trials of one subject.

    Attributes:
        interrupted: whether somebody pressed Ctrl-C.
    """

    def __init__(
        self, subject: Subject, space: Space, measure: Measure, say: Say, *, known: Sequence[tuple[Point, float]] = ()
    ) -> None:
        """Opens or makes the file, and gives up what a dead process left. Raises UsageError if it is another study.

        `known`: points that were run elsewhere with their metric, to learn from and not to run again.
        """
        self.subject, self.space, self.interrupted = subject, space, False
        self._measure, self._say = measure, say
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        best = StudyDirection.MINIMIZE if subject.goals.smaller_is_better else StudyDirection.MAXIMIZE
        directions = [best, *([StudyDirection.MINIMIZE] if subject.goals.cost else [])]
        path = subject.folder / FILE_NAME
        self._study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name=_NAME,
            directions=directions,
            pruner=MedianPruner() if subject.options.pruner == "median" else NopPruner(),
            load_if_exists=True,
        )
        self._check_identity(path)
        for trial in self._trials():
            if trial.state is TrialState.RUNNING:
                self._say(f"trial {trial.number} was cut off: it is run again")
                self._give_up(trial)
        self._plan(known)

    @property
    def options(self) -> TuneOptions:
        """Of the study."""
        return self.subject.options

    def tried(self) -> list[Tried]:
        """The trials that were trained and measured, in order."""
        return [from_json(trial.user_attrs[_TRIED]) for trial in self._trials() if _TRIED in trial.user_attrs]

    def failures(self) -> dict[int, str]:
        """Why trials came to nothing, by number; not those that were only cut off."""
        return {trial.number: trial.user_attrs[_WHY] for trial in self._trials() if _WHY in trial.user_attrs}

    def completed(self) -> list[FrozenTrial]:
        """Those of Optuna that have values."""
        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @property
    def of_optuna(self) -> optuna.Study:
        """Optuna's own."""
        return self._study

    def run(self) -> Iterator[Tried]:
        """Runs trials until there are enough, and yields each that was measured.

        Raises ExplicateError if several in a row come to nothing.
        """
        begin_s, failed = time.monotonic(), 0
        while (left := self.options.trials - self._finished()) > 0:
            if self.options.minutes and time.monotonic() - begin_s >= 60 * self.options.minutes:
                self._say(f"{self.options.minutes:g} minutes are over: {left} trials are left out")
                return
            trial = self._ask()
            if trial is None:
                self._say("the grid has no more points")
                return
            try:
                tried = run_trial(self.subject, trial, trial.params, self._measure, self._say)
            except KeyboardInterrupt:
                self._give_up(self._study.trials[trial.number])
                self.interrupted = True
                return
            except optuna.TrialPruned:
                trial.set_user_attr(_WHY, "stopped early: it was worse than half of those before")
                self._study.tell(trial, state=TrialState.PRUNED)
                self._say(f"trial {trial.number}: stopped early by the pruner")
            except ExplicateError as error:
                failed += 1
                trial.set_user_attr(_WHY, str(error))
                self._study.tell(trial, state=TrialState.FAIL)
                self._say(f"trial {trial.number} failed: {error}")
                if failed == _FAILURES_IN_A_ROW:
                    raise ExplicateError(f"{failed} trials in a row failed, the last one so: {error}") from None
            else:
                failed = 0
                self._tell(trial, tried)
                yield tried

    def _tell(self, trial: optuna.Trial, tried: Tried) -> None:
        trial.set_user_attr(_TRIED, to_json(tried))
        for name, shortfall in tried.shortfalls.items():
            trial.set_constraint(name, shortfall)
        costs = [self.subject.goals.costs(tried)] if self.subject.goals.cost else []
        self._study.tell(trial, [tried.metric.value, *costs])

    def _ask(self) -> optuna.Trial | None:
        """The next trial with its values; None if the grid is used up."""
        trials = self._trials()
        waiting = any(trial.state is TrialState.WAITING for trial in trials)
        if self.options.sampler == "grid" and not waiting:
            return None
        suggestions = sum(_AGAIN not in trial.user_attrs for trial in trials)
        self._study.sampler = _sampler(self.options, suggestions)
        trial = self._study.ask(self.space)
        self._say(f"trial {trial.number} of {self.options.trials}: {point_words(trial.params)}")
        return trial

    def _plan(self, known: Sequence[tuple[Point, float]]) -> None:
        """Puts the config itself first, or all points of a grid in a random order; not those that are known."""
        if not self._trials():
            for point, value in known:
                self._study.add_trial(optuna.create_trial(params=point, distributions=dict(self.space), values=[value]))
        points: list[Point] = []
        if self.options.sampler == "grid":
            points = grid(self.space)
            np.random.default_rng(self.options.seed).shuffle(points)
            points = points[: self.options.trials]
        elif (own := point_of(self.subject.config, self.space)) is not None:
            points = [own]
        for point in points:
            self._study.enqueue_trial(point, skip_if_exists=True)

    def _give_up(self, trial: FrozenTrial) -> None:
        """Marks a trial that was cut off as failed, and puts its values in line again."""
        discard(self.subject, trial.number)
        self._study.tell(trial.number, state=TrialState.FAIL)
        params = trial.params or trial.system_attrs.get("fixed_params", {})
        if params:
            self._study.enqueue_trial(params, user_attrs={_AGAIN: trial.number})

    def _finished(self) -> int:
        """Trials that count: those cut off do not, they come again."""
        return sum(
            trial.state in _FINISHED and (_TRIED in trial.user_attrs or _WHY in trial.user_attrs)
            for trial in self._trials()
        )

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _check_identity(self, path: Path) -> None:
        """Raises UsageError if the file holds a study of something else."""
        options = self.options
        identity = {
            "config": format_config(self.subject.config),
            "data": self.subject.sha256,
            "space": "; ".join(f"{key}: {told(one)}" for key, one in self.space.items()),
            "objectives": f"{self.subject.metric}, {', '.join(options.objectives)}",
            "floors": ", ".join(f"{name} {floor:g}" for name, floor in options.floors.items()),
            "seed": str(options.seed),
            "inputs": str(options.inputs),
        }
        known = self._study.user_attrs.get(_IDENTITY)
        if known is None:
            self._study.set_user_attr(_IDENTITY, identity)
            return
        changed = [name for name, value in identity.items() if known.get(name) != value]
        if changed:
            raise UsageError(
                f"{path} holds a study with another {' and another '.join(changed)}: choose another folder with "
                "--output, or remove it first"
            )


def point_words(point: Point) -> str:
    """Values for people, such as "learning_rate 8e-05, epochs 2"."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {value:.3g}" if isinstance(value, float) else f"{key.rpartition('.')[2]} {value}"
        for key, value in point.items()
    )


def time_left(tried: list[Tried], trials: int) -> str:
    """How long the rest takes, by the trials so far."""
    left = trials - len(tried)
    mean_s = sum(one.seconds for one in tried) / len(tried)
    return f"{left} more take about {duration(left * mean_s)}" if left > 0 else "that was the last one"


def _sampler(options: TuneOptions, suggestions: int) -> BaseSampler:
    """What makes one suggestion, from the seed and the number of suggestions before it."""
    seed = int(np.random.SeedSequence([options.seed, suggestions]).generate_state(1)[0])
    if options.sampler != "tpe":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=_RANDOM_FIRST)


@contextmanager
def locked(folder: Path, command: str = "explicate tune") -> Iterator[None]:
    """Holds a folder that a command works in; raises UsageError when another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another {command} is at work in {folder}: wait, or give another --output") from None
        yield
    finally:
        os.close(descriptor)
