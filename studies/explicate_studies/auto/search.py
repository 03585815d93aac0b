"""The search: what is tried for how long, said first; then candidate by candidate, as the time allows.

Everything is judged on validation rows. What is finished stays finished: a search that was killed goes on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any  # sections of any kind of config

from explicate.errors import ExplicateError, UsageError
from explicate_studies.auto.budget import FOR_EXPLANATIONS, allot
from explicate_studies.auto.candidates import Candidate, Finished, Network, Shared, SimpleModel, kept
from explicate_studies.auto.tuned_network import LEAST_TUNING_S, tune_network
from explicate_training.config.config_file import AnyConfig
from explicate_training.interpretability.terms import absent
from explicate_training.loop.progress import duration

_LEAST_PART = 0.1  # of a first network's least time, with which it is begun at all
_PLAIN, _EASIER, _ADDITIVE = "network", "interpretable", "additive"
_SLOWER = {_EASIER: 2.0, _ADDITIVE: 4.0}
"""Times a step of the first network: about so on the packaged sets. Measured as soon as one is trained."""


@dataclass
class Found:
    """What a search came to.

    Attributes:
        finished: by name, in the order in which they were tried.
        failed: why others came to nothing.
        untried: what there was no time for.
        interrupted: whether somebody pressed Ctrl-C.
    """

    finished: dict[str, Finished] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    interrupted: bool = False


def candidates_of(shared: Shared) -> list[Candidate]:
    """What is tried on such data, in order."""
    config, run = shared.config, shared.run
    what = {"text": "an encoder"}.get(config.kind, "a network")
    easier = config.interpretability if config.interpretability != absent() else type(config.interpretability)()
    networks: list[Candidate] = [
        Network(_PLAIN, f"{what}, trained for accuracy alone", 4, replace(config, interpretability=absent())),
        _network(_EASIER, f"{what}, trained to be explained as well", 3, config, easier),
    ]
    if config.kind != "table":
        return [SimpleModel(run.baseline), *networks]
    additive: Any = type(config.interpretability)
    networks.append(
        _network(
            _ADDITIVE,
            "a sum of networks over columns",
            1,
            config,
            additive(form="additive", masked_fraction=0.0, additivity=0.0),
        )
    )
    return [*fitted_tables(shared), *networks]


def fitted_tables(shared: Shared) -> list[Candidate]:
    """Those of scikit-learn, which predict one thing."""
    if not (shared.run.task.one_of_classes or not shared.run.labels):
        return [SimpleModel(shared.run.baseline)]
    from explicate_studies.auto.fitted_tables import LinearTable, TreesTable

    return [LinearTable(), TreesTable()]


def _network(name: str, title: str, simplicity: int, config: AnyConfig, section: Any) -> Network:
    changed = replace(config, interpretability=section)
    return Network(name, title, simplicity, changed, slower=_SLOWER[name])


def chosen(candidates: Sequence[Candidate], only: Sequence[str]) -> list[Candidate]:
    """Those that are asked for; raises UsageError for a name that none has."""
    names = [one.name for one in candidates]
    for name in only:
        if name not in names:
            raise UsageError(f"--only: there is no candidate {name!r} for such data; there are {', '.join(names)}")
    return [one for one in candidates if not only or one.name in only]


def check_time(shared: Shared, candidates: Sequence[Candidate]) -> None:
    """Raises UsageError if not even a first network can be begun, before anything is trained."""
    networks = [one for one in candidates if isinstance(one, Network)]
    if not networks:
        return
    need = networks[0].need(shared)
    steps_s = need.least_s - shared.overhead_s
    wanted = shared.overhead_s + _LEAST_PART * steps_s
    if shared.budget.search_left_s < wanted:
        minutes = (shared.budget.spent_s + need.least_s) / (1 - FOR_EXPLANATIONS) / 60
        raise UsageError(
            f"--minutes {shared.budget.seconds / 60:g} is too short: reading took {duration(shared.budget.spent_s)}, "
            f"and the least that a network takes is {duration(need.least_s)}; give --minutes {math.ceil(minutes)}"
        )


def plan_lines(shared: Shared, candidates: Sequence[Candidate]) -> list[str]:
    """What will be tried, for how long: a line each."""
    budget = shared.budget
    known = kept(shared)
    times = allot({one.name: one.need(shared) for one in candidates if one.name not in known}, budget.search_left_s)
    lines = [f"plan for {duration(budget.seconds)}, of which {duration(budget.spent_s)} are over:"]
    if budget.search_left_s <= 0:
        lines.append("  the time is over: more --minutes go on")
    for one in candidates:
        if one.name in known:
            lines.append(f"  {one.name:<14} {one.title}: finished before")
            continue
        if one.name not in times:
            lines.append(f"  {one.name:<14} {one.title}: not in this time, unless others take less")
            continue
        need = one.need(shared)
        short = f" of the {duration(need.full_s)} that it would take" if times[one.name] < 0.97 * need.full_s else ""
        lines.append(f"  {one.name:<14} {one.title}: at most {duration(times[one.name])}{short}")
    left = budget.search_left_s - sum(times.values())
    rest = f"about {duration(left)}" if left >= LEAST_TUNING_S else "what others leave"
    lines.append(f"  {'tuning':<14} of the best one, by Optuna: {rest}")
    lines.append(
        f"  {'explanations':<14} of those that are not told apart: {duration(budget.left_s - budget.search_left_s)}"
    )
    lines.append("then, beyond this time, the winner is exported and checked once on the held-out rows")
    return lines


def search(shared: Shared, candidates: Sequence[Candidate]) -> Found:
    """Trains what there is time for, and tunes the best one; Ctrl-C ends it with what there is."""
    found = Found()
    known = kept(shared)
    waiting = []
    for one in candidates:
        if one.name in known:
            found.finished[one.name] = known[one.name]
            shared.say(f"{one.name}: finished before, {_told(shared, known[one.name])}")
        else:
            waiting.append(one)
    try:
        _train_all(shared, waiting, found, _networks(candidates))
        _tune(shared, candidates, found, known)
    except KeyboardInterrupt:
        found.interrupted = True
        shared.budget.keep()
        shared.say("interrupted: it ends with what is finished; the same command goes on")
    done = {*found.finished, *found.failed}
    found.untried += [one.name for one in candidates if one.name not in done]
    return found


def _train_all(shared: Shared, waiting: list[Candidate], found: Found, networks: set[str]) -> None:
    has_network = any(name in found.finished for name in networks)
    while waiting:
        times = allot({one.name: one.need(shared) for one in waiting}, shared.budget.search_left_s)
        one = waiting.pop(0)
        if one.name not in times or (
            found.finished and shared.budget.search_left_s < _least_s(one, shared, first=not has_network)
        ):
            continue
        shared.say(f"{one.name}: {one.title}, at most {duration(times[one.name])}")
        try:
            finished = one.train(shared, times[one.name])
        except ExplicateError as error:
            found.failed[one.name] = str(error)
            shared.say(f"{one.name} came to nothing: {error}")
            continue
        found.finished[one.name] = finished
        has_network = has_network or isinstance(one, Network)
        note = f" ({finished.note})" if finished.note else ""
        shared.say(f"{one.name}: {_told(shared, finished)}, in {duration(finished.seconds)}{note}")


def _least_s(one: Candidate, shared: Shared, *, first: bool) -> float:
    """With less than this a candidate is not begun; the first network makes do with a part of its least."""
    least_s = one.need(shared).least_s
    if not (first and isinstance(one, Network)):
        return least_s
    return shared.overhead_s + _LEAST_PART * (least_s - shared.overhead_s)


def _told(shared: Shared, finished: Finished) -> str:
    return f"validation {shared.title} {shared.value(shared.answers(finished)):.4f}"


def best_of(shared: Shared, finished: Mapping[str, Finished]) -> Finished | None:
    """The best servable one on the validation rows."""
    sign = 1.0 if shared.smaller_is_better else -1.0
    servable = [one for one in finished.values() if one.servable]
    return min(servable, key=lambda one: sign * shared.value(shared.answers(one)), default=None)


def _tune(shared: Shared, candidates: Sequence[Candidate], found: Found, known: Mapping[str, Finished]) -> None:
    """Varies the best one in the time that is left: trees go on choosing, a network gets a study."""
    best, by_name = best_of(shared, found.finished), {one.name: one for one in candidates}
    if "tuned" in known and _networks(candidates):
        found.finished["tuned"] = known["tuned"]
    if best is None or shared.budget.search_left_s < LEAST_TUNING_S:
        return
    candidate = by_name.get(best.name)
    if candidate is not None and candidate.tunable:
        shared.say(
            f"{best.name}: the best so far, so it is chosen for {duration(shared.budget.search_left_s / 2)} more"
        )
        again = candidate.train(shared, shared.budget.search_left_s / 2)
        found.finished[best.name] = again
        shared.say(f"{again.name}: {_told(shared, again)}")
        best = best_of(shared, {name: one for name, one in found.finished.items() if name in _networks(candidates)})
        candidate = by_name.get(best.name) if best is not None else None
    if best is not None and isinstance(candidate, Network) and shared.budget.search_left_s >= LEAST_TUNING_S:
        tuned = tune_network(shared, candidate, best, known.get("tuned"))
        if tuned is not None:
            found.finished["tuned"] = tuned
            shared.say(f"tuned: {_told(shared, tuned)} ({tuned.note})")


def _networks(candidates: Sequence[Candidate]) -> set[str]:
    return {one.name for one in candidates if isinstance(one, Network)}
