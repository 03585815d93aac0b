"""`predict --bulk` and `explain --bulk`: many calls at once, answers in the order of the inputs, nothing lost."""

import threading

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode

from explicate.cli.bulk_progress import Progress
from explicate.v1 import inference_service_pb2 as inference_pb
from support.canned.canned_server import bad_request, rich_status
from support.command_line import documents

TEXTS = [" ".join(["word"] * (1 + number % 9)) for number in range(300)]
COMMANDS = ["predict", "explain"]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS))
    return str(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_answers_are_those_of_one_call_at_a_time_and_in_their_order(explicate, server, texts, command):
    one_by_one = explicate(command, "--model", "reviews", "--file", texts)
    server.requests.clear()
    assert explicate(command, "--model", "reviews", "--bulk", "--file", texts) == one_by_one
    assert len(documents(one_by_one[1])) == 300
    assert {getattr(request, "spec", request).priority for request in server.requests} == {inference_pb.PRIORITY_BULK}


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_inputs_keep_their_place_and_cost_nobody_else_anything(explicate, command):
    given = ["good", "", "\udcff", "fine", ""]
    code, out, err = explicate(command, "--bulk", *given)
    assert code == 1
    assert ["error" in document for document in documents(out)] == [False, True, True, False, True]
    assert [line.partition(": ")[2].partition(":")[0] for line in err.splitlines()] == ["text 2", "text 3", "text 5"]
    assert explicate(command, *given) == (code, out, err)


def test_rows_that_cannot_be_sent_keep_their_place(explicate, tmp_path):
    lines = ["not JSON", '{"text": "one"}', "[]", '{"text": "two words"}', "{}"]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(lines))
    for command in COMMANDS:
        code, out, err = explicate(command, "--bulk", "--jsonl", str(path))
        assert (code, out, err) == explicate(command, "--jsonl", str(path))
        assert ["error" in document for document in documents(out)] == [True, False, True, False, True]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_full_or_away_is_waited_for(explicate, server, texts, command):
    has_room = threading.Timer(0.3, lambda: setattr(server, "status", None))
    server.unavailable_times = 2
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1)
    server.status = rich_status(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry)
    has_room.start()
    code, out, err = explicate(command, "--model", "reviews", "--bulk", "--file", texts)
    has_room.join()
    assert (code, err) == (0, "")
    assert len(documents(out)) == 300


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("bulk", [(), ("--bulk",)])
def test_what_is_wrong_for_all_ends_it_with_a_sentence(explicate, server, command, bulk):
    server.status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="there is no such model")
    code, out, err = explicate(command, "--model", "revews", *bulk, "a", "b")
    assert (code, out) == (2, "")
    assert "there is no such model" in err
    assert len(err.splitlines()) == 1


def test_a_wrong_option_is_told_by_its_flag(explicate, server):
    server.status = bad_request(("options.confidence", "must be in [0.5, 0.999]"))
    for bulk in ((), ("--bulk",)):
        code, out, err = explicate("explain", "--model", "reviews", "--confidence", "7", *bulk, "a", "b")
        assert (code, out, err) == (2, "", "explicate: --confidence: must be in [0.5, 0.999]\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_how_many_at_once_can_be_said(explicate, command):
    assert explicate(command, "--bulk", "--in-flight", "2", "a", "b")[0] == 0
    for wrong in ("0", "-1", "many", "1.5"):
        code, _, err = explicate(command, "--bulk", f"--in-flight={wrong}", "a")
        assert (code, err) == (2, f"explicate: --in-flight {wrong}: give a number of calls from 1, or auto\n")
    assert explicate(command, "--in-flight", "2", "a") == (2, "", "explicate: --in-flight needs --bulk\n")


def test_progress_is_told_on_stderr_and_not_for_short_work(capsys):
    with Progress() as progress:
        progress.count()
    assert capsys.readouterr().err == ""
    with Progress(interval_s=0.0) as progress:
        progress.count()
        progress.count(failed=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(",")[0] for line in lines] == [
        "explicate: 1 input",
        "explicate: 2 inputs, 1 of them failed",
    ]


def test_the_last_line_of_progress_is_said_once(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("explicate.cli.bulk_progress.time.monotonic", lambda: now[0])
    with Progress(interval_s=5.0) as progress:
        for now[0] in (6.0, 7.0):
            progress.count()
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "explicate: 1 input",
        "explicate: 2 inputs",
    ]
