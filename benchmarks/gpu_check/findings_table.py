"""What all steps found: figures.json, and a table in Markdown beside what is to be reached."""

import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any  # figures of several types

from benchmarks.gpu_check.findings import Findings
from explicate_server.runtime.nvml import open_nvml

_PACKAGES = ("onnxruntime-gpu", "torch", "transformers", "shap", "nvidia-ml-py")


@dataclass(frozen=True)
class Goal:
    """A figure that is to be reached on one H100: GPU.md, Wanted 4.

    Attributes:
        step, figure: where it is, the figure's name as a pattern.
        reached: whether a value is good enough.
    """

    told: str
    step: str
    figure: str
    reached: Callable[[float], bool]


_SHORT, _LONG, _IMAGE = (f"explanation of {told}.*, s" for told in ("50 words", "400 words", "an image"))
_PEER = "ours of shap's time, same error"
GOALS = (
    Goal("BERT-base, 50 words, 8n rows: under 30 ms", "serve bert-base", _SHORT, lambda s: s < 0.03),
    Goal("MiniLM-L6, 400 words to tolerance .2: under 1 s", "serve minilm-l6", _LONG, lambda s: s < 1.0),
    Goal("BERT-base, 400 words to tolerance .2: under 1 s", "serve bert-base", _LONG, lambda s: s < 1.0),
    Goal("ResNet-50, 49 segments: under 100 ms", "serve resnet-50", _IMAGE, lambda s: s < 0.1),
    Goal("≥ .9 of bare IO-bound rows/s", "graph bert-base", "batcher of bare, 512 x 64.*", lambda r: r >= 0.9),
    Goal(
        "shap's accuracy in 1/20 of its time", "serve bert-base", "ours of shap's time, same error", lambda r: r <= 0.05
    ),
    Goal("Predict's p99 ≤ 2 x idle and a batch", "serve bert-base", "Predict's p99 beside .*", lambda r: r <= 1.0),
)
_LINES_OF_A_LOG = 200
_FASTER = 2.5  # rows a second of fp16, of fp32


def write_report(
    out: Path,
    found: Mapping[str, Findings],
    *,
    device: str,
    times: Mapping[str, float],
    left_out: Sequence[str],
) -> bool:
    """Write figures.json and table.md, and tell whether nothing failed or was left out so far."""
    failures = [f"{step}: {part}: {why}" for step, one in found.items() for part, why in one.failures.items()]
    failures += [f"{step}: not begun, the time was over" if "," not in step else step for step in left_out]
    figures = {
        "machine": dict(machine(device)),
        "seconds": dict(times),
        "failures": failures,
        "figures": {step: one.figures for step, one in found.items()},
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = "\n".join(table(figures))
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    return not failures


def gather_logs(folder: Path, path: Path) -> None:
    """The ends of all logs in one file, small enough to be carried."""
    parts = []
    for log in sorted(folder.glob("*.txt")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_A_LOG:]
        parts.append("\n".join([f"==> {log.name}", *(line[:500] for line in lines), ""]))
    path.write_text("\n".join(parts), encoding="utf-8")


def machine(device: str) -> Iterator[tuple[str, Any]]:
    """What it was measured on."""
    yield "device", device
    nvml = open_nvml()
    for reading in nvml.readings() if nvml else ():
        yield reading.device, f"{reading.product}, {reading.total_bytes >> 20:,} MiB"
    if nvml is not None:
        yield "driver", nvml.driver
    yield "python", platform.python_version()
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"Measured on {', '.join(f'{name} {value}' for name, value in figures['machine'].items())}."
    yield ""
    yield "| to reach | found | |"
    yield "|---|---|---|"
    for told, value, reached in goals(figures["figures"]):
        shown = "not measured" if value is None else f"{value:.3g}"
        yield f"| {told} | {shown} | {'' if value is None else 'reached' if reached else 'missed'} |"
    for step, of_step in figures["figures"].items():
        if of_step:
            yield ""
            yield f"| {step} | |"
            yield "|---|---|"
            yield from (f"| {name} | {_shown(value)} |" for name, value in of_step.items())
    yield ""
    yield "What failed or was left out:" if figures["failures"] else "Nothing failed."
    yield from (f"- {line}" for line in figures["failures"])


def goals(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, float | None, bool]]:
    """Each goal with the largest figure that fits its pattern, None if there is none, and whether it was reached."""
    for goal in GOALS:
        values = [v for name, v in figures.get(goal.step, {}).items() if re.fullmatch(goal.figure, name)]
        yield goal.told, values[0] if values else None, bool(values) and goal.reached(values[0])
    for step, of_step in figures.items():
        ratio = _half_of_full(of_step)
        if ratio is not None:
            yield f"fp16 ≥ {_FASTER} x fp32's rows/s, {step.removeprefix('graph ')}", ratio, ratio >= _FASTER


def _half_of_full(figures: Mapping[str, Any]) -> float | None:
    """The best of the ratios of fp16's rows a second with IO binding and fp32's, over shapes."""
    ratios = [
        value / figures[full]
        for name, value in figures.items()
        if name.endswith("fp16, IO binding") and (full := name.replace("fp16", "fp32")) in figures
    ]
    return max(ratios, default=None)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " and ".join(map(_shown, value)) if isinstance(value, list) else str(value)
