"""A model for people without training: what it decides, on what grounds, how often it errs and for whom, when not to
use it.

Sentences without markup. Names in them are strangers': whoever shows a sentence escapes it whole.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard  # Any: JSON values

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.draft import kind_of_run
from explicate_bundle.input_kind import ModelKind
from explicate_bundle.kinds.kind import InputTalk
from explicate_bundle.telling.grounds import GROUNDS_KEY, Grounds, read_grounds, sentences
from explicate_bundle.telling.in_words import about, between, counted, listed, of_how_many, quoted, size, verb
from explicate_bundle.telling.slice_notes import SLICES_KEY, SliceNote, SliceNotes, read_slices

_MOST_ANSWERS = 12
_MOST_GROUNDS = 6
_MOST_GROUPS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class LayFacts:
    """What is known of a model.

    Attributes:
        record: of its training, or what is known of it.
        metrics: what was measured on test rows, with "intervals" and "per_class", as metrics.json has "test".
        grounds, slices: None where they were not measured.
        tested: whose rows they are: "test", "given".
        standard: a sentence on the standard's verdict, where the model does not meet it.
    """

    record: TrainingRun
    metrics: Mapping[str, Any]
    grounds: Grounds | None = None
    slices: SliceNotes | None = None
    tested: str = "test"
    standard: str = ""

    @cached_property
    def kind(self) -> ModelKind:
        """What it reads and predicts."""
        kind = kind_of_run(self.record)
        assert kind is not None
        return kind

    @property
    def talk(self) -> InputTalk:
        """How people speak of what it reads."""
        return self.kind.reads.talk

    @property
    def answer(self) -> str:
        """The form of what it answers, see `Objective`."""
        return self.kind.predicts.answer


@dataclass(frozen=True)
class LayPart:
    """A question, the sentences that answer it, lines of a list below them, and a sentence below the list."""

    question: str
    said: tuple[str, ...]
    items: tuple[str, ...] = field(default=())
    after: str = ""


def facts_of_run(record: TrainingRun, metrics: Mapping[str, Any]) -> LayFacts:
    """Of run.json and metrics.json."""
    grounds, notes = read_grounds(metrics.get(GROUNDS_KEY)), read_slices(metrics.get(SLICES_KEY))
    return LayFacts(record, metrics.get("test", {}), grounds, notes)


def lay_page(facts: LayFacts) -> list[LayPart]:
    """The questions that people have, answered; none of what no bundle knows, such as an objective of one's own."""
    if kind_of_run(facts.record) is None:
        return []
    return [
        LayPart("What does it decide?", tuple(_decides(facts))),
        _on_what_grounds(facts),
        LayPart("How often is it wrong?", tuple(_errs[facts.answer](facts))),
        LayPart("For whom is it wrong more often?", tuple(_for_whom(facts))),
        LayPart("When should it not be used?", tuple(_not_for(facts))),
    ]


def _decides(facts: LayFacts) -> Iterator[str]:
    record, talk = facts.record, facts.talk
    reads = "reads two texts" if record.text.pairs else talk.reads
    if record.tabular.columns:
        reads += f" with {counted(len(record.tabular.columns), 'column', 'columns')}"
    labels = [quoted(label) for label in record.labels[:_MOST_ANSWERS]]
    more = len(record.labels) - len(labels)
    told = [*labels, f"{more:,} more"] if more > 0 else labels
    match facts.answer:
        case "class":
            which = f"which {quoted(record.target_name)} it has: " if record.tabular.columns else ""
            one_of = "" if len(record.labels) == 2 or which else f"one of {len(record.labels):,}: "
            yield f"It {reads} and {'says' if which else 'answers with'} {which or one_of}{listed(told, 'or')}."
        case "labels":
            yield (
                f"It {reads} and says which of {counted(len(record.labels), 'label fits', 'labels fit')}, one, several "
                f"or none: {listed(told)}."
            )
        case _:
            yield f"It {reads} and answers with a number, {quoted(record.target_name or 'value')}."


def _on_what_grounds(facts: LayFacts) -> LayPart:
    question, talk = "On what grounds?", facts.talk
    if facts.grounds is None:
        return LayPart(question, (f"Which {talk.parts} move its answers most was not measured.",))
    found = facts.grounds
    head = (
        f"Over {counted(found.rows, talk.one, talk.many)} of the test that were drawn at random, these {talk.parts} "
        "moved its answers most:"
    )
    if not any(one.says for one in found.parts):
        names = [quoted(one.name) for one in found.parts[:_MOST_GROUNDS]]
        return LayPart(question, (f"{head[:-1]}: {listed(names)}.", _NOT_WHY))
    return LayPart(question, (head,), tuple(sentences(found, _MOST_GROUNDS)), _NOT_WHY)


_NOT_WHY = "This is what its answers rest on. It does not say what is true, nor what causes what."


def _errs_of_classes(facts: LayFacts) -> Iterator[str]:
    right = facts.metrics.get("accuracy")
    if not _is_share(right):
        yield _not_measured(facts)
        return
    wrong, rows = 1 - float(right), _rows(facts)
    if wrong == 0 and rows:
        yield _never(facts, rows)
    else:
        yield _of_many(facts, wrong, facts.metrics.get("intervals", {}).get("accuracy"), "answered wrongly")
    same = facts.metrics.get("majority_class_accuracy")
    if _is_share(same) and wrong > 0:
        yield f"Always giving the most frequent answer would be wrong for {about(1 - float(same))}."
    yield from _by_class(facts)


