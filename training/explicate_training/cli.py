"""The subcommand `explicate train`."""

import argparse
import sys
from dataclasses import replace

_DESCRIPTION = """Fine-tunes a text classifier as a TOML file says, and leaves a run directory for `explicate export`.

It cleans the data and says what it dropped, splits it into train, validation and test so that no text
stands in two of them, fine-tunes a Hugging Face encoder, and measures it on the test texts.
The same seed gives the same model on the same machine."""

_EXAMPLES = """examples:
  explicate train food-reviews                  the ready demo: 5,000 food reviews, no download
  explicate train --example > my.toml           a config with every option, to edit
  explicate train my.toml --check               read, clean and split only: what would it learn from?
  explicate train my.toml                       train; the run goes to runs/my
  explicate train my.toml --output runs/b --seed 1
  explicate train my.toml --resume              go on after an interruption

a small config:
  [data]
  train = "reviews.csv"       # or .jsonl, .parquet, or a Hugging Face dataset directory
  text_column = "review"
  label_column = "stars"
  [model]
  base = "minilm-l6"          # or any Hugging Face encoder, by directory or name
  [training]
  epochs = 2

the run directory:
  report.html     curves, confusion matrix, calibration, worst mistakes: open it in a browser
  metrics.json    validation and test metrics        model/           weights and tokenizer
  data.json       what cleaning did, split sizes     held_out.jsonl   the test texts
  config.toml     every option as it was used        run.json         seed, data hash, versions

The only output on stdout is the run directory."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `train` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune a text classifier",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a TOML file or a ready config (food-reviews)")
    parser.add_argument("--output", metavar="DIR", help="the run directory to make (default: as the config says)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the config's")
    parser.add_argument("--example", action="store_true", help="print a config with every option explained, and stop")
    parser.add_argument("--check", action="store_true", help="read, clean and split the data, and stop")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the last checkpoint of an interrupted run")
    again.add_argument("--restart", action="store_true", help="throw an interrupted run away and start again")
    parser.set_defaults(run=run, extra="training")


def run(args: argparse.Namespace) -> int:
    """Runs `explicate train` and returns its exit code."""
    from explicate.errors import UsageError
    from explicate_training.config import check_config
    from explicate_training.config_file import example_config, load_config

    if args.example:
        sys.stdout.write(example_config())
        return 0
    if args.config is None:
        raise UsageError(
            "explicate train needs a config: food-reviews, or your own (explicate train --example > my.toml)"
        )
    config = load_config(args.config)
    if args.seed is not None:
        config = replace(config, training=replace(config.training, seed=args.seed))
    if args.output is not None:
        config = replace(config, output=replace(config.output, directory=args.output))
    check_config(config)

    if args.check:
        from explicate_training.training_run import prepare_data

        prepare_data(config, say=lambda line: print(line, file=sys.stderr))
        return 0

    from explicate_training.training_run import train

    directory = train(config, resume=args.resume, restart=args.restart)
    print(f"the run is in {directory}; its report: {directory / 'report.html'}", file=sys.stderr)
    print(f"next: explicate export {directory} --repository repository", file=sys.stderr)
    print(directory)
    return 0
