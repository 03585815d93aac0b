"""The systemd unit: by systemd's own verifier where there is one, and as the server needs it."""

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.served_arguments import DEPLOY, served_settings

PATH = DEPLOY / "systemd" / "explicate.service"


@pytest.fixture(name="unit")
def _unit() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    unit.read_string(PATH.read_text("utf-8"))
    return unit


def test_the_command_is_one_that_the_server_takes(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    executable, *words = shlex.split(service["ExecStart"])
    assert executable.endswith("/bin/explicate")
    settings = served_settings(words)
    states = [f"/var/lib/{name}" for name in service["StateDirectory"].split()]
    assert str(settings.repository) in states
    assert Path(settings.audit_log).parent == Path("/var/log") / service["LogsDirectory"]
    assert service["LogsDirectoryMode"] == "0700"
    assert settings.listen.startswith("127.0.0.1:"), "opening it to the network is the operator's choice"


def test_it_may_be_killed_only_after_the_drain(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > served_settings(shlex.split(service["ExecStart"])[1:]).drain_s
    assert service["KillSignal"] == "SIGTERM"


def test_it_has_no_rights_but_those_it_needs(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["User"] == "explicate"
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert "ReadWritePaths" not in service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    # The executable need not be installed where the unit expects it.
    text = PATH.read_text("utf-8").replace("/opt/explicate/bin/explicate", sys.executable)
    assert sys.executable in text
    unit = tmp_path / PATH.name
    unit.write_text(text, encoding="utf-8")
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")
