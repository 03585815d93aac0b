"""The images: not root, nothing secret, pinned, and a command that the real command line takes."""

import fnmatch
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from explicate.cli import health
from explicate.cli.main import build_parser
from support.served_arguments import DEPLOY, ROOT, served_settings

IMAGES = sorted((DEPLOY / "docker").glob("Dockerfile*"))
SECRET = re.compile(r"password|secret|token|api_?key|credential|BEGIN [A-Z ]*PRIVATE", re.IGNORECASE)
pytestmark = pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
Instructions = list[tuple[str, str]]


def instructions(path: Path) -> Instructions:
    """Each instruction with its arguments, lines that go on joined, comments left out."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage(found: Instructions) -> Instructions:
    """What ends up in the image."""
    return found[max(place for place, (name, _) in enumerate(found) if name == "FROM") :]


def arguments_of(found: Instructions, name: str) -> list[str]:
    """The arguments of each instruction of a kind."""
    return [rest for each, rest in found if each == name]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a path at the root away from the builder: the last pattern that fits decides."""
    kept_out = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parents = [name, *(str(parent) for parent in Path(name).parents if str(parent) != ".")]
        if line and not line.startswith("#") and any(fnmatch.fnmatch(each, pattern) for each in parents):
            kept_out = not line.startswith("!")
    return kept_out


def test_there_are_two_images_and_each_is_built_in_stages(path: Path) -> None:
    assert [each.name for each in IMAGES] == ["Dockerfile", "Dockerfile.cuda"]
    bases = arguments_of(instructions(path), "FROM")
    assert len(bases) == 2
    assert all(re.match(r"python:3\.11-slim( AS build)?$", base) for base in bases), "a tag, and never latest"


def test_every_package_of_the_wheel_reaches_the_builder(path: Path) -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {Path(package).parts[0] for package in wheel["packages"]}
    copied = {source for each in arguments_of(instructions(path), "COPY") for source in each.split()[:-1]}
    assert folders <= copied, f"{path.name} does not copy {sorted(folders - copied)}"
    assert not [folder for folder in folders if ignored(folder)]


def test_it_does_not_run_as_root(path: Path) -> None:
    (user,) = arguments_of(last_stage(instructions(path)), "USER")
    uid, gid = map(int, user.split(":"))
    assert uid >= 10000
    assert gid >= 10000
    after = last_stage(instructions(path))
    after = after[after.index(("USER", user)) :]
    assert not {name for name, _ in after} & {"RUN", "COPY", "ADD"}, "nothing is written after the user is set"


def test_every_source_of_a_copy_is_there_and_reaches_the_builder(path: Path) -> None:
    copied = [rest.split() for rest in arguments_of(instructions(path), "COPY") if not rest.startswith("--from")]
    sources = [source for words in copied for source in words[:-1]]
    assert "constraints.txt" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), f".dockerignore keeps {source} out"


@pytest.mark.parametrize(
    "name", [".git", ".venv", "tests", "repository", "runs", ".env", "server/tls.key", "server/a.pem"]
)
def test_what_is_no_part_of_the_image_does_not_reach_the_builder(path: Path, name: str) -> None:
    assert ignored(name)


def test_there_are_no_secrets_and_no_arguments_that_could_hold_some(path: Path) -> None:
    assert not SECRET.search(path.read_text("utf-8"))
    assert arguments_of(instructions(path), "ARG") == []
    assert arguments_of(instructions(path), "ADD") == []


def test_everything_is_installed_at_the_tested_versions(path: Path) -> None:
    installs = [rest for rest in arguments_of(instructions(path), "RUN") if " install " in rest]
    assert len(installs) == 1
    assert "-c constraints.txt" in installs[0]
    extras = re.search(r"\.\[([^]]*)\]", installs[0])
    assert extras is not None
    assert ("gpu" in extras[1].split(",")) == path.name.endswith("cuda")


def test_the_command_is_one_that_the_server_takes(path: Path) -> None:
    found = last_stage(instructions(path))
    (entry,), (command,) = arguments_of(found, "ENTRYPOINT"), arguments_of(found, "CMD")
    assert json.loads(entry) == ["explicate"]
    environment = dict(re.findall(r"(EXPLICATE_\w+)=(\S+)", " ".join(arguments_of(found, "ENV"))))
    settings = served_settings(json.loads(command), environment)
    ports = {settings.listen.rpartition(":")[2], settings.metrics_listen.rpartition(":")[2]}
    assert set(arguments_of(found, "EXPOSE")[0].split()) == ports
    assert arguments_of(found, "VOLUME") == [str(settings.repository)]
    assert settings.listen.startswith("0.0.0.0:"), "or nothing outside the container could reach it"
    assert settings.device == ("cuda" if path.name.endswith("cuda") else "auto")


def test_the_health_check_asks_the_port_that_the_server_listens_on(path: Path) -> None:
    found = last_stage(instructions(path))
    (check,) = arguments_of(found, "HEALTHCHECK")
    executable, *words = json.loads(check[check.index("[") :])
    assert executable == "explicate"
    arguments = build_parser().parse_args(words)
    assert arguments.run is health.run
    port = served_settings(json.loads(arguments_of(found, "CMD")[0])).listen.rpartition(":")[2]
    assert arguments.address == f"127.0.0.1:{port}"
    limit = re.search(r"--timeout=(\d+)s", check)
    assert limit is not None
    assert arguments.timeout < int(limit[1]), "the command should say what is wrong before it is killed"


def test_the_pins_of_the_cuda_libraries_are_pins(path: Path) -> None:
    lines = (DEPLOY / "docker" / "constraints-cuda.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) >= 5
    assert all(re.fullmatch(r"nvidia-[a-z0-9-]+==[0-9.]+", pin) for pin in pins)


def test_comments_name_the_file_they_stand_in(path: Path) -> None:
    assert f"-f deploy/docker/{path.name} " in path.read_text("utf-8")


def test_docker_itself_finds_nothing_to_warn_of(path: Path) -> None:
    try:
        checked = subprocess.run(
            ["docker", "build", "--check", "-f", str(path), str(ROOT)], capture_output=True, text=True, timeout=60
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        pytest.skip("docker is not here")
    if "docker daemon" in checked.stderr or "buildx" in checked.stderr:
        pytest.skip("no docker daemon runs here")
    assert checked.returncode == 0, checked.stdout + checked.stderr
