"""What a run on images measures to tell what its model forgot; `loop.forgetting` says how."""

from collections.abc import Callable, Sequence
from typing import Any  # outputs of any float type; rows of held_out.jsonl

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.images import Pixels, UnreadableImage, decode
from explicate_training.image.cleaning import clean_images
from explicate_training.image.config import ImageConfig
from explicate_training.image.data import ImageSet, list_images
from explicate_training.image.model import ImageModel
from explicate_training.loop.forgetting import Remembered, earlier_run, held_out_before, second_task
from explicate_training.tasks.task import Task

_COLUMNS = {"data": "images", "label": "label_column"}


def probe_of_images(config: ImageConfig, model: ImageModel) -> Remembered | None:
    """The second task, if there is one. Raises UsageError when its data cannot be read or learnt."""
    return second_task(
        config.data,
        config.training,
        read=lambda options: clean_images(list_images(options), model.processor.preparation, options).images,
        features=lambda part: model.features(part.pixels, part.places),
        columns=_COLUMNS,
        fixed={"group_column": ""},
    )


def earlier_images(
    config: ImageConfig,
    train: ImageSet,
    task: Task,
    labels: Sequence[str],
    *,
    model: ImageModel,
    answers: Callable[[Pixels], NDArray[np.floating[Any]]],
    say: Callable[[str], None],
) -> Remembered | None:
    """What the run held out that this one continues, if it does.

    `answers` are the model's as it is to pixels, in the unit of the target; `say` hears what is left out. Raises
    UsageError when the run cannot be read.
    """
    earlier = earlier_run(config.model.base)
    if earlier is None:
        return None
    learnt = {np.asarray(train.pixels[place]).tobytes() for place in train.places}

    def pixels(row: dict[str, Any]) -> Pixels:
        try:
            return model.processor.preparation.pixels(decode((earlier.folder / row["image"]).read_bytes()))
        except (OSError, UnreadableImage) as error:
            raise UsageError(f"model.base: {earlier.folder} lacks an image that it held out: {error}") from None

    return held_out_before(
        earlier,
        task,
        labels,
        inputs=pixels,
        learnt=lambda one: one.tobytes() in learnt,
        answers=lambda images: answers(np.stack(images)),
        say=say,
    )
