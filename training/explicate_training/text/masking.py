"""Texts with some of their words absent, as a server shows them: their tokens leave the row, others keep places.

A server does the same (masking "attention"): it gives the logits of a masked attention with fewer tokens. Players are
found by the rules of the server, `explicate_bundle.players`.
"""

from collections.abc import Sequence
from typing import Any  # encodings of tokenizers

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate_bundle.players.text_players import NO_PLAYER, Places, players_of
from explicate_training.interpretability.players import Batch, Players
from explicate_training.text.model import TextModel

OWNERS = "players"
"""Of each token the player that it belongs to, int64 [rows, tokens]; NO_PLAYER for tokens that always stay."""
_TOGETHER = 4  # parts of like length that views are read in, of at least so many:
_FEWEST_TOGETHER = 8
_ENCODED_TOGETHER = 1000  # texts: their encodings take much more memory than what is kept of them


class TextPlayers(Players):
    """Words of texts, and of pairs; their tokens are dropped."""

    shorter = True
    extra = frozenset({OWNERS})

    def __init__(self, model: TextModel) -> None:
        self._padding_id = int(model.tokenizer.pad_token_id)
        self._first_position = model.first_position
        self._inputs = [name for name in model.tokenizer.model_input_names if name != "attention_mask"]

    def counts(self, batch: Batch) -> Tensor:
        return batch[OWNERS].amax(dim=1) + 1

    def shown(self, batch: Batch, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        """Rows of the tokens that are there, in their order, padded to the longest; OWNERS besides."""
        owners = batch[OWNERS][rows]
        kept = self._kept(batch, rows, present)
        longest = int(kept.sum(dim=1).max())
        places = (~kept).to(torch.int8).argsort(dim=1, stable=True)[:, :longest]
        there = kept.gather(1, places)
        inputs = {
            name: batch[name][rows].gather(1, places).masked_fill(~there, self._padding(name))
            for name in self._inputs
            if name in batch
        }
        return {
            **inputs,
            "attention_mask": there.long(),
            "position_ids": places + self._first_position,
            OWNERS: owners.gather(1, places).masked_fill(~there, NO_PLAYER),
        }

    def groups(self, batch: Batch, rows: Tensor, present: Tensor) -> list[Tensor]:
        """Views of like length, so that little is padded."""
        order = self._kept(batch, rows, present).sum(dim=1).argsort(stable=True)
        together = max(_FEWEST_TOGETHER, -(-len(order) // _TOGETHER))
        return [order[start : start + together] for start in range(0, len(order), together)]

    def _kept(self, batch: Batch, rows: Tensor, present: Tensor) -> Tensor:
        """Which tokens stay, bool [views, tokens]."""
        always = torch.ones((len(present), 1), dtype=torch.bool, device=present.device)
        of_player = torch.cat([present, always], dim=1)  # NO_PLAYER is the last one
        owners = batch[OWNERS][rows]
        here = of_player.gather(1, torch.where(owners == NO_PLAYER, present.shape[1], owners))
        return here & (batch["attention_mask"][rows] == 1)

    def _padding(self, name: str) -> int:
        return self._padding_id if name == "input_ids" else 0


def token_owners(model: TextModel, rows: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
    """The player of each token of the row that the model reads, int64 [tokens] each."""
    return [owners for _, owners in text_players(model, rows)]


def text_players(
    model: TextModel, rows: Sequence[Sequence[str]]
) -> list[tuple[list[tuple[int, Places]], NDArray[np.int64]]]:
    """Of each row its players, the text that each is of with its places there, and the player of each token."""
    found = []
    for start in range(0, len(rows), _ENCODED_TOGETHER):
        part = rows[start : start + _ENCODED_TOGETHER]
        columns = [list(column) for column in zip(*part, strict=True)]
        encodings = model.tokenizer(*columns, truncation=True, max_length=model.max_tokens).encodings
        found += [_of_row(model, texts, encoding) for texts, encoding in zip(part, encodings, strict=True)]
    return found


def _of_row(
    model: TextModel, texts: Sequence[str], encoding: Any
) -> tuple[list[tuple[int, Places]], NDArray[np.int64]]:
    of_text = np.array([-1 if text is None else text for text in encoding.sequence_ids])
    special = np.array(encoding.special_tokens_mask, dtype=bool)
    spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    read = _characters_read(model, texts, encoding, of_text, spans)
    found: list[tuple[int, Places]] = []
    owners = np.full(len(spans), NO_PLAYER, dtype=np.int64)
    for number, text in enumerate(texts):
        tokens = np.flatnonzero((of_text == number) & ~special)
        players, own = players_of(text, "words", spans[tokens], read=read[number], deleted=False)
        owners[tokens] = np.where(own == NO_PLAYER, NO_PLAYER, own + len(found))
        found += [(number, places) for places in players]
    return found, owners


def _characters_read(
    model: TextModel, texts: Sequence[str], encoding: Any, of_text: NDArray[Any], spans: NDArray[np.int64]
) -> list[int]:
    """How many characters of each text the model reads, from its start."""
    if len(encoding) < model.max_tokens:
        return [len(text) for text in texts]
    whole = model.tokenizer(*[[text] for text in texts]).encodings[0].sequence_ids
    return [
        len(text)
        if whole.count(number) == (of_text == number).sum()
        else int(spans[of_text == number, 1].max(initial=0))
        for number, text in enumerate(texts)
    ]
