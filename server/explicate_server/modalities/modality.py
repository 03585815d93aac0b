"""What the rest of the server knows of an input: rows for the model, and a game to explain."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, Protocol, Self, TypeAlias, runtime_checkable  # Any: float32 or float64

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.model_inputs import CellValue, ModelInput
from explicate_server.errors import Violation
from explicate_server.explain.added_game import Contributions
from explicate_server.explain.game import Asked
from explicate_server.explain.trees.tree_game import TreeFeatures
from explicate_server.modalities.parts import Part, PartProblem, Place
from explicate_server.modalities.rows.cell_changes import CellAlternatives
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Row
from explicate_server.settings import Settings


@dataclass(frozen=True)
class TextPlayer:
    """A part of a text that can be present or absent: a word, a phrase, or all the places of one distinct word.

    ``in_pair`` says whether it is in the second text of a pair, ``instead`` what a reference text has in its place.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    in_pair: bool = False
    instead: str | None = None

    @property
    def places(self) -> int:
        """How many places it has."""
        return len(self.spans)

    @property
    def label(self) -> str:
        """What complaints call it."""
        return repr(self.text)


@dataclass(frozen=True)
class ColumnPlayer:
    """A column of a table, or several under one name, with the values that can be present or absent."""

    name: str
    columns: tuple[tuple[str, CellValue], ...]

    @property
    def places(self) -> int:
        """How many columns it has."""
        return len(self.columns)

    @property
    def label(self) -> str:
        """What complaints call it."""
        return repr(self.name)


@dataclass(frozen=True)
class SegmentPlayer:
    """A segment of an image: its number on the segment map, how many pixels it has, and the box around them.

    ``box`` is the first column and row, and one past the last column and row.
    """

    id: int
    pixels: int
    box: tuple[int, int, int, int]
    places: ClassVar[int] = 1

    @property
    def label(self) -> str:
        """What complaints call it."""
        return f"segment {self.id}"


@dataclass(frozen=True)
class GroupPlayer:
    """Parts that were asked for as one player, under its name."""

    name: str
    members: "tuple[Player, ...]"
    places: ClassVar[int] = 1

    @property
    def label(self) -> str:
        """What complaints call it."""
        return repr(self.name)


Player = TextPlayer | ColumnPlayer | SegmentPlayer | GroupPlayer


@dataclass(frozen=True)
class TextUsage:
    """How much of a text, or a pair, the model saw: tokens, and the start of each text up to where it was cut."""

    tokens: int
    tokens_used: int
    seen: tuple[str, ...] = field(repr=False)

    @property
    def characters_used(self) -> int:
        """Code points of the text that were seen."""
        return len(self.seen[0])

    @property
    def pair_characters_used(self) -> int | None:
        """The same of the second text; None without one."""
        return len(self.seen[1]) if len(self.seen) == 2 else None

    @property
    def truncated(self) -> bool:
        """Whether the text's end was not seen."""
        return self.tokens_used < self.tokens


@dataclass(frozen=True)
class ImageUsage:
    """What the model saw of an image: the upright image's width and height, the box of it, pictures in the file."""

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    frames: int


Usage: TypeAlias = TextUsage | ImageUsage | None


