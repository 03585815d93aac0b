"""Sections of the card on whom a model was tested: groups of test rows, and what nothing is known of."""

from collections.abc import Iterator, Mapping
from typing import Any  # JSON values

from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.telling.slice_notes import SliceNotes
from explicate_export.conversion import CardText
from explicate_export.described import DescribedModel
from explicate_export.markdown import code, escaped, number, table
from explicate_standards.standard.check import Checked

_MOST_SMALL = 8
_ROBUSTNESS = "robustness."


def slices_section(model: DescribedModel, checked: Checked | None) -> list[str]:
    """How good the model is on groups of test rows; no section where nobody looked."""
    lines = ["## Slices"]
    if model.slices is not None and model.slices.groups:
        lines += ["", *_measured(model.slices, model.kind.reads.plural)]
    judged = [one for one in checked.judgements if one.slice] if checked is not None else []
    if judged:
        rows = [
            (
                escaped(one.slice),
                code(one.rule) if one.rule else "",
                escaped(one.what),
                f"{one.bounds.rows:,}",
                f"{number(one.bounds.value)} [{number(one.bounds.lower)}, {number(one.bounds.upper)}]",
                one.verdict.value,
            )
            for one in judged
        ]
        lines += ["", "Those of the standard:", ""]
        lines += table(("slice", "rule", "what is measured", "n", "value [bounds]", "verdict"), rows)
    return ["\n".join(lines)] if len(lines) > 1 else []


def _measured(notes: SliceNotes, plural: str) -> Iterator[str]:
    yield f"Test {plural} with something in common, the worst first; on all of them it is {number(notes.whole)}."
    yield ""
    rows = [
        (
            escaped(one.name),
            f"{one.rows:,}",
            f"{number(one.value)} [{number(one.lower)}, {number(one.upper)}]",
            "not as all" if one.apart else "",
        )
        for one in notes.groups
    ]
    yield from table(("slice", "n", f"{notes.measured} [95 % interval]", ""), rows)
    yield ""
    yield "Among many slices some intervals miss the whole by chance alone."


def limits(model: DescribedModel, card: CardText, checked: Checked | None) -> Iterator[str]:
    """What the tests do not say, a sentence or two each."""
    yield from (escaped(sentence) for sentence in card.tested)
    yield _time(model)
    if small := _small(model):
        yield small
    yield from _failing(model, checked)
    yield _bias(checked)
    if not any(str(one.identity.get("metric", "")).startswith(_ROBUSTNESS) for one in _judgements(checked)):
        yield f"It was not tested on disturbed {model.kind.reads.plural}, such as with errors or noise in them."
    yield "It was not tested against people who try to mislead it."


def _judgements(checked: Checked | None) -> tuple[Any, ...]:
    return checked.judgements if checked is not None else ()


def _time(model: DescribedModel) -> str:
    """Whether the test could show what time changes."""
    plural = model.kind.reads.plural
    read = next((value for key, value in model.data_report.items() if key.endswith("_read")), None)
    if not isinstance(read, Mapping):
        return f"Nothing is known of when the {plural} are from, so nothing of what time changes."
    if read.get("test"):
        return f"The test {plural} were given apart. Nothing measures what becomes of the model's answers later."
    return (
        f"The test {plural} were drawn at random from the same data as those that it learnt from, so they are of the "
        "same time and source. Nothing measures what becomes of its answers later, or elsewhere."
    )


def _small(model: DescribedModel) -> str:
    """The smallest class, and the groups that are too small to tell."""
    plural = model.kind.reads.plural
    per_class = model.test_metrics.get("per_class")
    told = []
    if isinstance(per_class, Mapping):
        counts = [(label, one) for label, one in per_class.items() if isinstance(one, Mapping)]
        sizes = {label: one.get(plural, one.get("rows")) for label, one in counts}
        known = {label: size for label, size in sizes.items() if isinstance(size, int)}
        if known:
            label = min(known, key=lambda each: known[each])
            told.append(f"The smallest {model.objective.per_output} of the test is {code(label)}, {known[label]:,}.")
    if model.slices is not None and model.slices.small:
        small = model.slices.small
        named = ", ".join(f"{code(name)} ({rows:,})" for name, rows in [*small.items()][:_MOST_SMALL])
        more = f" and {len(small) - _MOST_SMALL:,} more" if len(small) > _MOST_SMALL else ""
        told.append(f"Groups with too few test {plural} to tell anything: {named}{more}.")
    return " ".join(told)


def _failing(model: DescribedModel, checked: Checked | None) -> Iterator[str]:
    """Slices that are worse than the whole, and what does not meet the standard."""
    if model.slices is not None and (worse := model.slices.worse):
        named = ", ".join(f"{code(one.name)} ({number(one.value)} of {one.rows:,})" for one in worse)
        yield f"It is worse than on the whole ({model.slices.measured}, {number(model.slices.whole)}) on: {named}."
    unmet = [one for one in _judgements(checked) if one.verdict is Verdict.NOT_MET]
    if unmet:
        named = ", ".join(code(f"{one.requirement}: {one.what}") for one in unmet)
        yield f"It does not meet its standard in: {named}."
    untold = [one for one in _judgements(checked) if one.verdict is Verdict.CANNOT_TELL]
    if untold:
        named = ", ".join(code(f"{one.requirement}: {one.what}") for one in untold)
        yield f"The test rows are too few to tell: {named}."


def _bias(checked: Checked | None) -> str:
    unwanted = "It may have learnt unwanted regularities of its data."
    if checked is None or not checked.groups:
        return f"{unwanted} No check for bias was made."
    columns = ", ".join(dict.fromkeys(code(one.column) for one in checked.groups))
    return f"{unwanted} Groups were compared by {columns} alone, see Fairness."
