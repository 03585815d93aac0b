"""The folder of a run: files that are whole or not there, locks, and what differs from the run that was."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explicate.errors import UsageError
from explicate.results import ModelVersion
from explicate.scoring import output_folder
from explicate.scoring.interfaces import InputFile, Refusal
from explicate.scoring.output_columns import ExplanationLayout, OutputColumns
from explicate.scoring.output_folder import CannotWrite, OutputFolder
from explicate.scoring.part_files import EarlierPart, PartWriter, merged
from explicate.scoring.row_answers import OneClass, OneValue, RowAnswer, RowAttribution, RowExplanation, SeveralLabels
from explicate.scoring.run_manifest import PinnedModel, Plan, RunManifest, schema_document

MODEL = ModelVersion("credit", 3, "ab" * 32, "onnxruntime-cpu", "fp32")
KEPT = pa.schema([("id", pa.int64()), ("job", pa.string())])
COLUMNS = OutputColumns(KEPT, OneClass(("good", "bad")), None)
MANIFEST = RunManifest(
    model=PinnedModel("credit", 3, "ab" * 32, "tabular-classification", ("good", "bad")),
    inputs=(InputFile("in/a.parquet", 10, 25, "0" * 64), InputFile("in/b.parquet", 12, 5, "1" * 64)),
    options={"explain": {"method": "kernel-shap", "seed": 0}, "keep": None, "top": 0},
    plan=Plan(30, 10, 4),
    wide=None,
    schema=schema_document(COLUMNS.schema),
)


def kept(*ids: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(ids, pa.int64()), pa.array([f"job {i}" for i in ids])], schema=KEPT)


def answered(*ids: int) -> pa.RecordBatch:
    return COLUMNS.answered(kept(*ids), [RowAnswer((1 - i / 100, i / 100), MODEL) for i in ids])


def failed(*ids: int) -> pa.RecordBatch:
    return COLUMNS.failed(kept(*ids), list(ids), [Refusal("INVALID_FIELD", "job", f"no {i}") for i in ids])


def write_part(folder: OutputFolder, number: int, *batches: tuple[pa.RecordBatch, pa.RecordBatch]) -> None:
    with PartWriter(folder, number, COLUMNS) as writer:
        for rows, refused in batches:
            writer.add(rows, refused)
        writer.finish()


@pytest.fixture
def folder(tmp_path):
    folder = OutputFolder(tmp_path / "out")
    with folder.held():
        folder.begin(MANIFEST)
        yield folder


class TestManifest:
    def test_it_is_read_back_as_it_was(self, folder):
        assert folder.manifest() == MANIFEST
        assert MANIFEST.differences(MANIFEST) == []

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            (replace(MANIFEST, model=replace(MANIFEST.model, version=4)), "the model's version is 4 now and was 3"),
            (replace(MANIFEST, plan=Plan(30, 15, 4)), "--part-rows is 15 now and was 10"),
            (
                replace(MANIFEST, options={**MANIFEST.options, "explain": {"method": "lime", "seed": 0}}),
                "--explain is lime now and was kernel-shap",
            ),
            (
                replace(MANIFEST, options={**MANIFEST.options, "explain": None}),
                "--explain is not given now and was kernel-shap",
            ),
            (replace(MANIFEST, inputs=MANIFEST.inputs[:1]), "the input in/b.parquet is gone"),
            (replace(MANIFEST, inputs=MANIFEST.inputs[::-1]), "the inputs come in another order"),
            (
                replace(MANIFEST, inputs=(replace(MANIFEST.inputs[0], sha256="2" * 64), MANIFEST.inputs[1])),
                "the input in/a.parquet was changed",
            ),
            (replace(MANIFEST, programs={**MANIFEST.programs, "explicate": "9"}), "the version of explicate is 9 now"),
        ],
    )
    def test_whatever_differs_is_named_and_nothing_else(self, other, said):
        first, *others = MANIFEST.differences(other)
        assert first.startswith(said)
        assert all(each.startswith("--seed is not given") for each in others)

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1, "model": 3}', '{"format": 7}', "\x00"])
    def test_one_that_is_not_a_runs_is_refused_in_a_sentence(self, tmp_path, text):
        (tmp_path / "_manifest.json").write_text(text)
        with pytest.raises(UsageError, match=r"_manifest\.json"):
            OutputFolder(tmp_path).manifest()

    def test_the_first_of_two_shards_writes_it(self, tmp_path):
        first, second = OutputFolder(tmp_path / "out", (1, 2)), OutputFolder(tmp_path / "out", (2, 2))
        with first.held(), second.held():
            first.begin(MANIFEST)
            found = second.begin(replace(MANIFEST, plan=Plan(30, 15, 4)))
        assert found == MANIFEST
        assert not list((tmp_path / "out").glob("*.tmp"))


class TestHolding:
    def test_a_second_process_is_refused_until_the_first_one_dies(self, tmp_path):
        program = (
            "import sys, time\nfrom pathlib import Path\nfrom explicate.scoring.output_folder import OutputFolder\n"
            f"with OutputFolder(Path({str(tmp_path / 'out')!r})).held():\n"
            "    print('held', flush=True)\n    sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        folder = OutputFolder(tmp_path / "out")
        with pytest.raises(UsageError, match="another process writes"), folder.held():
            pass
        with pytest.raises(UsageError, match="another process writes"), OutputFolder(folder.path, (1, 2)).held():
            pass
        process.kill()
        process.communicate()
        with folder.held():
            pass

    def test_shards_hold_it_together_and_nobody_holds_one_twice(self, tmp_path):
        shards = [OutputFolder(tmp_path, (number, 2)) for number in (1, 2)]
        with shards[0].held(), shards[1].held():
            for other in (OutputFolder(tmp_path, (2, 2)), OutputFolder(tmp_path)):
                with pytest.raises(UsageError, match="another process"), other.held():
                    pass

    def test_a_folder_with_something_else_in_it_is_left_alone(self, tmp_path):
        (tmp_path / "holiday.jpg").write_bytes(b"")
        with pytest.raises(UsageError, match=r"not empty \(holiday\.jpg\)"), OutputFolder(tmp_path).held():
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]

    def test_a_file_in_its_place_is_a_sentence(self, tmp_path):
        (tmp_path / "out").write_bytes(b"")
        with pytest.raises(CannotWrite, match="out"), OutputFolder(tmp_path / "out").held():
            pass


class TestParts:
    def test_readers_of_the_folder_see_the_parts_alone(self, folder):
        write_part(folder, 0, (answered(0, 2), failed(1)))
        write_part(folder, 1, (answered(3), failed()))
        folder.finish(rows=4, failed=1)
        assert pq.read_table(folder.path)["id"].to_pylist() == [0, 2, 3]
        assert pq.read_table(folder.failed_part(0)).to_pylist() == [
            {"row": 1, "reason": "INVALID_FIELD", "field": "job", "message": "no 1", "input": {"id": 1, "job": "job 1"}}
        ]
        assert (folder.parts(), folder.parts_with_failures(), folder.is_finished()) == ({0, 1}, {0}, True)

    def test_how_rows_come_in_batches_and_from_which_buffers_does_not_change_the_bytes(self, folder):
        write_part(folder, 0, (answered(*range(10)), failed()))
        whole = folder.part(0).read_bytes()
        pieces = [(answered(*range(20)).slice(start, 5), failed()) for start in (0, 5)]
        write_part(folder, 0, *pieces)
        assert folder.part(0).read_bytes() == whole

    def test_a_part_with_only_failures_is_there_without_rows(self, folder):
        write_part(folder, 0, (answered(), failed(0, 1)))
        assert pq.read_table(folder.part(0)).schema.names == COLUMNS.schema.names
        assert pq.read_metadata(folder.failed_part(0)).num_rows == 2

    def test_rows_that_failed_and_were_asked_again_lie_where_they_would_have(self, folder):
        write_part(folder, 0, (answered(0, 1, 2, 3), failed()), (answered(4, 5), failed()))
        undisturbed = folder.part(0).read_bytes()
        write_part(folder, 0, (answered(1, 3), failed(0, 2)), (answered(4), failed(5)))
        earlier = EarlierPart(folder, 0, COLUMNS, range(6))
        assert earlier.failed == {0, 2, 5}
        batches = []
        for rows, new in ((range(4), (0, 2)), (range(4, 6), (5,))):
            before, places = earlier.next_rows(rows)
            batches.append((merged(before, places, answered(*new), [i - rows.start for i in new]), failed()))
        write_part(folder, 0, *batches)
        assert folder.part(0).read_bytes() == undisturbed
        assert not folder.failed_part(0).exists()

    @pytest.mark.parametrize("step", ["add", "finish"])
    def test_an_error_leaves_nothing_of_the_part_under_way(self, folder, step):
        write_part(folder, 0, (answered(1), failed()))
        before = folder.part(0).read_bytes()

        def interrupted() -> None:
            with PartWriter(folder, 0, COLUMNS) as writer:
                writer.add(answered(1, 2), failed(3))
                if step == "finish":
                    writer._write_group()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert folder.part(0).read_bytes() == before
        assert not list(folder.path.rglob("*.tmp"))
        assert not folder.failed_part(0).exists()

    @pytest.mark.parametrize("call", ["fsync", "write", "replace"])
    def test_a_disk_that_is_full_is_a_sentence_and_leaves_what_was_there(self, folder, monkeypatch, call):
        write_part(folder, 0, (answered(1), failed()))

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if call == "fsync":
            monkeypatch.setattr(output_folder.os, "fsync", full)
        elif call == "replace":
            monkeypatch.setattr(Path, "replace", full)
        else:
            monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(CannotWrite, match=r"part-000001\.parquet: No space left on device"):
            write_part(folder, 1, (answered(2), failed()))
        assert folder.parts() == {0}
        assert not list(folder.path.rglob("*.tmp"))

    def test_a_file_that_may_not_grow_is_the_same(self, folder):
        """A real limit of the system: RLIMIT_FSIZE, in a process of its own."""
        program = (
            "import resource, sys\nfrom pathlib import Path\nimport pyarrow as pa, pyarrow.parquet as pq\n"
            "from explicate.scoring.output_folder import CannotWrite, written_whole\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "table = pa.table({'a': [str(i * 7919) for i in range(20000)]})\n"
            "try:\n    with written_whole(Path(sys.argv[1])) as file:\n        pq.write_table(table, file)\n"
            "except CannotWrite as error:\n    print(error)"
        )
        path = folder.part(5)
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"cannot write {path}: File too large")
        assert folder.parts() == set()

    def test_what_a_killed_process_left_goes_but_not_what_is_anothers(self, folder):
        for name in ("part-000001.parquet.tmp", "part-000002.parquet.tmp", "_failed/part-000001.parquet.tmp"):
            (folder.path / name).write_bytes(b"PAR1")
        folder.clear_unfinished({1}.__contains__)
        assert [path.name for path in folder.path.rglob("*.tmp")] == ["part-000002.parquet.tmp"]


class TestColumns:
    def test_several_labels_come_the_most_probable_first(self):
        outcome = SeveralLabels(("tea", "box", "late"))
        arrays = outcome.arrays([RowAnswer((0.5, 0.1, 0.9), MODEL), None, RowAnswer((0.4, 0.1, 0.2), MODEL)])
        assert [array.to_pylist() for array in arrays] == [
            [["late", "tea"], None, []],
            [[0.5, 0.1, 0.9], None, [0.4, 0.1, 0.2]],
        ]

    def test_a_regression_has_a_value(self):
        (values,) = OneValue(()).arrays([RowAnswer((3.5,), MODEL), None])
        assert values.to_pylist() == [3.5, None]

    @pytest.mark.parametrize("name", ["label", "probability", "runtime"])
    def test_a_column_that_would_be_there_twice_is_refused(self, name):
        with pytest.raises(UsageError, match=f"has a column {name}, and so has the output.*--keep"):
            OutputColumns(pa.schema([(name, pa.string())]), OneClass(("a", "b")), None)

    def test_explanations_long_wide_and_the_strongest_alone(self):
        nan = float("nan")
        attribution = RowAttribution("bad", 0.25, (0.1, -0.5, nan), (0.0, -0.6, nan), (0.2, -0.4, nan))
        explanation = RowExplanation(("age", "job", "owner"), [attribution], "tolerance", 32)
        long = ExplanationLayout(strongest=2).arrays([explanation, None])
        assert long[0].to_pylist() == [
            [
                {"feature": "job", "value": -0.5, "lower": -0.6, "upper": -0.4},
                {"feature": "age", "value": 0.1, "lower": 0.0, "upper": 0.2},
            ],
            None,
        ]
        assert [array.to_pylist() for array in long[1:]] == [[0.25, None], ["tolerance", None], [32, None]]
        wide = ExplanationLayout(wide=("age", "job", "owner"))
        assert [field.name for field in wide.fields][:3] == ["attr_age", "attr_job", "attr_owner"]
        assert [array.to_pylist() for array in wide.arrays([explanation, None])][:3] == [
            [0.1, None],
            [-0.5, None],
            [None] * 2,
        ]
        with pytest.raises(UsageError, match="--attributions long"):
            ExplanationLayout(wide=("age", "job")).arrays([explanation])

    def test_all_classes_say_theirs(self):
        outputs = [RowAttribution(name, base, (0.1,), (0.0,), (0.2,)) for name, base in (("good", 0.7), ("bad", 0.3))]
        arrays = ExplanationLayout(all_classes=True).arrays([RowExplanation(("age",), outputs, "exact", 4)])
        assert [item["class"] for item in arrays[0].to_pylist()[0]] == ["good", "bad"]
        assert arrays[1].to_pylist() == [[0.7, 0.3]]


def test_the_manifest_is_json_without_times(folder):
    told = json.loads((folder.path / "_manifest.json").read_text())
    assert told["model"]["version"] == 3
    assert not [key for key in told if "time" in key or "date" in key]
