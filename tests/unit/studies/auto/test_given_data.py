"""What `explicate auto` is given becomes a config of the right kind, or one sentence before anything is trained."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from explicate.errors import UsageError
from explicate_studies.auto.given_data import Asked, config_of
from explicate_training.image.config import ImageConfig
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config
from explicate_training.train import prepare_data

SHARED = Path(__file__).parents[5] / "shared" / "data" / "csv"
SENTENCES = ("the soup was cold and the waiter was late", "what a lovely evening with the best of friends we had")


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> str:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return str(path)


def reviews(count: int = 60) -> list[list[object]]:
    return [[number, f"{SENTENCES[number % 2]}, visit {number}", number % 5 + 1] for number in range(count)]


def said() -> tuple[list[str], object]:
    lines: list[str] = []
    return lines, lines.append


def test_words_and_numbers_are_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["price", "city", "stays"], [[n, "oslo", "yes"] for n in range(30)])
    config = config_of(Asked(path, "stays"), print)
    assert isinstance(config, TableConfig)
    assert (config.data.table, config.data.label_column, config.data.task) == (path, "stays", "auto")


def test_a_column_of_sentences_is_text_and_others_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["id", "review", "stars"], reviews())
    lines, say = said()
    config = config_of(Asked(path, "stars"), say)
    assert isinstance(config, Config)
    assert (config.data.text_column, config.data.task) == ("review", "classification")
    assert any("'id' are not read" in line for line in lines)
    assert isinstance(config_of(Asked(path, "stars", kind="table"), print), TableConfig)


def test_a_measure_beside_texts_is_a_regression_and_lists_are_several_labels(tmp_path: Path) -> None:
    rows = [[text, number / 7] for number, text, _ in reviews()]
    assert (
        config_of(Asked(write(tmp_path / "a.csv", ["review", "score"], rows), "score"), print).data.task == "regression"
    )
    path = tmp_path / "b.jsonl"
    lines = [json.dumps({"review": text, "tags": ["late"] if number % 2 else []}) for number, text, _ in reviews()]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert config_of(Asked(str(path), "tags"), print).data.task == "multi-label"


def test_several_columns_are_several_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["x", "late", "rude"], [[n / 3, n % 2, n % 3 == 0] for n in range(30)])
    data = config_of(Asked(path, "late,rude"), print).data
    assert (data.task, data.label_columns) == ("multi-label", "late,rude")


def test_folders_and_columns_of_pictures_are_pictures(tmp_path: Path) -> None:
    for place, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (80, 60), (place, 0, 0)).save(tmp_path / "photos" / name / "1.png")
    folder = config_of(Asked(str(tmp_path / "photos")), print)
    assert isinstance(folder, ImageConfig)
    assert (folder.model.architecture, folder.model.image_size, folder.augmentation.flip) == ("resnet", 64, 0.0)
    path = write(tmp_path / "a.csv", ["file", "what"], [["photos/cat/1.png", "cat"], ["photos/dog/1.png", "dog"]])
    listed = config_of(Asked(path, "what"), print)
    assert isinstance(listed, ImageConfig)
    assert listed.data.image_column == "file"


def test_ready_sets_and_configs_are_taken_as_they_are(tmp_path: Path) -> None:
    assert config_of(Asked("credit"), print).data.demo == "credit"
    write(tmp_path / "a.csv", ["x", "y"], [[n, "a"] for n in range(30)])
    (tmp_path / "my.toml").write_text('[data]\ntable = "a.csv"\nlabel_column = "y"\n[model]\nwidth = 8\n')
    config = config_of(Asked(str(tmp_path / "my.toml"), seed=3), print)
    assert isinstance(config, TableConfig)
    assert (config.model.width, config.training.seed, config.data.table) == (8, 3, str(tmp_path / "a.csv"))
    with pytest.raises(UsageError, match="which says what it reads: leave out --kind"):
        config_of(Asked("credit", kind="text"), print)


def test_columns_are_left_out_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["x", "refund", "y"], [[n, n, "a"] for n in range(30)])
    config = config_of(Asked(path, "y", ignored=("refund",)), print)
    assert isinstance(config, TableConfig)
    assert config.data.columns == {"refund": "ignore"}


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (Asked("{file}"), r"--label is missing: which column of a\.csv is to be predicted\? It has 'x', 'status'"),
        (Asked("{file}", "Status"), r"no column 'Status'; did you mean status\?; it has 'x', 'status'"),
        (Asked("{file}", "status", text="words"), "no column 'words'"),
        (Asked("{file}", "status", text="status"), "--text and --label are both 'status'"),
        (Asked("{file}", "status", kind="text"), "no column of texts: name it with --text COLUMN"),
        (Asked("{file}", "status", kind="image"), "no column with paths of pictures"),
        (Asked("creditt"), "creditt does not exist; did you mean credit"),
        (Asked("{folder}"), "has no pictures: give a folder with a folder of pictures for each class"),
        (Asked("{folder}", "status"), "whose folders are the classes: leave out --label"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path: Path, asked: Asked, refusal: str) -> None:
    file = write(tmp_path / "a.csv", ["x", "status"], [[n, "ab"[n % 2]] for n in range(30)])
    (tmp_path / "empty").mkdir()
    given = asked.data.format(file=file, folder=tmp_path / "empty")
    with pytest.raises(UsageError, match=refusal):
        config_of(Asked(given, asked.label, asked.text, asked.kind), print)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_files_are_read_as_training_reads_them(tmp_path: Path, encoding: str) -> None:
    rows = [[(37 * n) % 101 / 7, ["Zürich", "Genève"][n % 2], ["gut", "übel"][n % 3 % 2]] for n in range(80)]
    path = write(tmp_path / "a.csv", ["x", "ort", "urteil"], rows, encoding)
    run = prepare_data(config_of(Asked(path, "urteil"), print), lambda _: None)
    assert run.labels == ["gut", "übel"]


@pytest.mark.parametrize(
    "name", ["01_semicolon", "03_utf16", "04_latin1", "07_decimal_comma", "09_ids", "27_header_spaces"]
)
def test_files_of_strangers_are_tables(name: str) -> None:
    path = SHARED / f"{name}.csv"
    if not path.is_file():
        pytest.skip("the strangers' files are not here")
    config = config_of(Asked(str(path), "label"), print)
    assert isinstance(config, TableConfig)
    run = prepare_data(config, lambda _: None)
    assert run.labels == ["bad", "good"]
    assert [column.name for column in run.splits.train.columns] == ["age", "income", "city"]
