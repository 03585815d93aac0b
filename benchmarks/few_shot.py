"""`python -m benchmarks.few_shot`: few labels of food reviews, by pairs of texts, by full fine-tuning and by TF-IDF.

All three have the same 8, 32 or 128 labels a class, of five draws each, validation included, and are tested on the same
1,000 reviews. The runs of the encoder are ordinary ones of 128 tokens; full fine-tuning has at least 60 steps and the
learning rate of the demo config. The linear model of TF-IDF learns from all the labels, its strength by
cross-validation. Each run is kept when it is done: the same command goes on.
"""

import argparse
import csv
import json
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from explicate.views.look.palette import FIRST, SECOND, THIRD
from explicate_training.config.config_file import parse_config
from explicate_training.data.demos import DEMO_TEXTS
from explicate_training.loop.progress import StepProgress
from explicate_training.loop.run import Run
from explicate_training.report.figures import STYLE
from explicate_training.text.config import Config, FewShotConfig
from explicate_training.train import prepare_data, train

LABELS, SEEDS, TESTED = (8, 32, 128), 5, 1000
METHODS = {"few-shot": "pairs, then a linear layer", "full": "full fine-tuning", "tf-idf": "TF-IDF and a linear model"}
COLOURS = {"few-shot": SECOND, "full": FIRST, "tf-idf": THIRD}
RESULTS = Path(__file__).parent / "results"
_LEAST_STEPS, _BATCH = 60, 16
_STRENGTHS, _FOLDS = (1.0, 10.0, 100.0), 4


@dataclass(frozen=True)
class Scored:
    """One model on the test rows."""

    labels: int
    seed: int
    method: str
    auroc: float
    accuracy: float
    f1_macro: float
    cpu_s: float


def main() -> None:
    """Run what is not done yet, print the table, and draw it where wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=LABELS, help="labels a class (default: 8 32 128)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="draws of them (default: 5)")
    parser.add_argument("--tested", type=int, default=TESTED, help="test reviews (default: 1000)")
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=list(METHODS), help="(default: all)")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw AUROC against labels")
    arguments = parser.parse_args()
    folder = RESULTS / f"few_shot_{arguments.tested}"
    folder.mkdir(parents=True, exist_ok=True)
    done = measure(folder, arguments.labels, range(arguments.seeds), arguments.tested, arguments.methods)
    print(table(done))
    if arguments.plot:
        arguments.plot.write_text(drawn(done))


def measure(
    folder: Path, labels: Sequence[int], seeds: Sequence[int], tested: int, methods: Sequence[str]
) -> list[Scored]:
    """All runs, those that are in the file already and the others."""
    record = folder / "scores.jsonl"
    done = [Scored(**json.loads(line)) for line in record.read_text().splitlines()] if record.exists() else []
    write_reviews(folder, tested)
    known = {(one.labels, one.seed, one.method) for one in done}
    for key in [(count, seed, method) for seed in seeds for count in labels for method in methods]:
        if key in known:
            continue
        one = _scored(folder, *key)
        print(f"{one.method}, {one.labels} labels a class, draw {one.seed}: AUROC {one.auroc:.3f}, {one.cpu_s:.0f} s "
              "of CPU time", file=sys.stderr, flush=True)  # fmt: skip
        with record.open("a") as file:
            file.write(json.dumps(asdict(one)) + "\n")
        done.append(one)
    return [one for one in done if one.labels in labels and one.seed in seeds]


def write_reviews(folder: Path, tested: int) -> None:
    """The demo set as files, so that its 5,000 texts are not compared with each other in every run."""
    train_part, test_part = DEMO_TEXTS["food-reviews"]()
    for name, part, count in (("train", train_part, None), ("test", test_part, tested)):
        rows = list(zip(part.values["review"], part.values["score"], strict=True))[:count]
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("review", "score"), *rows])


def _config(folder: Path, labels: int, seed: int) -> Config:
    config = parse_config(f"""
