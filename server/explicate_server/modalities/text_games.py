"""The games of a text or a pair: words, tokens or sentences are players, and a coalition is one model row.

Under masking ``attention`` the tokens of an absent player leave the row while the others keep their positions. That
gives the logits of a masked attention (1e-7 apart, measured) with half the tokens. ``mask-token`` puts the mask token
in their place, as shap does; ``delete`` takes the player out of the string and tokenises again, as lime does. With a
reference text the string shows what that one has there, and is tokenised again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from explicate.options import TextRange
from explicate.reading.nearest import did_you_mean
from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.players.text_players import DISTINCT_WORDS, NO_PLAYER, Places, players_of
from explicate_bundle.players.words import breaks, unspaced_scripts
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.game import WALL, Asked
from explicate_server.modalities.aligned_texts import Piece, Span, aligned
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.modalities.modality import BASELINE_PATH, Game, TextPlayer
from explicate_server.modalities.parts import Named, Part, PartProblem, Place, TextPlaces
from explicate_server.runtime.graph_outputs import GraphOutputs
from explicate_server.runtime.queue import Row

ATTRIBUTIONS = "attributions"
"""The output of explainer.onnx."""
GRADIENTS = "gradients"
"""The output of gradient.onnx that attributions are made of."""
GRADIENT_TOKENS = 128
"""Tokens of a step of it: 512 take .21 to .24 s of one core with MiniLM-L6."""
_GAP = " … "
RowsOf = Callable[[Sequence[Sequence[str]]], list[Row]]


class _TextGame(Game):
    """Players in the texts, and what parts them; equal words that are one player have no neighbours."""

    players: Sequence[TextPlayer]

    def __init__(self, texts: Sequence[str], players: Sequence[TextPlayer], kind: str) -> None:
        self.players = players
        self.breaks = None if kind == DISTINCT_WORDS else breaks_of(texts, players)
        if kind in ("words", DISTINCT_WORDS):
            self.unspaced_scripts = unspaced_scripts("".join(player.text for player in players))
        self._texts = texts

    def joined(self, players: Sequence[int]) -> TextPlayer:
        """A phrase from the first to the last word; several where others stand between."""
        phrases = self.listed(players)
        if len(phrases) == 1:
            return phrases[0]
        text, spans = _GAP.join(each.text for each in phrases), tuple(span for each in phrases for span in each.spans)
        instead = [each.instead for each in phrases if each.instead is not None]
        return TextPlayer(text, spans, phrases[0].in_pair, _GAP.join(instead) if instead else None)

    def listed(self, players: Sequence[int]) -> list[TextPlayer]:
        """Phrases of words that follow each other in one text; equal words that are one player stay by themselves."""
        places = np.asarray(players, np.intp)
        follows = np.diff(places) == 1
        if self.breaks is None:
            follows[:] = False
        else:
            follows &= self.breaks[places[1:] - 1] < WALL
        starts = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(places)]
        return [self._phrase(places[first], places[last - 1]) for first, last in pairwise(starts)] if players else []

    def _phrase(self, first: int, last: int) -> TextPlayer:
        if first == last:
            return self.players[first]
        start, end, in_pair = (
            self.players[first].spans[0][0],
            self.players[last].spans[0][1],
            self.players[last].in_pair,
        )
        return TextPlayer(self._texts[in_pair][start:end], ((start, end),), in_pair)

    @cached_property
    def _places(self) -> list[TextPlaces]:
        """Where the players stand in each text."""
        found: list[list[tuple[tuple[int, int], Place]]] = [[] for _ in self._texts]
        for number, player in enumerate(self.players):
            found[player.in_pair] += [(span, (number, place)) for place, span in enumerate(player.spans)]
        sorted_ones = map(sorted, found)
        return [
            TextPlaces(text, [span for span, _ in each], [place for _, place in each])
            for text, each in zip(self._texts, sorted_ones, strict=True)
        ]

    def places(self, part: Part) -> Iterable[Place]:
        """Those of every occurrence of the words, or of a range."""
        if isinstance(part, TextRange):
            return self._places_in(part)
        assert isinstance(part, Named)
        found = [place for text in self._places for place in text.matches(part.name)]
        if not found:
            near = did_you_mean(part.name, {player.text for player in self.players}, most=1)
            raise PartProblem(
                f"{part.name!r} does not come in the text as whole players of this granularity, as far as the model "
                f"reads it{near}"
            )
        return found

    def _places_in(self, part: TextRange) -> list[Place]:
        if part.in_pair >= len(self._texts):
            raise PartProblem("is in the second text, and there is one text only")
        text = self._places[part.in_pair]
        if part.end > len(text.text):
            raise PartProblem(f"ends at {part.end:,}; the text has {len(text.text):,} code points")
        touched, cut = text.within(part.start, part.end)
        if cut:
            start, end = text.spans[cut[0]]
            raise PartProblem(
                f"is from {part.start:,} to {part.end:,}, which cuts {text.text[start:end]!r}, a player from {start:,} "
                f"to {end:,}"
            )
        if not touched:
            raise PartProblem(
                f"is from {part.start:,} to {part.end:,}, where the model reads nothing that can be left out"
            )
        return [text.places[at] for at in touched]


def _text_players(text: str, found: Sequence[Places], *, in_pair: bool) -> list[TextPlayer]:
    return [TextPlayer(text[slice(*places[0])], places, in_pair) for places in found]


def breaks_of(texts: Sequence[str], players: Sequence[TextPlayer]) -> NDArray[np.intp]:
    """What parts each player from the next, intp[players − 1]: a wall between the two texts of a pair."""
    levels = [
        breaks(text, [player.spans[0] for player in players if player.in_pair == bool(index)])
        for index, text in enumerate(texts)
    ]
    walls = [left.in_pair != right.in_pair for left, right in pairwise(players)]
    joined = np.full(len(walls), WALL, dtype=np.intp)
    joined[~np.array(walls, dtype=np.bool_)] = np.concatenate(levels)
    return joined


class TokenGame(_TextGame):
    """Players own tokens of one encoding; absent players' tokens are dropped, unattended or replaced."""

    def __init__(
        self,
        schema: TextSchema,
        encoded: EncodedText,
        kind: str,
        *,
        replace: bool,
        explainer: GraphOutputs | None = None,
        gradient: GraphOutputs | None = None,
    ) -> None:
        """``explainer`` guesses attributions of words that get no attention; ``gradient`` is the model's own."""
        self._gradient = gradient
        self.gradient_rows = max(1, GRADIENT_TOKENS // max(1, len(encoded.spans))) if gradient else 0
        self._explainer = explainer if kind == "words" and not replace else None
        players: list[TextPlayer] = []
        self._owner = np.full(len(encoded.spans), NO_PLAYER)
        for number, text in enumerate(encoded.texts):
            tokens = np.flatnonzero((encoded.text_of == number) & ~encoded.special)
            read = encoded.characters_used[number]
            found, owners = players_of(text, kind, encoded.spans[tokens], read=read, deleted=False)
            self._owner[tokens] = np.where(owners == NO_PLAYER, NO_PLAYER, owners + len(players))
            players += _text_players(text, found, in_pair=number == 1)
        super().__init__(encoded.texts, players, kind)
        self.guesses = self._explainer is not None and bool(players)
        self._values = encoded.row.values
        self._schema = schema
        self._inputs = list(schema.inputs)
        self._replace = replace

    def guessed(self) -> NDArray[np.float64]:
        """What the bundle's explainer says of the words, without asking the model."""
        assert self._explainer is not None
        ids = self._values[self._inputs.index("input_ids")][np.newaxis]
        (of_tokens,) = self._explainer.run({"input_ids": ids, "attention_mask": np.ones_like(ids)}, [ATTRIBUTIONS])
        found = np.zeros((len(self.players) + 1, of_tokens.shape[2]))
        np.add.at(found, np.where(self._owner == NO_PLAYER, len(self.players), self._owner), of_tokens[0])
        return found[:-1]

    def gradients(
        self, points: NDArray[np.float64], explained: NDArray[np.float64], *, scores: bool, fixed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """See `GivesGradients`; an absent player's tokens are the mask token."""
        assert self._gradient is not None
        ids = self._values[self._inputs.index("input_ids")]
        stays = np.append(fixed, True)[self._owner]  # NO_PLAYER is the last one
        weights = explained.astype(np.float32)
        named = dict(zip(self._inputs, self._values, strict=True))
        feeds = {
            **{name: np.repeat(row[np.newaxis], len(points), axis=0) for name, row in named.items()},
            "baseline_ids": np.repeat(np.where(stays, ids, self._schema.mask_id)[np.newaxis], len(points), axis=0),
            "scale": points.astype(np.float32),
            "output_weights": np.zeros_like(weights) if scores else weights,
            "score_weights": weights if scores else np.zeros_like(weights),
        }
        feeds.pop("attention_mask", None)
        (of_tokens,) = self._gradient.run(feeds, [GRADIENTS])
        found = np.zeros((len(self.players) + 1, len(points)))
        np.add.at(found, np.where(self._owner == NO_PLAYER, len(self.players), self._owner), of_tokens.T)
        return found[:-1].T

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        kept = present[:, self._owner]  # [m, tokens]; NO_PLAYER is the last column, always present
        if self._replace:
            return [self._overwritten("input_ids", ~keep, self._schema.mask_id) for keep in kept]
        if not self._schema.token_dropping:
            return [self._overwritten("attention_mask", ~keep, 0) for keep in kept]
        return [self._left(keep) for keep in kept]

    def _left(self, keep: NDArray[np.bool_]) -> Row:
        """The tokens that are kept; where the tokenizer added none and no word is left, one without attention."""
        if keep.any():
            return Row(int(keep.sum()), self._values[:, keep])
        values = self._values[:, :1].copy()
        values[self._inputs.index("attention_mask")] = 0
        return Row(1, values)

    def _overwritten(self, name: str, where: NDArray[np.bool_], value: int) -> Row:
        values = self._values.copy()
        values[self._inputs.index(name), where] = value
        return Row(values.shape[1], values)


class DeletionGame(_TextGame):
    """Players are cut out of the strings, and what is left is tokenised again."""

    def __init__(self, encoded: EncodedText, kind: str, rows_of: RowsOf) -> None:
        """``rows_of`` makes model rows of texts or pairs."""
        players: list[TextPlayer] = []
        for number, text in enumerate(encoded.texts):
            players += _text_players(text, _all_places(encoded, number, kind), in_pair=number == 1)
        super().__init__(encoded.texts, players, kind)
        self._rows_of = rows_of
        self._cut = [_pieces(text, players, in_pair=bool(number)) for number, text in enumerate(encoded.texts)]

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        return self._rows_of(
            [["".join(compress(pieces, keep[owner].tolist())) for pieces, owner in self._cut] for keep in present]
        )


def _all_places(encoded: EncodedText, number: int, kind: str) -> list[Places]:
    """Of one of the texts, players to its end: what the model does not read now, it reads with less before it."""
    text = encoded.texts[number]
    return players_of(text, kind, encoded.all_spans(number), read=len(text), deleted=True)[0]


# Words of a text and of its reference: they are aligned in 50 ms, with 8 MB.
_MOST_ALIGNED = 2048


class ReferenceGame(_TextGame):
    """Players are the words in which the texts differ from those of a reference, which an absent player's place shows.

    What is put together is tokenised again. v(∅) is the model's answer to the reference as it is, to the last space.
    """

    def __init__(self, encoded: EncodedText, reference: EncodedText, kind: str, rows_of: RowsOf) -> None:
        """Of a text and a reference, or of two pairs; ``rows_of`` makes model rows of texts or pairs.

        Raises:
            InvalidRequest: they are equal, or one has too many words to be aligned.
        """
        self._rows_of = rows_of
        self._pieces: list[tuple[list[Piece], NDArray[np.int64]]] = []
        players: list[TextPlayer] = []
        for number, text in enumerate(encoded.texts):
            words, other = _words(encoded, number, kind), reference.texts[number]
            pieces = aligned(text, words, other, _words(reference, number, kind))
            differing = np.flatnonzero([piece.differs for piece in pieces])
            owners = np.full(len(pieces), NO_PLAYER)
            owners[differing] = len(players) + np.arange(len(differing))
            self._pieces.append((pieces, owners))
            players += [
                TextPlayer(text[slice(*words[place])], (words[place],), number == 1, pieces[place].other.strip())
                for place in differing.tolist()
            ]
        if not players:
            problem = "is what is explained, so there is nothing to set against it; give another text"
            raise InvalidRequest([Violation(f"{BASELINE_PATH}.text", problem)])
        super().__init__(encoded.texts, players, kind)

    def _phrase(self, first: int, last: int) -> TextPlayer:
        """With all that the reference has in its place."""
        phrase = super()._phrase(first, last)
        return replace(phrase, instead=self._instead(first, last, in_pair=phrase.in_pair))

    def _instead(self, first: int, last: int, *, in_pair: bool) -> str:
        pieces, owners = self._pieces[in_pair]
        start, end = (int(np.flatnonzero(owners == player)[0]) for player in (first, last))
        return "".join(piece.other for piece in pieces[start : end + 1]).strip()

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        return self._rows_of([[_mixed(pieces, keep[owners]) for pieces, owners in self._pieces] for keep in present])


def _mixed(pieces: Sequence[Piece], own: NDArray[np.bool_]) -> str:
    """A text with the pieces of its own where it says so, and the reference's elsewhere."""
    return "".join(piece.text if is_own else piece.other for piece, is_own in zip(pieces, own.tolist(), strict=True))


def _words(encoded: EncodedText, number: int, kind: str) -> list[Span]:
    """The words of a text that is to be aligned; a text without any is one."""
    words = [places[0] for places in _all_places(encoded, number, kind)] or [(0, len(encoded.texts[number]))]
    if len(words) > _MOST_ALIGNED:
        problem = (
            f"cannot be set against the input: one of them has {len(words):,} {kind}; at most {_MOST_ALIGNED:,} of "
            "each are aligned, so give a shorter one"
        )
        raise InvalidRequest([Violation(f"{BASELINE_PATH}.text", problem)])
    return words


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
