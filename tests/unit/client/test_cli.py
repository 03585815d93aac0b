"""The command line: what it prints where, and its exit codes."""

from __future__ import annotations

import csv
import io
import re
import socket
import sys
from importlib import metadata

import pytest
from grpc import StatusCode

from explicate.cli import explanation_options, main
from explicate.errors import UsageError, invalid_argument
from explicate.v1 import explanation_pb2 as pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from support.canned.canned_server import bad_request, model_status, rich_status
from support.command_line import COLOUR, documents, in_terminal


class TestPredict:
    def test_text_is_a_table_in_the_order_of_the_texts(self, explicate):
        code, out, err = explicate("predict", "--format", "text", "one", "a b c d e f g", "two words")
        assert (code, err) == (0, "")
        assert [line.split(maxsplit=2) for line in out.splitlines()] == [
            ["LABEL", "PROBABILITY", "TEXT"],
            ["other", "0.900", "one"],
            ["great", "0.700", "a b c d e f g"],
            ["other", "0.800", "two words"],
        ]

    def test_json_is_the_default_when_stdout_is_not_a_terminal(self, explicate):
        code, out, _ = explicate("predict", "a b c d e f g")
        (document,) = documents(out)
        assert code == 0
        assert (document["input"], document["text"]) == (1, "a b c d e f g")
        assert document["prediction"]["label"] == "great"
        assert document["prediction"]["scores"][1]["probability"] == 0.7
        assert document["model"]["version"] == 3

    def test_csv_has_a_line_for_every_text(self, explicate):
        code, out, err = explicate("predict", "--format", "csv", 'with, comma and "quote"', "", "x")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert code == 1
        assert [row["text"] for row in rows] == ['with, comma and "quote"', "", "x"]
        assert [row["label"] for row in rows] == ["other", "", "other"]
        assert rows[1]["error"] == "must not be empty"
        assert err == "explicate: text 2: must not be empty\n"

    def test_bad_texts_are_named_and_the_others_answered(self, explicate):
        code, out, err = explicate("predict", "good", "", "\udcff", "fine")
        assert code == 1
        assert ["error" in document for document in documents(out)] == [False, True, True, False]
        assert err.splitlines()[0] == "explicate: text 2: must not be empty"
        assert err.splitlines()[1].startswith("explicate: text 3: has a lone surrogate")

    def test_a_file_is_read_line_by_line(self, explicate, server, tmp_path):
        file = tmp_path / "texts.txt"
        file.write_bytes(b"first\r\nsecond \xc3\xa9\nlast without end")
        code, out, _ = explicate("predict", "--file", str(file))
        assert code == 0
        assert [document["text"] for document in documents(out)] == ["first", "second é", "last without end"]

    def test_many_texts_go_in_several_calls(self, explicate, server, tmp_path):
        file = tmp_path / "texts.txt"
        file.write_text("".join(f"text {i}\n" for i in range(300)))
        code, out, _ = explicate("predict", "--model", "reviews", "--file", str(file))
        assert code == 0
        assert [document["input"] for document in documents(out)] == list(range(1, 301))
        assert [len(request.inputs) for request in server.requests] == [128, 128, 44]

    def test_texts_too_large_for_one_message_are_sent_apart(self, explicate, server, tmp_path):
        file = tmp_path / "texts.txt"
        file.write_text("\n".join(["x" * 3_000_000] * 7))  # 21 MB, and a message may have 16 MiB
        code, _, _ = explicate("predict", "--model", "reviews", "--format", "csv", "--file", str(file))
        assert code == 0
        _what_it_predicts, *sent = server.requests
        assert [len(request.inputs) for request in sent] == [3, 4]

    def test_texts_come_from_stdin(self, explicate, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
        code, out, _ = explicate("predict", "-")
        assert (code, len(documents(out))) == (0, 2)

    def test_version_label_and_timeout_are_passed_on(self, explicate, server):
        explicate("predict", "--model", "reviews", "--version", "2", "--timeout", "5", "x")
        assert server.requests[0].model.version == 2
        assert 3 < server.seconds_left[0] < 6


class TestExplain:
    def test_text_shows_prediction_cost_and_words_with_intervals(self, explicate):
        code, out, err = explicate("explain", "--format", "text", "soup was great")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "other 0.700  (reviews version 3, onnxruntime-cpu, fp32)"
        assert lines[1:4] == [
            "kernel-shap, 3 words, masking attention, seed 0: 32 evaluations (8 reused) in 0.50 s",
            "stopped: intervals narrow enough; widest interval ± 50% of the range; the strongest 2 words are certain",
            "additive fit on unseen combinations: R² 0.75; two halves of the sample agree 0.88",
        ]
        assert "great: probability 0.500 without words → 0.520 as written" in lines
        words = [line.split() for line in lines if line.split()[:1] in (["soup"], ["was"], ["great"])]
        assert [(w[0], w[-3:]) for w in words[1:]] == [
            ("was", ["-0.020", "±", "0.020"]),
            ("soup", ["+0.010", "±", "0.020"]),
        ]
        assert words[0][-1] == "+0.030"  # its interval is not known yet

    def test_json_has_everything_and_no_nan(self, explicate):
        code, out, _ = explicate("explain", "soup was great")
        (document,) = documents(out)
        attribution = document["explanation"]["attributions"][0]
        assert code == 0
        assert attribution["values"] == [0.01, -0.02, 0.03]
        assert attribution["standard_errors"] == [0.01, 0.01, None]
        assert document["explanation"]["features"][0] == {"text": "soup", "spans": [{"start": 0, "end": 4}]}
        assert document["final"] is True

    def test_csv_has_a_line_per_class_and_word(self, explicate):
        _, out, _ = explicate("explain", "--format", "csv", "--all-classes", "soup was")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [(row["class"], row["feature"], row["value"]) for row in rows] == [
            ("other", "soup", "-0.01"),
            ("other", "was", "0.02"),
            ("great", "soup", "0.01"),
            ("great", "was", "-0.02"),
        ]
        assert rows[1]["standard_error"] == ""

    def test_csv_carries_cost_and_quality_on_every_line(self, explicate):
        _, out, _ = explicate("explain", "--format", "csv", "--quality", "full", "soup was")
        for row in csv.DictReader(io.StringIO(out)):
            assert (row["method"], row["evaluations"], row["reused_evaluations"]) == ("kernel-shap", "32", "8")
            assert (row["stop_reason"], row["held_out_r_squared"], row["certain_top_k"]) == ("tolerance", "0.75", "2")
            assert (row["split_half_spearman"], row["infidelity"]) == ("0.875", "0.0625")
            assert (row["largest_interval_ratio"], row["additivity_gap"]) == ("0.5", "1e-09")
            assert (row["comprehensiveness"], row["comprehensiveness_random"]) == ("0.375", "0.125")
            assert (row["sufficiency"], row["sufficiency_random"]) == ("0.03125", "0.25")

    def test_csv_of_a_contrast_names_the_other_class(self, explicate):
        _, out, _ = explicate("explain", "--format", "csv", "--target", "great", "--against", "other", "soup")
        (row,) = csv.DictReader(io.StringIO(out))
        assert (row["class"], row["against"], row["value"]) == ("great", "other", "0.1")
        assert (row["baseline_value"], row["instance_value"], row["comprehensiveness"]) == ("0.5", "0.6", "")

    def test_options_reach_the_server(self, explicate, server):
        explicate(
            *("explain", "--model", "reviews", "--method", "lime", "--target", "great", "--output-space", "logit"),
            *("--masking", "delete", "--max-evaluations", "500", "--min-evaluations", "40", "--tolerance", "0.5"),
            *("--confidence", "0.75", "--time-limit", "2.5", "--seed", "7", "--granularity", "token"),
            *("--top-k", "3", "--quality", "full", "--max-players", "32", "--segments", "9"),
            *("--baseline", "y", "--group", "both=x", "--fixed", "z", "--interactions", "2", "--change"),
            *("--language", "de", "x"),
        )
        sent = server.requests[0].spec.options
        assert (sent.method, sent.target.label, sent.seed, sent.time_limit_seconds) == ("lime", "great", 7, 2.5)
        assert (sent.max_evaluations, sent.min_evaluations, sent.tolerance, sent.confidence) == (500, 40, 0.5, 0.75)
        assert (sent.granularity, sent.quality) == (pb.GRANULARITY_TOKEN, pb.QUALITY_LEVEL_FULL)
        assert (sent.top_k, sent.max_players, sent.segments) == (3, 32, 9)
        assert sent.baseline.text.text == "y"
        assert [(group.name, group.parts[0].name) for group in sent.groups] == [("both", "x")]
        assert ([part.name for part in sent.fixed], sent.interactions, sent.language) == (["z"], 2, "de")
        assert len(sent.ListFields()) == len(pb.ExplainOptions.DESCRIPTOR.fields)

    @pytest.mark.parametrize(
        ("given", "target"),
        [
            (("--target", "great"), pb.ClassSelector(label="great")),
            (("--target-index", "1"), pb.ClassSelector(index=1)),
        ],
    )
    def test_against_asks_for_a_contrast(self, explicate, server, given, target):
        explicate("explain", "--model", "reviews", *given, "--against", "other", "x")
        contrast = pb.Contrast(target=target, reference=pb.ClassSelector(label="other"))
        assert server.requests[0].spec.options.target.contrast == contrast

    @pytest.mark.parametrize("given", [(), ("--all-classes",)])
    def test_against_needs_a_target(self, explicate, server, given):
        code, out, err = explicate("explain", *given, "--against", "other", "x")
        assert (code, out, server.requests) == (2, "", [])
        assert err == "explicate: --against other needs --target LABEL: the class to explain rather than it\n"

    @pytest.mark.parametrize("command", [("predict",), ("explain",), ("explain", "--stream")])
    def test_bulk_lets_others_go_first(self, explicate, server, command):
        explicate(*command, "--model", "reviews", "--bulk", "x")
        explicate(*command, "--model", "reviews", "x")
        assert [getattr(request, "spec", request).priority for request in server.requests] == [
            inference_pb.PRIORITY_BULK,
            0,
        ]

    def test_help_says_where_the_methods_of_a_model_are_listed(self, capsys):
        with pytest.raises(SystemExit):
            main.main(["explain", "--help"])
        assert "`explicate models show` lists" in " ".join(capsys.readouterr().out.split())

    def test_stream_prints_every_estimate_as_json(self, explicate):
        _, out, _ = explicate("explain", "--stream", "soup was")
        assert [d["explanation"]["evaluations"] for d in documents(out)] == [8, 16, 32]
        assert [d["final"] for d in documents(out)] == [False, False, True]

    def test_stream_tells_its_progress_on_stderr_beside_text(self, explicate):
        _, out, err = explicate("explain", "--stream", "--format", "text", "soup was")
        assert err.splitlines() == [
            "8 evaluations, widest interval ± 0.020",
            "16 evaluations, widest interval ± 0.020",
        ]
        assert out.count(" evaluations ") == 1

    def test_bad_option_stops_at_once(self, explicate):
        code, out, err = explicate("explain", "--seed", "-1", "a", "b")
        assert (code, out) == (2, "")
        assert err == "explicate: --seed: cannot be -1\n"

    @pytest.mark.parametrize(
        ("path", "flag"),
        [
            ("options.method", "--method"),
            ("options.max_players", "--max-players"),
            ("options.time_limit_seconds", "--time-limit"),
            ("options.target.label", "--target"),
            ("options.target.index", "--target-index"),
            ("options.target.contrast.target.label", "--target"),
            ("options.target.contrast.reference.label", "--against"),
            ("options.target.contrast.reference", "--against"),
            ("options.baseline", "--baseline"),
            ("options.baseline.tabular.cells[age]", "--baseline (tabular.cells[age])"),
            ("model.model", "--model"),
        ],
    )
    def test_what_the_server_refuses_is_told_by_its_flag(self, explicate, server, path, flag):
        server.status = bad_request((path, "is wrong"))
        assert explicate("explain", "--model", "reviews", "x") == (2, "", f"explicate: {flag}: is wrong\n")

    def test_every_field_has_a_flag_that_exists(self, capsys):
        with pytest.raises(SystemExit):
            main.main(["explain", "--help"])
        shown = capsys.readouterr().out
        names = [field.name for field in pb.ExplainOptions.DESCRIPTOR.fields]
        for name in names:
            refused = invalid_argument(f"options.{name}", "is wrong")
            flag = str(explanation_options.in_flags(refused)).partition(":")[0]
            assert f"{flag} " in shown

    def test_html_file_that_cannot_be_written_is_named(self, explicate, tmp_path):
        code, _, err = explicate("explain", "--html", str(tmp_path / "no" / "page.html"), "soup")
        assert code == 2
        assert "cannot write" in err


class TestModels:
    def test_models_are_listed(self, explicate, server):
        server.models.append(model_status("broken", 1, model_pb.MODEL_STATE_FAILED, "model.onnx: wrong digest"))
        code, out, _ = explicate("models", "--format", "text")
        assert code == 0
        assert [line.split()[:3] for line in out.splitlines()[1:]] == [
            ["reviews", "3", "ready"],
            ["broken", "1", "failed"],
        ]
        assert out.rstrip().endswith("model.onnx: wrong digest")

    def test_one_model_is_shown(self, explicate):
        code, out, _ = explicate("models", "--format", "text", "show", "reviews", "--version", "2")
        assert code == 0
        for part in (
            "reviews version 2",
            "other, great",
            "kernel-shap, lime",
            "word, token",
            "attention, delete",
            "test accuracy",
            "65,536 at most in",
        ):
            assert part in out

    def test_runtimes_that_were_tried_are_told_with_their_figures(self, explicate):
        lines = [line.strip() for line in explicate("models", "show", "--format", "text", "reviews")[1].splitlines()]
        figures = "2.50 ms a row, logits within 1.0e-06, attributions within 0.25%"
        assert f"tried             onnxruntime-cpu fp32: {figures}" in lines
        assert "openvino-cpu bf16: refused: openvino is not installed" in lines

    def test_model_card_is_printed_alone(self, explicate):
        assert explicate("models", "show", "reviews", "--card")[1] == "# reviews\n"

    def test_formats_for_programs(self, explicate):
        assert documents(explicate("models")[1])[0]["state"] == "ready"
        assert explicate("models", "--format", "csv")[1].splitlines()[0].startswith("model,version,state")
        assert documents(explicate("models", "show", "reviews", "--format", "json")[1])[0]["max_tokens"] == 128


class TestModelChoice:
    def test_several_models_are_named(self, explicate, server):
        server.models.append(model_status("churn"))
        code, _, err = explicate("predict", "x")
        assert code == 2
        assert err == "explicate: the server serves several models: churn, reviews; choose one with --model NAME\n"

    def test_no_ready_model_is_told_with_its_state(self, explicate, server):
        server.models = [model_status("reviews", 3, model_pb.MODEL_STATE_FAILED, "wrong digest")]
        code, _, err = explicate("explain", "x")
        assert code == 3
        assert "reviews 3 is failed: wrong digest" in err


class TestFailures:
    def test_unreachable_server_is_exit_code_3(self, capsys):
        with socket.socket() as reserved:  # bound, not listening
            reserved.bind(("127.0.0.1", 0))
            code = main.main(["models", "--server", f"127.0.0.1:{reserved.getsockname()[1]}"])
        out, err = capsys.readouterr()
        assert (code, out) == (3, "")
        assert err.startswith("explicate: cannot reach a server at 127.0.0.1:")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (StatusCode.NOT_FOUND, 2),
            (StatusCode.FAILED_PRECONDITION, 2),
            (StatusCode.UNAVAILABLE, 3),
            (StatusCode.RESOURCE_EXHAUSTED, 4),
            (StatusCode.DEADLINE_EXCEEDED, 4),
            (StatusCode.PERMISSION_DENIED, 1),
        ],
    )
    def test_status_decides_the_exit_code(self, explicate, server, status, code):
        server.status = rich_status(status, "WHY", message="what happened")
        found = explicate("predict", "--model", "reviews", "--timeout", "2", "x")  # asked until then where it is away
        assert found == (code, "", "explicate: what happened\n")

    @pytest.mark.parametrize("argv", [("predict",), ("explain",), ("predict", "a", "--file", "b")])
    def test_texts_must_come_from_one_place(self, explicate, argv):
        code, _, err = explicate(*argv)
        assert code == 2
        assert "give texts as arguments" in err

    def test_missing_file_is_usage(self, explicate):
        code, _, err = explicate("predict", "--model", "reviews", "--file", "/no/such/file")
        assert (code, err) == (2, "explicate: cannot read /no/such/file: No such file or directory\n")

    def test_trace_is_shown_with_debug_only(self, explicate, server):
        server.status = rich_status(StatusCode.NOT_FOUND, "WHY", message="gone")
        for argv in (("--debug", "models"), ("models", "--debug"), ("models", "show", "x", "--debug")):
            assert "Traceback" in explicate(*argv)[2]
        assert "Traceback" not in explicate("models")[2]