[data]
train = "{folder / "train.csv"}"
test = "{folder / "test.csv"}"
text_column = "review"
label_column = "score"
labels_per_class = {labels}
near_duplicate_threshold = 1
[model]
max_tokens = 128
[training]
seed = {seed}
batch_size = {_BATCH}
learning_rate = 8e-5
early_stopping_patience = 0
[output]
directory = "{folder / "run"}"
explained = 0
""")
    assert isinstance(config, Config)
    return config


def _scored(folder: Path, labels: int, seed: int, method: str) -> Scored:
    begin_s = time.process_time()
    config = _config(folder, labels, seed)
    run = prepare_data(config, lambda _: None)
    if method == "tf-idf":
        targets, scores = linear(run)
    else:
        targets, scores = _trained(folder, config, method, rows=len(run.targets["train"]))
    decided = scores > 0
    return Scored(
        labels,
        seed,
        method,
        float(roc_auc_score(targets, scores)),
        float(accuracy_score(targets, decided)),
        float(f1_score(targets, decided, average="macro")),
        round(time.process_time() - begin_s, 1),
    )


def _trained(folder: Path, config: Config, method: str, *, rows: int) -> tuple[Any, Any]:
    """Targets and log-odds of the test rows, by a run."""
    if method == "few-shot":
        config = replace(config, few_shot=FewShotConfig(enabled=True))
    else:
        epochs = -(-_LEAST_STEPS // -(-rows // _BATCH))
        config = replace(config, training=replace(config.training, epochs=epochs))
    found: dict[str, Any] = {}

    def watch(run: Run[Any, Any]) -> None:
        outputs = run.predict("test")
        found.update(targets=run.targets["test"], scores=outputs[:, 1] - outputs[:, 0])

    shutil.rmtree(folder / "run", ignore_errors=True)
    with (folder / "log").open("w") as log:
        train(config, restart=True, progress=StepProgress(log), watch=watch)
    return found["targets"], found["scores"]


def linear(run: Run[Any, Any]) -> tuple[Any, Any]:
    """The same by TF-IDF, of all labels."""
    parts = {name: [" ".join(row) for row in part.texts] for name, part in run.splits.by_name().items()}
    learnt = parts["train"] + parts["validation"]
    targets = np.concatenate([run.targets["train"], run.targets["validation"]])
    weights = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\w+").fit(learnt)
    model = LogisticRegressionCV(Cs=_STRENGTHS, cv=_FOLDS, scoring="roc_auc", max_iter=500)
    model.fit(weights.transform(learnt), targets)
    return run.targets["test"], model.decision_function(weights.transform(parts["test"]))


def _half_width(values: Sequence[float]) -> float:
    """Of the 95 % t interval of a mean."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def _of(done: Sequence[Scored], labels: int, method: str, name: str = "auroc") -> list[float]:
    chosen = sorted((one.seed, getattr(one, name)) for one in done if (one.labels, one.method) == (labels, method))
    return [value for _, value in chosen]


def table(done: Sequence[Scored]) -> str:
    """Means with 95 % t intervals over draws, and the paired differences from the recipe."""
    lines = ["labels a class  method                       AUROC            accuracy  macro F1  CPU s  recipe's lead"]
    for labels in sorted({one.labels for one in done}):
        ours = _of(done, labels, "few-shot")
        for method, title in METHODS.items():
            if not (values := _of(done, labels, method)):
                continue
            accuracy, f1, seconds = (
                np.mean(_of(done, labels, method, name)) for name in ("accuracy", "f1_macro", "cpu_s")
            )
            lead = np.subtract(ours, values) if len(ours) == len(values) else np.array([])
            told = (
                f"{lead.mean():+.3f} ± {_half_width(lead.tolist()):.3f}" if len(lead) and method != "few-shot" else ""
            )
            lines.append(
                f"{labels:>14}  {title:<27}  {np.mean(values):.3f} ± {_half_width(values):.3f}    {accuracy:.3f}"
                f"     {f1:.3f}  {seconds:>5.0f}  {told}"
            )
    return "\n".join(lines)


def drawn(done: Sequence[Scored]) -> str:
    """AUROC by labels a class, each draw and the means with their intervals, as SVG."""
    import io

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes: Any = figure.add_subplot()
        axes.set(xlabel="labels a class", ylabel="AUROC, 1,000 test reviews", xscale="log")
        counts = sorted({one.labels for one in done})
        for place, (method, title) in enumerate(METHODS.items()):
            at = np.array(counts) * 1.04 ** (place - 1)
            found = [_of(done, labels, method) for labels in counts]
            axes.errorbar(at, [np.mean(one) for one in found], yerr=[_half_width(one) for one in found], marker="o",
                          color=COLOURS[method], label=title, capsize=3)  # fmt: skip
            for x, values in zip(at, found, strict=True):
                axes.plot([x] * len(values), values, ".", color=COLOURS[method], alpha=0.4)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.legend(frameon=False)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    return drawing.getvalue()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
