"""`explicate score` against the canned server: what it asks, what it writes, and how it goes on."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import explicate as library
from explicate.scoring.output_folder import OutputFolder
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from support.canned import canned_server, canned_tables
from support.canned.canned_server import CannedServer, great_probability, word_value

ROWS = 50


def table(rows: int = ROWS, **replaced: list) -> pa.Table:
    columns = {
        "id": [f"c{i}" for i in range(rows)],
        "age": [float(i % 100) for i in range(rows)],
        "income": [None if i % 7 == 0 else i * 10.0 for i in range(rows)],
        "job": ["clerk" if i % 3 else "driver" for i in range(rows)],
        "owner": [i % 2 == 0 for i in range(rows)],
    }
    return pa.table({**columns, **replaced})


@pytest.fixture
def inputs(tmp_path):
    """`inputs()` writes the rows to two files and gives their glob; `inputs(age=[...])` with other values."""

    def write(rows: int = ROWS, **replaced: list) -> str:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        whole = table(rows, **replaced)
        pq.write_table(whole.slice(0, rows // 3), folder / "a.parquet")
        pq.write_table(whole.slice(rows // 3), folder / "b.parquet")
        return str(folder / "*.parquet")

    return write


@pytest.fixture
def score(explicate, tmp_path) -> Callable[..., tuple[int, str]]:
    """`score("--input", ...)` gives the exit code and what was said; the output is `out` unless said otherwise."""

    def run(*arguments: object, model: str = "credit", out: str = "out") -> tuple[int, str]:
        code, printed, said = explicate(
            "score", "--model", model, "--output", str(tmp_path / out), *map(str, arguments)
        )
        return code, printed + said

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def predicted(server: CannedServer) -> list[inference_pb.PredictRequest]:
    return [request for request in server.requests if isinstance(request, inference_pb.PredictRequest)]


def explained(server: CannedServer) -> list[inference_pb.ExplainRequest]:
    return [request for request in server.requests if isinstance(request, inference_pb.ExplainRequest)]


def explained_tables(server: CannedServer) -> list[inference_pb.ExplainTableRequest]:
    return [request for request in server.requests if isinstance(request, inference_pb.ExplainTableRequest)]


def failures(folder: Path) -> list[dict]:
    paths = sorted((folder / "_failed").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


class TestPredictions:
    def test_rows_of_a_table_go_packed_as_bulk_to_one_version_and_come_back_in_order(
        self, score, server, inputs, tmp_path
    ):
        assert score("--input", inputs(), "--part-rows", 20)[0] == 0
        calls = predicted(server)
        assert sorted(call.table.rows for call in calls) == [10, 20, 20]
        assert {(call.model.version, call.priority) for call in calls} == {(3, inference_pb.PRIORITY_BULK)}
        assert [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("part-*"))] == [20, 20, 10]
        rows = pq.read_table(tmp_path / "out").to_pylist()
        assert [row["id"] for row in rows] == [f"c{i}" for i in range(ROWS)]
        for row in rows:
            bad = row["age"] / 100
            assert row["probabilities"] == [1 - bad, bad]
            assert (row["label"], row["probability"]) == ("bad" if bad > 0.5 else "good", max(bad, 1 - bad))
            assert (row["bundle_digest"], row["runtime"], row["precision"]) == ("ab" * 32, "onnxruntime-cpu", "fp32")
        assert json.loads((tmp_path / "out" / "_SUCCESS").read_text()) == {"rows": ROWS, "failed": 0}

    def test_texts_go_many_in_a_call(self, score, server, tmp_path):
        texts = ["tea " * (1 + i % 9) for i in range(300)]
        (tmp_path / "in.jsonl").write_text(
            "".join(json.dumps({"id": i, "review": t}) + "\n" for i, t in enumerate(texts))
        )
        code, _ = score("--input", tmp_path / "in.jsonl", "--column", "text=review", "--keep", "id", model="reviews")
        assert code == 0
        assert sorted(len(call.inputs) for call in predicted(server)) == [44, 128, 128]
        rows = pq.read_table(tmp_path / "out").to_pylist()
        assert [row["id"] for row in rows] == list(range(300))
        assert [row["probabilities"][1] for row in rows] == [great_probability(text) for text in texts]
        assert "review" not in rows[0]

    def test_a_regression_and_several_labels(self, score, inputs, tmp_path):
        assert score("--input", inputs(), model="progression")[0] == 0
        assert pq.read_table(tmp_path / "out")["value"].to_pylist() == [10.0 * (i % 100) for i in range(ROWS)]
        (tmp_path / "in.csv").write_text("text\ntea\ntea and milk\n")
        assert score("--input", tmp_path / "in.csv", model="tags", out="tags")[0] == 0
        assert pq.read_table(tmp_path / "tags").schema.names[:3] == ["text", "labels", "probabilities"]

    def test_nothing_is_kept_if_nothing_is_to_be(self, score, inputs, tmp_path):
        assert score("--input", inputs(age=[-1.0, *[1.0] * (ROWS - 1)]), "--keep", "")[0] == 1
        assert pq.read_table(tmp_path / "out").schema.names[0] == "label"
        assert failures(tmp_path / "out")[0].keys() == {"row", "reason", "field", "message"}


class TestExplanations:
    def test_every_row_has_what_each_column_adds(self, score, server, inputs, tmp_path):
        assert score("--input", inputs(12), "--explain", "kernel-shap", "--seed", 7, "--max-evaluations", 64)[0] == 0
        calls = explained_tables(server)
        assert sum(call.table.rows for call in calls) == 12
        assert {(call.model.version, call.priority) for call in calls} == {(3, inference_pb.PRIORITY_BULK)}
        options = [call.options for call in calls]
        assert {(o.method, o.seed, o.max_evaluations) for o in options} == {("kernel-shap", 7, 64)}
        rows = pq.read_table(tmp_path / "out").to_pylist()
        assert [row["id"] for row in rows] == [f"c{i}" for i in range(12)]
        for row in rows:
            assert [part["feature"] for part in row["explanation"]] == ["age", "income", "job", "owner"]
            assert [part["value"] for part in row["explanation"]] == [word_value(i) for i in range(4)]
            assert (row["stop_reason"], row["evaluations"]) == ("tolerance", 32)
        assert json.loads((tmp_path / "out" / "_manifest.json").read_text())["plan"]["part_rows"] == 500

    def test_a_method_that_does_not_explain_tables_as_a_whole_explains_row_by_row(
        self, score, server, inputs, tmp_path
    ):
        assert score("--input", inputs(70), "--explain", "lime")[0] == 0
        assert len(explained(server)) == 70
        assert {call.spec.options.method for call in explained(server)} == {"lime"}
        assert [row["id"] for row in pq.read_table(tmp_path / "out").to_pylist()] == [f"c{i}" for i in range(70)]

    def test_texts_are_explained_one_by_one(self, score, server, tmp_path):
        (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": "tea " * (1 + i % 5)}) + "\n" for i in range(9)))
        assert score("--input", tmp_path / "in.jsonl", "--explain", "--top-k", 2, model="reviews")[0] == 0
        assert sorted(call.spec.input.text.text.count("tea") for call in explained(server)) == [
            1,
            1,
            2,
            2,
            3,
            3,
            4,
            4,
            5,
        ]
        assert {call.spec.options.top_k for call in explained(server)} == {2}
        told = pq.read_table(tmp_path / "out")["explanation"].to_pylist()
        assert [len(each) for each in told] == [1 + i % 5 for i in range(9)]

    def test_wide_has_a_column_for_each_group_of_columns(self, score, inputs, tmp_path):
        assert (
            score("--input", inputs(6), "--explain", "--attributions", "wide", "--keep", "id", model="grouped")[0] == 0
        )
        written = pq.read_table(tmp_path / "out")
        assert [name for name in written.schema.names if name.startswith("attr_")] == [
            "attr_means",
            "attr_job",
            "attr_owner",
        ]
        assert written["attr_job"].to_pylist() == [word_value(1)] * 6

    def test_only_the_rows_for_which_the_condition_holds_are_explained(self, score, server, inputs, tmp_path):
        condition = 'probability < 0.6 or id = "c3"'
        assert score("--input", inputs(), "--explain", "--explain-if", condition)[0] == 0
        wanted = [i for i in range(ROWS) if max(i, 100 - i) < 60 or i == 3]
        assert sum(call.table.rows for call in explained_tables(server)) == len(wanted)
        assert sum(call.table.rows for call in predicted(server)) == ROWS
        rows = pq.read_table(tmp_path / "out").to_pylist()
        assert [i for i, row in enumerate(rows) if row["explanation"] is not None] == wanted
        assert all(row["probability"] is not None for row in rows)

    @pytest.mark.parametrize(
        "wrong",
        [
            ("--seed", "1"),
            ("--explain-if", "probability < 1"),
            ("--attributions", "wide"),
            ("--explain", "--all-classes", "--attributions", "wide"),
            ("--explain", "--explain-if", "colour = 1"),
            ("--explain", "--explain-if", "probability <"),
            ("--shard", "3/2"),
            ("--shard", "x"),
            ("--in-flight", "0"),
            ("--in-flight", "many"),
            ("--rate", "0"),
            ("--patience", "soon"),
            ("--max-failed", "some"),
            ("--column", "text"),
            ("--column", "age=years"),
            ("--keep", "id,colour"),
            ("--part-rows", "0"),
        ],
    )
    def test_what_does_not_go_together_is_said_before_anything_is_written(self, score, inputs, tmp_path, wrong):
        code, said = score("--input", inputs(), *wrong)
        assert (code, said.startswith("explicate: ")) == (2, True)
        assert "Traceback" not in said
        assert (
            said.count("\n") == 1 or "probability <" in said or "colour" in said
        )  # a condition is shown with its fault
        assert not (tmp_path / "out").exists()


class TestRefusedRows:
    def test_each_bad_row_fails_alone_and_by_name(self, score, inputs, tmp_path):
        ages = [-1.0 if i in (3, 4, 30) else float(i) for i in range(ROWS)]
        jobs = [canned_tables.SPY if i in (10, 11) else "clerk" for i in range(ROWS)]
        code, said = score("--input", inputs(age=ages, job=jobs), "--part-rows", 25)
        assert code == 1
        assert "50 rows are in" in said
        assert "5 of them failed" in said
        bad = failures(tmp_path / "out")
        assert [(row["row"], row["field"], row["reason"]) for row in bad] == [
            (3, "age", "INVALID_FIELD"),
            (4, "age", "INVALID_FIELD"),
            (10, "job", "INVALID_FIELD"),
            (11, "job", "INVALID_FIELD"),
            (30, "age", "INVALID_FIELD"),
        ]
        assert bad[0]["message"] == canned_tables.UNBORN
        assert bad[0]["input"]["id"] == "c3"
        ids = pq.read_table(tmp_path / "out")["id"].to_pylist()
        assert ids == [f"c{i}" for i in range(ROWS) if i not in (3, 4, 10, 11, 30)]

    def test_a_row_that_cannot_be_explained_fails_alone(self, score, inputs, tmp_path):
        code, _ = score("--input", inputs(9, age=[-1.0 if i == 4 else 1.0 for i in range(9)]), "--explain")
        assert code == 1
        assert [(row["row"], row["field"]) for row in failures(tmp_path / "out")] == [(4, "age")]
        assert len(pq.read_table(tmp_path / "out")) == 8

    def test_too_many_end_the_run_early_and_a_higher_limit_goes_on(self, score, server, inputs, tmp_path):
        ages = [-1.0 if i % 10 == 0 else 1.0 for i in range(ROWS)]
        code, said = score("--input", inputs(age=ages), "--part-rows", 10, "--max-failed", 2, "--in-flight", 1)
        assert code == 1
        assert re.search(r"3 of \d+ rows failed, more than --max-failed 2 allows; row \d+ because age: must be 0", said)
        assert "run the same command again" in said
        assert len(OutputFolder(tmp_path / "out").parts()) < 5
        code, _ = score("--input", inputs(age=ages), "--part-rows", 10, "--max-failed", 50)
        assert code == 1
        assert len(failures(tmp_path / "out")) == 5

    def test_failed_rows_can_be_asked_again_and_lie_where_they_belong(
        self, score, server, inputs, tmp_path, monkeypatch
    ):
        files = inputs(age=[-1.0 if i in (0, 17, 49) else 1.0 for i in range(ROWS)])
        assert score("--input", files, "--part-rows", 20)[0] == 1
        monkeypatch.setattr(canned_tables, "packed_violations", lambda _table: [])
        server.requests.clear()
        assert score("--input", files, "--part-rows", 20)[0] == 1  # not without being told
        assert not predicted(server)
        assert score("--input", files, "--part-rows", 20, "--retry-failed")[0] == 0
        assert sorted(call.table.rows for call in predicted(server)) == [1, 2]
        assert score("--input", files, "--part-rows", 20, out="undisturbed")[0] == 0
        assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


CRASHES: dict[str, Callable[[Path], None]] = {
    "before the manifest": lambda out: (shutil.rmtree(out), out.mkdir()),
    "in the manifest": lambda out: (
        shutil.rmtree(out),
        out.mkdir(),
        (out / "_manifest.json.123.tmp").write_text("{"),
    ),
    "after the manifest": lambda out: [path.unlink() for path in out.rglob("*art-*.parquet")],
    "in a part": lambda out: (out / "part-000001.parquet").rename(out / "part-000001.parquet.tmp"),
    "between a part's failures and the part": lambda out: (out / "part-000000.parquet").unlink(),
    "in a part's failures": lambda out: (
        (out / "part-000000.parquet").unlink(),
        (out / "_failed" / "part-000000.parquet").rename(out / "_failed" / "part-000000.parquet.tmp"),
    ),
    "with later parts done": lambda out: (out / "part-000000.parquet").unlink(),
    "before the end": lambda out: None,
}


class TestGoingOn:
    @pytest.mark.parametrize("crash", CRASHES)
    @pytest.mark.parametrize("explain", [(), ("--explain",)])
    def test_from_each_point_of_a_crash_the_bytes_are_the_same(self, score, inputs, tmp_path, crash, explain):
        arguments = ("--input", inputs(age=[-1.0 if i == 5 else 1.0 for i in range(ROWS)]), "--part-rows", 20, *explain)
        assert score(*arguments)[0] == 1
        out = tmp_path / "out"
        undisturbed = contents(out)
        (out / "_SUCCESS").unlink()
        CRASHES[crash](out)
        assert score(*arguments)[0] == 1
        left = contents(out)
        left.pop("_manifest.json.123.tmp", None)  # of the process 123
        assert left == undisturbed

    def test_parts_that_are_done_are_not_asked_about_again(self, score, server, inputs, tmp_path):
        files = inputs()
        assert score("--input", files, "--part-rows", 20)[0] == 0
        (tmp_path / "out" / "part-000001.parquet").unlink()
        server.requests.clear()
        assert score("--input", files, "--part-rows", 20)[0] == 0
        assert [(call.table.rows, call.table.columns[0].numbers.values[0]) for call in predicted(server)] == [
            (20, 20.0)
        ]
        server.requests.clear()
        assert score("--input", files, "--part-rows", 20)[0] == 0
        assert not predicted(server)

    def test_another_run_in_the_folder_is_named_and_left_alone(self, score, inputs, tmp_path):
        files = inputs()
        assert score("--input", files, "--part-rows", 20, "--explain", "--seed", 1)[0] == 0
        before = contents(tmp_path / "out")
        code, said = score("--input", files, "--part-rows", 20, "--explain", "--seed", 2)
        assert code == 2
        assert "is the output of another run: --seed is 2 now and was 1; choose another --output" in said
        code, said = score("--input", files, "--part-rows", 20, "--explain", "--seed", 1, model="grouped")
        assert (code, "the model is grouped now and was credit" in said) == (2, True)
        inputs(age=[2.0] * ROWS)
        code, said = score("--input", files, "--part-rows", 20, "--explain", "--seed", 1)
        assert (code, "a.parquet was changed" in said) == (2, True)
        assert {**contents(tmp_path / "out"), ".lock": b""} == {**before, ".lock": b""}

    def test_the_version_of_the_start_answers_to_the_end(self, score, server, inputs, tmp_path, monkeypatch):
        files = inputs()
        assert score("--input", files, "--part-rows", 20, "--version", 3)[0] == 0
        (tmp_path / "out" / "part-000001.parquet").unlink()
        server.requests.clear()
        assert score("--input", files, "--part-rows", 20)[0] == 0
        (asked,) = [request for request in server.requests if isinstance(request, model_pb.GetModelRequest)]
        assert asked.version == 3
        other = inference_pb.ModelVersion(model="credit", version=3, bundle_digest="cd" * 32)
        monkeypatch.setattr(canned_server, "MODEL", other)
        (tmp_path / "out" / "part-000001.parquet").unlink()
        code, said = score("--input", files, "--part-rows", 20)
        assert code == 2
        assert "version 3 of credit is another bundle now" in said

    def test_a_version_that_is_gone_is_a_sentence(self, score, server, inputs, tmp_path):
        assert score("--input", inputs())[0] == 0
        server.status = canned_server.rich_status(
            grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND", message="the model has no such version"
        )
        code, said = score("--input", inputs())
        assert code == 2
        assert "version 3 of credit, which this run began with, does not serve" in said
        assert "explicate models load credit --version 3" in said

    def test_a_server_that_is_away_for_a_moment_costs_nothing(self, score, server, inputs):
        server.unavailable_times = 3
        assert score("--input", inputs(), "--in-flight", 2)[0] == 0

    def test_a_server_that_is_not_there_is_said_at_once(self, explicate, inputs, tmp_path):
        code, _, said = explicate(
            *("score", "--model", "credit", "--server", "127.0.0.1:1"),
            *("--input", inputs(), "--output", str(tmp_path / "out")),
        )
        assert code == 3
        assert "cannot reach a server at 127.0.0.1:1" in said
        assert not (tmp_path / "out").exists()

    def test_shards_leave_the_same_files_together(self, score, inputs, tmp_path):
        files = inputs(age=[-1.0 if i == 5 else 1.0 for i in range(ROWS)])
        assert score("--input", files, "--part-rows", 7)[0] == 1
        for number in (3, 1, 2):
            code, said = score("--input", files, "--part-rows", 7, "--shard", f"{number}/3", out="sharded")
            assert code == (1 if number == 1 else 0)  # the failed row is the first shard's
            assert ("rows of this shard are in" in said) == (number != 2)
        whole, sharded = contents(tmp_path / "out"), contents(tmp_path / "sharded")
        assert {n: b for n, b in sharded.items() if not n.startswith(".")} == {
            n: b for n, b in whole.items() if not n.startswith(".")
        }


# A shell starts what runs in the background with SIGINT ignored, and these tests may be there.
_HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("explicate", run_name="__main__")
"""


