"""The sections of a long text as messages: what each sentence adds, beside the values of its words."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from explicate.v1 import text_section_pb2 as messages
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_server.explain.attribution import SectionSums
from explicate_server.modalities.modality import Player, TextPlayer


def section_messages(
    value: ModelInput, players: Sequence[Player], sums: SectionSums | None
) -> list[messages.TextSection]:
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
            messages.SectionValue(
                value=sums.values[output, section],
                standard_error=sums.standard_errors[output, section],
                lower=sums.lower[output, section],
                upper=sums.upper[output, section],
            )
            for output in range(len(sums.values))
        ]
        text = value.texts[words[0].in_pair][start:stop]
        sections.append(messages.TextSection(text=text, first_feature=first, feature_count=end - first, values=values))
    return sections
