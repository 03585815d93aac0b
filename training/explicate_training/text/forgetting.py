"""What a run on texts measures to tell what its model forgot; `loop.forgetting` says how."""

from collections.abc import Callable, Sequence
from typing import Any  # outputs of any float type

import numpy as np
from numpy.typing import NDArray

from explicate_training.loop.forgetting import Remembered, earlier_run, held_out_before, second_task
from explicate_training.tasks.task import Task
from explicate_training.text.cleaning import clean_texts
from explicate_training.text.config import Config
from explicate_training.text.data import TextSet, read_rows
from explicate_training.text.folding import fold
from explicate_training.text.model import TextModel

_COLUMNS = {"data": "train", "label": "label_column", "text": "text_column"}


def probe_of_texts(config: Config, model: TextModel) -> Remembered | None:
    """The second task, if there is one. Raises UsageError when its data cannot be read or learnt."""
    return second_task(
        config.data,
        config.training,
        read=lambda options: clean_texts(read_rows(options), options).texts,
        features=lambda part: model.features(part.texts.tolist()),
        columns=_COLUMNS,
        fixed={"text_pair_column": ""},
    )


def earlier_texts(
    config: Config,
    train: TextSet,
    task: Task,
    labels: Sequence[str],
    *,
    answers: Callable[[list[tuple[str, ...]]], NDArray[np.floating[Any]]],
    say: Callable[[str], None],
) -> Remembered | None:
    """What the run held out that this one continues, if it does.

    `answers` are the model's as it is, in the unit of the target; `say` hears what is left out. Raises UsageError when
    the run cannot be read.
    """
    earlier = earlier_run(config.model.base)
    if earlier is None:
        return None
    if earlier.record.text.pairs != bool(config.data.text_pair_column):
        say(f"note: the run {earlier.folder.name} reads other inputs, so what is forgotten of it is not measured")
        return None
    learnt = {tuple(map(fold, texts)) for texts in train.texts}
    return held_out_before(
        earlier,
        task,
        labels,
        inputs=lambda row: tuple(row[name] for name in ("text", "text_pair") if name in row),
        learnt=lambda texts: tuple(map(fold, texts)) in learnt,
        answers=answers,
        say=say,
    )