def _by_class(facts: LayFacts) -> Iterator[str]:
    """How often each class is missed; of many the one that is missed most."""
    known = {
        label: 1 - float(one["recall"])
        for label, one in facts.metrics.get("per_class", {}).items()
        if _is_share(one.get("recall"))
    }
    if not known or not any(known.values()) or facts.answer != "class":
        return
    worst = sorted(known.items(), key=lambda one: -one[1])
    label, missed = worst[0]
    yield f"Of {facts.talk.many} that really are {quoted(label)}, {_otherwise(missed)}."
    if len(worst) == 2:
        label, missed = worst[1]
        yield f"Of those that really are {quoted(label)}, {_otherwise(missed)}."


def _otherwise(missed: float) -> str:
    count, _ = of_how_many(missed)
    return f"{about(missed)} {verb(1 if count == 1 else 2)} answered otherwise"


def _errs_of_labels(facts: LayFacts) -> Iterator[str]:
    right = facts.metrics.get("subset_accuracy")
    if not _is_share(right):
        yield _not_measured(facts)
        return
    ends = facts.metrics.get("intervals", {}).get("subset_accuracy")
    yield _of_many(facts, 1 - float(right), ends, "given at least one label too many or too few")


def _errs_of_numbers(facts: LayFacts) -> Iterator[str]:
    off = facts.metrics.get("mae")
    if not isinstance(off, int | float):
        yield _not_measured(facts)
        return
    ends = facts.metrics.get("intervals", {}).get("mae")
    span = f" ({size(ends[0])} to {size(ends[1])} in other tests like this one)" if _are_ends(ends) else ""
    yield f"On average its answers are {size(float(off))} too high or too low{span}."
    rivals = facts.record.verdict.rivals
    if rivals and facts.record.verdict.metric == "mae":
        yield f"{rivals[0].name[:1].upper()}{rivals[0].name[1:]} would be off by {size(rivals[0].value)}."


_errs = {"class": _errs_of_classes, "labels": _errs_of_labels, "value": _errs_of_numbers}


def _not_measured(facts: LayFacts) -> str:
    return f"That was not measured: nobody said what is right of the {facts.tested} {facts.talk.many}."


def _never(facts: LayFacts, rows: int) -> str:
    """Of no error in so many rows: up to which share others may be wrong (Clopper and Pearson's upper end)."""
    most = 1 - math.pow((1 - _CONFIDENCE) / 2, 1 / rows)
    up_to = math.ceil(most * 100)
    return (
        f"All {counted(rows, facts.talk.one, facts.talk.many)} of the test were answered rightly. That does not prove "
        f"that it is never wrong: of 100 others up to {up_to:,} may be."
    )


def _of_many(facts: LayFacts, wrong: float, right_ends: Any, how: str) -> str:
    count, whole = of_how_many(wrong)
    span = ""
    if _are_ends(right_ends) and 0 < count < whole:
        ends = between(1 - float(right_ends[1]), 1 - float(right_ends[0]), whole)
        span = f" ({ends} in other tests like this one)"
    many = facts.talk.many
    if count == 0:
        return f"Fewer than 1 of {whole:,} {many} like those of the test is {how}."
    return f"Of {whole:,} {many} like those of the test, about {count:,} {verb(count)} {how}{span}."


def _for_whom(facts: LayFacts) -> Iterator[str]:
    notes, talk = facts.slices, facts.talk
    if notes is None:
        yield "That was not measured for groups."
        return
    worse = notes.worse[:_MOST_GROUPS]
    if worse:
        told = "; ".join(f"with {quoted(one.name)} {_how_bad(one.value, notes)} ({_few(one, facts)})" for one in worse)
        yield f"It is wrong more often for some {talk.many}: {told}. On the whole it is {_how_bad(notes.whole, notes)}."
        if len(notes.groups) > 3 * len(worse):
            yield "Many groups were looked at, so one of these may be here by chance."
    elif notes.groups:
        looked = counted(len(notes.groups), "group that was", "groups that were")
        yield f"Of {looked} looked at, none was clearly worse than the whole."
    else:
        yield f"No group had enough {talk.many} to tell."
    if notes.small:
        more = "more " if notes.groups else ""
        groups = counted(len(notes.small), f"{more}group has", f"{more}groups have")
        yield f"{groups} too few {talk.many} in the test to say anything about."


def _how_bad(value: float, notes: SliceNotes) -> str:
    return f"off by {size(value)}" if notes.large_is_bad else about(1 - value)


def _few(one: SliceNote, facts: LayFacts) -> str:
    return f"{counted(one.rows, facts.talk.one, facts.talk.many)} in the test"


def _not_for(facts: LayFacts) -> Iterator[str]:
    record, talk = facts.record, facts.talk
    yield f"Not for {talk.many} unlike those of the test: {talk.unlike}. There nobody knows how often it is wrong."
    match facts.answer:
        case "class":
            yield "It always gives one of its answers, also where none of them fits."
        case "value":
            yield f"It answers with a number for every {talk.one}, also where there is none to tell."
        case _:
            yield "It knows only its own labels."
    yield "It should not decide about people by itself: somebody must look at each decision, and be able to change it."
    if record.HasField("verdict") and not record.verdict.learnt:
        yield "It was not shown to be better than always giving the same answer. Do not rely on it."
    if facts.standard:
        yield facts.standard


def _rows(facts: LayFacts) -> int:
    """How many test rows there were; 0 where that is not known."""
    per_class = facts.metrics.get("per_class", {})
    told = facts.metrics.get(facts.talk.many)
    return (
        told
        if isinstance(told, int)
        else sum(int(one.get("rows", 0)) for one in per_class.values() if isinstance(one, Mapping))
    )


def _is_share(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _are_ends(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(end, int | float) for end in value)
