"""The best network tuned in the time that is left: a study of `explicate tune` by the metric alone."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # options of any kind of config

import numpy as np
from optuna.distributions import BaseDistribution

from explicate.errors import ExplicateError
from explicate_studies.auto.budget import Ending, TimedTrial
from explicate_studies.auto.candidates import Finished, Network, Shared, keep
from explicate_studies.choice import Goals, Measured, Tried
from explicate_studies.space import point_of, ready_space
from explicate_studies.study import Study, point_words
from explicate_studies.trial import Subject, answers_of
from explicate_studies.tune_options import METRIC, TuneOptions
from explicate_training.data.header import quietly
from explicate_training.loop.progress import duration

LEAST_TUNING_S = 20.0
"""With less left nothing is tuned."""
_MOST_TRIALS = 60
_LEAST_OF_A_RUN = 0.6  # of what a run of the network took, with which one more trial is begun
_NAME = "tuned"


def tune_network(shared: Shared, candidate: Network, first: Finished, before: Finished | None) -> Finished | None:
    """Runs trials around a network's own values until the time is over.

    Returns:
        The best one; None if none is better than the network, or than `before`, which was tuned before.
    """
    space = _space(candidate, first)
    goals = Goals(shared.title, shared.smaller_is_better)
    options = TuneOptions(trials=_MOST_TRIALS, objectives=(METRIC,), metric=shared.metric)
    study = Study(
        _subject(shared, candidate, options, goals),
        space,
        _nothing,
        quietly,
        known=_known(shared, candidate, first, space),
    )
    wanted = max(LEAST_TUNING_S / 2, _LEAST_OF_A_RUN * first.seconds)
    shared.say(
        f"tuning {first.name} for {duration(shared.budget.search_left_s)}: "
        f"{', '.join(key.rpartition('.')[2] for key in space)}"
    )
    running = study.run()
    try:
        while shared.budget.search_left_s >= wanted:
            tried = next(running, None)
            if tried is None:
                break
            point = point_words(dict(tried.point))
            shared.say(f"  trial {tried.number}: {goals.metric} {tried.metric.told('.4f')}, {point}")
            shared.budget.keep()
    except ExplicateError as error:
        shared.say(f"tuning stopped: {error}")
    if study.interrupted:
        raise KeyboardInterrupt
    return best_trial(shared, candidate, [first, *([] if before is None else [before])], study.tried(), goals)


def _space(candidate: Network, first: Finished) -> dict[str, BaseDistribution]:
    """What is varied; where time cut the passes short they are not."""
    space = ready_space(candidate.config)
    out = {"interpretability.form", *(["training.epochs"] if first.note else [])}
    return {key: one for key, one in space.items() if key not in out}


def _known(
    shared: Shared, candidate: Network, first: Finished, space: Mapping[str, BaseDistribution]
) -> list[tuple[dict[str, Any], float]]:
    """The network itself, which need not be trained again."""
    point = point_of(candidate.config, dict(space))
    return [] if point is None else [(point, shared.value(shared.answers(first)))]


def _subject(shared: Shared, candidate: Network, options: TuneOptions, goals: Goals) -> Subject:
    folder, clock = shared.folder / "tuning" / candidate.name, shared.budget.clock
    folder.mkdir(parents=True, exist_ok=True)

    def progress(*arguments: Any) -> TimedTrial:
        made = TimedTrial(*arguments)
        made.ending = Ending(clock() + shared.budget.search_left_s - shared.overhead_s / 2, clock)
        return made

    return Subject(
        candidate.config,
        folder,
        options,
        shared.metric,
        goals,
        shared.run.sha256,
        baseline=shared.baseline,
        progress=progress,
    )


def best_trial(
    shared: Shared, candidate: Network, rivals: Sequence[Finished], tried: list[Tried], goals: Goals
) -> Finished | None:
    """The best trial as a candidate of its own; None if none is better than all the rivals."""
    sign = 1.0 if goals.smaller_is_better else -1.0
    to_beat = min(rivals, key=lambda one: sign * shared.value(shared.answers(one)))
    better = [one for one in tried if goals.loss(one) < sign * shared.value(shared.answers(to_beat))]
    if not better:
        shared.say(f"tuning: none of {len(tried)} trials is better than {to_beat.name}")
        return None
    best = min(better, key=goals.loss)
    output = shared.candidate_folder(_NAME)
    unfinished = output.with_name(f"{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(best.run, unfinished)
    shutil.rmtree(output, ignore_errors=True)
    unfinished.rename(output)
    finished = Finished(
        _NAME,
        f"{candidate.title}, tuned",
        str(output),
        best.seconds,
        candidate.simplicity,
        note=f"the best of {len(tried)} trials: {point_words(dict(best.point))}",
        point=best.point,
    )
    keep(shared, finished, np.load(answers_of(Path(best.run))))
    return finished


def _nothing(run: Path, rows: Path, options: TuneOptions) -> Mapping[str, Measured]:  # noqa: ARG001
    """Trials are judged by the metric alone."""
    return {}
