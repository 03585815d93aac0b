"""What one step found, kept in a file from the first figure on: one that is killed loses nothing but its last part."""

import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # figures of several types

DONE = "done"
BEGUN = "took too long, or ended the process"


class Missed(Exception):
    """Something is not as it must be; the message says what was found and what is allowed."""


def require(holds: bool, sentence: str) -> None:
    """Raise Missed unless something holds."""
    if not holds:
        raise Missed(sentence)


@dataclass
class Findings:
    """Figures of a step by name, and what became of its parts.

    Attributes:
        path: the file.
        figures: numbers, words, or lists of numbers.
        parts: DONE, or why not, by name; BEGUN of one that has not ended.
        seconds: of each part.
    """

    path: Path
    figures: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "Findings":
        """What the file has, or nothing yet."""
        if not path.exists():
            return cls(path)
        return cls(path, **json.loads(path.read_text(encoding="utf-8")))

    @property
    def failures(self) -> dict[str, str]:
        """Why parts were not done."""
        return {name: what for name, what in self.parts.items() if what != DONE}

    def add(self, name: str, value: Any) -> None:
        """Keep a figure and print it."""
        self.figures[name] = value
        print(f"  {name:<72} {f'{value:.4g}' if isinstance(value, float) else value}", flush=True)
        self.save()

    def part(self, name: str, work: Callable[[], object]) -> bool:
        """Do a part unless it was begun before; whether it is done. A failure is kept, with its trace on stderr."""
        if name not in self.parts:
            with self._kept(name):
                work()
        return self.parts[name] == DONE

    async def awaited(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """As :meth:`part`, for work on the event loop."""
        if name not in self.parts:
            with self._kept(name):
                await work()
        return self.parts[name] == DONE

    def note(self, name: str, error: Exception | None) -> None:
        """What became of something that is no part by itself, such as what surrounds others."""
        self.parts[name] = DONE if error is None else _told(error)
        if error is not None:
            print(f"  FAILED {name}: {self.parts[name]}", flush=True)
        self.save()

    @contextmanager
    def _kept(self, name: str) -> Iterator[None]:
        self.parts[name] = BEGUN
        self.save()
        begun_s, failure = time.monotonic(), None
        try:
            yield
        except Exception as error:
            failure = error
            traceback.print_exc(file=sys.stderr)
        self.seconds[name] = round(time.monotonic() - begun_s, 1)
        self.note(name, failure)

    def again(self) -> None:
        """Forget the parts that failed, so that they are done once more."""
        self.parts = {name: what for name, what in self.parts.items() if what == DONE}
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        kept = {"figures": self.figures, "parts": self.parts, "seconds": self.seconds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(self.path)


def _told(error: Exception) -> str:
    words = " ".join(str(error).split())[:500]
    return words if isinstance(error, Missed) else f"{type(error).__name__}: {words}"
