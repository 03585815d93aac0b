"""The subcommand `explicate tune`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # values of flags

from explicate.cli.main import EXIT_INTERRUPTED
from explicate_studies.auto import auto_command
from explicate_studies.curve import curve_command

_DESCRIPTION = """Trains one config many times with other values, and shows what accuracy costs and what it buys.

Each trial is an ordinary run directory. It is judged on the validation rows by two objectives: the validation metric,
and how many rows the model must answer for a word, column or segment until an explanation is within the tolerance
(evaluations_per_player). The test rows choose nothing. The report draws accuracy against the cost of an explanation
with intervals, names the runs that no other one beats in both, and the one to take with the reason.
The study is kept in a file: the same command goes on after Ctrl-C, a crash or a power cut; --trials 40 adds to 20."""

_EXAMPLES = """examples:
  explicate tune my.toml                            20 trials; the study goes to runs/my-tune
  explicate tune my.toml --trials 8 --minutes 30    whichever comes first
  explicate tune my.toml --objectives metric        accuracy alone
  explicate tune my.toml --sampler grid             every combination, in a random order
  explicate tune my.toml --check                    what would be varied, and by how much?

what is varied, in the config file (explicate train does not read this section); without any dimension:
learning_rate, epochs, dropout and weight_decay around the config's own values, and of [interpretability] (its
defaults, if the config does not have it) additivity, rationale_weight and, of tables, form
  [tune]
  learning_rate = [2e-5, 2e-4]                      # a range of an option, by its logarithm if it is wide
  epochs = [1, 4]
  additivity = {low = 0.0, high = 0.2, step = 0.05}
  training.schedule = ["linear", "cosine"]          # choices; the whole name where two sections have one
  training.batch_size = {choices = [16, 32]}
  trials = 30                                       # and minutes, sampler, objectives, metric, inputs, seed, pruner
  [tune.floors]                                     # the least that a run must have, to be taken
  accuracy = 0.8
  masked_accuracy = 0.7
  evaluations_per_player = 20                       # the most, as less is better

the study's folder:
  report.html     the curve, the runs, what made the difference     trials/0000, ...  run directories, and their logs
  study.json      the same figures for programs                     chosen.toml       the config to take
  study.sqlite3   the study itself, Optuna's

A trial's own report explains no rows, which would take a minute a trial; explicate train FOLDER/chosen.toml does.
The only output on stdout is the table of trials and the study's folder."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `tune` and `auto` to the command line."""
    parser = subparsers.add_parser(
        "tune",
        help="train a config many times, and choose by accuracy and by the cost of explanations",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="a TOML file or a ready config, as explicate train takes it")
    parser.add_argument("--trials", type=int, metavar="N", help="runs at most (default: 20)")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no more runs after this time")
    parser.add_argument("--sampler", choices=("tpe", "random", "grid"), help="what chooses values (default: tpe)")
    parser.add_argument("--objectives", metavar="NAMES", help="metric or metric,evaluations_per_player (default: both)")
    parser.add_argument("--metric", metavar="NAME", help="the validation metric (default: the one of the checkpoint)")
    parser.add_argument(
        "--pruner",
        choices=("none", "median"),
        help="stop runs that are worse than half; of one objective (default: none)",
    )
    parser.add_argument("--inputs", type=int, metavar="N", help="validation inputs explained in a trial (default: 40)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the sampler (default: 0)")
    parser.add_argument("--output", metavar="DIR", help="the study's folder (default: the run's with -tune)")
    parser.add_argument("--check", action="store_true", help="say what would be varied, and stop")
    parser.set_defaults(run=run, extra="studies")
    auto_command.register(subparsers)
    curve_command.register(subparsers)


_FLAGS = ("trials", "minutes", "sampler", "objectives", "metric", "pruner", "inputs", "seed")


def run(args: argparse.Namespace) -> int:
    """Runs `explicate tune` and returns its exit code."""
    from explicate_studies.space import read_space, with_section
    from explicate_studies.tune_options import read_tune
    from explicate_training.config.config_file import load_config, read_config

    config = load_config(args.config)
    text, _ = read_config(args.config)
    flags: Mapping[str, Any] = {name: value for name in _FLAGS if (value := getattr(args, name)) is not None}
    options, dimensions = read_tune(text, flags)
    config = with_section(config, dimensions, options)
    space = read_space(config, dimensions)
    folder = Path(args.output or f"{config.output.directory}-tune")
    if args.check:
        return _check(space, options)
    return _study(config, space, options, folder)


def _check(space: Any, options: Any) -> int:
    from explicate_studies.space import grid, told
    from explicate_studies.trial import to_stderr

    for key, distribution in space.items():
        to_stderr(f"{key}: {told(distribution)}")
    points = f" of {len(grid(space))} points" if options.sampler == "grid" else ""
    to_stderr(f"{options.trials} trials{points}, {options.sampler}; objectives: {', '.join(options.objectives)}")
    return 0


def _study(config: Any, space: Any, options: Any, folder: Path) -> int:
    from explicate_studies.measure import KNOWN_FIGURES, measure
    from explicate_studies.study import Study, locked, time_left
    from explicate_studies.study_report import findings, table, write_report
    from explicate_studies.trial import prepare, to_stderr

    with locked(folder):
        subject = prepare(config, folder, options, KNOWN_FIGURES, to_stderr)
        study = Study(subject, space, measure, to_stderr)
        for tried in study.run():
            figures = "".join(f", {name} {one.told('.2f')}" for name, one in tried.figures.items() if "." not in name)
            to_stderr(
                f"trial {tried.number}: {subject.goals.metric} {tried.metric.told()}{figures}, {tried.seconds:.0f} s"
            )
            to_stderr(f"  {time_left(study.tried(), options.trials)}")
            write_report(study, findings(study))
        found = findings(study)
        report = write_report(study, found)
    if found.tried:
        print(table(study, found))
        to_stderr(f"take {found.chosen.run if found.chosen else ''}: {found.why}")
    to_stderr(f"the report: {report}")
    if study.interrupted:
        to_stderr("interrupted: the same command goes on")
    print(folder)
    sys.stdout.flush()
    return EXIT_INTERRUPTED if study.interrupted else 0 if found.tried else 1
