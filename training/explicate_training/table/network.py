"""The network for tables: numbers and category codes in, logits or a value out, everything between inside.

Imputing, missing indicators, scaling, embeddings and the target's unit are layers of the network, so that what is
exported cannot drift from what was trained. It imports torch only.

A number column enters as a smoothly clipped scaled value and as a piecewise linear encoding between quantiles of the
training data (Gorishniy, Rubachev, Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning"); the
encoding's weights begin at zero, so a column acts linearly until the data says otherwise. A date enters as several
numbers (`date_parts`), any other column as an embedding of its codes. Then a few residual networks ("members") with
weights of their own read the same embeddings, each beside a linear path; the answer is the mean of theirs, which is
worth more on small tables than one wide network (compare Gorishniy, Kotelnikov, Babenko 2024, "TabM"). Rows never meet:
no batch norm.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self  # Any: JSON values

import torch
from torch import Tensor, nn

from explicate_bundle.columns import FIRST_CATEGORY_CODE, MISSING_CODE, UNKNOWN_CODE
from explicate_training.table.date_parts import DatePlaces

_LARGEST_NUMBER = 1e30  # beyond it float32 arithmetic would overflow
_CLIP = 3.0  # scaled values beyond it are bent towards it; RealMLP's constant (Holzmüller and others 2024)


@dataclass(frozen=True)
class TabularNetworkConfig:
    """The shape of a network."""

    number_columns: int  # and date columns
    category_counts: tuple[int, ...]  # of each other column, without unknown and missing
    outputs: int  # classes, or 1 for regression
    bins: int = 16  # of the piecewise linear encoding
    embedding_size: int = 8  # numbers that stand for one column
    width: int = 96
    blocks: int = 2
    members: int = 4
    dropout: float = 0.1
    date_columns: tuple[int, ...] = ()  # places among the number columns
    timed_columns: tuple[int, ...] = ()  # those of them that have times of the day

    @property
    def dates(self) -> DatePlaces:
        """The dates among the number columns."""
        return DatePlaces(self.date_columns, self.timed_columns)

    @property
    def number_features(self) -> int:
        """Numbers that the network reads: the number columns and the parts of the dates."""
        return self.number_columns + self.dates.added


class TableNetwork(nn.Module, ABC):
    """Rows of a table to outputs, float32 [batch, outputs]: logits, or one value in the target's own unit.

    Inputs: `numbers` float32 [batch, number and date columns], NaN where missing, dates as days since 1970-01-01;
    `codes` int64 [batch, other columns], 0 for a category that is not known, 1 for missing, 2 + k for the k-th one. An
    input without columns is not read. What a column is inside, its embedding, is made here.
    """

    architecture: ClassVar[str]
    """Its name in config.json."""

    def __init__(self, config: TabularNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.numbers = self._number_embedding() if config.number_columns else None
        self.codes = _CodeEmbedding(config) if config.category_counts else None
        self.register_buffer("target_offset", torch.zeros(config.outputs))
        self.register_buffer("target_scale", torch.ones(config.outputs))

    def _number_embedding(self) -> "NumberEmbedding":
        return NumberEmbedding(self.config)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Answers rows: float32 [batch, outputs]."""
        answers = self.member_outputs(numbers, codes).mean(dim=0)
        return answers * self.get_buffer("target_scale") + self.get_buffer("target_offset")

    @abstractmethod
    def member_outputs(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """What each member answers, float32 [members, batch, outputs]; for regression in standard units of the target.

        Training fits each member on its own.
        """

    @abstractmethod
    def first_layers(self) -> Tensor:
        """What reads the embedding of each feature, float32 [features, weights]; 0 for one that is not read."""

    @abstractmethod
    def stop_reading(self, features: Sequence[int]) -> None:
        """Sets what reads these features to 0."""

    def embedded(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """What stands for each feature, float32 [batch, features, embedding_size]: numbers, parts of dates, codes."""
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(self.config.dates.expanded(numbers)))
        if self.codes is not None:
            parts.append(self.codes(codes))
        return torch.cat(parts, dim=1)

    def set_number_statistics(self, centres: Tensor, scales: Tensor, edges: Tensor) -> None:
        """Sets what the training data says of the numbers that the network reads, dates expanded (`DatePlaces`).

        `centres` float [numbers] replaces missing values, `scales` float [numbers] > 0 is their spread, `edges`
        float [numbers, bins + 1] bounds the bins, rising; where two are equal the bin is unused.
        """
        if self.numbers is not None:
            self.numbers.set_statistics(centres, scales, edges)

    def set_target_statistics(self, offset: float, scale: float) -> None:
        """Sets the unit of a regression's answers: value = offset + scale * what the members answer."""
        self.get_buffer("target_offset").fill_(offset)
        self.get_buffer("target_scale").fill_(scale)

    def target_statistics(self) -> tuple[float, float]:
        """(offset, scale) as float32 has them."""
        return self.get_buffer("target_offset")[0].item(), self.get_buffer("target_scale")[0].item()

    def divide_outputs(self, by: float) -> None:
        """Divides all outputs, and what columns add to them, by a number."""
        for name in ("target_offset", "target_scale"):
            self.get_buffer(name).div_(by)

    def settings(self) -> dict[str, Any]:
        """Its config as JSON values."""
        return asdict(self.config)

    @classmethod
    def of_settings(cls, values: dict[str, Any]) -> Self:
        """An untrained network of what `settings` gave."""
        return cls(config_of(values))


def config_of(values: dict[str, Any]) -> TabularNetworkConfig:
    """A config of JSON values."""
    lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return TabularNetworkConfig(**{**values, **lists})


class TabularNetwork(TableNetwork):
    """The network whose columns all meet, as the module says."""

    architecture = "tabular-network"

    def __init__(self, config: TabularNetworkConfig) -> None:
        super().__init__(config)
        size = (config.number_features + len(config.category_counts)) * config.embedding_size
        self.dropout = nn.Dropout(config.dropout)
        self.first = _MemberLinear(config.members, size, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.last_norm = nn.LayerNorm(config.width)
        self.last = _MemberLinear(config.members, config.width, config.outputs, zero=True)
        self.linear_path = nn.Linear(size, config.outputs)

    def member_outputs(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """See TableNetwork."""
        row = self.embedded(numbers, codes).flatten(1)  # [batch, columns * embedding_size]
        hidden = self.first(self.dropout(row).unsqueeze(0))  # [members, batch, width]
        for block in self.blocks:
            hidden = block(hidden)
        answers: Tensor = self.last(nn.functional.silu(self.last_norm(hidden))) + self.linear_path(row)
        return answers

    def first_layers(self) -> Tensor:
        """See TableNetwork."""
        size = self.config.embedding_size
        first = (
            self.first.weight.reshape(self.config.members, -1, size, self.config.width).movedim(1, 0).flatten(1)
        )  # [features, members * size * width]
        path = self.linear_path.weight.reshape(self.config.outputs, -1, size).movedim(1, 0).flatten(1)
        return torch.cat((first, path), dim=1)

    @torch.no_grad()
    def stop_reading(self, features: Sequence[int]) -> None:
        """See TableNetwork."""
        size = self.config.embedding_size
        for feature in features:
            self.first.weight[:, feature * size : (feature + 1) * size] = 0
            self.linear_path.weight[:, feature * size : (feature + 1) * size] = 0


class NumberEmbedding(nn.Module):
    """Numbers [batch, columns] to embeddings [batch, columns, embedding_size]."""

    def __init__(self, config: TabularNetworkConfig) -> None:
        super().__init__()
        columns, size = config.number_features, config.embedding_size
        self.register_buffer("centres", torch.zeros(columns))
        self.register_buffer("inverse_scales", torch.ones(columns))
        self.register_buffer("bin_starts", torch.zeros(columns, config.bins))
        self.register_buffer("inverse_bin_widths", torch.zeros(columns, config.bins))
        self.value_weight = nn.Parameter(torch.empty(columns, size).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.zeros(columns, size))
        self.bin_weight = nn.Parameter(torch.zeros(columns, config.bins, size))
        # Zero, and so plain imputing, for a column whose training data lacks nothing.
        self.missing_weight = nn.Parameter(torch.zeros(columns, size))

    def set_statistics(self, centres: Tensor, scales: Tensor, edges: Tensor) -> None:
        widths = edges.diff(dim=1)
        used = widths > 0
        self.get_buffer("centres").copy_(centres)
        self.get_buffer("inverse_scales").copy_(1 / scales)
        self.get_buffer("bin_starts").copy_(edges[:, :-1])
        self.get_buffer("inverse_bin_widths").copy_(torch.where(used, 1 / widths.where(used, torch.ones(())), 0))

    def weights(self) -> tuple[Tensor, Tensor]:
        """Of the value [columns, size], and of its bins [columns, bins, size]."""
        return self.value_weight, self.bin_weight

    def forward(self, numbers: Tensor) -> Tensor:
        missing = torch.isnan(numbers)
        centres = self.get_buffer("centres")
        known = torch.where(missing, centres, numbers).clamp(-_LARGEST_NUMBER, _LARGEST_NUMBER)
        scaled = (known - centres) * self.get_buffer("inverse_scales")
        value = _CLIP * torch.tanh(scaled / _CLIP)
        value_weight, bin_weight = self.weights()
        bins = ((known.unsqueeze(2) - self.get_buffer("bin_starts")) * self.get_buffer("inverse_bin_widths")).clamp(
            0, 1
        )
        of_bins = torch.matmul(bins.transpose(0, 1), bin_weight).transpose(0, 1)  # column by column
        return (
            value.unsqueeze(2) * value_weight
            + self.bias
            + of_bins
            + missing.to(value.dtype).unsqueeze(2) * self.missing_weight
        )


class _CodeEmbedding(nn.Module):
    """Codes [batch, columns] to embeddings [batch, columns, embedding_size]; one table holds all columns' rows."""

    def __init__(self, config: TabularNetworkConfig) -> None:
        super().__init__()
        rows = [count + FIRST_CATEGORY_CODE for count in config.category_counts]
        starts = torch.tensor([0, *rows[:-1]]).cumsum(0)
        self.register_buffer("starts", starts)
        self.table = nn.Embedding(sum(rows), config.embedding_size)
        nn.init.uniform_(self.table.weight, -1, 1)
        with torch.no_grad():  # what the training data never shows says nothing
            self.table.weight[starts + UNKNOWN_CODE] = 0
            self.table.weight[starts + MISSING_CODE] = 0

    def forward(self, codes: Tensor) -> Tensor:
        embedded: Tensor = self.table(codes + self.get_buffer("starts"))
        return embedded


class _Block(nn.Module):
    """x + f(norm(x)), the residual block of each member."""

    def __init__(self, config: TabularNetworkConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.widen = _MemberLinear(config.members, config.width, config.width)
        self.narrow = _MemberLinear(config.members, config.width, config.width, zero=True)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.dropout(nn.functional.silu(self.widen(self.norm(hidden))))
        answer: Tensor = hidden + self.narrow(inner)
        return answer


class _MemberLinear(nn.Module):
    """A linear layer with weights of its own for each member.

    [members or 1, batch, inputs] -> [members, batch, outputs].
    """

    def __init__(self, members: int, inputs: int, outputs: int, *, zero: bool = False) -> None:
        super().__init__()
        bound = 0.0 if zero else math.sqrt(3 / max(1, inputs))  # keeps the variance of unit inputs
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.matmul(hidden, self.weight) + self.bias
