"""Reading a run directory: what is whole is read, what is not is one sentence that names the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from explicate_export.errors import UsageError
from explicate_export.export import open_run
from explicate_export.text.run import read_text_run
from support.tiny_bundle import write_run_files


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory whose model files are empty: reading does not load them."""
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "model" / name).touch()
    write_run_files(tmp_path, texts=["good food", "bad food"])
    return tmp_path


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_finished_run_is_read(run: Path) -> None:
    found = read_text_run(run)
    assert found.labels == ("other", "great")
    assert found.max_tokens == 128
    assert found.held_out == (("good food",), ("bad food",))
    assert found.training.test_metrics["accuracy"] == 0.5
    assert found.training.seed == 7


def test_texts_with_line_separators_inside_stay_whole(run: Path) -> None:
    text = "one\u2028two\u0085three"
    line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
    (run / "held_out.jsonl").write_text(line, encoding="utf-8")
    assert read_text_run(run).held_out == ((text,),)


def test_texts_without_utf8_form_are_left_out(run: Path) -> None:
    (run / "held_out.jsonl").write_text('{"text": "\\ud800"}\n{"text": "fine"}\n{"text": " "}\n', encoding="utf-8")
    assert read_text_run(run).held_out == (("fine",),)


@pytest.mark.parametrize(
    "name", ["run.json", "metrics.json", "data.json", "held_out.jsonl", "model/config.json", "model/model.safetensors"]
)
def test_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(UsageError, match=Path(name).name):
        read_text_run(run)


@pytest.mark.parametrize("content", ["", "{", "[]", "\ufeff"])
def test_broken_json_is_named(run: Path, content: str) -> None:
    (run / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json"):
        read_text_run(run)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["one"]}, "labels"),
        ({"labels": ["same", "same"]}, "labels"),
        ({"labels": "ab"}, "labels"),
        ({"labels": ["a", 1]}, "labels"),
        ({"max_tokens": "128"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 7}, "at least 8"),
        ({"seed": None}, "seed"),
    ],
)
def test_wrong_value_is_named(run: Path, values: dict[str, Any], message: str) -> None:
    _change(run / "run.json", **values)
    with pytest.raises(UsageError, match=message):
        read_text_run(run)


@pytest.mark.parametrize("line", ['{"label": "x"}', "nonsense", '{"text": 5}', "[1]"])
def test_broken_held_out_line_is_named_by_number(run: Path, line: str) -> None:
    (run / "held_out.jsonl").write_text('{"text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2"):
        read_text_run(run)


def test_run_without_texts_is_refused(run: Path) -> None:
    (run / "held_out.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no texts"):
        read_text_run(run)


@pytest.mark.parametrize(
    ("kind", "message"), [("sound-classification", r"'sound-classification', and what can be exported"), (None, "kind")]
)
def test_unknown_kind_of_run_is_named(run: Path, kind: object, message: str) -> None:
    _change(run / "run.json", kind=kind)
    with pytest.raises(UsageError, match=message):
        open_run(run, lambda _: None)


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is not a run directory"):
        open_run(tmp_path / "nowhere", lambda _: None)


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("/home/someone/models/minilm", "minilm"),
        ("./minilm", "minilm"),
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_the_way_to_a_folder_on_the_trainers_machine_stays_there(run: Path, base: str, told: str) -> None:
    _change(run / "run.json", base_model=base)
    assert read_text_run(run).base_model == told
