"""One training run from top to bottom: data, model, training, evaluation, the run directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.image.config import ImageConfig
from explicate_training.image.run import ImageRun
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Outcome, quieten_libraries
from explicate_training.run_directory import RunDirectory
from explicate_training.table.run import TableRun
from explicate_training.text.config import Config
from explicate_training.text.run import TextRun


class KindOfRun(Protocol):
    """What differs between runs on texts, tables and images. Making one reads, cleans and splits the data."""

    @property
    def sha256(self) -> str:
        """Digest of the cleaned data."""

    def load(self) -> None:
        """Makes the model and encodes the data; raises UsageError when the model cannot be made."""

    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""

    def fit(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Trains the model."""

    def finish(self, folder: Path, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Evaluates and writes everything into the run's finished folder, which exists."""


def prepare_data(config: AnyConfig, say: Callable[[str], None]) -> KindOfRun:
    """Reads, cleans and splits the configured data, and says so. Raises UsageError as its parts do."""
    quieten_libraries()
    if isinstance(config, ImageConfig):
        return ImageRun(config, say)
    return TextRun(config, say) if isinstance(config, Config) else TableRun(config, say)


def train(
    config: AnyConfig, *, resume: bool = False, restart: bool = False, progress: StepProgress | None = None
) -> Path:
    """Trains and evaluates a model and returns its finished run directory, `config.output.directory`.

    Args:
        config: what to do.
        resume: go on from the last checkpoint of an interrupted run with the same config and data.
        restart: throw an interrupted run away.
        progress: who is told how it goes; by default stderr.

    Raises:
        UsageError: the config, the data or the base model is wrong, or a run stands in the way.
        ExplicateError: the training diverged or the run directory could not be made.
    """
    progress = progress or StepProgress()
    directory = RunDirectory(Path(config.output.directory))
    run = prepare_data(config, progress.say)
    run.load()
    identity = f"{format_config(config)}\n# data {run.sha256}\n"
    resuming = directory.start(identity, resume=resume, restart=restart)
    progress.say(f"{'going on with' if resuming else 'training'} {run.plan()}")
    try:
        outcome = run.fit(checkpoints=directory.checkpoints, resume=resuming, progress=progress)
    except KeyboardInterrupt:
        if directory.has_checkpoint():
            progress.say("interrupted: the same command with --resume goes on from the last checkpoint")
        raise
    finally:
        progress.close()
    since = " since the interruption" if resuming else ""
    early = " (stopped early)" if outcome.steps < outcome.steps_planned else ""
    progress.say(
        f"trained to step {outcome.steps}{early} in {duration(outcome.train_s)}{since}, {outcome.precision}; "
        f"the best validation was at step {outcome.best_step}"
    )
    directory.finished.mkdir()
    run.finish(directory.finished, outcome, progress.say)
    return directory.publish()
