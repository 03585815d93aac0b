"""One training run from top to bottom: data, model, training, evaluation, the run directory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # runs of any kind

import numpy as np
from numpy.typing import NDArray

from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.image.config import ImageConfig
from explicate_training.image.run import ImageRun
from explicate_training.loop.optimisers import told
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.run import Run
from explicate_training.loop.trainer import quieten_libraries
from explicate_training.loop.training_device import placement
from explicate_training.run_directory import RunDirectory
from explicate_training.table.config import TableConfig
from explicate_training.table.run import TableRun
from explicate_training.text.config import Config
from explicate_training.text.run import TextRun

_RUNS: dict[type[AnyConfig], Callable[[Any, Callable[[str], None]], Run[Any, Any]]] = {
    Config: TextRun,
    TableConfig: TableRun,
    ImageConfig: ImageRun,
}


def prepare_data(config: AnyConfig, say: Callable[[str], None]) -> Run[Any, Any]:
    """Reads, cleans and splits the configured data, and says so. Raises UsageError as its parts do."""
    quieten_libraries()
    return _RUNS[type(config)](config, say)


def train(
    config: AnyConfig,
    *,
    resume: bool = False,
    restart: bool = False,
    progress: StepProgress | None = None,
    watch: Callable[[Run[Any, Any]], None] | None = None,
    baseline: Mapping[str, NDArray[np.float64]] | None = None,
) -> Path:
    """Trains and evaluates a model and returns its finished run directory, `config.output.directory`.

    Args:
        config: what to do.
        resume: go on from the last checkpoint of an interrupted run with the same config and data.
        restart: throw an interrupted run away.
        progress: who is told how it goes; by default stderr.
        watch: is shown the run when all of it is known, before its directory appears.
        baseline: what `Run.fit_baseline` gave for the same splits, where many runs are compared with it.

    Raises:
        UsageError: the config, the data or the base model is wrong, or a run stands in the way.
        ExplicateError: the training diverged, or a file could not be written.
    """
    progress = progress or StepProgress()
    place = placement(config.training)  # before the data are read: the device may not be there
    directory = RunDirectory(Path(config.output.directory))
    with directory.locked():
        progress.say(f"trains {place}")
        run = prepare_data(config, progress.say)
        run.known_baseline = baseline
        run.load()
        run.check_servable()
        run.start_terms()
        identity = f"{format_config(config)}\n# data {run.sha256}\n"
        resuming = directory.start(identity, resume=resume, restart=restart)
        with directory.written():
            _train_and_finish(run, directory, progress, resuming=resuming)
            if watch is not None:
                watch(run)
        output = directory.publish()
    progress.say(f"the run is in {output}; its report: {output / 'report.html'}")
    if run.verdict.learnt:
        progress.say(f"next: explicate export {output} --repository repository")
    progress.say(f"VERDICT: {run.verdict.sentence}{'' if run.verdict.learnt else _REFUSED}")
    return output


_REFUSED = "; explicate export refuses it unless --allow-trivial is given"


def _train_and_finish(run: Run[Any, Any], directory: RunDirectory, progress: StepProgress, *, resuming: bool) -> None:
    progress.say(f"{'going on with' if resuming else 'training'} {run.plan()}")
    for line in told(run.network, run.config.training):
        progress.say(line)
    try:
        outcome = run.train(checkpoints=directory.checkpoints, resume=resuming, progress=progress)
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
