"""Settings: a number that cannot be used is refused by its flag before anything starts, and the help says defaults."""

import argparse

import pytest

from explicate_server.settings import SettingError, Settings, add_arguments, read_settings


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser


@pytest.mark.parametrize(
    ("flag", "value", "why"),
    [
        ("--max-call-s", "nan", "at least 0.1"),
        ("--drain-s", "inf", "at most"),
        ("--max-idle-s", "inf", "at most 2,147,483"),
        ("--max-idle-s", "2147484", "at most 2,147,483"),
        ("--max-message-bytes", str(1 << 31), "at most 2,147,483,647"),
        ("--threads", str(1 << 31), "at most 2,147,483,647"),
        ("--threads", "-1", "at least 0"),
        ("--max-inputs", "1e3", "not a whole number"),
        ("--max-call-s", "soon", "not a number"),
    ],
)
def test_a_number_that_cannot_be_used_is_refused_by_its_flag(flag: str, value: str, why: str) -> None:
    with pytest.raises(SettingError, match=f"{flag} is .*{why}"):
        read_settings(parser().parse_args([f"{flag}={value}"]), {})


def test_the_largest_numbers_that_the_message_allows_are_taken() -> None:
    flags = ["--max-idle-s", "2147483", "--max-message-bytes", str((1 << 31) - 1)]
    settings = read_settings(parser().parse_args(flags), {})
    assert (settings.max_idle_s, settings.max_message_bytes) == (2147483.0, 2147483647)


def test_the_help_says_a_default_only_where_there_is_one() -> None:
    text = " ".join(parser().format_help().split())
    assert "(default , " not in text
    assert "(or $EXPLICATE_TLS_CERT)" in text
    assert f"(default {Settings().max_inputs}, or $EXPLICATE_MAX_INPUTS)" in text
    assert "(default no, or $EXPLICATE_LOG_INPUTS)" in text


def test_what_was_chosen_is_said_and_the_defaults_are_not() -> None:
    settings = read_settings(parser().parse_args(["--threads", "2"]), {"EXPLICATE_KEEP_PREVIOUS": "no"})
    said = "--repository repository --listen 127.0.0.1:8500 --runtime onnxruntime --threads 2 --keep-previous False"
    assert settings.chosen() == said