class Game(Protocol):
    """An input with its players: what the model is asked when some of them are absent."""

    players: Sequence[Player]
    """In reading order."""

    weights: NDArray[np.float64] = np.ones(1)
    """float64[b], which sum to 1: a coalition is b rows of the model, and its value their weighted mean."""

    breaks: NDArray[np.intp] | None = None
    """intp[players − 1], how much parts a player from the next, see GameInfo; None without neighbours."""

    segment_map: NDArray[np.intp] | None = None
    """intp[height, width], the player that each pixel of an image belongs to; None for other inputs."""

    unread: Sequence[Player] = ()
    """Parts of the input that the model does not read, though they may be asked about: their attribution is 0."""

    unspaced_scripts: Sequence[str] = ()
    """Scripts without spaces between words, whose words are the model's tokens; by their names in Unicode."""

    fixed: Sequence[Player] = ()
    """What is present in every coalition, because it was asked for."""

    regions: bytes = b""
    """What tells its players from those that `Modality.players_of` names: where regions are; empty without any."""

    def joined(self, players: Sequence[int]) -> Player:
        """Some of its players as one, in ascending order."""

    def listed(self, players: Sequence[int]) -> Sequence[Player]:
        """Some of its players for people to read: where those next to each other read better as one, they are one."""
        return [self.players[player] for player in players]

    def grouped(self, groups: NDArray[np.intp]) -> Sequence[Player]:
        """The groups of neighbours as players; ``groups`` intp[players] says which one each player belongs to."""
        starts = np.flatnonzero(np.diff(groups, prepend=-1)).tolist()
        return [self.joined(range(*bounds)) for bounds in pairwise([*starts, len(groups)])]

    def grouped_map(self, groups: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """The segment map of `grouped`."""
        return None if self.segment_map is None else groups[self.segment_map]

    def places(self, part: Part) -> Iterable[Place]:  # noqa: ARG002 - of a game that has no parts
        """What a part covers of its players; raises PartProblem where that is nothing, or not clear."""
        raise PartProblem("is no part of this input")

    def with_regions(self, owners: Sequence[Sequence[Part]], usage: "Usage") -> "Game":  # noqa: ARG002 - most have none
        """The game whose players are also the regions among the parts of each owner; `places` knows them then.

        Raises:
            RegionProblem: a part covers nothing, or what a region of another owner covers.
        """
        return self

    def played(self, coalitions: Asked) -> Asked:
        """Coalitions of its players as those that `rows` takes, and by which values are kept."""
        return coalitions

    def rows(self, coalitions: Asked) -> list[Row]:
        """A row of count b for each coalition of bool[m, players] that was `played`, True = present, or for each number
        intp[m].
        """


@runtime_checkable
class DrawsRows(Protocol):
    """What a game does more whose rows are drawn once, before any is asked for by its number."""

    def draw(self, *, rows: int, seed: int) -> NDArray[np.bool_]:
        """Draw rows; which players of each are present, bool[rows, players], the first the input itself."""


@runtime_checkable
class Guesses(Protocol):
    """What a game does more whose bundle may have a preview explainer."""

    guesses: bool  # it has one, which knows such players

    def guessed(self) -> NDArray[np.float64]:
        """What each player may add, float64[players, 2 · outputs], to the centred logits, then to the scores."""


Told = Contributions | TreeFeatures
"""What a model tells of inputs, so that their games need not be asked for coalitions."""


@runtime_checkable
class TellsItself(Protocol):
    """What a game does more whose model tells enough of itself."""

    def told(self) -> Told:
        """Of this input; takes as long as a row of the model."""


BASELINE_PATH = "options.baseline"
"""Of a request, what stands in for absent players."""


@dataclass(frozen=True)
class NamedRows:
    """A group of rows that a model has by name: how many, and the SHA-256 of their numbers and weights."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class BaselineChoices:
    """What may stand in for absent players besides another input of the model's kind.

    Attributes:
        masking: what absence is called then.
        groups: of rows, by name.
        colours: whether a colour may.
    """

    masking: str = "reference"
    groups: Mapping[str, NamedRows] = field(default_factory=dict)
    colours: bool = False


@dataclass(frozen=True)
class StandIn:
    """What stands in for absent players, ready for a game: another input, a named group of rows, or a colour."""

    encoded: "EncodedInput | None" = None
    name: str = ""
    colour: str = ""


@runtime_checkable
class GivesGradients(Protocol):
    """What a game does more whose model may have its gradient in the bundle."""

    gradient_rows: int
    """Rows of the gradient that are a short step of work; 0 where the bundle has none."""

    def gradients(
        self, points: NDArray[np.float64], explained: NDArray[np.float64], *, scores: bool, fixed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """What each player adds at some points of the way from the empty to the whole input.

        Args:
            points: float64[m], 1 is the whole input.
            explained: float64[m, outputs], which sum of the outputs is meant at each.
            scores: whether of the scores, not of the outputs themselves.
            fixed: bool[players], those that are there all the way.

        Returns:
            float64[m, players].
        """


class EncodedInput(Protocol):
    """One input, ready for the model."""

    @property
    def row(self) -> Row:
        """The model row of the whole input."""

    @property
    def usage(self) -> Usage:
        """How much of it the model sees; None if it always sees all of it."""

    @property
    def unknown_category_columns(self) -> Sequence[str]:
        """Columns whose category the model does not know, in the schema's order."""


class Modality(Protocol):
    """One kind of input, set up for one loaded bundle. Safe to use from several threads."""

    input_type: type[ModelInput]
    """What it reads."""

    field: str
    """The field of a request's input that holds it."""

    parts: tuple[type[Part], ...]
    """What parts of it can be named for groups and fixed players."""

    maskings: tuple[str, ...]
    """How absence can be expressed for this model, the default first."""

    granularities: tuple[str, ...]
    """What the players may be, the default first; empty where there is nothing to choose."""

    counted: tuple[str, ...] = ()
    """The granularities of which a caller may say how many players there are to be."""

    players_version: int = 0
    """The number of the rules that find the default players; 0 where they follow from the schema alone."""

    tells: Mapping[str, Collection[str] | None] = MappingProxyType({})
    """What its model tells of itself, by what methods need; and the scales that it is told on, None for all of them."""

    untold: Mapping[str, str] = MappingProxyType({})
    """Why its model does not tell what methods need, by the same names, where there is more to say than that."""

    near_copies: Mapping[str, Sequence[str]] = MappingProxyType({})
    """Of a column of a table, those of other players that go along with it in the background rows."""
    alternatives: CellAlternatives | None = None
    """What the columns of its rows may become; None of what is not a table."""
    typical: Mapping[str, CellValue] = MappingProxyType({})
    """A value of each column of a table to begin with."""
    baselines: BaselineChoices = BaselineChoices()
    """What a caller may have stand in for absent players."""

    max_length: int
    """Length of the longest row."""
    row_bytes: int
    """Memory that the longest row of an input takes while it waits."""

    @classmethod
    def open(cls, bundle: VerifiedBundle, settings: Settings) -> Self:
        """Set up for a bundle.

        Raises:
            BundleError: a file that it needs is not in its format.
        """

    @classmethod
    def bytes_beside(cls, bundle: VerifiedBundle) -> int:  # noqa: ARG003 - most take next to nothing
        """Memory that it takes beside the graph, by the manifest, as far as it is worth counting."""
        return 0

    def batch_tokens(self, runtime: Runtime) -> int:
        """What one short batch holds, as the sum of its rows' lengths."""

    def stretched(self, row: Row, length: int) -> Row:  # noqa: ARG002 - most rows have one length
        """A row of another length, at most ``max_length``, made of the row's own values."""
        return row

    def violations(self, value: ModelInput, path: str) -> list[Violation]:
        """What is wrong with an input of its type, which is at ``path`` of the request; empty if nothing is wrong."""

    def encode(self, value: ModelInput) -> EncodedInput:
        """Make an input ready; it passed :meth:`violations`."""

    def encode_all(self, values: Sequence[ModelInput]) -> Sequence[EncodedInput] | None:
        """Make many inputs of its type ready at once; None when one of them has violations."""

    def players_of(self, granularity: str | None, segments: int | None) -> str:
        """What a game's players are called: one of ``granularities`` and, where it is ``counted``, their number."""

    def game(
        self,
        value: ModelInput,
        encoded: EncodedInput,
        *,
        players: str,
        masking: str,
        stand_in: StandIn | None = None,
    ) -> Game:
        """The game of an input: ``players`` is what `players_of` calls them, or "distinct-words" of a text;
        ``masking`` is one of ``maskings``, or that of ``baselines`` with what stands in for absent players.

        Raises:
            InvalidRequest: what stands in does not go with the input.
        """

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Join rows to one batch of the graph's inputs."""
