"""The games of a text or a pair: words, tokens or sentences are players, and a coalition is one model row.

Under masking ``attention`` the tokens of an absent player leave the row while the others keep their positions. That
gives the logits of a masked attention (1e-7 apart, measured) with half the tokens. ``mask-token`` puts the mask token
in their place, as shap does; ``delete`` takes the player out of the string and tokenises again, as lime does.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TextSchema
from explicate_server.explain.game import WALL, Asked
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.modalities.modality import Game, TextPlayer
from explicate_server.modalities.words import Span, breaks, distinct_words, sentences, words
from explicate_server.runtime.queue import Row

NO_PLAYER = -1
RowsOf = Callable[[Sequence[Sequence[str]]], list[Row]]


class _TextGame(Game):
    """Players in the texts, and what parts them; equal words that are one player have no neighbours."""

    def __init__(self, texts: Sequence[str], players: Sequence[TextPlayer], kind: str) -> None:
        self.players = players
        self.breaks = None if kind == "distinct-words" else _breaks(texts, players)
        self._texts = texts

    def grouped(self, groups: NDArray[np.intp]) -> list[TextPlayer]:
        """Phrases from the first to the last word of each group."""
        starts = np.flatnonzero(np.diff(groups, prepend=-1)).tolist()
        ends = [*starts[1:], len(groups)]
        members = [(self.players[start], self.players[end - 1]) for start, end in zip(starts, ends, strict=True)]
        return [
            _player(self._texts, (first.spans[0][0], last.spans[0][1]), in_pair=first.in_pair)
            for first, last in members
        ]


class TokenGame(_TextGame):
    """Players own tokens of one encoding; absent players' tokens are dropped, unattended or replaced."""

    def __init__(self, schema: TextSchema, encoded: EncodedText, kind: str, *, replace: bool) -> None:
        parts = _players(encoded, kind)
        owner = _owners(encoded, parts)
        seen = np.unique(owner[owner != NO_PLAYER])  # words cut off at the end, or without a token, are no players
        super().__init__(encoded.texts, [parts[index] for index in seen], kind)
        self._owner = np.where(owner == NO_PLAYER, NO_PLAYER, np.searchsorted(seen, owner))
        self._values = encoded.row.values
        self._schema = schema
        self._inputs = list(schema.inputs)
        self._replace = replace

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        kept = present[:, self._owner]  # [m, tokens]; NO_PLAYER is the last column, always present
        if self._replace:
            return [self._overwritten("input_ids", ~keep, self._schema.mask_id) for keep in kept]
        if not self._schema.token_dropping:
            return [self._overwritten("attention_mask", ~keep, 0) for keep in kept]
        return [Row(int(keep.sum()), self._values[:, keep]) for keep in kept]

    def _overwritten(self, name: str, where: NDArray[np.bool_], value: int) -> Row:
        values = self._values.copy()
        values[self._inputs.index(name), where] = value
        return Row(values.shape[1], values)


class DeletionGame(_TextGame):
    """Players are cut out of the strings, and what is left is tokenised again."""

    def __init__(self, encoded: EncodedText, kind: str, rows_of: RowsOf) -> None:
        """``rows_of`` makes model rows of texts or pairs."""
        parts = _players(encoded, kind)
        super().__init__(encoded.texts, parts, kind)
        self._rows_of = rows_of
        self._cut = [_pieces(text, parts, in_pair=bool(index)) for index, text in enumerate(encoded.texts)]

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        return self._rows_of([[_joined(pieces, keep[owner]) for pieces, owner in self._cut] for keep in present])


def _joined(pieces: Sequence[str], kept: NDArray[np.bool_]) -> str:
    return "".join(piece for piece, keep in zip(pieces, kept.tolist(), strict=True) if keep)


def _pieces(text: str, parts: Sequence[TextPlayer], *, in_pair: bool) -> tuple[list[str], NDArray[np.int64]]:
    """A text in pieces, and int64[pieces], the player that each belongs to; NO_PLAYER for what lies between players."""
    cuts = sorted((span, index) for index, part in enumerate(parts) if part.in_pair == in_pair for span in part.spans)
    pieces: list[str] = []
    owners: list[int] = []
    end = 0
    for (first, last), index in cuts:
        pieces += [text[end:first], text[first:last]]
        owners += [NO_PLAYER, index]
        end = last
    return [*pieces, text[end:]], np.array([*owners, NO_PLAYER])


def _players(encoded: EncodedText, kind: str) -> list[TextPlayer]:
    """The players of the first text, then those of the second one, each in reading order."""
    players = []
    for index, text in enumerate(encoded.texts):
        if kind == "distinct-words":
            players += [TextPlayer(word, tuple(spans), bool(index)) for word, spans in distinct_words(text)]
        else:
            players += [_player(encoded.texts, span, in_pair=bool(index)) for span in _spans(encoded, index, kind)]
    return players


def _spans(encoded: EncodedText, text: int, kind: str) -> list[Span]:
    """Where the players of one of the texts are."""
    if kind == "tokens":
        return _token_spans(encoded, text)
    return {"words": words, "sentences": sentences}[kind](encoded.texts[text])


def _player(texts: Sequence[str], span: Span, *, in_pair: bool) -> TextPlayer:
    return TextPlayer(texts[in_pair][slice(*span)], (span,), in_pair)


def _breaks(texts: Sequence[str], players: Sequence[TextPlayer]) -> NDArray[np.intp]:
    """What parts each player from the next, intp[players − 1]: a wall between the two texts of a pair."""
    levels = [
        breaks(text, [player.spans[0] for player in players if player.in_pair == bool(index)])
        for index, text in enumerate(texts)
    ]
    walls = [left.in_pair != right.in_pair for left, right in pairwise(players)]
    joined = np.full(len(walls), WALL, dtype=np.intp)
    joined[~np.array(walls, dtype=np.bool_)] = np.concatenate(levels)
    return joined


def _token_spans(encoded: EncodedText, text: int) -> list[Span]:
    """Places of the tokens in one of the texts; those that share a character (bytes of an emoji) are one."""
    spans: list[Span] = []
    for start, end in encoded.spans[(encoded.text_of == text) & ~encoded.special].tolist():
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif start < end:
            spans.append((start, end))
    return spans


def _owners(encoded: EncodedText, parts: Sequence[TextPlayer]) -> NDArray[np.int64]:
    """The player each token belongs to, int64[tokens]; NO_PLAYER for special tokens and those outside every span."""
    owners = np.full(len(encoded.spans), NO_PLAYER)
    for text in range(len(encoded.texts)):
        places = sorted(
            (span, index) for index, part in enumerate(parts) if part.in_pair == bool(text) for span in part.spans
        )
        if places:
            _set_owners(owners, encoded, text, places)
    return owners


def _set_owners(owners: NDArray[np.int64], encoded: EncodedText, text: int, places: Sequence[tuple[Span, int]]) -> None:
    """Give the tokens of one text to the players at ``places``, which are in order."""
    starts = np.array([start for (start, _), _ in places])
    ends = np.array([end for (_, end), _ in places])
    indices = np.array([index for _, index in places])
    # A token may begin with the space before its word, so its last code point decides.
    last = encoded.spans[:, 1] - 1
    place = np.searchsorted(starts, last, side="right") - 1
    inside = (place >= 0) & (last < ends[place]) & ~encoded.special & (encoded.text_of == text)
    owners[inside] = indices[place[inside]]
