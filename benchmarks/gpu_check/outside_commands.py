"""What the check runs as anybody else would: the server, the image's own commands, training and export, the tests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.gpu_check.findings import Findings, require

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile.cuda"
_READY_S = 120.0
_STOP_S = 30.0


@dataclass
class Serving:
    """A server process."""

    process: "subprocess.Popen[str]"
    address: str
    metrics_port: int
    log: Path

    def stop(self) -> int:
        """SIGTERM, as a platform does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=_STOP_S)


@contextmanager
def serving(log: Path, *flags: str) -> Iterator[Serving]:
    """`explicate serve` until the block ends; its log goes to a file.

    Raises:
        Missed: it did not start, with the end of its log.
    """
    metrics_port = free_port()
    command = [*_EXPLICATE, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{metrics_port}", *flags]
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, env=_environment())
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()  # once it serves
        require(bool(address), f"the server did not start: {_end_of(log)}")
        yield Serving(process, address, metrics_port, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def check_image_commands(out: Path, device: str, findings: Findings) -> None:
    """Part: what the CUDA image runs, its CMD and its HEALTHCHECK, does here what it is to do there.

    The files of the image are this checkout, and its ports are free ones.
    """
    findings.part("the image's own commands", lambda: _image_commands(out, device, findings))


def _image_commands(out: Path, device: str, findings: Findings) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    command, check = image_command(text, "CMD"), image_command(text, "HEALTHCHECK")
    port, metrics_port = free_port(), free_port()
    words = [_elsewhere(word, {"8500": port, "9500": metrics_port}) for word in command]
    words += ["--device", device]  # the last one counts
    asked = [_elsewhere(word, {"8500": port}) for word in check[1:]]
    findings.add("the image serves with", " ".join(words))
    log = out / "logs" / "image.txt"
    environment = _environment() | {"EXPLICATE_REPOSITORY": str(out / "repository"), "EXPLICATE_THREADS": "4"}
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen([*_EXPLICATE, *words], stdout=subprocess.DEVNULL, stderr=sink, env=environment)
    try:
        begun_s = time.monotonic()
        while _run(asked, log.with_suffix(".health.txt"), limit_s=20.0) != 0:
            require(process.poll() is None, f"the server ended: {_end_of(log)}")
            require(time.monotonic() - begun_s < _READY_S, f"not healthy after {_READY_S:.0f} s: {_end_of(log)}")
            time.sleep(0.5)
        findings.add("seconds from its start until it is healthy", round(time.monotonic() - begun_s, 1))
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=_STOP_S)
        require(code == 0, f"SIGTERM ended it with {code}: {_end_of(log)}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def image_command(dockerfile: str, instruction: str) -> list[str]:
    """The words of the last CMD or HEALTHCHECK of a Dockerfile."""
    found = re.findall(rf"^{instruction}\b[^\[\n]*(?:CMD )?(\[.*\])$", dockerfile, re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def check_training(out: Path, device: str, findings: Findings) -> None:
    """Parts: a small model is trained on the device, exported and verified, and answers."""
    findings.part("training on the device", lambda: _train(out, device, findings))
    findings.part("export of what it trained", lambda: _export(out, findings))


def _train(out: Path, device: str, findings: Findings) -> None:
    from support.tiny_text_model import write_tiny_text_model

    folder = out / "training"
    folder.mkdir(exist_ok=True)
    write_tiny_text_model(folder / "base")
    texts = [f"{word} {'great' if index % 2 else 'bad'} tea" for index, word in enumerate(_WORDS * 6)]
    rows = [{"text": f"{text} {index}", "label": ("other", "great")[index % 2]} for index, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "small.toml").write_text(_CONFIG, encoding="utf-8")
    wanted = "cuda" if device.startswith("cuda") else "cpu"
    log = out / "logs" / "train.txt"
    words = ["train", str(folder / "small.toml"), "--output", str(folder / "run"), "--device", wanted, "--restart"]
    code = _run(words, log, limit_s=180.0)
    require(code == 0, f"explicate train ended with {code}: {_end_of(log)}")
    first = next(line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("trains on"))
    findings.add("training says", first)
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    findings.add("run.json says", f"{record['device']}, {record['precision']}, {record['train_s']} s")
    require(record["device"].startswith(wanted), f"it trained on {record['device']}, not on {wanted}")


def _export(out: Path, findings: Findings) -> None:
    log = out / "logs" / "export.txt"
    repository = out / "training" / "repository"
    words = ["export", str(out / "training" / "run"), "--repository", str(repository), "--allow-trivial"]
    code = _run([*words, "--compare", "16"], log, limit_s=120.0)
    require(code == 0, f"explicate export ended with {code}: {_end_of(log)}")
    lines = log.read_text(encoding="utf-8").splitlines()
    findings.add("export says", next(line for line in lines if "largest difference" in line))


def check_tests(out: Path, device: str, findings: Findings, *, limit_s: float) -> None:
    """Part: the tests marked `gpu`, on the device."""

    def run() -> None:
        log = out / "logs" / "tests.txt"
        environment = _environment() | {"EXPLICATE_TEST_DEVICE": device}
        words = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", "-p", "no:cacheprovider", "-q", "--tb=short"]
        with log.open("w", encoding="utf-8") as sink:
            done = subprocess.run(
                words, stdout=sink, stderr=sink, env=environment, cwd=ROOT, timeout=limit_s, check=False
            )
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1]
        findings.add("tests marked gpu", last.strip("= "))
        failed = re.findall(r"^FAILED (\S+)", log.read_text(encoding="utf-8"), re.MULTILINE)
        require(done.returncode == 0, f"{', '.join(failed) or last}; see {log}")

    findings.part("tests marked gpu", run)


def show_commands(out: Path) -> None:
    """Where this project is not installed, as on a machine without a network, let its subcommands be found.

    They are entry points, which only an installed distribution has: its metadata are written into a folder, which
    PYTHONPATH names from now on.
    """
    if metadata.entry_points(group="explicate.commands"):
        return
    folder = out / "site"
    write_metadata(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(folder))


def write_metadata(folder: Path) -> None:
    """The metadata of this checkout, as if it were installed in a folder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    place = folder / f"{project['name']}-{project['version']}.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (place / "METADATA").write_text(about, encoding="utf-8")
    groups = project["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in groups[group].items()) for group in groups
    ]
    (place / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _elsewhere(word: str, ports: Mapping[str, int]) -> str:
    address = re.fullmatch(r"(?:--[\w-]+=)?[\d.]+:(\d+)", word)
    return word.replace(address[1], str(ports[address[1]])) if address and address[1] in ports else word


def _run(words: Sequence[str], log: Path, *, limit_s: float) -> int:
    """Run our own command line with both outputs in a file; its exit code."""
    with log.open("w", encoding="utf-8") as sink:
        done = subprocess.run(
            [*_EXPLICATE, *words], stdout=sink, stderr=sink, env=_environment(), cwd=ROOT, timeout=limit_s, check=False
        )
    return done.returncode


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _end_of(log: Path) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-4:])


_EXPLICATE = (sys.executable, "-m", "explicate")
_WORDS = ("hot", "cold", "sweet", "sour", "dark", "cheap", "fresh", "stale", "strong", "flat")
_CONFIG = """[data]
train = "texts.jsonl"
label_column = "label"
minimum_class_count = 3
[model]
base = "base"
max_tokens = 32
[training]
epochs = 1
learning_rate = 2e-3
[output]
explained = 0
"""
