"""clients/typescript on Node, against real servers: its own suite, and its package as a stranger installs it.

Skipped where there is no Node 20 or npm, and where npm cannot install what clients/typescript names: without a network
and without a cache of it.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from explicate import Client
from explicate_export.export import ExportOptions, export_run
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from languages.golden_call import Golden
from support.certificates import Authority
from support.harness import server_process
from support.tiny_bundle import write_tiny_run
from support.tiny_image_bundle import pictures, png

# It builds models and installs packages, which takes its time on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"
LANGUAGES = Path(__file__).parents[2] / "docs" / "languages.md"
OLDEST_NODE = 20
INSTALL = ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]

STRICT = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2023", "--types", "node"]
# What a program of a stranger gives and reads, by the types alone; the line that is wrong must be called wrong.
TYPED = """
import { Explicate, Overloaded, type Prediction, top } from "explicate";
import { InferenceService } from "explicate/v1";

const client = new Explicate("127.0.0.1:8500", { tls: { serverName: "models.internal" }, token: "secret" });
export async function reasons(rows: { age: number; owner?: boolean }[]): Promise<string[]> {
  const { predictions } = await client.predict("loans", rows);
  const sure: readonly Prediction[] = predictions.filter(({ probability }) => probability !== undefined);
  const signal = AbortSignal.timeout(10);
  const first = await client.explain("loans", { ...rows[0] }, { target: { all: true }, signal });
  await client.explain("loans", rows[0] ?? {}, first.explanation.options);
  for await (const { final, explanation } of client.streamExplain("tiny", ["a", "b"], { quality: "full" })) {
    if (final) return top(explanation, 3).map(({ name, value }) => `${name} ${value.toFixed(sure.length)}`);
  }
  // @ts-expect-error there is no such masking
  await client.explain("tiny", "tea", { masking: "magic" }).catch((error) => error instanceof Overloaded);
  return [InferenceService.typeName];
}
"""


@pytest.fixture(scope="session")
def package() -> Path:
    """The built package, with what it depends on; of several processes that test at once the first makes it."""
    if shutil.which("npm") is None or _node_version() < OLDEST_NODE:
        pytest.skip(f"the TypeScript client is tested on Node {OLDEST_NODE} or later with npm; here there is none")
    wanted, installed = PACKAGE / "package-lock.json", PACKAGE / "node_modules" / ".package-lock.json"
    built = PACKAGE / "build" / ".built"
    with wanted.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if _is_older(installed, wanted):
            ended = _run("npm", "ci", "--ignore-scripts", *INSTALL[2:], folder=PACKAGE)
            if ended.returncode:
                pytest.skip(f"npm cannot install what the TypeScript client depends on: {ended.stderr.strip()[:300]}")
            installed.touch()
        sources = [path for kind in ("src/**/*.ts", "test/*.ts", "*.json") for path in PACKAGE.glob(kind)]
        if _is_older(built, *sources):  # not while another process runs what is there
            ended = _run("npm", "run", "build:all", folder=PACKAGE)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            built.touch()
    return PACKAGE


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, image_repository: Path, table_repository: Path) -> Iterator[dict]:
    """A server with TLS and tokens, and models that read images, rows (a regression) and pairs of texts."""
    folder = tmp_path_factory.mktemp("guarded")
    repository = folder / "repository"
    for source in (image_repository / "animals", table_repository / "losses"):
        shutil.copytree(source, repository / source.name)
    pairs = write_tiny_run(folder / "run", labels=("no", "yes"), pairs=True)
    export_run(pairs, repository, ExportOptions("entails"))
    tokens, secret, blind = folder / "tokens", new_token(), new_token()
    lines = [line_of(Token("asker", frozenset({Right.PREDICT, Right.EXPLAIN}), digest_of(secret)))]
    lines += [line_of(Token("blind", frozenset({Right.PREDICT}), digest_of(blind)))]
    tokens.write_text("".join(f"{line}\n" for line in lines))
    tokens.chmod(0o600)
    authority = Authority(folder)
    issued = authority.issue("server", hosts=("models.internal",))
    image = folder / "picture.png"
    image.write_bytes(png(pictures(1, seed=3)[0]))
    flags = ("--tokens", str(tokens), "--tls-cert", str(issued.cert), "--tls-key", str(issued.key))
    with server_process(repository, "--threads", "1", *flags) as (_, address):
        told = {"token": secret, "blindToken": blind, "ca": str(authority.cert), "serverName": "models.internal"}
        yield {"address": address, "image": str(image), **told}


def test_its_own_suite_passes_on_node(package: Path, golden: Golden, guarded: dict) -> None:
    repository, flags = golden.path.parent / "repository", ("--models", "tiny", "--max-explanations", "2")
    with server_process(repository, "--threads", "1", *flags) as (doomed, address):
        servers = {"open": golden.address, "guarded": guarded, "doomed": {"address": address, "pid": doomed.pid}}
        told = {"EXPLICATE_GOLDEN": str(golden.path), "EXPLICATE_SERVERS": json.dumps(servers)}
        ended = _run("npm", "run", "--silent", "test:built", folder=package, **told)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    assert "# pass 0" not in ended.stdout
    assert "# skipped 0" in ended.stdout


def test_package_works_where_a_stranger_installs_it(package: Path, golden: Golden, tmp_path: Path) -> None:
    packed = _run("npm", "pack", "--ignore-scripts", "--json", "--pack-destination", str(tmp_path), folder=package)
    assert packed.returncode == 0, packed.stderr
    (told,) = json.loads(packed.stdout)
    files = {file["path"] for file in told["files"]}
    assert {"dist/index.js", "dist/index.d.ts", "dist/v1.js", "README.md", "LICENSE", "package.json"} <= files
    assert not [name for name in files if name.startswith(("src/", "test/", "build/", "node_modules/"))]
    home = tmp_path / "home"
    home.mkdir()
    (home / "package.json").write_text('{"type": "module"}')
    installed = _run(*INSTALL, str(tmp_path / told["filename"]), folder=home)
    if installed.returncode:
        pytest.skip(f"npm cannot install what the package depends on: {installed.stderr.strip()[:300]}")
    first, second = _example(package / "README.md", golden.address), _example(LANGUAGES, golden.address)
    assert _printed(first, home / "first.js") == golden.call("text").expected["lines"]
    with Client(golden.address) as client:
        answer = client.explain("tiny", "Great soup 🍵, rude waiter.", seed=0)
    words = " ".join(line.feature.text for line in answer.explanation.top(3))
    assert _printed(second, home / "second.js")[-1] == f"at last {answer.prediction.label} {words}"
    (home / "typed.ts").write_text(TYPED)
    checked = _run(str(package / "node_modules" / ".bin" / "tsc"), *STRICT, "typed.ts", folder=home)
    assert checked.returncode == 0, checked.stdout


def _printed(program: str, file: Path) -> list[str]:
    """The lines that a program prints."""
    file.write_text(program)
    ended = _run("node", file.name, folder=file.parent)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def _example(document: Path, address: str) -> str:
    """The first program of a document, at this server's address."""
    program = document.read_text(encoding="utf-8").split("```js\n")[1].split("```")[0]
    for told, here in (("127.0.0.1:8500", address), ("food-reviews", "tiny")):
        assert told in program
        program = program.replace(told, here)
    return program


def _node_version() -> int:
    if shutil.which("node") is None:
        return 0
    return int(_run("node", "--version", folder=PACKAGE).stdout.removeprefix("v").split(".")[0])


def _is_older(made: Path, *sources: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def _run(*command: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
