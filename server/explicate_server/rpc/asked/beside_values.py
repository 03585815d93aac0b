"""What lies beside the values of an explanation, as messages: pairs of features, and the sections of a long text."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from explicate.v1 import interactions_pb2 as pair_messages
from explicate.v1 import text_section_pb2 as text_messages
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_server.explain.attribution import SectionSums
from explicate_server.explain.interactions.strongest_pairs import StrongestPairs
from explicate_server.modalities.modality import Player, TextPlayer


def pair_interactions(found: Sequence[StrongestPairs] | None, output: int) -> list[pair_messages.PairInteraction]:
    """Those of one explained output; none where they were not asked for or could not be found."""
    if found is None:
        return []
    pairs = found[output]
    columns = (pairs.first, pairs.second, pairs.values, pairs.standard_errors, pairs.lower, pairs.upper)
    return [
        pair_messages.PairInteraction(
            first=first, second=second, value=value, standard_error=error, lower=lower, upper=upper
        )
        for first, second, value, error, lower, upper in zip(*(column.tolist() for column in columns), strict=True)
    ]


def section_messages(
    value: ModelInput, players: Sequence[Player], sums: SectionSums | None
) -> list[text_messages.TextSection]:
    """The sections of an explained text; none where it was not explained in sections.

    Args:
        value: what is explained.
        players: the answer's features, those attributed first.
        sums: of the attributed players.
    """
    if sums is None or not isinstance(value, TextInput):
        return []
    bounds = np.searchsorted(sums.sections, np.arange(sums.values.shape[1] + 1)).tolist()
    sections = []
    for section, (first, end) in enumerate(pairwise(bounds)):
        words = [player for player in players[first:end] if isinstance(player, TextPlayer)]
        spans = [span for word in words for span in word.spans]
        if len(words) < end - first or not spans:
            continue  # a named group is no sentence
        start, stop = min(span[0] for span in spans), max(span[1] for span in spans)
        values = [
            text_messages.SectionValue(
                value=sums.values[output, section],
                standard_error=sums.standard_errors[output, section],
                lower=sums.lower[output, section],
                upper=sums.upper[output, section],
            )
            for output in range(len(sums.values))
        ]
        text = value.texts[words[0].in_pair][start:stop]
        sections.append(
            text_messages.TextSection(text=text, first_feature=first, feature_count=end - first, values=values)
        )
    return sections
