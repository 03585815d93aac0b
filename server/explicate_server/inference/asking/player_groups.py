"""Groups of parts of an input that are one player, and parts that are always present: checked, and then played.

What a request says is checked before anything is done; whether its parts are in the input shows once that is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from explicate.options import PixelBox, PixelPolygon, TextRange
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.reduction import Reduction
from explicate_server.modalities.grouped_game import GroupedGame
from explicate_server.modalities.modality import (
    ColumnPlayer,
    Game,
    GroupPlayer,
    Modality,
    Player,
    TextPlayer,
    Usage,
)
from explicate_server.modalities.parts import KINDS, Named, Part, PartProblem, RegionProblem

MOST_GROUPS = 64
"""They stay by themselves where others are joined, so that an answer may have twice as many players and one more."""
MOST_PARTS = 256
"""Of all groups and the fixed ones together: each is sought in the input."""
_MOST_NAME = 100
_POINTS = (3, 512)
GROUPS, FIXED = "options.groups", "options.fixed"
"""Where they are in a request."""


@dataclass(frozen=True)
class PlayerGroup:
    """Parts of an input that are one player, and its name."""

    name: str
    parts: tuple[Part, ...]

    @property
    def path(self) -> str:
        """Where it is in a request."""
        return f"{GROUPS}[{self.name}]"


def players_document(
    groups: Sequence[PlayerGroup], fixed: Sequence[Part], players: Sequence[Player], held: Sequence[Player]
) -> dict[str, Any]:
    """Groups and fixed parts as a log has them, in the JSON of clients: words of a text by their places, as a log may
    hold no inputs. ``players`` and ``held`` are the answer's features and fixed ones.
    """
    told = {player.name: _ranges(player.members) for player in players if isinstance(player, GroupPlayer)}
    return {
        "groups": {group.name: told.get(group.name) or _documents(group.parts) for group in groups},
        "fixed": _ranges(held) or _documents(fixed),
    }


def _documents(parts: Sequence[Part]) -> list[Any]:
    return [part.name if isinstance(part, Named) else asdict(part) for part in parts]


def _ranges(players: Sequence[Player]) -> list[Any]:
    """The places of words; none of other players."""
    words = [player for player in players if isinstance(player, TextPlayer)]
    return [asdict(TextRange(start, end, word.in_pair)) for word in words for start, end in word.spans]


def player_violations(groups: Sequence[PlayerGroup], fixed: Sequence[Part], *, drawn: bool) -> list[Violation]:
    """What is wrong with groups and fixed parts, whatever the input is; ``drawn``: of a method that draws its rows."""
    if drawn:
        asked = [path for path, given in ((GROUPS, groups), (FIXED, fixed)) if given]
        problem = "has no effect: lime draws a value for each column of a table by itself; take another method"
        return [Violation(path, problem) for path in asked]
    parts = sum(len(group.parts) for group in groups) + len(fixed)
    if len(groups) > MOST_GROUPS:
        return [Violation(GROUPS, f"has {len(groups):,} groups; at most {MOST_GROUPS} are possible")]
    if parts > MOST_PARTS:
        path = GROUPS if len(fixed) <= MOST_PARTS // 2 else FIXED
        return [Violation(path, f"are {parts:,} parts, with the fixed ones; at most {MOST_PARTS} are possible")]
    return [*_group_violations(groups), *_part_violations(fixed, FIXED)]


def _group_violations(groups: Sequence[PlayerGroup]) -> Iterator[Violation]:
    seen: set[str] = set()
    for place, group in enumerate(groups):
        if not group.name.strip() or len(group.name) > _MOST_NAME or not group.name.isprintable():
            problem = f"must be 1 to {_MOST_NAME} printable characters, not only spaces"
            yield Violation(f"{GROUPS}[{place}].name", problem)
        elif group.name in seen:
            yield Violation(group.path, "comes twice; give each group a name of its own")
        elif not group.parts:
            yield Violation(f"{group.path}.parts", "is empty; name at least one part of the input")
        else:
            yield from _part_violations(group.parts, f"{group.path}.parts")
        seen.add(group.name)


def _part_violations(parts: Sequence[Part], path: str) -> Iterator[Violation]:
    for index, part in enumerate(parts):
        problem = "comes twice" if part in parts[:index] else _problem(part)
        if problem:
            yield Violation(f"{path}[{index}]", problem)


def _problem(part: Part) -> str | None:
    match part:
        case Named(name) if not name.strip():
            return "is empty; name a column, or words of the text"
        case TextRange(start, end) if not 0 <= start < end:
            return f"is from {start} to {end}; it must begin at 0 or later, and end after that"
        case PixelBox(left, top, right, bottom) if not (
            all(map(isfinite, (left, top, right, bottom))) and left < right and top < bottom
        ):
            return (
                f"is the box {left:g}, {top:g}, {right:g}, {bottom:g}; left must be below right, and top below bottom"
            )
        case PixelPolygon(points) if not _POINTS[0] <= len(points) <= _POINTS[1]:
            return f"has {len(points):,} points; a polygon has {_POINTS[0]} to {_POINTS[1]}"
        case PixelPolygon(points) if not all(isfinite(each) for point in points for each in point):
            return "has a point that is not a finite number"
    return None


def grouped(
    game: Game, groups: Sequence[PlayerGroup], fixed: Sequence[Part], *, modality: Modality, usage: Usage
) -> Game:
    """The game with groups of players, and fixed ones; the game itself where none was asked for.

    Raises:
        InvalidRequest: a part is not in the input or in two places, or no player is left.
    """
    if not groups and not fixed:
        return game
    owners = [_Owner(group.name, f"{group.path}.parts", group.parts) for group in groups]
    owners.append(_Owner(None, FIXED, fixed))
    if wrong := [violation for owner in owners for violation in owner.of_other_kinds(modality)]:
        raise InvalidRequest(wrong)
    try:
        game = game.with_regions([owner.parts for owner in owners], usage)
    except RegionProblem as problem:
        place, index = problem.at
        raise InvalidRequest([owners[place].violation(index, str(problem))]) from None
    members = _members(game, owners)
    free = set(range(len(game.players))).difference(*members)
    if not free and not groups:
        raise InvalidRequest([Violation(FIXED, "holds every part of the input; leave at least one free")])
    columns = {player.name for player in map(game.players.__getitem__, free) if isinstance(player, ColumnPlayer)}
    if taken := [group for group in groups if group.name in columns]:
        raise InvalidRequest([Violation(taken[0].path, "is the name of a column outside of the group; take another")])
    reduction = Reduction.of(len(game.players), groups=members[:-1], fixed=members[-1])
    names = {int(reduction.owner[min(its)]): group.name for group, its in zip(groups, members[:-1], strict=True)}
    return GroupedGame(game, reduction, names)


@dataclass(frozen=True)
class _Owner:
    """A group, or, without a name, what is fixed."""

    name: str | None
    path: str
    parts: Sequence[Part]

    def violation(self, index: int, problem: str) -> Violation:
        """Of one of its parts."""
        return Violation(f"{self.path}[{index}]", problem)

    def of_other_kinds(self, modality: Modality) -> list[Violation]:
        """The parts that inputs of a modality do not have."""
        kinds = " or ".join(KINDS[kind] for kind in modality.parts)
        return [
            self.violation(index, f"is {KINDS[type(part)]}; a part of this model's inputs is told by {kinds}")
            for index, part in enumerate(self.parts)
            if not isinstance(part, modality.parts)
        ]


def _members(game: Game, owners: Sequence[_Owner]) -> list[set[int]]:
    """The players that the parts of each owner cover, whole."""
    owner_of: dict[int, _Owner] = {}
    members: list[set[int]] = []
    violations: list[Violation] = []
    for owner in owners:
        places: dict[int, set[int]] = {}
        parts: dict[int, int] = {}  # the first part that covers some of a player
        for index, part in enumerate(owner.parts):
            try:
                for player, place in game.places(part):
                    places.setdefault(player, set()).add(place)
                    parts.setdefault(player, index)
            except PartProblem as error:
                violations.append(owner.violation(index, str(error)))
        for player, index in parts.items():
            first, told = owner_of.setdefault(player, owner), game.players[player]
            if first is not owner:
                problem = f"covers {told.label}, as the group {first.name!r} does; a part is in one group, or fixed"
                violations.append(owner.violation(index, problem))
            elif len(places[player]) < told.places:
                problem = (
                    f"covers {len(places[player])} of the {told.places} places of {told.label}, which is one player"
                )
                violations.append(owner.violation(index, f"{problem}: name all of it"))
        members.append(set(parts))
    if violations:
        raise InvalidRequest(violations)
    return members
