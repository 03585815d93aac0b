"""What would change an answer, in sentences and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from explicate.views import amounts
from explicate.views.kinds import explained

if TYPE_CHECKING:
    from explicate.described.found_change import Change, ChangedAnswer
    from explicate.results import ExplainResult


def lines(result: ExplainResult, *, beside_sentences: bool = False) -> Iterator[str]:
    """The change and what the search for it was, a sentence each; nothing where none was asked for.

    `beside_sentences`: the answer's own sentences are there, which tell a change that was found.
    """
    change = result.explanation.change
    if change is None:
        return
    if not (beside_sentences and result.explanation.sentences and (change.absent or change.columns)):
        yield found(result, change)
    if said := searched(result, change):
        yield said


def html(result: ExplainResult) -> str:
    """The same as HTML, with a table of the columns that change; empty where no change was asked for."""
    change = result.explanation.change
    if change is None:
        return ""
    told = f"<p>{escape(found(result, change))}</p>"
    if change.columns:
        head = "<tr><th>column</th><th>is</th><th>would be</th></tr>"
        rows = "".join(
            f'<tr><td dir="auto">{escape(one.column)}</td><td dir="auto">{escape(amounts.cell(one.before))}</td>'
            f'<td dir="auto">{escape(amounts.cell(one.after))}</td></tr>'
            for one in change.columns
        )
        told += f"<table>{head}{rows}</table>"
    return f'<div class="output">{told}<p class="faint">{escape(searched(result, change))}</p></div>'


def found(result: ExplainResult, change: Change) -> str:
    """What would change the answer, or that nothing was found."""
    before = answer(result, change.before)
    if change.after is None:
        return f"No change was found that would make the answer another than {before}."
    if not (change.absent or change.columns):
        return f"Nothing has to change: the answer is {before}."
    what = _columns(change) if change.columns else f"Without {_left_out(result, change)}"
    return f"{what} the answer would be {answer(result, change.after)}; it is {before}."


def _columns(change: Change) -> str:
    cells = [(one.column, amounts.cell(one.after), amounts.cell(one.before)) for one in change.columns]
    return "With " + ", ".join(f"{column} {after} (not {before})" for column, after, before in cells)


def _left_out(result: ExplainResult, change: Change) -> str:
    """Parts of a text as it has them, others by their names."""
    names = [result.explanation.features[place].name for place in change.absent]
    told = [f'"{name}"' for name in names] if any(f.text for f in result.explanation.features) else names
    return ", ".join(told[:-1]) + " and " + told[-1] if len(told) > 1 else told[0]


def answer(result: ExplainResult, told: ChangedAnswer) -> str:
    """An answer in short: "good 0.912", "toxic not given 0.312", or "price 153.2"."""
    if result.prediction.value is not None:
        places = amounts.decimals_for(max(abs(told.score), abs(result.prediction.value)), digits=4)
        return f"{told.class_label} {amounts.plain_number(told.score, places)}"
    given = "" if told.given else "without "
    return f"{given}{told.class_label} {told.score:.3f}"


def searched(result: ExplainResult, change: Change) -> str:
    """How far the search went: never more than was tried."""
    of = _nouns(result, change)
    tried = f"{change.evaluations:,} {'change was' if change.evaluations == 1 else 'changes were'} tried"
    tried += " until time was over" if change.end == "deadline" else ""
    if change.after is None:
        if change.none_smaller:
            return f"Every change there is was tried, {change.evaluations:,}: none gives another answer."
        whole = f", every one of up to {change.sizes_tried} {of} among them" if change.sizes_tried else ""
        return f"{_sentence(tried + whole)} There may be one that was not tried."
    size = len(change.absent) + len(change.columns)
    said = [tried]
    if change.columns:
        said.insert(0, "none of as many is nearer" if change.none_nearer else "no nearer one was found")
    if size > 1:
        said.insert(0, f"no change of fewer {of} does that" if change.none_smaller else f"none of fewer {of} was found")
    return _sentence("; ".join(said)) if size else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _nouns(result: ExplainResult, change: Change) -> str:
    """What is changed."""
    asked = result.explanation.options.change
    values = result.row is not None and not change.absent and not (asked and asked.absence)
    return "columns" if values else explained(result).nouns
