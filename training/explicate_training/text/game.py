"""A text, or a pair, as a game of its words, as the trained model reads it."""

import re
from collections.abc import Sequence
from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray

import explicate
from explicate_training.report.explanations import Game
from explicate_training.text.masking import text_players
from explicate_training.text.model import TextModel

_EDGES = re.compile(r"^\W+|\W+$")


def text_game(model: TextModel, texts: Sequence[str]) -> Game | None:
    """The game of the words that the model reads, found as a server finds them; None if there are none.

    An absent word's tokens get no attention and keep their places, as with the server's masking "attention".
    """
    ((players, of_token),) = text_players(model, [texts])
    if not players:
        return None
    (row,) = model.encode([texts])
    features = tuple(
        explicate.Feature(text=texts[text][start:stop], spans=(explicate.Span(start, stop),), in_pair=text == 1)
        for text, ((start, stop),) in players
    )

    def outputs(present: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
        attended = np.concatenate([present, np.ones((len(present), 1), bool)], axis=1)[:, of_token]  # -1: always there
        return model.predict([{**row, "attention_mask": mask.astype(int).tolist()} for mask in attended])

    keys = tuple(_EDGES.sub("", feature.text).casefold() or feature.text for feature in features)
    given = {"text": texts[0], "text_pair": texts[1] if len(texts) == 2 else None}
    return Game(features, keys, outputs, given, granularity="word")
