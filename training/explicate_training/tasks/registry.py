"""The objectives by name, as data.task names them."""

from explicate_training.tasks.classification import Classification
from explicate_training.tasks.multi_label import MultiLabel
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Task

_TASKS: dict[str, Task] = {}


def register(task: Task) -> None:
    """Adds an objective, which configs can name from then on."""
    _TASKS[task.name] = task


def task_named(name: str) -> Task:
    """The objective of that name; a config's was checked."""
    return _TASKS[name]


def task_names() -> tuple[str, ...]:
    """All names of objectives."""
    return tuple(_TASKS)


def loss_names() -> tuple[str, ...]:
    """All losses of all objectives."""
    return tuple(dict.fromkeys(name for task in _TASKS.values() for name in task.losses))


def metric_names() -> tuple[str, ...]:
    """All metrics that may choose the best checkpoint of some objective."""
    return tuple(dict.fromkeys(name for task in _TASKS.values() for name in task.checkpoint_metrics))


for _task in (Classification(), MultiLabel(), Regression()):
    register(_task)
