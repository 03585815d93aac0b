"""Sections of the card on the standard that a model was held to: the verdict, and groups side by side."""

from collections.abc import Iterator
from math import isfinite

from explicate_bundle.standard.verdicts import Bounds
from explicate_export.markdown import code, escaped, number, table
from explicate_standards.standard.check import Checked
from explicate_standards.standard.group_tables import GroupTable
from explicate_standards.standard.verdict_report import sentence

_FEWER = "fewer rows than the standard asks for"


def standard_section(checked: Checked | None) -> list[str]:
    """The verdict with its requirements; no section without a standard."""
    if checked is None:
        return []
    standard = checked.standard
    rows = [
        (
            code(one.requirement),
            escaped(one.what),
            _number(one.bounds.value),
            _ends(one.bounds),
            str(one.line),
            f"{one.bounds.rows:,}",
            one.verdict.value,
        )
        for one in checked.judgements
    ]
    notes = [f"- {code(one.requirement)}: {escaped(one.note)}" for one in checked.judgements if one.note]
    lines = ["## Standard", "", f"{escaped(sentence(checked))}.", ""]
    lines += table(("requirement", "what is measured", "estimate", "bounds", "line", "rows", "verdict"), rows)
    if notes:
        lines += ["", "What there is to say of some:", "", *notes]
    lines += [
        "",
        f"SHA-256 of the standard: {code(standard.sha256)}; of its {checked.rows:,} test rows: "
        f"{code(checked.rows_sha256)}. {_uses(checked.uses)}. `standard.json` has all of it, so that a server can "
        "judge it anew by other lines.",
    ]
    return ["\n".join(lines)]


def fairness_section(checked: Checked | None) -> list[str]:
    """Groups side by side, where the standard asks for it."""
    if checked is None or not checked.groups:
        return []
    lines = ["## Fairness"]
    for one in checked.groups:
        lines += ["", *_groups(one)]
    lines += [
        "",
        f"In brackets, each bound with a confidence of {checked.standard.confidence:g}. Selection rate: how often the "
        "class is answered. True positive rate: how often, where it is right; false positive rate: where it is not. "
        "Other groups than these were not compared, and what is equal here can be unfair for another reason.",
    ]
    return ["\n".join(lines)]


def _groups(one: GroupTable) -> Iterator[str]:
    yield f"Groups by {code(one.column)}, for the answer {code(one.label)}:"
    yield ""
    rows = [
        (
            escaped(group.name),
            f"{group.rows:,}",
            *(_within(rate) for rate in (group.selected, group.true_positive, group.false_positive)),
            "" if group.counted else _FEWER,
        )
        for group in one.groups
    ]
    yield from table(("group", "n", "selection rate", "true positive rate", "false positive rate", ""), rows)
    yield ""
    if not one.gaps:
        yield f"No gap can be told: fewer than two groups have {one.minimum_rows:,} rows."
        return
    gaps = [(name.replace("_", " "), _within(bounds)) for name, bounds in one.gaps.items()]
    yield from table((f"between groups with at least {one.minimum_rows:,} rows", "value"), gaps)


def _within(bounds: Bounds) -> str:
    if not isfinite(bounds.value):
        return "–"
    return f"{_number(bounds.value)} {_ends(bounds)}"


def _ends(bounds: Bounds) -> str:
    return f"[{_number(bounds.lower)}, {_number(bounds.upper)}]"


def _number(value: float) -> str:
    return number(value) if isfinite(value) else "–"


def _uses(uses: int) -> str:
    models = "1 model was" if uses == 1 else f"{uses:,} models were"
    return f"{models} judged on these rows where this one was: each that is chosen by them makes them less of a test"
