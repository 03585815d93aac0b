"""A text, or a pair, as a game of its words, as the trained model reads it."""

import re
from collections.abc import Sequence
from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray

import explicate
from explicate_training.report.explanations import Game
from explicate_training.text.model import TextModel

_WORD = re.compile(r"\S+")
_EDGES = re.compile(r"^\W+|\W+$")
_FEWEST_WORDS = 2  # below it the tokens are the players: the text has no spaces between words


def text_game(model: TextModel, texts: Sequence[str]) -> Game | None:
    """The game of the words, or tokens, that the model reads; None if there are none.

    An absent word's tokens get no attention and keep their places, as with the server's masking "attention".
    """
    encoding = model.tokenizer(
        *texts,
        truncation=True,
        max_length=model.max_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    sequences = encoding.sequence_ids()
    tokens = [
        (place, sequences[place] or 0, start, stop)
        for place, (start, stop) in enumerate(encoding["offset_mapping"])
        if stop > start and not encoding["special_tokens_mask"][place]
    ]
    players = _players(texts, tokens)
    if not players:
        return None
    row = {name: values for name, values in encoding.items() if name in model.tokenizer.model_input_names}
    spans = [(text, start, stop) for text, start, stop, _ in players]
    features = tuple(
        explicate.Feature(text=texts[text][start:stop], spans=(explicate.Span(start, stop),), in_pair=text == 1)
        for text, start, stop in spans
    )
    of_token = np.full(len(sequences), -1)
    for player, (_, _, _, places) in enumerate(players):
        of_token[places] = player

    def outputs(present: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
        attended = np.concatenate([present, np.ones((len(present), 1), bool)], axis=1)[:, of_token]  # -1: always there
        return model.predict([{**row, "attention_mask": mask.astype(int).tolist()} for mask in attended])

    keys = tuple(_EDGES.sub("", feature.text).casefold() or feature.text for feature in features)
    given = {"text": texts[0], "text_pair": texts[1] if len(texts) == 2 else None}
    return Game(features, keys, outputs, given, granularity="word")


_Token = tuple[int, int, int, int]  # its place in the row, which text it is of, where it begins and ends there
_Player = tuple[int, int, int, list[int]]  # the text, where the player begins and ends, its tokens' places


def _players(texts: Sequence[str], tokens: Sequence[_Token]) -> list[_Player]:
    """Words with the tokens that lie in them; words that share a token are one."""
    words = [(text, *match.span()) for text, held in enumerate(texts) for match in _WORD.finditer(held)]
    if len(words) < _FEWEST_WORDS:
        return [(text, start, stop, [place]) for place, text, start, stop in tokens]
    players: list[_Player] = []
    for text, start, stop in words:
        inside = [place for place, own, first, last in tokens if own == text and first < stop and last > start]
        if not inside:
            continue
        if players and players[-1][0] == text and set(players[-1][3]) & set(inside):
            before = players.pop()
            players.append((text, before[1], stop, sorted({*before[3], *inside})))
        else:
            players.append((text, start, stop, inside))
    return players
