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


def registered(what: str) -> tuple[str, ...]:
    """The "names" of all objectives, or all their "losses" or "metrics" that may choose a checkpoint."""
    found = {
        "names": list(_TASKS),
        "losses": [name for task in _TASKS.values() for name in task.losses],
        "metrics": [name for task in _TASKS.values() for name in task.checkpoint_metrics],
    }
    return tuple(dict.fromkeys(found[what]))


for _task in (Classification(), MultiLabel(), Regression()):
    register(_task)
