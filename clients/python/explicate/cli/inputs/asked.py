"""One input that a command is asked about, and one kind of input: how it is given, read, shown and described."""

from __future__ import annotations

import argparse
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from explicate.errors import InvalidArgument, ServerError, invalid_argument
from explicate.inputs import Input
from explicate.reading.text_files import opened
from explicate.views import amounts, tables


def json_lines(name: str, example: str) -> Iterator[tuple[int, str, Mapping[str, Any] | InvalidArgument]]:
    """Each line that is not empty: its number from 1, itself, and its JSON object, or why it is not one.

    `example` is a line as it should be. Any: whatever JSON holds.
    """
    with opened(name) as file:
        for number, line in enumerate(file, start=1):
            given = line.removeprefix("\ufeff") if number == 1 else line  # stdin may begin with a mark
            if given.strip():
                yield number, given.rstrip("\r\n"), json_object(given, example)


def json_object(line: str, example: str) -> Mapping[str, Any] | InvalidArgument:
    """The JSON object of a line, or why it is not one."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter for many brackets within one another
        return invalid_argument("line", f"is not JSON: {error}")
    if not isinstance(given, dict):
        return invalid_argument("line", f"is not a JSON object such as {example}")
    return given


if TYPE_CHECKING:
    from explicate.model_info import ModelDescription, ServingLimits
    from explicate.results import ExplainResult


@dataclass(frozen=True)
class Asked:
    """One input, and its number among those given, from 1; for one in a file, its line.

    noun: what it is called. given: it by the names that JSON lines have for it. refusal: why it cannot be sent at all,
    such as a word where the column has numbers. file: the name of the file that it is.
    """

    number: int
    value: Input
    noun: str
    given: Mapping[str, object]
    refusal: InvalidArgument | None = None
    file: str = ""
    file_bytes: int = 0

    @property
    def place(self) -> str:
        """Which one it is, such as "text 3", with the name of its file."""
        return f"{self.noun} {self.number}{f' ({self.file})' if self.file else ''}"

    @property
    def cells(self) -> Mapping[str, object]:
        """What CSV has for it, by the names of the columns."""
        return self.value if isinstance(self.value, Mapping) else self.given

    def shortened(self, width: int) -> str:
        """It on one line of at most `width` characters; the end of a long path, which tells files apart."""
        if self.file and tables.display_width(self.file) > width:
            return f"…{tables.printable(self.file)[1 - width :]}"
        shown = (
            amounts.row(self.value) if isinstance(self.value, Mapping) else " | ".join(map(str, self.given.values()))
        )
        return tables.shortened(shown, width)


class InputKind(ABC):
    """A kind of input.

    plural: what a model of this kind is a model of. inputs: what it is asked about, in the helps. places: the arguments
    that give inputs of this kind alone. choices, json_lines: how to give them, by options and in JSON lines.
    players, absence, parts: what gets a number, how it is left out, and how a part of it is named.
    predict_examples, explain_examples: command lines.
    baselines: what `baseline` reads. needs_model: whether the description of the model is needed to read them.
    """

    plural: ClassVar[str]
    inputs: ClassVar[str]
    players: ClassVar[str] = ""
    absence: ClassVar[str]
    parts: ClassVar[str]
    predict_examples: ClassVar[tuple[str, ...]]
    explain_examples: ClassVar[tuple[str, ...]]
    places: ClassVar[tuple[str, ...]]
    choices: ClassVar[str]
    json_lines: ClassVar[str]
    baselines: ClassVar[str]
    needs_model: ClassVar[bool] = True

    @abstractmethod
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that give inputs of this kind."""

    def add_player_options(self, group: argparse._ArgumentGroup) -> None:  # noqa: B027 - most kinds have none
        """Add the options that say into how many players an input of this kind is cut."""

    def add_drawing_options(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027 - most kinds have none
        """Add the options that draw explanations of this kind to files."""

    def draw(self, arguments: argparse.Namespace, number: int, result: ExplainResult) -> None:  # noqa: B027
        """Draw the explanation of input `number`, if that was asked for."""

    def is_given(self, arguments: argparse.Namespace) -> bool:
        """Whether an option of this kind was used."""
        return any(getattr(arguments, name) for name in self.places)

    def check(self, arguments: argparse.Namespace) -> None:  # noqa: B027 - most kinds have nothing to check
        """Raise UsageError for options that do not go together, before anything is asked."""

    @abstractmethod
    def read(self, arguments: argparse.Namespace, model: ModelDescription | None) -> Iterator[Asked]:
        """The inputs, lazily, so that a file may be larger than memory; one that cannot be sent has its refusal.

        Raises UsageError for a file that cannot be read.
        """

    @abstractmethod
    def asked(self, number: int, value: Input | None, refusal: InvalidArgument | None) -> Asked:
        """One input of a file of columns; without a value it has its refusal."""

    @abstractmethod
    def baseline(self, written: str, model: ModelDescription | None) -> Input:
        """What --baseline says for inputs of this kind; raises UsageError for what cannot be read."""

    @abstractmethod
    def columns(self, model: ModelDescription) -> tuple[str, ...]:
        """The columns that CSV has for an input."""

    @abstractmethod
    def told(self, model: ModelDescription) -> list[tuple[str, str]]:
        """What the model reads, as lines of `explicate models show`: a heading and what it says."""

    def limits(self, limits: ServingLimits) -> list[tuple[str, str]]:  # noqa: ARG002
        """How large an input may be, as such lines."""
        return []


def report(asked: Asked, error: ServerError) -> None:
    """Say on stderr why one input does not have an answer."""
    print(f"explicate: {asked.place}: {why(error)}", file=sys.stderr)


def why(error: ServerError) -> str:
    """The cause, without the field path, which is of a request that the user has not seen."""
    return "; ".join(_with_part(path, description) for path, description in error.violations) or error.message


def _with_part(path: str, description: str) -> str:
    """The description with the column or text that the path names, unless it names it itself."""
    if path.endswith(".text_pair"):
        return f"the second text {description}"
    place = re.search(r"\.cells\[(.+)\]$", path)
    if place is None or description.startswith("column "):
        return description
    return f"column {place[1]}: {description}"
