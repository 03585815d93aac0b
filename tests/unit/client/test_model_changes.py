"""Changing what is served: what both clients send and answer, and what the command line prints."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE
from google.rpc import error_details_pb2, status_pb2

import explicate
from explicate.cli.models import showing
from explicate.model_info import ModelStatus
from explicate.v1 import model_service_pb2 as model_pb
from support.canned import canned_models
from support.canned.canned_server import model_status
from support.command_line import documents


class TestClients:
    @pytest.mark.parametrize(
        ("method", "arguments", "options", "sent"),
        [
            ("load_model", ("reviews",), {}, model_pb.LoadModelRequest(model="reviews")),
            ("load_model", ("reviews",), {"version": 4}, model_pb.LoadModelRequest(model="reviews", version=4)),
            ("unload_model", ("reviews", 4), {}, model_pb.UnloadModelRequest(model="reviews", version=4)),
            (
                "activate_version",
                ("reviews", 4),
                {},
                model_pb.ActivateVersionRequest(model="reviews", version=4, label="live"),
            ),
            (
                "activate_version",
                ("reviews", 4),
                {"label": "canary", "expected_version": 0},
                model_pb.ActivateVersionRequest(model="reviews", version=4, label="canary", expected_none=NULL_VALUE),
            ),
            (
                "rollback_model",
                ("reviews",),
                {"expected_version": 3},
                model_pb.RollbackModelRequest(model="reviews", label="live", expected_version=3),
            ),
            ("remove_label", ("reviews", "canary"), {}, model_pb.RemoveLabelRequest(model="reviews", label="canary")),
            (
                "set_traffic",
                ("reviews",),
                {"canary_share": 0.5},
                model_pb.SetTrafficRequest(model="reviews", traffic=model_pb.Traffic(canary_share=0.5)),
            ),
        ],
    )
    def test_what_is_asked_is_sent(self, ask, server, method, arguments, options, sent):
        ask(method, *arguments, **options)
        assert server.requests == [sent]
        assert [field.name for field, _ in server.requests[0].ListFields()] == [f.name for f, _ in sent.ListFields()]

    def test_a_version_is_told_in_full(self, ask):
        status = ask("load_model", "reviews", version=4)
        assert (status.model, status.version, status.state, status.runtime) == (
            "reviews",
            4,
            "ready",
            "onnxruntime-cpu",
        )
        assert (status.leases, status.graph_bytes, status.previous_of) == (2, 90 << 20, ("canary",))
        assert ask("unload_model", "reviews", 4).state == "available"
        assert ask("remove_label", "reviews", "canary").state == "unloading"

    def test_a_switch_tells_the_version_before_if_there_was_one(self, ask):
        assert ask("activate_version", "reviews", 4).previous_version == 3
        assert ask("activate_version", "reviews", 4, label="canary").previous_version is None
        assert ask("rollback_model", "reviews").status.version == 2

    def test_labels_traffic_and_the_shadows_report_are_described(self, ask):
        description = ask("get_model", "reviews", label="canary")
        assert description.labels == (explicate.ModelLabel("canary", 4, None), explicate.ModelLabel("live", 3, 2))
        assert description.traffic == explicate.Traffic(0.05, 0.25)
        assert description.shadow == explicate.ShadowReport(3, 4, 120, 0.975, 0.03125, 12, 0.875, 5, 2, "too slow")
        assert ask("get_model", "reviews").shadow is None

    def test_a_report_of_a_regression_has_no_same_outcome(self, ask, monkeypatch):
        values_only = model_pb.ShadowReport(predictions=1, mean_absolute_difference=2.5)
        monkeypatch.setattr(canned_models, "SHADOW", values_only)
        report = ask("get_model", "reviews", label="canary").shadow
        assert (report.same_outcome, report.mean_absolute_difference, report.mean_spearman) == (None, 2.5, None)

    def test_pages_are_asked_for_by_their_token(self, ask, server):
        server.models = [model_status("reviews", version) for version in (1, 2, 3)]
        first, token = ask("list_models_page", 2)
        rest, end = ask("list_models_page", 2, token)
        assert [status.version for status in first + rest] == [1, 2, 3]
        assert end == ""

    def test_a_version_and_a_label_are_not_given_together(self, ask):
        with pytest.raises(explicate.UsageError, match="not both"):
            ask("get_model", "reviews", version=1, label="live")

    @pytest.mark.parametrize(
        ("method", "arguments", "options", "path"),
        [
            ("load_model", ("\ud800",), {}, "model"),
            ("activate_version", ("reviews", 2**63), {}, "version"),
            ("activate_version", ("reviews", 1), {"label": "\ud800"}, "label"),
            ("set_traffic", ("reviews",), {"shadow_share": "half"}, "traffic.shadow_share"),
            ("list_models_page", (2**31,), {}, "page_size"),
        ],
    )
    def test_what_cannot_be_sent_is_named(self, ask, method, arguments, options, path):
        with pytest.raises(explicate.InvalidArgument) as caught:
            ask(method, *arguments, **options)
        assert caught.value.violations[0][0] == path

    def test_a_label_that_has_moved_is_an_error_of_its_own(self, ask, server):
        server.status = status_pb2.Status(code=10, message="the label is not where it was expected")
        server.status.details.add().Pack(error_details_pb2.ErrorInfo(reason="LABEL_MOVED", domain="explicate"))
        with pytest.raises(explicate.Aborted, match="not where it was expected") as caught:
            ask("activate_version", "reviews", 4, expected_version=3)
        assert caught.value.reason == "LABEL_MOVED"

    def test_changes_come_as_they_happen(self, ask):
        snapshot, change = ask("watch_models", "reviews")
        assert (snapshot.snapshot, change.snapshot) == (True, False)
        assert [(s.version, s.state, s.labels) for s in snapshot.statuses] == [(3, "ready", ("live",))]
        assert [(s.version, s.state, s.reason) for s in change.statuses] == [
            (4, "failed", "model.onnx: wrong digest"),
            (5, "removed", ""),
        ]


class TestCommands:
    @pytest.mark.parametrize(
        ("argv", "line"),
        [
            (["load", "reviews"], "reviews version 9 is ready on onnxruntime-cpu in fp32"),
            (["load", "reviews", "4"], "reviews version 4 is ready on onnxruntime-cpu in fp32"),
            (["unload", "reviews", "4"], "reviews version 4 is available"),
            (
                ["activate", "reviews", "4"],
                "reviews: live is version 4 on onnxruntime-cpu in fp32, version 3 before",
            ),
            (
                ["activate", "reviews", "4", "--label", "canary", "--expect", "0"],
                "reviews: canary is version 4 on onnxruntime-cpu in fp32",
            ),
            (["rollback", "reviews"], "reviews: live is version 2 on onnxruntime-cpu in fp32, version 3 before"),
            (
                ["remove-label", "reviews", "canary"],
                "reviews: label canary removed from version 4, which is unloading",
            ),
            (
                ["traffic", "reviews", "--canary", "0.05", "--shadow", "0.2"],
                "reviews: the canary answers 0.05 of the requests and shadows 0.2 of the others",
            ),
        ],
    )
    def test_each_change_is_one_line(self, explicate, argv, line):
        assert explicate("models", *argv, "--format", "text") == (0, f"{line}\n", "")
        (document,) = documents(explicate("models", "--format", "json", *argv)[1])
        assert document

    def test_what_is_expected_is_sent(self, explicate, server):
        explicate("models", "activate", "reviews", "4", "--expect", "3")
        explicate("models", "rollback", "reviews", "--expect", "4")
        assert [request.expected_version for request in server.requests] == [3, 4]

    def test_a_change_has_more_time_than_a_question_unless_it_is_said(self, explicate, server):
        explicate("models", "load", "reviews")
        explicate("models", "show", "reviews")
        explicate("models", "--timeout", "5", "load", "reviews")
        explicate("models", "load", "reviews", "--timeout", "6")
        change, question, before, after = server.seconds_left
        assert 500 < change <= 601
        assert 20 < question <= 31
        assert 3 < before <= 6
        assert 3 < after <= 7

    def test_watching_prints_every_state_and_change(self, explicate):
        code, out, _ = explicate("models", "watch", "--format", "text")
        assert code == 0
        assert [line.split("  ", 1)[1] for line in out.splitlines()] == [
            "reviews version 3 ready [live]",
            "reviews version 4 failed: model.onnx: wrong digest",
            "reviews version 5 removed",
        ]
        assert [document["version"] for document in documents(explicate("models", "watch", "churn")[1])] == [3, 4, 5]

    def test_a_model_is_shown_with_its_labels_traffic_and_shadow(self, explicate):
        out = explicate("models", "show", "reviews", "--label", "canary", "--format", "text")[1]
        for line in (
            "canary → 4",
            "live → 3 (before: 2)",
            "answers 0.05, shadows 0.25 of the others",
            "version 4 against 3: 120 predictions, same outcome 0.975, mean difference 0.0312, 12 attributions, "
            "rank correlation 0.875",
            "5 dropped, 2 failed: too slow",
        ):
            assert line in out

    def test_list_is_what_models_does_alone(self, explicate, server):
        server.models = [model_status("reviews")]
        assert explicate("models", "list")[1] == explicate("models")[1]

    def test_a_label_that_has_moved_is_one_sentence_and_exit_code_1(self, explicate, server):
        server.status = status_pb2.Status(code=10, message="the label is not where it was expected")
        server.status.details.add().Pack(error_details_pb2.ErrorInfo(reason="LABEL_MOVED", domain="explicate"))
        code, out, err = explicate("models", "rollback", "reviews", "--expect", "4")
        assert (code, out) == (1, "")
        assert err == "explicate: the label is not where it was expected\n"


def test_a_model_whose_folder_cannot_be_read_is_shown_without_a_version() -> None:
    status = ModelStatus("reviews", 0, "failed", (), "its folder cannot be listed: Input/output error", "", "", "", "")
    assert showing._cells(status)[:3] == ["reviews", "", "failed"]
    assert showing._changed(status).endswith("reviews failed: its folder cannot be listed: Input/output error")
