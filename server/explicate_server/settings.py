"""What an operator can set: one frozen object; flag, environment name, default and help are declared together."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any


class SettingError(Exception):
    """A setting has a value that cannot be used; the message names it."""


def _setting(default: Any, text: str, *, minimum: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "minimum": minimum, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Settings of one server. Each is ``--name`` on the command line and ``EXPLICATE_NAME`` in the environment."""

    repository: Path = _setting(Path("repository"), "folder of model bundles, <model>/<version>/")
    listen: str = _setting("127.0.0.1:8500", "address and port; 0 picks a free port, [::]:8500 opens it to the network")
    runtime: str = _setting(
        "onnxruntime",
        "what runs the models: onnxruntime, openvino, or auto for the fastest that gives the bundle's answers",
        choices=("onnxruntime", "openvino", "auto"),
    )
    threads: int = _setting(0, "threads that run one model; 0 takes all cores", minimum=0)
    max_message_bytes: int = _setting(16 << 20, "largest request or answer", minimum=1024)
    max_inputs: int = _setting(1024, "inputs in one Predict", minimum=1)
    max_text_bytes: int = _setting(64 << 10, "UTF-8 bytes of one text", minimum=1)
    max_image_bytes: int = _setting(8 << 20, "bytes of one image file", minimum=64)
    max_image_pixels: int = _setting(32_000_000, "pixels of one image, as its file declares them", minimum=1)
    max_evaluations: int = _setting(16384, "model rows of one explanation", minimum=16)
    max_call_s: float = _setting(60.0, "seconds of one call, also where the caller set no deadline", minimum=0.1)
    max_queued_rows: int = _setting(4096, "rows of Predict calls that may wait, per model", minimum=1)
    max_memo_bytes: int = _setting(64 << 20, "values of coalitions kept for requests that repeat; 0: none", minimum=0)
    max_queued_bulk_rows: int = _setting(8192, "rows of Predict calls of bulk priority that may wait", minimum=1)
    max_explanations: int = _setting(64, "explanations in progress, in all", minimum=1)
    max_evaluations_per_caller: int = _setting(
        65536, "model rows of explanations in progress for one address; a single one always may", minimum=1
    )
    metrics_listen: str = _setting("", "address and port for Prometheus; nothing there unless set, 127.0.0.1:9500")
    drain_s: float = _setting(60.0, "seconds that accepted calls have to finish after SIGTERM", minimum=0.0)

    def __post_init__(self) -> None:
        for item in fields(self):
            minimum = item.metadata["minimum"]
            if minimum is not None and getattr(self, item.name) < minimum:
                raise SettingError(f"{flag(item)} is {getattr(self, item.name)}; it must be at least {minimum}")
            choices = item.metadata["choices"]
            if choices and getattr(self, item.name) not in choices:
                raise SettingError(f"{flag(item)} is {getattr(self, item.name)!r}; it must be {_one_of(choices)}")


def _one_of(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def flag(item: "Field[Any]") -> str:
    """The command-line flag of a setting."""
    return "--" + item.name.replace("_", "-")


def environment_name(item: "Field[Any]") -> str:
    """The environment variable of a setting."""
    return "EXPLICATE_" + item.name.upper()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare every setting on ``parser``."""
    for item in fields(Settings):
        parser.add_argument(
            flag(item),
            metavar=item.name.rsplit("_", 1)[-1].upper(),
            help=f"{item.metadata['help']} (default {item.default}, or ${environment_name(item)})",
        )


def read_settings(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from flags, else the environment, else the defaults.

    Raises:
        SettingError: a value has the wrong type or is out of range.
    """
    values = {}
    for item in fields(Settings):
        text = getattr(arguments, item.name, None)
        text = environment.get(environment_name(item)) if text is None else text
        if text is not None:
            values[item.name] = _parse(item, text)
    return Settings(**values)


def _parse(item: "Field[Any]", text: str) -> Any:
    kind: Any = Path if isinstance(item.default, Path) else type(item.default)
    try:
        return kind(text)
    except ValueError:
        raise SettingError(f"{flag(item)} is {text!r}, which is not a {kind.__name__}") from None
