"""The bounded end: the winner becomes a bundle and is checked once on the held-out rows; all of them a leaderboard."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any  # JSON values

from explicate.errors import UsageError
from explicate_export.errors import StandardNotMet, TrivialModel
from explicate_export.export import ExportOptions
from explicate_standards.leaderboard.boards import as_csv, as_documents, as_page
from explicate_standards.leaderboard.ranking import DEFAULT_MEASURES, Group, ranked
from explicate_standards.leaderboard.runs import read_run
from explicate_standards.outcomes.measures import measures_of
from explicate_studies.auto.candidates import Candidate, Finished, Shared
from explicate_studies.auto.finalists import Compared, exporter
from explicate_studies.choice import Measured
from explicate_training.run_directory import write_json

RESULT_NAME = "result.json"
BOARD_NAMES = ("leaderboard.html", "leaderboard.json", "leaderboard.csv")
_MOST_EVALUATED_S = 60.0  # for measuring the winner's explanations on held-out rows


@dataclass(frozen=True)
class Publishing:
    """Where the winner goes, what it must meet, and the data as they were given."""

    repository: Path
    name: str
    standard: Path | None = None
    allow_unmet: bool = False
    given: str = ""

    def document(self) -> dict[str, Any]:
        """What decides what is published, as JSON has it: of the standard its digest."""
        digest = "" if self.standard is None else sha256(self.standard.read_bytes()).hexdigest()
        place = str(self.repository.resolve())
        return {"repository": place, "name": self.name, "standard": digest, "allow_unmet": self.allow_unmet}


@dataclass(frozen=True)
class Published:
    """What became of the winner.

    Attributes:
        bundle: its folder; None where it was not published.
        why_not: the reason.
        standard: the verdict on it in a sentence; empty where no standard was given.
        lines: what publishing said.
    """

    bundle: Path | None
    why_not: str = ""
    standard: str = ""
    lines: Sequence[str] = field(default_factory=list)


def publish(shared: Shared, candidates: Sequence[Candidate], won: Compared, how: Publishing) -> Published:
    """Exports the winner, which is checked on the way; one that was exported before is left as it is."""
    if (known := _published_before(shared, won.finished, how)) is not None:
        return known
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        shared.say(f"export: {line}")

    # Twice, for metrics that were not measured yet.
    evaluated = 40 if won.figures and 2 * won.found_s <= _MOST_EVALUATED_S else None
    options = ExportOptions(
        how.name,
        evaluated_inputs=evaluated,
        evaluated_metrics=list({name.partition(".")[0] for name in won.figures}) or None,
        standard=how.standard,
        allow_unmet=how.allow_unmet,
        allow_trivial=False,
    )
    try:
        _check_learnt(won.finished)
        bundle = exporter(candidates, won.finished).export(shared, won.finished, how.repository, options, say)
    except StandardNotMet as error:
        return Published(None, str(error), _verdict(lines), lines)
    except TrivialModel as error:
        return Published(None, str(error), "", lines)
    return Published(bundle, "", _verdict(lines), lines)


def _verdict(lines: Sequence[str]) -> str:
    """The sentence with which a check ends, of all that was said."""
    found = [line for line in lines if line.startswith(("MET:", "NOT MET:", "CANNOT TELL:"))]
    return found[-1] if found else ""


def _check_learnt(finished: Finished) -> None:
    """Raises TrivialModel for one that was not shown to have learnt anything, whoever made it."""
    record = json.loads((Path(finished.run) / "run.json").read_text(encoding="utf-8"))
    verdict = record.get("verdict", {})
    if verdict and not verdict.get("learnt", False):
        raise TrivialModel(f"it is not better than always the same answer ({verdict.get('sentence', '')})")


def _published_before(shared: Shared, finished: Finished, how: Publishing) -> Published | None:
    """What an earlier call published, if it was this very run, held to the same and put to the same place."""
    try:
        told = json.loads((shared.folder / RESULT_NAME).read_text(encoding="utf-8"))
        same = told["winner"]["name"] == finished.name and told["winner"]["seconds"] == finished.seconds
        same = same and told["published_as"] == how.document()
        bundle = Path(told["bundle"]) if told["bundle"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not same or bundle is None or not bundle.is_dir():
        return None
    return Published(bundle, "", told["standard"], told["checked"])


def board(shared: Shared, finished: Sequence[Finished]) -> list[Group]:
    """The finished candidates on the held-out rows, which is written as a page, JSON and CSV."""
    runs = [read_run(Path(one.run)) for one in finished]
    answer = runs[0].objective.answer
    metric = shared.metric if shared.metric in measures_of(answer) else DEFAULT_MEASURES[answer]
    groups = ranked(runs, metric)
    page, document, table = (shared.folder / name for name in BOARD_NAMES)
    page.write_text(as_page(groups, page.resolve()), encoding="utf-8")
    document.write_text(json.dumps(as_documents(groups), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    table.write_text(as_csv(groups), encoding="utf-8")
    return groups


def held_out(finished: Finished, metric: str) -> Measured | None:
    """A candidate's figure on the held-out rows, as its run has it; None where it has none."""
    test: Mapping[str, Any] = json.loads((Path(finished.run) / "metrics.json").read_text(encoding="utf-8"))["test"]
    value, ends = test.get(metric), test.get("intervals", {}).get(metric, ())
    return None if not isinstance(value, int | float) else Measured(float(value), *ends)


def write_result(
    shared: Shared,
    won: Compared,
    ranked_: Sequence[Compared],
    published: Published,
    how: Publishing,
    paragraph: str,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes all of it for programs, and returns it."""
    told = {
        "winner": {"name": won.finished.name, "run": won.finished.run, "seconds": won.finished.seconds},
        "bundle": str(published.bundle) if published.bundle else None,
        "why_not_published": published.why_not,
        "published_as": how.document(),
        "standard": published.standard,
        "checked": list(published.lines),
        "metric": shared.metric,
        "paragraph": paragraph,
        "candidates": [_plain(one) for one in ranked_],
        **more,
    }
    unfinished = shared.folder / f".{RESULT_NAME}"
    write_json(unfinished, told)
    unfinished.rename(shared.folder / RESULT_NAME)
    return told


def _plain(one: Compared) -> dict[str, Any]:
    return {
        "name": one.finished.name,
        "title": one.finished.title,
        "run": one.finished.run,
        "servable": one.finished.servable,
        "seconds": one.finished.seconds,
        "note": one.finished.note,
        "point": dict(one.finished.point),
        "metric": _measured(one.metric),
        "behind": _measured(one.behind),
        "standard_error": one.error,
        "tied": one.tied,
        "figures": {name: _measured(figure) for name, figure in one.figures.items()},
        "unmet": one.unmet,
    }


def _measured(one: Measured) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in vars(one).items()}


def check_publishing(how: Publishing) -> None:
    """Raises UsageError, before anything is trained, where the winner could not be published."""
    from explicate_export.export import check_options

    try:
        check_options(how.repository, ExportOptions(how.name))
    except UsageError as error:
        raise UsageError(f"the winner could not be published: {error}") from None
