"""What `explicate predict`, `explain`, `models` and `health` print in each format, as it is today."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pins import record, tiny
from pins.command import explicate
from pins.conftest import Served

_FORMATS = ("text", "json", "csv")
_MEASURED = (
    (re.compile(r"\bevaluations in [\d.,]+ (?:min|ms|s)\b"), "evaluations in <time>"),
    (re.compile(r"\battributions within [\d.]+%"), "attributions within <rounding>"),
)

each_model = pytest.mark.parametrize("name", tiny.NAMES)


@pytest.fixture
def ask(name: str, served: Callable[[str], Served], pictures: tuple[Path, Path]) -> Callable[..., str]:
    """`ask("predict", "--format", "csv")` is what the command prints about the model's inputs."""
    running = served(tiny.kind_of(name))
    places = {**running.places, pictures[0].parent: "<pictures>"}

    def run(command: str, *options: str) -> str:
        said = explicate(command, *options, "--server", running.address)
        out = [_one_line(line, places) for line in said.out.splitlines()]
        shown = record.cleaned(replace(said, out="".join(f"{line}\n" for line in out)).text(), places)
        return _without_measured(shown)

    return run


def _without_measured(text: str) -> str:
    for pattern, replacement in _MEASURED:
        text = pattern.sub(replacement, text)
    return text


def _one_line(line: str, places: Mapping[Path, str]) -> str:
    """A line of output; a JSON object in its own order over several lines."""
    if not line.startswith("{"):
        return line
    value = record.masked(json.loads(line), {*record.OF_THE_MACHINE, "model_card"})
    if "metrics" in value:  # a map of protobuf, which has another order in every process
        value["metrics"] = dict(sorted(value["metrics"].items()))
    return record.pretty(record.cleaned_values(value, places), sort=False)


def _questions(name: str, pictures: Sequence[Path]) -> list[str]:
    kind = tiny.kind_of(name)
    if kind == "image":
        return ["--image", *map(str, pictures)]
    if kind == "table":
        return ["--row", json.dumps(tiny.ROW), "--row", json.dumps(tiny.ODD_ROW)]
    pairs = ["--text-pair", tiny.TEXT_PAIR, "--text-pair", tiny.TEXT] if name == "text-regression" else []
    return [tiny.TEXT, tiny.LONG_TEXT, *pairs]


@each_model
def test_predict(name: str, ask: Callable[..., str], pictures: tuple[Path, Path]) -> None:
    asked = _questions(name, pictures)
    said = {form: ask("predict", *asked, "--model", name, "--format", form) for form in _FORMATS}
    record.check(f"commands/{name}/predict.txt", _titled(said))


@each_model
def test_explain(name: str, ask: Callable[..., str], pictures: tuple[Path, Path]) -> None:
    options = ["--model", name, "--seed", "7", "--max-evaluations", "48", *_segments(name)]
    asked = [*_questions(name, pictures), *options]
    said = {form: ask("explain", *asked, "--format", form) for form in _FORMATS}
    said["text, the first three by lime"] = ask("explain", *asked, "--format", "text", "--top", "3", "--method", "lime")
    record.check(f"commands/{name}/explain.txt", _titled(said))


def _segments(name: str) -> list[str]:
    return ["--segments", "5", "--granularity", "grid"] if name.startswith("image") else []


@each_model
def test_explain_as_a_page(name: str, ask: Callable[..., str], pictures: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ["--model", name, "--seed", "7", "--max-evaluations", "48", *_segments(name), "--html", str(page)]
    ask("explain", *_questions(name, pictures), *options)
    html = re.sub(r"data:image/png;base64,[\w+/=]+", "<picture>", page.read_text(encoding="utf-8"))
    html = re.sub(r"(?s)<style>.*?</style>", "<style/>", html)  # reports/style.css has it
    record.check(f"pages/{name}.html", _without_measured(html.replace("><", ">\n<")))


@each_model
def test_models_show(name: str, ask: Callable[..., str]) -> None:
    said = {form: ask("models", "show", name, "--format", form) for form in ("text", "json")}
    record.check(f"commands/{name}/models_show.txt", _titled(said))


@pytest.mark.parametrize("name", [f"{kind}-classification" for kind in tiny.KINDS])
def test_models_list_and_health(name: str, ask: Callable[..., str]) -> None:
    said = {form: ask("models", "list", "--format", form) for form in ("text", "json")}
    said["health"] = ask("health")
    said["no model named"] = ask("predict", "tea")
    said["no such model"] = ask("predict", "tea", "--model", "nothing")
    record.check(f"commands/models_of_{tiny.kind_of(name)}.txt", _titled(said))


@pytest.mark.parametrize("name", [f"{kind}-classification" for kind in tiny.KINDS])
def test_lines_of_files(name: str, ask: Callable[..., str], pictures: tuple[Path, Path], tmp_path: Path) -> None:
    kind = tiny.kind_of(name)
    good: Mapping[str, object] = {
        "text": {"text": tiny.TEXT},
        "table": tiny.ROW,
        "image": {"image": str(pictures[0])},
    }[kind]
    lines = [json.dumps(good), "{", json.dumps({"shoe": 1})]
    (tmp_path / "asked.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    asked = ["--jsonl", str(tmp_path / "asked.jsonl"), "--model", name]
    said = {form: ask("predict", *asked, "--format", form) for form in _FORMATS}
    if kind == "table":
        with (tmp_path / "asked.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(tiny.ROW))
            writer.writeheader()
            writer.writerows([tiny.ROW, {**tiny.ODD_ROW, "age": "old"}])
        said["a CSV file"] = ask("predict", "--csv", str(tmp_path / "asked.csv"), "--model", name, "--format", "csv")
    record.check(f"commands/{name}/files.txt", _titled(said).replace(str(tmp_path), "<files>"))


def _titled(said: Mapping[str, str]) -> str:
    return "\n".join(f"=== {title}\n{text}" for title, text in said.items())
