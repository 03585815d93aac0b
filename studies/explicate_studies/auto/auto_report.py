"""What a search tells: the one paragraph that says why the winner won, and a page with all that was tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from explicate.sentences.glossary import glossary
from explicate.views.look.sheets import page_style
from explicate_standards.leaderboard.boards import as_text
from explicate_standards.leaderboard.ranking import Group
from explicate_studies.auto.candidates import Shared
from explicate_studies.auto.finalists import Compared
from explicate_studies.auto.search import Found
from explicate_studies.auto.winner import BOARD_NAMES, Published, held_out
from explicate_studies.choice import Measured
from explicate_training.config.config_file import format_config
from explicate_training.loop.progress import duration
from explicate_training.report.report import template_of

REPORT_NAME = "report.html"
_WORDS = ("best_of_many", "not_told_apart", "simpler", "held_out")
_NAMED = 3  # candidates of a kind in a sentence


@dataclass(frozen=True)
class Story:
    """All that is told.

    Attributes:
        shared: of the search.
        found: what it came to.
        ranked: the candidates, the best on validation rows first.
        won: the winner.
        published: what became of it.
        titles: of all candidates, by name.
        plan: what was said first.
        warnings: of the data.
    """

    shared: Shared
    found: Found
    ranked: Sequence[Compared]
    won: Compared
    published: Published
    titles: Mapping[str, str]
    plan: Sequence[str]
    warnings: Sequence[str]


def paragraph(story: Story) -> str:
    """Why the winner won, with figures, what was close, what was not tried, its price, and the standard."""
    parts = [
        _first(story),
        _beside(story),
        _held_out(story),
        _price(story),
        _untried(story),
        _standard(story),
        *(f"Mind the data: {warning}." for warning in story.warnings),
    ]
    return " ".join(part for part in parts if part)


def _first(story: Story) -> str:
    shared, won = story.shared, story.won
    rows = f"{len(shared.run.splits.validation):,} validation {shared.config.data.counted}"
    figure = f"{shared.title} {won.metric.told('.4f')} on the {rows}"
    name = f"{won.finished.name} ({won.finished.title})"
    servable = [one for one in story.ranked if one.finished.servable]
    if len(servable) == 1:
        return f"{name} is the only candidate that came to its end and can be served: {figure}."
    if won.behind.value <= 0:
        return f"{name} won: {figure}, the best of {len(servable)} candidates."
    best = next(one for one in servable if one.behind.value <= 0)
    return (
        f"{name} won: {figure}. {best.finished.name} is better by {won.behind.told('.4f')}, which is no more than "
        f"chance does (one standard error of the difference is {won.error:.4f}), and {_why_easier(won, best)}."
    )


def _why_easier(won: Compared, best: Compared) -> str:
    if best.unmet and not won.unmet:
        return f"of {best.finished.name} {best.unmet}"
    if won.price and best.price and won.price.upper < best.price.lower:
        return f"an explanation takes {won.price.told('.1f')} model rows a part instead of {best.price.told('.1f')}"
    return f"{won.finished.title} is easier to explain than {best.finished.title}"


def _beside(story: Story) -> str:
    """What was close, and what was behind."""
    others = [one for one in story.ranked if one is not story.won and one.finished.servable and one.behind.value > 0]
    close = [one for one in others if one.tied]
    far = [one for one in others if not one.tied]
    sentences = []
    if close:
        sentences.append(f"Not told apart from the best: {_listed(close)}.")
    if far:
        sentences.append(f"Behind the best by more than one standard error: {_listed(far)}.")
    sentences += [_simple(one) for one in story.ranked if not one.finished.servable]
    return " ".join(sentences)


def _listed(some: Sequence[Compared]) -> str:
    told = [f"{one.finished.name}, by {one.behind.told('.4f')}" for one in some[:_NAMED]]
    return "; ".join([*told, *([f"{len(some) - _NAMED} more"] if len(some) > _NAMED else [])])


def _simple(one: Compared) -> str:
    """What the simple model that cannot be served did."""
    by = one.behind.value
    if by < 0 and -by > one.error:
        better = Measured(-by, -one.behind.upper, -one.behind.lower)
        return (
            f"{one.finished.title}, which no server runs, is better still, by {better.told('.4f')}: more time may help."
        )
    word = "is not told apart from the best" if abs(by) <= one.error else f"is behind by {one.behind.told('.4f')}"
    return f"{one.finished.title}, to compare with, {word}."


def _held_out(story: Story) -> str:
    shared, figure = story.shared, held_out(story.won.finished, story.shared.metric)
    rows = f"{len(shared.run.splits.test):,} held-out {shared.config.data.counted}, which chose nothing,"
    return f"On the {rows} it has {shared.title} {figure.told('.4f')}." if figure else ""


def _price(story: Story) -> str:
    price, r2 = story.won.price, story.won.figures.get("additive_r2")
    if price is None:
        return "What its explanations cost was not measured in this time."
    sums = f"; a sum of its attributions tells {r2.told('.2f')} of what it answers (R²)" if r2 else ""
    return f"An explanation takes {price.told('.1f')} rows of the model for each part of an input{sums}."


def _untried(story: Story) -> str:
    found, cut = story.found, [one.finished for one in story.ranked if "for lack of time" in one.finished.note]
    sentences = []
    if names := list(dict.fromkeys(found.untried)):
        told = ", ".join(f"{name} ({story.titles[name]})" for name in names)
        reason = "because it was interrupted" if found.interrupted else "for lack of time"
        sentences.append(f"Not tried {reason}: {told}.")
    if cut:
        sentences.append(f"Cut short: {'; '.join(f'{one.name}, {one.note}' for one in cut)}.")
    if found.failed:
        told = "; ".join(f"{name}, {why}" for name, why in found.failed.items())
        sentences.append(f"Came to nothing: {told}.")
    return " ".join(sentences)


def _standard(story: Story) -> str:
    published = story.published
    if published.standard:
        return f"The standard, judged once on the held-out rows: {published.standard}."
    if published.why_not:
        return f"It is not published: {published.why_not}."
    return "No standard was given."


def write_page(story: Story, groups: Sequence[Group], text: str) -> Path:
    """Writes the page, which needs nothing else, and returns its path."""
    shared, published = story.shared, story.published
    page = template_of("auto_report.html.jinja", "explicate_studies").render(
        page_style=page_style(),
        title=Path(shared.config.data.origin).stem,
        paragraph=text,
        good=published.bundle is not None,
        bundle=published.bundle,
        repository=published.bundle.parents[1] if published.bundle else "",
        run=story.won.finished.run,
        metric=shared.title,
        counted=shared.config.data.counted,
        rows=[_row(one, story.won, shared.folder) for one in story.ranked],
        failed=story.found.failed,
        untried={name: story.titles[name] for name in story.found.untried},
        board=as_text(groups),
        board_page=BOARD_NAMES[0],
        checked=published.lines if published.standard else (),
        minutes=f"{shared.budget.seconds / 60:g}",
        spent=duration(shared.budget.spent_s),
        plan=story.plan,
        reading=[*shared.run.reading, *story.warnings],
        config_toml=format_config(shared.config),
        words={name: glossary()["study"][name] for name in _WORDS},
    )
    path = shared.folder / REPORT_NAME
    path.write_text(page, encoding="utf-8", errors="replace")
    return path


def _row(one: Compared, won: Compared, folder: Path) -> dict[str, object]:
    finished, report = one.finished, Path(one.finished.run) / "report.html"
    notes = [
        "won" if one is won else "not told apart" if one.tied and finished.servable else "",
        finished.note,
        one.unmet,
    ]
    return {
        "name": finished.name,
        "link": str(report.relative_to(folder)) if report.is_file() and report.is_relative_to(folder) else "",
        "title": finished.title,
        "metric": one.metric.told(".4f"),
        "behind": one.behind.told(".4f") if one.behind.value > 0 else "",
        "price": one.price.told(".1f") if one.price else "",
        "seconds": finished.seconds,
        "note": ", ".join(filter(None, notes)),
    }


def candidate_table(story: Story) -> str:
    """The candidates on the validation rows, for the terminal."""
    from explicate.views import tables

    header = ("CANDIDATE", story.shared.title.upper(), "BEHIND THE BEST", "ROWS A PART", "SECONDS", "")
    lines = []
    for one in story.ranked:
        row = _row(one, story.won, story.shared.folder)
        cells = ("name", "metric", "behind", "price")
        lines.append((*(str(row[cell]) for cell in cells), f"{one.finished.seconds:.0f}", str(row["note"])))
    return tables.table(header, lines, right=(4,))