class _Entry:
    """Stands for an installed entry point with one command `work` that does `action`."""

    value = "some.package:register"

    def __init__(self, action, name="training", command="work"):
        self.name = name
        self.command = command
        self.action = action

    def load(self):
        def register(subparsers):
            subparsers.add_parser(self.command, help="does it").set_defaults(run=self.action, extra="training")

        return register


@pytest.fixture
def commands(monkeypatch):
    def install(*entries):
        monkeypatch.setattr(metadata, "entry_points", lambda group: entries if group == main.COMMAND_GROUP else ())

    return install


class TestFrame:
    def test_help_lists_commands_under_their_headings(self, commands, capsys):
        commands(_Entry(None, "plugin", "extend"), _Entry(None, "client", "ask"), _Entry(None, "training", "make"))
        with pytest.raises(SystemExit) as stop:
            main.main(["--help"])
        out = capsys.readouterr().out
        assert stop.value.code == 0
        places = [out.index(part) for part in ("Make a model:\n  make ", "Ask a server:\n  ask ", "More:\n  extend ")]
        assert places == sorted(places)
        assert out.count("does it") == 3

    def test_real_commands_are_found(self, capsys):
        with pytest.raises(SystemExit):
            main.main(["--help"])
        out = capsys.readouterr().out
        assert re.search(r"Ask a server:\n  predict .*\n  explain .*\n  score .*\n  summarize .*\n  models ", out)

    def test_version_is_the_installed_one(self, capsys):
        with pytest.raises(SystemExit):
            main.main(["--version"])
        assert capsys.readouterr().out == f"explicate {metadata.version('explicate')}\n"

    def test_no_command_shows_the_help_and_is_usage(self, capsys):
        assert main.main([]) == 2
        assert "Ask a server" in capsys.readouterr().err

    def test_unknown_command_is_usage(self, capsys):
        with pytest.raises(SystemExit) as stop:
            main.main(["fly"])
        assert stop.value.code == 2

    def test_missing_extra_is_one_sentence_with_the_pip_line(self, commands, capsys):
        def needs_torch(_):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

        commands(_Entry(needs_torch))
        assert main.main(["work"]) == 1
        assert capsys.readouterr().err == (
            "explicate: this command needs a package that is not installed (torch): pip install 'explicate[training]'\n"
        )

    def test_usage_error_is_exit_code_2(self, commands, capsys):
        def refuse(_):
            raise UsageError("give a folder")

        commands(_Entry(refuse))
        assert main.main(["work"]) == 2
        assert capsys.readouterr().err == "explicate: give a folder\n"

    def test_unexpected_error_is_one_line_without_debug(self, commands, capsys):
        def fail(_):
            raise KeyError("x")

        commands(_Entry(fail))
        assert main.main(["work"]) == 1
        assert capsys.readouterr().err == "explicate: unexpected KeyError: 'x' (--debug shows where)\n"

    def test_interrupt_is_130(self, commands, capsys):
        def interrupt(_):
            raise KeyboardInterrupt

        commands(_Entry(interrupt))
        assert main.main(["work"]) == 130

    def test_package_that_cannot_be_loaded_does_not_take_the_others_with_it(self, commands, capsys):
        class Broken(_Entry):
            def load(self):
                raise ImportError("no such thing")

        commands(Broken(None), _Entry(lambda _: 0, "client"))
        assert main.main(["work"]) == 0
        assert "cannot be loaded: no such thing" in capsys.readouterr().err


