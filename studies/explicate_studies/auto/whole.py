"""`explicate auto` from top to bottom: data, plan, search, explanations, choice, bundle, report."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any  # JSON values; runs of any kind

from explicate.errors import ExplicateError, UsageError
from explicate_standards.leaderboard.boards import as_text
from explicate_standards.standard.standard import Standard, read_standard
from explicate_studies.auto.auto_report import Story, candidate_table, paragraph, write_page
from explicate_studies.auto.budget import SPENT_NAME, Budget, Clock
from explicate_studies.auto.candidates import CANDIDATES, Candidate, Shared, fit_simple_model, kept, probe
from explicate_studies.auto.finalists import compared, measure_finalists, winner_of, with_price
from explicate_studies.auto.given_data import Asked, config_of, tasks
from explicate_studies.auto.search import Found, candidates_of, check_time, chosen, plan_lines, search
from explicate_studies.auto.winner import (
    Published,
    Publishing,
    board,
    check_publishing,
    publish,
    write_result,
)
from explicate_studies.study import locked
from explicate_studies.trial import VALIDATION_ROWS, validation_metric
from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.loop.progress import duration
from explicate_training.run_directory import write_json, write_json_lines
from explicate_training.train import prepare_data

IDENTITY_NAME = "auto.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Request(Asked):
    """What the command line asks for: of the data, and of the search."""

    minutes: float = 20.0
    standard: Path | None = None
    allow_unmet: bool = False
    metric: str = "auto"
    only: tuple[str, ...] = ()
    name: str | None = None
    output: Path | None = None
    repository: Path | None = None
    check: bool = False


@dataclass(frozen=True)
class Ended:
    """What came of it."""

    published: Published
    paragraph: str
    table: str
    board: str
    report: Path
    result: dict[str, Any]
    interrupted: bool


def auto(request: Request, *, say: Say, clock: Clock = monotonic, begin_s: float | None = None) -> Ended | None:
    """Finds the model to take; None with `check`, which stops at the plan. The time counts from `begin_s` on the clock.

    Raises UsageError before anything is trained if the data, the time, the folder or the standard is wrong, and
    ExplicateError if no candidate came to its end.
    """
    begin_s = clock() if begin_s is None else begin_s
    _check_request(request)
    standard = read_standard(request.standard) if request.standard is not None else None
    config = config_of(request, say)
    name = request.name or _model_name(config, request)
    folder = request.output or Path("runs") / f"{name}-auto"
    repository = request.repository or folder / "repository"
    how = Publishing(repository, name, request.standard, request.allow_unmet, request.data)
    check_publishing(how)
    with locked(folder, "explicate auto"):
        budget = _budget(request.minutes, folder, clock, begin_s)
        try:
            run = prepare_data(config, say)
        except UsageError as error:
            raise UsageError(in_flags(str(error), config, request.data)) from None
        shared = _shared(run, request, folder, budget, say)
        _check_identity(shared)
        candidates = chosen(candidates_of(shared), request.only)
        _measure_rates(shared, candidates)
        if (spent_s := _spent_before(folder)) > 0:
            budget.go_on(spent_s)
        plan = plan_lines(shared, candidates)
        for line in plan:
            say(line)
        if request.check:
            return None
        _write_rows(shared)
        found = search(shared, candidates)
        return _end(shared, candidates, found, how, standard, plan)


def _check_request(request: Request) -> None:
    if not 0 < request.minutes < 1e5:
        raise UsageError(f"--minutes must be above 0, not {request.minutes:g}")
    if request.task is not None and request.task not in tasks():
        raise UsageError(f"--task must be one of {', '.join(tasks())}, not {request.task!r}")


_FLAGS = {"data.label_column": "--label", "data.task": "--task", "data.text_column": "--text"}


def in_flags(message: str, config: AnyConfig, given: str) -> str:
    """A message about options of a config in the words of the command line, where no config was given."""
    if given.endswith(".toml"):
        return message
    message = re.sub(r'data\.columns\.(.+?) = "ignore"', r"--ignore '\1'", message)
    for option, flag in {**_FLAGS, f"data.{config.data.source}:": f"{given}:"}.items():
        message = message.replace(f"{option} = ", f"{flag} ").replace(option, flag)
    return message


def _model_name(config: AnyConfig, request: Request) -> str:
    """A name that a model may have, from that of the data."""
    stem = Path(request.data).name.partition(".")[0] if not config.data.demo else Path(request.data).stem
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:48] or "model"


def _budget(minutes: float, folder: Path, clock: Clock, begin_s: float) -> Budget:
    """With what this call has spent so far."""
    return Budget(minutes, folder / SPENT_NAME, clock=clock, spent_s=clock() - begin_s)


def _spent_before(folder: Path) -> float:
    """Seconds of an earlier call; 0 if that finished nothing, for then all begins anew."""
    try:
        told = json.loads((folder / SPENT_NAME).read_text(encoding="utf-8"))
        return float(told["seconds"]) if any((folder / CANDIDATES).glob("*.json")) else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _shared(run: Any, request: Request, folder: Path, budget: Budget, say: Say) -> Shared:
    metric = validation_metric(run, request.metric)
    (folder / CANDIDATES).mkdir(parents=True, exist_ok=True)
    return Shared(run, metric, folder, folder / VALIDATION_ROWS, budget, say)


def _check_identity(shared: Shared) -> None:
    """Raises UsageError if the folder holds a search of something else."""
    path = shared.folder / IDENTITY_NAME
    config = replace(shared.config, output=type(shared.config.output)())
    identity = {"data": shared.run.sha256, "config": format_config(config), "metric": shared.metric}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_json(path, identity)
        return
    except ValueError:
        known = {}
    if changed := [name for name, value in identity.items() if known.get(name) != value]:
        raise UsageError(
            f"{shared.folder} holds a search with another {' and another '.join(changed)}: choose another folder with "
            "--output, or remove it first"
        )


def _measure_rates(shared: Shared, candidates: list[Candidate]) -> None:
    """Fits the simple model and measures the first network, by which the plan is made."""
    shared.say(f"fitting {shared.run.baseline}, and measuring how fast a network learns here")
    fit_simple_model(shared)
    probe(shared)
    if not kept(shared):
        check_time(shared, candidates)


def _write_rows(shared: Shared) -> None:
    if shared.rows.exists():
        return
    rows = list(shared.run.held_out(shared.folder, "validation"))
    unfinished = shared.rows.with_name(f".{shared.rows.name}")
    write_json_lines(unfinished, rows)
    unfinished.rename(shared.rows)


def _end(
    shared: Shared,
    candidates: list[Candidate],
    found: Found,
    how: Publishing,
    standard: Standard | None,
    plan: list[str],
) -> Ended:
    """Chooses, publishes and reports."""
    ranked = compared(shared, list(found.finished.values()))
    ranked = measure_finalists(shared, candidates, ranked, standard)
    shared.budget.keep()
    won = winner_of(ranked)
    if won is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in found.failed.items()) or "none was finished"
        if found.interrupted:
            raise KeyboardInterrupt
        raise ExplicateError(f"no candidate came to its end ({why})")
    more = f"about {duration(2 * won.found_s)} more" if won.found_s else "a minute or so more"
    spent = duration(shared.budget.spent_s)
    shared.say(f"{won.finished.name} wins after {spent}; it is exported and checked on the held-out rows, {more}")
    if not found.interrupted:
        priced = with_price(shared, candidates, won)
        ranked, won = [priced if one is won else one for one in ranked], priced
    published = _published(shared, candidates, won, how)
    titles = {one.name: one.title for one in candidates}
    warnings = [in_flags(str(one), shared.config, how.given) for one in shared.run.report.get("warnings", [])]
    story = Story(shared, found, ranked, won, published, titles, plan, warnings)
    text = paragraph(story)
    groups = board(shared, [one.finished for one in ranked])
    report = write_page(story, groups, text)
    more_told = {
        "untried": found.untried,
        "failed": found.failed,
        "interrupted": found.interrupted,
        "minutes": shared.budget.seconds / 60,
        "spent_s": round(shared.budget.spent_s, 1),
        "data_sha256": shared.run.sha256,
    }
    result = write_result(shared, won, ranked, published, how, text, more_told)
    return Ended(published, text, candidate_table(story), as_text(groups), report, result, found.interrupted)


def _published(shared: Shared, candidates: list[Candidate], won: Any, how: Publishing) -> Published:
    try:
        return publish(shared, candidates, won, how)
    except ExplicateError as error:
        shared.say(f"export: {error}")
        return Published(None, str(error))
