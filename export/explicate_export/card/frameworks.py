"""Where the card answers what frameworks ask for, and what it does not answer: the last section of the card.

The points are those of Annex IV of Regulation (EU) 2024/1689 (the AI Act), of the Federal Reserve's SR 11-7 (4 April
2011; SR 26-2 of 17 April 2026 took its place) and of the function MEASURE of the NIST AI Risk Management Framework 1.0
(NIST AI 100-1, 2023). What they ask for is told in our own words, shortly: the texts themselves count.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from explicate_export.markdown import table

_TOP = "the first lines"
_HEADING = re.compile(r"(?m)^## (.+)$")
_ALL_OF_IT = ""


@dataclass(frozen=True)
class Point:
    """What a framework asks for, the headings of the sections that answer it, and what they leave open.

    A heading may be the beginning of one, for those with figures in them.
    """

    id: str
    asks: str
    sections: tuple[str, ...] = ()
    open: str = _ALL_OF_IT


_WORDS, _LIMITS, _DATA, _METRICS = "In plain words", "Intended use and limits", "Data", "Metrics on"
_VERDICT, _STANDARD, _SLICES, _FAIRNESS = "Verdict", "Standard", "Slices", "Fairness"
_EXPLAINED, _EXPLANATIONS, _FIDELITY = "How well it can be explained", "Explanations", "Fidelity of the export"
_REPRODUCED, _EASIER = "How to reproduce", "Trained to be explained"

ANNEX_IV = (
    Point("1(a)", "purpose, provider, version", (_TOP, _WORDS, _LIMITS), "who the provider is, and its own purpose"),
    Point("1(b)–(g)", "other systems, versions, forms, hardware, user interface", (_REPRODUCED,), "all but versions"),
    Point("1(h)", "instructions for use", (_LIMITS,), "instructions of the system that the model is part of"),
    Point("2(a)", "how it was developed, and what it was made from", (_TOP, _REPRODUCED), "who decided what, and why"),
    Point("2(b)", "general logic, what it optimises, design choices", (_TOP, _EASIER), "why it was designed so"),
    Point("2(c)", "architecture and computing resources", (_TOP,), "the system around it, and what computing it took"),
    Point("2(d)", "data: where from, how chosen, labelled and cleaned", (_DATA,), "consent, rights and who labelled"),
    Point("2(e)", "means of human oversight", (_EXPLANATIONS, _WORDS), "who oversees, and with which rights"),
    Point("2(f)", "changes that are planned beforehand", (), "all of it"),
    Point(
        "2(g)",
        "tests: data, metrics, accuracy, robustness, unfair effects, signed reports",
        (_METRICS, _STANDARD, _SLICES, _FAIRNESS),
        "the signature of a person who is responsible",
    ),
    Point("2(h)", "cybersecurity", (_FIDELITY,), "all but the digests and the check of the files at load"),
    Point(
        "3",
        "capabilities and limits, accuracy for groups, foreseeable risks, oversight, input data",
        (_LIMITS, _SLICES, _FAIRNESS, _METRICS, _WORDS),
        "risks to health, safety and rights in the place where it is used",
    ),
    Point("4", "why these metrics are the right ones", (_STANDARD, _VERDICT), "why these, for this use"),
    Point("5", "risk management (Article 9)", (), "all of it"),
    Point("6", "changes over its life", (), "all of it; each version has a card of its own"),
    Point("7", "harmonised standards that were applied", (), "all of it; the section Standard is about the user's own"),
    Point("8", "EU declaration of conformity (Article 47)", (), "all of it"),
    Point("9", "monitoring after it is on the market (Article 72)", (), "all of it"),
)
SR_11_7 = (
    Point("III", "overview: model risk, materiality, effective challenge", (), "all of it"),
    Point("IV, development", "purpose, design, theory, data, tests", (_TOP, _DATA, _METRICS, _VERDICT), "the theory"),
    Point("IV, testing", "accuracy, robustness, limits, a range of inputs", (_STANDARD, _SLICES, _LIMITS), "stress"),
    Point("IV, implementation", "that it runs as it was built", (_FIDELITY,), "the systems around it"),
    Point("IV, use", "reports that users understand, uncertainty", (_WORDS, _LIMITS), "what users made of it"),
    Point("V, conceptual soundness", "choices and evidence", (_VERDICT, _EXPLAINED), "review by who did not build it"),
    Point("V, ongoing monitoring", "process verification, benchmarking", (_VERDICT,), "all after the export"),
    Point("V, outcomes analysis", "outcomes beside forecasts", (_METRICS, _STANDARD, _SLICES), "outcomes in use"),
    Point("VI", "governance, policies, inventory, audit", (), "all of it"),
)
NIST_MEASURE = (
    Point("1.1", "metrics for the risks that matter, and what cannot be measured", (_STANDARD, _LIMITS), "which risks"),
    Point("1.2", "whether metrics and controls still fit", (), "all of it"),
    Point("1.3", "assessment by others than the developers", (), "all of it"),
    Point("2.1", "test sets, metrics and tools on record", (_METRICS, _STANDARD, _REPRODUCED), "tools outside of this"),
    Point("2.2", "tests with people", (), "all of it"),
    Point("2.3", "performance under conditions like those of use", (_METRICS, _SLICES), "how like they are"),
    Point("2.4", "behaviour in production", (), "all of it"),
    Point("2.5", "valid and reliable, and where that ends", (_METRICS, _VERDICT, _LIMITS), "beyond the test data"),
    Point("2.6", "safety", (_LIMITS,), "failing safely, limits of the residual risk"),
    Point("2.7", "security and resilience", (_FIDELITY, _STANDARD), "attacks"),
    Point("2.8", "transparency and accountability", (_WORDS, _REPRODUCED), "who answers for it"),
    Point("2.9", "explained, validated, read in its context", (_EXPLANATIONS, _EXPLAINED, _WORDS), "the context"),
    Point("2.10", "privacy", (), "all of it"),
    Point("2.11", "fairness and bias", (_FAIRNESS, _SLICES), "whether the compared groups are the ones that matter"),
    Point("2.12", "effects on the environment", (), "all of it"),
    Point("2.13", "whether the tests themselves work", (_STANDARD,), "all but intervals and how often rows were used"),
    Point("3.1", "finding and following risks, new ones too", (), "all of it"),
    Point("3.2", "risks that are hard to measure", (_LIMITS,), "following them"),
    Point("3.3", "reports and appeals of those concerned", (), "all of it"),
    Point("4.1", "measuring tied to the place of use, with its experts", (), "all of it"),
    Point("4.2", "results checked by experts for consistent performance", (), "all of it"),
    Point("4.3", "better or worse in the field", (), "all of it"),
)
FRAMEWORKS = (
    ("EU AI Act, Annex IV", "point", ANNEX_IV),
    ("SR 11-7 (2011; in April 2026 the US agencies put SR 26-2 in its place)", "section", SR_11_7),
    ("NIST AI RMF 1.0, MEASURE", "id", NIST_MEASURE),
)


def frameworks_section(sections: Sequence[str]) -> str:
    """A table for each framework; `sections` are those of the card, which the rows link."""
    present = [heading for section in sections for heading in _HEADING.findall(section)]
    lines = [
        "## What frameworks ask for",
        "",
        "Where this card answers what is asked for, and what it does not answer. That a row has an answer is no claim "
        "that the model, or its use, complies: that is for those who use it to show, by the texts themselves.",
    ]
    for title, named, points in FRAMEWORKS:
        rows = [(one.id, one.asks, ", ".join(_links(one, present)) or "–", _left_open(one, present)) for one in points]
        lines += ["", f"### {title}", "", *table((named, "asks for", "answered in", "not answered here"), rows)]
    return "\n".join(lines)


def _links(point: Point, present: Sequence[str]) -> Iterator[str]:
    for name in point.sections:
        if name == _TOP:
            yield _TOP
        elif (heading := _heading(name, present)) is not None:
            yield f"[{heading}](#{_anchor(heading)})"


def _left_open(point: Point, present: Sequence[str]) -> str:
    """What the card leaves open, and which sections a bundle could have and this one does not."""
    lacking = [name for name in point.sections if name != _TOP and _heading(name, present) is None]
    if lacking and len(lacking) == len(point.sections):
        return "all of it: this card has no section " + " or ".join(name.removesuffix(" on") for name in lacking)
    without = f"; this card has no section {', '.join(name.removesuffix(' on') for name in lacking)}" if lacking else ""
    return point.open + without


def _heading(name: str, present: Sequence[str]) -> str | None:
    return next((heading for heading in present if heading == name or heading.startswith(f"{name} ")), None)


def _anchor(heading: str) -> str:
    """As GitHub and the Hub make one of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