class TestTold:
    def test_a_dry_run_says_the_cost_and_writes_nothing(self, score, server, inputs, tmp_path):
        code, said = score("--input", inputs(), "--explain", "--dry-run", "--part-rows", 20)
        assert code == 0
        assert "rows: 50; files: 2; parts: 3; the columns fit the model" in said
        assert "evaluations: 32 a row, 1,600 in all" in said
        assert "time: about" in said
        assert not (tmp_path / "out").exists()
        assert sum(call.table.rows for call in explained_tables(server)) == 50

    def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(self, score, inputs):
        _, said = score("--input", inputs())
        assert "explicate: 100%, 50 of 50 rows" in said
        assert "\r" not in said

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_drops_the_parts_under_way_and_says_how_to_go_on(self, server, inputs, tmp_path, number, code):
        server.hold = True  # so that no explanation comes before it
        command = [sys.executable, "-c", _HEEDING, "score", "--server", server.target, "--model", "credit"]
        command += ["--input", inputs(), "--output", str(tmp_path / "out"), "--explain"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.entered.wait(60)
        while not explained_tables(server):
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == code
        assert said.endswith(
            "explicate: stopped; 0 of 1 parts are done and stay: run the same command again to go on\n"
        )
        assert not list((tmp_path / "out").rglob("*.tmp"))
        server.hold = False


class TestFunction:
    async def test_it_is_public_and_works_within_an_event_loop(self, server, inputs, tmp_path):
        result = library.score("credit", inputs(), tmp_path / "out", server=server.target, part_rows=20)
        assert (result.rows, result.failed, result.is_complete) == (ROWS, 0, True)
        assert OutputFolder(tmp_path / "out").parts() == {0, 1, 2}
        again = library.score(
            "credit", [inputs()], tmp_path / "why", server=server.target, explain="kernel-shap", seed=0, top=1
        )
        assert again.failed == 0
        assert [len(each) for each in pq.read_table(tmp_path / "why")["explanation"].to_pylist()] == [1] * ROWS

    def test_options_of_explanations_need_a_method(self, server, tmp_path):
        with pytest.raises(library.UsageError, match="seed: options of explanations need explain"):
            library.score("credit", "in", tmp_path / "out", server=server.target, seed=0)
