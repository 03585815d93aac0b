"""The subcommand `explicate train`."""

import argparse
import sys
from dataclasses import replace

from explicate_training.diagnosis import diagnose_command
from explicate_training.label_review import labels_command

_DESCRIPTION = """Trains a model as a TOML file says, and leaves a run directory for `explicate export`.

Texts, or pairs of texts: fine-tunes a Hugging Face encoder to tell a class, any number of labels, or a
number. Tables: trains a network to predict one column from the others, or several labels. Images:
fine-tunes a Hugging Face image classifier, or trains a small new one. It cleans the data and says what it
dropped, splits it into train, validation and test so that no text, row or image stands in two of them,
trains, and measures on the test part.
The last line is a verdict: how the model compares, by AUROC or R², with always the same answer and with a
simple model (TF-IDF and a linear model for texts, gradient-boosted trees for tables, nearest neighbours for
images), with 95 % intervals. `explicate export` refuses a model that has not learnt anything.
The same seed gives the same model on the same machine."""

_EXAMPLES = """examples:
  explicate train food-reviews                  a ready demo: 5,000 food reviews, no download
  explicate train credit                        ready demos on tables: breast-cancer, churn, credit, hdma;
                                                diabetes (a regression)
  explicate train credit-additive               credits by a sum over columns, some of them monotone
  explicate train digits                        a ready demo on images: 1,797 handwritten digits
  explicate train --example > my.toml           a config for texts with every option, to edit
  explicate train --example table > my.toml     the same for a table
  explicate train --example image > my.toml     the same for images
  explicate train my.toml --check               read, clean and split only: what would it learn from?
  explicate train my.toml                       train; the run goes to runs/my
  explicate train my.toml --output runs/b --seed 1
  explicate train my.toml --labels reviewed.csv what a person said of the labels that explicate labels doubted
  explicate train my.toml --resume              go on after an interruption

a small config for texts:
  [data]
  train = "reviews.csv"       # or .json, .jsonl, .parquet, .xlsx, .gz, or a Hugging Face dataset directory
  text_column = "review"
  label_column = "stars"
  # text_pair_column = "answer"    # two texts in every row, read as a pair
  # task = "regression"            # the label is a number
  # task = "multi-label"           # a list of labels, or "price, taste" in one cell; of texts and tables
  # label_columns = "price, taste" # or a 0/1 column for each label
  [model]
  base = "minilm-l6"          # or any Hugging Face encoder, by directory or name
  [training]
  epochs = 2
  [interpretability]          # optional, for tables and images too: quicker and truer to explain
  masked_fraction = 0.5       # this share of the rows is shown in part, as explanations ask
  additivity = 0.05           # parts that work together cost something

a small config for a table; columns are typed by what they hold:
  [data]
  table = "customers.csv"     # or .json, .jsonl, .parquet, .xlsx, .gz, or a Hugging Face dataset directory
  label_column = "churn"      # words: a class; fractions: a regression; task = "regression" says so
  # separator = ";"           # how a file is written is found and told; separator, quote, encoding, sheet say it
  # similar_labels = "merge"  # yes, Yes and YES are one class
  group_column = "household"  # optional: a household never stands in two splits
  [data.columns]              # optional, where the type found is not the one meant
  area_code = "category"      # number, date, category, boolean, ordinal, ignore
  price = "number 1.234,5"    # with an example of how it is written, where that is not clear
  size = ["small", "large"]   # ordinal, in this order
  [data.groups]               # optional: columns that are explained as one
  address = ["city", "street"]
  [training]
  imbalance = "class-weights" # or over-sampling, under-sampling

a small config for images; a folder of images for each class:
  [data]
  images = "photos"           # photos/cat/1.jpg, photos/dog/2.png; or a .csv or .jsonl file with paths
  [model]
  base = "models/resnet-18"   # or any Hugging Face image classifier, by directory or name
  # architecture = "resnet"   # or a small new one
  [augmentation]
  flip = 0.0                  # where left and right matter

the run directory:
  report.html     curves, confusion matrix, calibration, mistakes: open it in a browser
  metrics.json    validation and test metrics        model/           weights, tokenizer of a text model
  data.json       what cleaning did, split sizes     held_out.jsonl   the test texts, rows or images
  config.toml     every option as it was used        run.json         seed, data hash, versions
  diagnosis.json  where it errs: explicate diagnose
  background.npz  tables: a summary of the training rows that stands for absent columns
  lime.npz        tables: how the values of each column are spread, for lime

The only output on stdout is the run directory."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `train` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on texts, on a table or on images",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help="a TOML file or a ready config (food-reviews, credit, digits)"
    )
    parser.add_argument("--output", metavar="DIR", help="the run directory to make (default: as the config says)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the config's")
    parser.add_argument(
        "--labels", metavar="FILE", help="a list of `explicate labels` that a person reviewed: apply its corrections"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        help="what trains, instead of the config's training.device (auto: a GPU when there is one)",
    )
    parser.add_argument(
        "--example",
        nargs="?",
        const="text",
        choices=("text", "table", "image"),
        help="print a config with every option explained, for texts, a table or images, and stop",
    )
    parser.add_argument("--check", action="store_true", help="read, clean and split the data, and stop")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the last checkpoint of an interrupted run")
    again.add_argument("--restart", action="store_true", help="throw an interrupted run away and start again")
    parser.set_defaults(run=run, extra="training")
    labels_command.register(subparsers)
    diagnose_command.register(subparsers)


def run(args: argparse.Namespace) -> int:
    """Runs `explicate train` and returns its exit code."""
    from explicate.errors import UsageError
    from explicate_training.config.config_file import (
        example_config,
        load_config,
        with_device,
        with_reviewed_labels,
        with_seed,
    )

    if args.example:
        sys.stdout.write(example_config(args.example))
        return 0
    if args.config is None:
        raise UsageError(
            "explicate train needs a config: food-reviews, credit, digits, or your own "
            "(explicate train --example > my.toml)"
        )
    config = load_config(args.config)
    if args.seed is not None:
        config = with_seed(config, args.seed)
    if args.device is not None:
        config = with_device(config, args.device)
    if args.labels is not None:
        config = with_reviewed_labels(config, args.labels)
    if args.output is not None:
        config = replace(config, output=replace(config.output, directory=args.output))
    config.check()

    if args.check:
        from explicate_training.train import prepare_data

        prepare_data(config, say=lambda line: print(line, file=sys.stderr))
        return 0

    from explicate_training.train import train

    directory = train(config, resume=args.resume, restart=args.restart)
    print(directory)
    return 0
