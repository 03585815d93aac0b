"""Asking models for many inputs: how long it will take is said first, then a bar, and after a break it goes on.

Inputs go through a model in parts, whose make-up follows from the inputs alone. What a part was answered is kept (see
`partial_file`), so the answers after a break are those that there would have been without one, bit for bit.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any  # JSON values

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.evaluation import told_time
from explicate_standards.measuring import Progress
from explicate_standards.outcomes.outcomes import CHUNK, Floats, outputs_of
from explicate_standards.partial_file import PartialFile

_FIRST_PART = 1  # places of a partial file: the precision has 0, parts follow
_LEAST_TIMED, _TIMED_S = 8, 0.3
Part = Callable[[], Sequence[ModelInput]]
"""Makes some inputs when they are asked for: pictures of many rows at once do not fit in memory."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """Inputs for one model. `about` says what they are; `inputs` is how many the parts make."""

    about: str
    model: EvaluatedModel
    parts: Sequence[Part]
    inputs: int

    @classmethod
    def of(cls, about: str, model: EvaluatedModel, values: Sequence[ModelInput]) -> "Question":
        """About inputs that there are already."""
        chunks = [values[first : first + CHUNK] for first in range(0, len(values), CHUNK)]
        return cls(about, model, [lambda chunk=chunk: chunk for chunk in chunks], len(values))  # type: ignore[misc]


@contextmanager
def kept(key: Mapping[str, Any], say: Say) -> Iterator[PartialFile]:
    """Where answers are kept; for this time alone where the cache cannot be written or another process has it."""
    try:
        partial = PartialFile(key)
    except UsageError as error:
        say(f"{error}; if this is interrupted, it begins anew")
        with TemporaryDirectory() as folder, PartialFile(key, Path(folder)) as partial:
            yield partial
        return
    with partial:
        yield partial


def ask(questions: Sequence[Question], partial: PartialFile, say: Say) -> list[Floats]:
    """What each is answered, float64[inputs, outputs]; `say` gets the estimate and lines of progress."""
    parts = [(question, part) for question in questions for part in question.parts]
    known = [_known(partial, place) for place in range(len(parts))]
    done = sum(len(answers) for answers in known if answers is not None)
    inputs = sum(question.inputs for question in questions)
    say(_estimate(questions, known, inputs, done))
    progress = Progress("inputs", done, say, sys.stderr)
    fresh, answers = 0, list[Floats]()
    try:
        for place, ((question, part), before) in enumerate(zip(parts, known, strict=True)):
            if before is None:
                before = outputs_of(question.model, part())
                partial.add(_FIRST_PART + place, {"outputs": before.tolist()})
                fresh += len(before)
                progress.told(min(done + fresh, inputs), inputs, fresh)
            answers.append(before)
    finally:
        progress.end()
    ends = np.cumsum([0, *(len(question.parts) for question in questions)])
    return [_joined(question, answers[ends[number] : ends[number + 1]]) for number, question in enumerate(questions)]


def _joined(question: Question, parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros((0, question.model.scales.outputs))


def _known(partial: PartialFile, place: int) -> Floats | None:
    known = partial.known.get(_FIRST_PART + place)
    return None if known is None else np.array(known["outputs"], dtype=np.float64)


def _estimate(questions: Sequence[Question], known: Sequence[Floats | None], inputs: int, done: int) -> str:
    """How long it takes, by the speed of each model on a first small batch."""
    speeds: dict[int, float] = {}
    seconds, first = 0.0, 0
    for question in questions:
        answered = sum(len(one) for one in known[first : first + len(question.parts)] if one is not None)
        first += len(question.parts)
        if question.inputs > answered:
            speed = speeds.get(id(question.model)) or _inputs_per_s(question)
            speeds[id(question.model)] = speed
            seconds += (question.inputs - answered) / speed
    what = ", ".join(f"{question.inputs:,} {question.about}" for question in questions)
    if done >= inputs:
        return f"{what}: all of them are answered already"
    before = f", of which {done:,} are answered already" if done else ""
    rate = (inputs - done) / max(seconds, 1e-9)
    return f"{what}{before}: about {told_time(seconds)} at {rate:,.0f} a second, as measured on a first small batch"


def _inputs_per_s(question: Question) -> float:
    """On a few inputs, and on more as long as they take too little time to tell."""
    values = question.parts[0]()
    count = _LEAST_TIMED
    outputs_of(question.model, values[:1])  # the first call of a model takes longer
    while True:
        timed = [values[place] for place in np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)]
        started_s = time.perf_counter()
        outputs_of(question.model, timed)
        spent_s = time.perf_counter() - started_s
        if spent_s > _TIMED_S or len(timed) == len(values):
            return len(timed) / max(spent_s, 1e-9)
        count *= 4
