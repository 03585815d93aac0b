"""The section of the card for people without training."""

from explicate_bundle.telling.lay_page import LayFacts, lay_page
from explicate_export.described import DescribedModel
from explicate_export.markdown import escaped
from explicate_standards.standard.check import Checked


def lay_facts(model: DescribedModel, checked: Checked | None) -> LayFacts:
    """What the sentences are made of."""
    return LayFacts(
        model.record,
        model.test_metrics,
        model.grounds,
        model.slices,
        "test" if model.record.HasField("seed") else "given",
        _unmet(checked),
    )


def plain_words(facts: LayFacts) -> str:
    """A question, its answer, and so on."""
    lines = ["## In plain words"]
    for part in lay_page(facts):
        lines += ["", f"**{part.question}** {escaped(' '.join(part.said))}"]
        if part.items:
            lines += ["", *(f"- {escaped(item)}" for item in part.items)]
        if part.after:
            lines += ["", part.after]
    return "\n".join(lines)


def _unmet(checked: Checked | None) -> str:
    if checked is None or checked.verdict.value == "met":
        return ""
    name = f"“{checked.standard.name} {checked.standard.version}”"
    if checked.verdict.value == "not met":
        return f"It does not meet the standard {name} that it was held to."
    if checked.verdict.value == "waived":
        who = ", ".join(dict.fromkeys(f"{one.who} (until {one.until})" for one in checked.waivers))
        return f"It does not meet all of the standard {name} that it was held to; {who} answers for that."
    return f"The tests were too small to tell whether it meets the standard {name} that it was held to."
