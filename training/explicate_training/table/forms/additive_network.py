"""A network for tables that is a sum over terms: each reads one player's columns alone, or those of a pair of players.

    answers(x) = bias + Σ_t f_t(x),    f_t(x) = spread_t · (last_t · elu(first_t · e_t(x)) + path_t · e_t(x))

with e_t the embeddings of the term's columns, those of `TabularNetwork`, so that dates, missing values and unknown
categories are read alike; the means of a few such sums ("members") are the answer. Seen as one layer, all first layers
are block-diagonal, and so is all that follows: columns never meet but in a pair.

Monotone columns (after Sill, "Monotonic Networks", NIPS 1997): all weights on the column's path are at least 0, after
its embedding was turned over if the column lowers the answer; elu never falls. Bins of the piecewise linear encoding
with such weights make any rising function between the edges. Of classes, what rises is the logit of one less that of
each other one, m_k; `spread` makes logits of them that sum to 0. What a missing value adds is free.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self  # Any: JSON values

import torch
from torch import Tensor, nn

from explicate_training.table.network import NumberEmbedding, TableNetwork, TabularNetworkConfig, config_of

_START = 0.1  # weights that are at least 0 begin between 0 and this part of the others' bound
NO_CLASS = -1


@dataclass(frozen=True)
class MonotoneFeature:
    """A number column whose rise never lowers an output, or never raises it where `sign` is -1.

    `output` is the class whose probability that is; NO_CLASS: every output by itself.
    """

    feature: int
    sign: int
    output: int = NO_CLASS


@dataclass(frozen=True)
class AdditiveNetworkConfig:
    """The shape of a network.

    Attributes:
        columns: as of `TabularNetwork`; its `blocks` are not used.
        terms: places of the features that each term reads; the players first, in the order of explanations.
        players: how many of the terms are players; all of an additive network.
        monotone: what is promised. All of one term are of one output.
    """

    columns: TabularNetworkConfig
    terms: tuple[tuple[int, ...], ...]
    players: int
    monotone: tuple[MonotoneFeature, ...] = ()

    @property
    def additive(self) -> bool:
        """Whether no term is a pair."""
        return self.players == len(self.terms)


class AdditiveNetwork(TableNetwork):
    """The network that the module describes."""

    architecture = "additive-network"

    def __init__(self, config: AdditiveNetworkConfig) -> None:
        self.shape = config
        signs = {one.feature: one.sign for one in config.monotone}
        self._signs = [float(signs.get(place, 0)) for place in range(config.columns.number_features)]
        super().__init__(config.columns)
        columns, terms = config.columns, config.terms
        features, size = columns.number_features + len(columns.category_counts), columns.embedding_size
        longest = max(map(len, terms))
        places = [[*term, *[features] * (longest - len(term))] for term in terms]  # the last one is of nothing
        self.register_buffer("places", torch.tensor(places), persistent=False)
        monotone = torch.tensor([[place in signs for place in row] for row in places])  # [terms, longest]
        self.register_buffer("rising_inputs", monotone.repeat_interleave(size, dim=1)[:, :, None], persistent=False)
        self.register_buffer("rising", monotone.any(dim=1)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.stack([self._spread_of(term) for term in terms]), persistent=False)
        self.dropout = nn.Dropout(columns.dropout)
        inputs = torch.tensor([len(term) * size for term in terms])[:, None, None]
        wide = (columns.members, len(terms), longest * size)
        self.first = nn.Parameter(
            self._drawn((*wide, columns.width), (3 / inputs).sqrt(), self.get_buffer("rising_inputs"))
        )
        self.first_bias = nn.Parameter(torch.zeros(columns.members, len(terms), 1, columns.width))
        self.path = nn.Parameter(
            self._drawn((*wide, columns.outputs), (1 / inputs).sqrt(), self.get_buffer("rising_inputs"))
        )
        narrow = (columns.members, len(terms), columns.width, columns.outputs)
        still = torch.full((len(terms), 1, 1), 1 / math.sqrt(columns.width)) * self.get_buffer("rising")
        self.last = nn.Parameter(self._drawn(narrow, still, self.get_buffer("rising")))
        self.total = Bias(columns.outputs)

    def _number_embedding(self) -> NumberEmbedding:
        return _SignedEmbedding(self.config, self._signs)

    def _spread_of(self, term: Sequence[int]) -> Tensor:
        """What makes outputs of a term's numbers, float32 [outputs, outputs]."""
        count = self.config.outputs
        output = next((one.output for one in self.shape.monotone if one.feature in term), NO_CLASS)
        if output == NO_CLASS:
            return torch.eye(count)
        spread = torch.full((count, count), 1 / count) - torch.eye(count)
        spread[output] = 0
        return spread

    @staticmethod
    def _drawn(shape: Sequence[int], bounds: Tensor, rising: Tensor) -> Tensor:
        """Uniform weights within bounds, those that are to be at least 0 within a part of them."""
        drawn = torch.empty(tuple(shape)).uniform_(-1, 1) * bounds
        return torch.where(rising, _START * drawn.abs(), drawn)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Answers rows: float32 [batch, outputs]."""
        return self.with_contributions(numbers, codes)[0]

    def with_contributions(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The answers, and what each term adds to them, float32 [batch, terms, outputs]."""
        scale = self.get_buffer("target_scale")
        added = self._terms(numbers, codes).mean(dim=0).transpose(0, 1) * scale
        return added.sum(dim=1) + (self.total.bias * scale + self.get_buffer("target_offset")), added

    def member_outputs(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """See TableNetwork."""
        return self._terms(numbers, codes).sum(dim=1) + self.total.bias

    def first_layers(self) -> Tensor:
        """See TableNetwork."""
        members, terms, inputs, wide = (weights := torch.cat((self.first, self.path), dim=3)).shape
        size = self.config.embedding_size
        weights = weights.reshape(members, terms, inputs // size, size, wide)
        of_places = weights.movedim(0, 2).flatten(2)  # [terms, longest, weights]
        features = self.config.number_features + len(self.config.category_counts)
        squares = of_places.new_zeros(features + 1, of_places.shape[2])
        # Of a feature of several terms, all that reads it: as one vector its length is that of them all.
        read: Tensor = squares.index_add(0, self.get_buffer("places").flatten(), of_places.flatten(0, 1) ** 2)[:-1]
        return (read + 1e-24).sqrt()

    @torch.no_grad()
    def stop_reading(self, features: Sequence[int]) -> None:
        """See TableNetwork."""
        gone = torch.isin(self.get_buffer("places"), torch.tensor(list(features)))
        wide = gone.repeat_interleave(self.config.embedding_size, dim=1)[None, :, :, None]
        self.first.masked_fill_(wide, 0)
        self.path.masked_fill_(wide, 0)

    def settings(self) -> dict[str, Any]:
        """See TableNetwork."""
        return asdict(self.shape)

    @classmethod
    def of_settings(cls, values: dict[str, Any]) -> Self:
        """See TableNetwork."""
        terms = tuple(map(tuple, values["terms"]))
        monotone = tuple(MonotoneFeature(**one) for one in values["monotone"])
        return cls(AdditiveNetworkConfig(config_of(values["columns"]), terms, values["players"], monotone))

    def _terms(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """What each member's terms are, float32 [members, terms, batch, outputs]."""
        embedded = nn.functional.pad(self.embedded(numbers, codes), (0, 0, 0, 1))  # one feature of nothing behind
        read = embedded[:, self.get_buffer("places")].flatten(2).transpose(0, 1)  # [terms, batch, longest * size]
        rising = self.get_buffer("rising_inputs")
        first, path = torch.where(rising, self.first.abs(), self.first), torch.where(rising, self.path.abs(), self.path)
        last = torch.where(self.get_buffer("rising"), self.last.abs(), self.last)
        hidden = self.dropout(nn.functional.elu(torch.matmul(read, first) + self.first_bias))
        return torch.matmul(torch.matmul(hidden, last) + torch.matmul(read, path), self.get_buffer("spread"))


class Bias(nn.Module):
    """What is added to the outputs whatever the row is; a layer of its own, for offsets of rare classes to move."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.out_features = outputs
        self.bias = nn.Parameter(torch.zeros(outputs))


class _SignedEmbedding(NumberEmbedding):
    """Numbers whose embedding never falls as they rise where the sign is 1, and never rises where it is -1."""

    def __init__(self, config: TabularNetworkConfig, signs: Sequence[float]) -> None:
        super().__init__(config)
        self.register_buffer("signs", torch.tensor(list(signs)), persistent=False)
        with torch.no_grad():
            rising = self.get_buffer("signs") != 0
            # |w| does not leave 0, where the weights of bins begin.
            self.bin_weight[rising] = torch.empty_like(self.bin_weight[rising]).uniform_(0, _START)

    def weights(self) -> tuple[Tensor, Tensor]:
        """See NumberEmbedding."""
        signs = self.get_buffer("signs")[:, None]
        value = torch.where(signs != 0, signs * self.value_weight.abs(), self.value_weight)
        signs = signs[:, None]
        return value, torch.where(signs != 0, signs * self.bin_weight.abs(), self.bin_weight)