class TestTerminal:
    def test_words_and_bars_are_coloured(self, server):
        code, written = in_terminal("explain", "--server", server.target, "soup \x1b[31mwas\x07 great")
        assert code == 0
        assert COLOUR.search(written)
        assert "\x1b[31m" not in written  # the text cannot command the terminal
        assert "\x07" not in written
        assert "●" in written

    def test_no_color_is_respected(self, server):
        code, written = in_terminal("explain", "--server", server.target, "soup was great", NO_COLOR="1")
        assert code == 0
        assert "great" in written
        assert not COLOUR.search(written)

    def test_stream_leaves_only_the_last_estimate(self, server):
        code, written = in_terminal("explain", "--stream", "--server", server.target, "soup was great")
        assert code == 0
        last = written[written.rindex("\x1b[2K") :]  # after the last erased line
        assert "32 evaluations" in last
        assert "16 evaluations" in written
        assert "16 evaluations" not in last
        assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_character_that_the_terminal_lacks_does_not_end_a_command(server, monkeypatch, encoding):
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("EXPLICATE_SERVER", server.target)
    shown = Terminal(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", shown)
    assert main.main(["predict", "味道很好 🍜", "--format", "text"]) == 0
    assert "\\u5473" in shown.buffer.getvalue().decode(encoding)


def test_a_file_gets_utf8_whatever_the_code_page(server, monkeypatch):
    monkeypatch.setenv("EXPLICATE_SERVER", server.target)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    written = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", written)
    assert main.main(["predict", "味道很好 🍜", "--format", "csv"]) == 0
    assert "味道很好 🍜" in written.buffer.getvalue().decode("utf-8")
