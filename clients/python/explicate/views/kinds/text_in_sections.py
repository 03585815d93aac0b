"""An explanation of a long text as one of its sentences, so that every view shows them as it shows words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explicate.described.text_sections import TextSection
    from explicate.results import ExplainResult, Feature


def in_sections(result: ExplainResult) -> ExplainResult | None:
    """The result with its sections for features, and their values for attributions; None where it has no sections."""
    explanation = result.explanation
    if not explanation.sections:
        return None
    attributions = []
    for output, attribution in enumerate(explanation.attributions):
        values = [section.values[output] for section in explanation.sections]
        attributions.append(
            replace(
                attribution,
                values=tuple(each.value for each in values),
                standard_errors=tuple(each.standard_error for each in values),
                lower=tuple(each.lower for each in values),
                upper=tuple(each.upper for each in values),
            )
        )
    told = replace(
        explanation,
        features=tuple(_feature(explanation.features, section) for section in explanation.sections),
        attributions=tuple(attributions),
        options=replace(explanation.options, granularity="sentence"),
        sections=(),
    )
    return replace(result, explanation=told)


def _feature(features: tuple[Feature, ...], section: TextSection) -> Feature:
    """A section as a feature; its spans are those of its words."""
    words = features[section.first_feature : section.first_feature + section.feature_count]
    spans = [span for word in words for span in word.spans]
    whole = replace(spans[0], start=min(span.start for span in spans), end=max(span.end for span in spans))
    return replace(words[0], text=section.text, spans=(whole,))
