"""What an operator can set: one frozen object; flag, environment name, default and help are declared together."""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from explicate_server.address import parse_address
from explicate_server.device import DeviceChoice


class SettingError(Exception):
    """A setting has a value that cannot be used; the message names it."""


# What gRPC and ONNX Runtime hold their numbers in is a C int; gRPC counts times in milliseconds.
_C_INT = (1 << 31) - 1
_C_INT_S = _C_INT // 1000


def _setting(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float = sys.float_info.max,
    choices: tuple[str, ...] = (),
) -> Any:
    return field(default=default, metadata={"help": text, "minimum": minimum, "maximum": maximum, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Settings of one server. Each is ``--name`` on the command line and ``EXPLICATE_NAME`` in the environment."""

    repository: Path = _setting(Path("repository"), "folder of model bundles, <model>/<version>/")
    models: str = _setting("", "names of the models to serve, with commas between them; all unless set")
    listen: str = _setting(
        "127.0.0.1:8500", "HOST:PORT or unix:PATH; port 0 is any free one, [::]:8500 opens it to the network"
    )
    processes: int = _setting(
        1,
        "processes that serve the port as one server; for models so small that Python, not the model, is the limit, "
        "and clients with several connections, which are what is spread over them; each has every model in memory "
        "(a version must fit as often), and an equal share of the cores and of each limit",
        minimum=1,
        maximum=64,
    )
    runtime: str = _setting(
        "onnxruntime",
        "what runs the models: onnxruntime, openvino, or auto for the fastest that gives the bundle's answers",
        choices=("onnxruntime", "openvino", "auto"),
    )
    device: str = _setting(
        "auto",
        "where models run: cpu; cuda, the first GPU; cuda:1, another; cuda:0,1, a session of each model on both; "
        "or auto: CUDA if it can be used, else the CPU, and the log and `explicate models show` say why",
    )
    device_memory_bytes: int = _setting(
        0, "memory of a device that one model's session may take; 0: as much as there is", minimum=0
    )
    precision: str = _setting(
        "auto",
        "what models compute in: fp32, as model.onnx is written; fp16 or int8, a variant that each bundle must have "
        "then; or auto: fp16 on a GPU, int8 on a CPU where it is faster, if the bundle has it and it gives the golden "
        "answers here, else fp32",
        choices=("auto", "fp32", "fp16", "int8"),
    )
    threads: int = _setting(
        0, "threads that run one model; 0: one a core, as far as the cgroup allows", minimum=0, maximum=_C_INT
    )
    max_message_bytes: int = _setting(16 << 20, "largest request or answer", minimum=1024, maximum=_C_INT)
    max_inputs: int = _setting(1024, "inputs in one Predict", minimum=1)
    max_explained_rows: int = _setting(1024, "rows explained in one call", minimum=1)
    max_text_bytes: int = _setting(64 << 10, "UTF-8 bytes of one text", minimum=1)
    max_image_bytes: int = _setting(8 << 20, "bytes of one image file", minimum=64)
    max_image_pixels: int = _setting(32_000_000, "pixels of one image, as its file declares them", minimum=1)
    max_evaluations: int = _setting(16384, "model rows of one explanation", minimum=16)
    max_call_s: float = _setting(60.0, "seconds of one call, also where the caller set no deadline", minimum=0.1)
    max_concurrent_calls: int = _setting(
        1024,
        "calls in progress; the next is refused at once; one caller has half at most",
        minimum=1,
        maximum=1_000_000,
    )
    max_connection_streams: int = _setting(
        1024, "calls in progress on one connection; the next waits", minimum=1, maximum=_C_INT
    )
    max_metadata_bytes: int = _setting(16 << 10, "metadata of one call", minimum=1024, maximum=_C_INT)
    max_idle_s: float = _setting(
        900.0, "seconds after which a connection without calls is closed", minimum=1.0, maximum=_C_INT_S
    )
    max_connection_age_s: float = _setting(
        0.0,
        "seconds after which a connection is to be made anew, for balancers; 0: never",
        minimum=0.0,
        maximum=_C_INT_S,
    )
    max_handshake_s: float = _setting(
        10.0, "seconds in which a new connection must speak TLS and HTTP/2", minimum=0.1, maximum=_C_INT_S
    )
    max_queued_rows: int = _setting(
        4096, "rows of Predict calls that may wait, per model; one caller has half at most", minimum=1
    )
    max_queued_bytes: int = _setting(
        256 << 20, "memory of the rows of Predict calls that may wait, per model; bounds their number too", minimum=1
    )
    max_memo_bytes: int = _setting(64 << 20, "values of coalitions kept for requests that repeat; 0: none", minimum=0)
    max_queued_bulk_rows: int = _setting(
        8192, "rows of Predict calls of bulk priority that may wait; one caller has half at most", minimum=1
    )
    max_explanations: int = _setting(64, "explanations in progress, in all; one caller has half at most", minimum=1)
    max_evaluations_per_caller: int = _setting(
        65536, "model rows of explanations in progress for one caller; a single one always may", minimum=1
    )
    tls_cert: str = _setting("", "PEM certificate chain; encrypts the ports, needs --tls-key; read again on change")
    tls_key: str = _setting("", "PEM private key of --tls-cert")
    tls_client_ca: str = _setting("", "PEM certificates; only clients with a certificate from these are let in")
    tokens: str = _setting("", "file of `explicate token create`; calls need one of its tokens; read again on change")
    admin_listen: str = _setting(
        "", "address and port of its own for calls that load, unload and switch models; none of them on --listen then"
    )
    verify_key: str = _setting("", "PEM public key; bundles without a signature of its private key are refused")
    require_standard: str = _setting(
        "", "standard.toml that a bundle's record must meet, or it is refused; a version that was live may return"
    )
    standard_recheck: int = _setting(
        0,
        "test rows of a bundle that are scored again when it is loaded, and must be answered as on record; 0: none; "
        "goes with --require-standard",
        minimum=0,
    )
    stuck_batch_s: float = _setting(
        30.0, "seconds in one batch after which a model's health is NOT_SERVING", minimum=0.01
    )
    metrics_listen: str = _setting("", "address and port for Prometheus; nothing there unless set, 127.0.0.1:9500")
    log_format: str = _setting("text", "lines of the log on stderr", choices=("text", "json"))
    log_calls: str = _setting(
        "errors", "calls with a line in the log: those that failed, or all", choices=("errors", "all")
    )
    log_inputs: bool = _setting(False, "log the requests too, with everything the callers wrote")
    audit_log: str = _setting("", "file that gets a JSON line for each explanation; none unless set")
    audit_inputs: bool = _setting(False, "write the inputs into the audit log too, not only their SHA-256")
    otlp_endpoint: str = _setting("", "OpenTelemetry collector, http://host:4317; no traces unless set")
    model_control: str = _setting(
        "explicit",
        "explicit: labels move when an operator says so; watch: new versions in the repository go live by themselves",
        choices=("explicit", "watch"),
    )
    watch_interval_s: float = _setting(5.0, "seconds between two looks at the repository, to watch it", minimum=0.1)
    state_dir: str = _setting("", "folder that keeps labels and overrides; the repository itself unless set")
    keep_previous: bool = _setting(True, "keep the version before the live one loaded, to roll back at once")
    memory_reserve_bytes: int = _setting(
        256 << 20, "memory that must stay free beside a model being loaded; 0: it is not looked at", minimum=0
    )
    device_reserve_bytes: int = _setting(
        256 << 20,
        "the same of each GPU's own memory, where its driver tells how much is free; 0: it is not looked at",
        minimum=0,
    )
    swap_in_place: bool = _setting(
        False,
        "where memory holds one version of a model only: unload what a label leaves before the next is loaded; calls "
        "get UNAVAILABLE meanwhile, and it comes back if the next is refused; switches --keep-previous off",
    )
    max_loads: int = _setting(
        2, "versions loaded side by side, at the start too; each takes a core and its memory", minimum=1, maximum=64
    )
    drain_s: float = _setting(60.0, "seconds that accepted calls have to finish after SIGTERM", minimum=0.0)

    @property
    def chosen_models(self) -> tuple[str, ...]:
        """The models to serve, by name; empty for all."""
        return tuple(name.strip() for name in self.models.split(",")) if self.models else ()

    @property
    def kept_in(self) -> Path:
        """The folder that keeps what operators changed."""
        return Path(self.state_dir) if self.state_dir else self.repository

    def rows_that_may_wait(self, most: int, row_bytes: int) -> int:
        """``most`` rows, or as many as there is memory for; at least one."""
        return max(1, min(most, self.max_queued_bytes // row_bytes))

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.metadata["minimum"] is not None:
                _check_range(item, getattr(self, item.name))
            choices = item.metadata["choices"]
            if choices and getattr(self, item.name) not in choices:
                raise SettingError(f"{flag(item)} is {getattr(self, item.name)!r}; it must be {_one_of(choices)}")
        self._check_addresses()
        try:
            DeviceChoice.parse(self.device)
        except ValueError as error:
            raise SettingError(f"--device is {self.device!r}; {error}") from None
        if self.otlp_endpoint and not _is_url(self.otlp_endpoint):
            raise SettingError(
                f"--otlp-endpoint is {self.otlp_endpoint!r}; it must be http://HOST:PORT or https://HOST:PORT"
            )
        if "" in self.chosen_models:
            raise SettingError(f"--models is {self.models!r}; it must be names with commas between them")
        if self.standard_recheck and not self.require_standard:
            raise SettingError("--standard-recheck goes with a standard: give --require-standard as well")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingError("--tls-cert and --tls-key belong together; give both or none")
        if self.tls_client_ca and not self.tls_cert:
            raise SettingError("--tls-client-ca asks for TLS; give --tls-cert and --tls-key as well")

    def _check_addresses(self) -> None:
        taken: dict[str, str] = {}
        for name, unix in (("listen", True), ("admin_listen", True), ("metrics_listen", False)):
            text = getattr(self, name)
            if not text and name != "listen":
                continue
            shown = f"--{name.replace('_', '-')}"
            try:
                address = parse_address(text, unix=unix)
            except ValueError as error:
                raise SettingError(f"{shown} is {text!r}; {error}") from None
            if address.port or address.path:
                if str(address) in taken:
                    raise SettingError(f"{shown} is {text!r}, as {taken[str(address)]} is; give each a port of its own")
                taken[str(address)] = shown

    def chosen(self) -> str:
        """What differs from the defaults, as flags; repository, address and runtime in any case."""
        always = ("repository", "listen", "runtime")
        values = [(item, getattr(self, item.name)) for item in fields(self)]
        return " ".join(
            f"{flag(item)} {value}" for item, value in values if item.name in always or value != item.default
        )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port, or brackets
        return False


def _check_range(item: "Field[Any]", value: float) -> None:
    minimum, maximum = item.metadata["minimum"], item.metadata["maximum"]
    if not value >= minimum:  # so that NaN fails too
        raise SettingError(f"{flag(item)} is {value}; it must be at least {minimum}")
    if value > maximum:
        raise SettingError(f"{flag(item)} is {value}; it must be at most {maximum:,.10g}")


_SWITCH = {"yes": True, "true": True, "1": True, "on": True, "no": False, "false": False, "0": False, "off": False}


def _default(item: "Field[Any]") -> str:
    """The default as `--help` says it; nothing if there is no default."""
    if item.default == "":
        return ""
    shown = {True: "yes", False: "no"}[item.default] if isinstance(item.default, bool) else item.default
    return f"default {shown}, "


_KINDS = {int: "whole number", float: "number"}


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
        switch: dict[str, Any] = {"nargs": "?", "const": "yes"} if isinstance(item.default, bool) else {}
        parser.add_argument(
            flag(item),
            metavar="yes|no" if switch else item.name.rsplit("_", 1)[-1].upper(),
            **switch,
            help=f"{item.metadata['help']} ({_default(item)}or ${environment_name(item)})",
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
    if kind is bool:
        if text.lower() not in _SWITCH:
            raise SettingError(f"{flag(item)} is {text!r}; it must be yes or no")
        return _SWITCH[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise SettingError(f"{flag(item)} is {text!r}, which is not a {_KINDS[kind]}") from None
