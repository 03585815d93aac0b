"""`python -m benchmarks.interpretability`: what fine-tuning for interpretability buys, and what it costs.

Texts: 4,000 food reviews, fine-tuned by cross-entropy, by each term of `[interpretability]` alone, and by its defaults;
judged on 1,000 other reviews. Tables: credit, churn and hdma in the forms free, pairs, additive and monotone. Each run
is kept as JSON in benchmarks/results/interpretability, so that a run that was cut off goes on with the next one. It
says first how long it will take; `--rehearse` does all of it with a tiny model in a minute or two: does it work?
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # records are JSON

from benchmarks.interpretability_lines import Line, Records, absolute_table, table_lines, text_lines, told_table
from benchmarks.interpretability_plot import draw
from benchmarks.interpretability_runs import (
    BASELINE,
    DEFAULTS,
    TABLES,
    Size,
    Variant,
    config_of,
    keep,
    known_record,
    measure_run,
    variants,
)
from benchmarks.interpretability_served import table_cost, text_cost
from explicate_training.loop.progress import duration

# Of one run on two free cores: training, export, and 200 inputs explained.
_SECONDS = {"text": 900.0, "table": 90.0}
_REHEARSED_ROWS = 240
_SERVED_INPUTS = 50
_LINES = "lines.md"


def say(line: str) -> None:
    """Progress, for people."""
    print(f"interpretability: {line}", file=sys.stderr, flush=True)


def rehearsal(folder: Path) -> Size:
    """A tiny model of texts, few rows, one epoch: everything happens, and no figure means anything."""
    base = folder / "tiny"
    if not base.is_dir():
        _write_tiny(base)
    training = {"epochs": 1, "evaluations_per_epoch": 1, "precision": "fp32"}
    records = folder / "records"
    return Size(6, _REHEARSED_ROWS, training, {"base": str(base), "max_tokens": 48}, 8, folder, records)


def _write_tiny(directory: Path) -> None:
    """A random BERT of two narrow layers with MiniLM's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    from explicate_training.text.model import resolve_base

    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(resolve_base("minilm-l6"))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=2,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def run_all(wanted: Sequence[Variant], size: Size) -> list[dict[str, Any]]:
    """Runs what is not known yet, and tells how long the rest takes."""
    records, left = [], []
    for one in wanted:
        config_of(one, size)  # a wrong one is told before hours of training
        known = known_record(one, size)
        records += [known] if known else []
        left += [] if known else [one]
    say(_estimate(wanted, left))
    spent: dict[str, list[float]] = {"text": [], "table": []}
    for place, one in enumerate(left):
        begin_s = time.monotonic()
        say(f"run {place + 1} of {len(left)}: {one.key}")
        record = measure_run(one, size, say)
        keep(one, record, size)
        records.append(record)
        spent[one.kind].append(time.monotonic() - begin_s)
        rest_s = sum(_mean(spent[other.kind]) or _SECONDS[other.kind] for other in left[place + 1 :])
        say(f"{one.key} took {duration(spent[one.kind][-1])}; the rest takes about {duration(rest_s)}")
    return records


def _estimate(wanted: Sequence[Variant], left: Sequence[Variant]) -> str:
    seconds = sum(_SECONDS[one.kind] for one in left)
    done = f", {len(wanted) - len(left)} of them are there" if len(left) < len(wanted) else ""
    return (
        f"{len(wanted)} runs{done}: about {duration(seconds)} on two free cores; stopped, the same command goes on "
        "with the run that it was at"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def served(records: Sequence[dict[str, Any]], size: Size) -> list[Line]:
    """The comparisons through gRPC, of the first seed, where both bundles are there."""
    repository = size.folder / "repository"
    by_key = {Variant(**record["variant"]).key: record for record in records}

    def there(*names: str) -> bool:
        return all(name in by_key and (repository / name).is_dir() for name in names)

    lines = []
    ours, theirs = Variant("reviews", DEFAULTS, 0).key, Variant("reviews", BASELINE, 0).key
    if there(ours, theirs):
        lines.append(text_cost(repository, ours, theirs, by_key[ours], min(_SERVED_INPUTS, size.inputs)))
    for data in TABLES:
        additive, free = Variant(data, "additive", 0).key, Variant(data, "free", 0).key
        if there(additive, free):
            lines += table_cost(repository, data, additive, free, by_key[free], min(_SERVED_INPUTS, size.inputs))
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints its tables, and keeps them beside the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("text", "tables"), default="", help="one kind of data")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant (default: 3)")
    parser.add_argument("--variants", default="", help="only these, with commas between them")
    parser.add_argument("--inputs", type=int, default=200, help="test inputs explained in each run (default: 200)")
    parser.add_argument("--no-served", action="store_true", help="leave out the comparison through gRPC")
    parser.add_argument("--rehearse", action="store_true", help="all of it with a tiny model, in a minute or two")
    arguments = parser.parse_args(argv)
    names = [name.strip() for name in arguments.variants.split(",") if name.strip()]
    size = Size(arguments.inputs)
    if arguments.rehearse:
        folder = size.folder.with_name("interpretability-rehearsal")
        shutil.rmtree(folder, ignore_errors=True)
        size = rehearsal(folder)
    seeds, tables = (1, TABLES[:1]) if arguments.rehearse else (arguments.seeds, TABLES)
    wanted = variants(arguments.only, names, seeds, tables)
    if not wanted:
        parser.error(f"there is no variant of {arguments.variants}")
    records = run_all(wanted, size)
    _tell(records, size, with_server=not arguments.no_served)
    if arguments.rehearse:
        say("this was a rehearsal: the figures mean nothing")
    return 0


def _tell(records: Sequence[dict[str, Any]], size: Size, *, with_server: bool) -> None:
    known = Records(records)
    kinds = {record["form"] for record in records}
    lines = [*(text_lines(known) if "text" in kinds else []), *(table_lines(known) if "table" in kinds else [])]
    lines += served(records, size) if with_server else []
    parts = [told_table(lines), *([absolute_table(known)] if "text" in kinds else [])]
    size.records.mkdir(parents=True, exist_ok=True)
    (size.records / _LINES).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts))
    for path in draw(known, size.records):
        say(f"picture: {path}")
    met = [one.met for one in lines if one.met is not None]
    say(f"tables: {size.records / _LINES}; {sum(met)} of {len(met)} lines are met")


if __name__ == "__main__":
    sys.exit(main())
