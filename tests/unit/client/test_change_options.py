"""What would change an answer, as a caller asks for it: from Python, on the command line, and again from an answer."""

import argparse
from typing import Any

import pytest

from explicate._wire import option_fields
from explicate.audit.log_lines import AuditLine
from explicate.cli import explanation_options
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.options import ChangeSearch, ValueRange
from explicate_server.inference.explain_options import ExplainOptions
from explicate_server.rpc.asked.change_messages import change_options, change_wish

SEARCH = ChangeSearch(
    to="good",
    keep=("age",),
    vary={
        "income": ValueRange(1.0, 5.0, 0.5),
        "since": ValueRange("2020-01-01", "2020-12-31"),
        "job": ("a", 2.0, None),
    },
    max_evaluations=50,
)


@pytest.mark.parametrize(
    "asked", [SEARCH, ChangeSearch(), ChangeSearch(to=1, absence=True), ChangeSearch(to_value=2.5)]
)
def test_what_is_asked_for_is_what_the_server_reads_and_the_answer_says(asked: ChangeSearch) -> None:
    message = option_fields.to_message({"change": asked}, "a text")
    wish = change_wish(message)
    message.change.CopyFrom(change_options(wish))
    assert option_fields.from_message(message).change == asked


def test_true_is_a_search_by_default_and_false_is_none() -> None:
    assert option_fields.from_message(option_fields.to_message({"change": True}, "a text")).change == ChangeSearch()
    assert not option_fields.to_message({"change": False}, "a text").HasField("change")
    with pytest.raises(InvalidArgument, match="ChangeSearch"):
        option_fields.to_message({"change": "income"}, "a text")  # type: ignore[typeddict-item]


def test_the_audit_log_has_what_repeats_it() -> None:
    wish = change_wish(option_fields.to_message({"change": SEARCH}, "a text"))
    assert wish is not None
    fields = {"options": {"change": wish.document, "target": None, "time_limit_s": 1.0}}
    line = AuditLine.__new__(AuditLine)
    for name, held in {"fields": fields, "cut_by_clock": False}.items():
        object.__setattr__(line, name, held)
    assert ExplainOptions(change=wish).change is wish
    assert line.options()["change"] == SEARCH


def parsed(*flags: str) -> Any:
    parser = argparse.ArgumentParser()
    parser.add_argument("--format", default="text")
    explanation_options.add_explanation_options(parser)
    explanation_options.add_change_options(parser)
    return explanation_options.explanation_options(parser.parse_args(flags)).get("change")


def test_flags_say_the_same() -> None:
    asked = ["--vary", "income=1..5/0.5", "--vary", "since=2020-01-01..2020-12-31", "--vary", "job=a,2"]
    asked += ["--change-to", "good", "--keep", "age", "--change-evaluations", "50"]
    expected = {**SEARCH.vary, "job": ("a", 2.0)}
    assert parsed(*asked) == ChangeSearch(to="good", keep=("age",), vary=expected, max_evaluations=50)
    assert parsed("--change") == ChangeSearch()
    assert parsed("--vary", "since=1/2/2020..1/3/2020").vary == {"since": ValueRange("1/2/2020", "1/3/2020")}
    assert parsed() is None


@pytest.mark.parametrize(
    "flags",
    [
        ("--vary", "income"),
        ("--vary", "income=1.."),
        ("--vary", "income=1..2/x"),
        ("--vary", "a=1", "--keep", "a"),
        ("--vary", "a=1", "--vary", "a=2"),
        ("--change", "--format", "csv"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        parsed(*flags)


def test_a_refusal_is_told_in_flags() -> None:
    told = explanation_options.in_flags(invalid_argument("options.change.columns[age].range", "is empty"))
    assert str(told) == "--keep or --vary age: is empty"
