"""Bundles into MLflow's registry and out of it: what comes back is what was put there, or nothing."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

mlflow = pytest.importorskip("mlflow")

from explicate.cli import main  # noqa: E402
from explicate.errors import ExplicateError, UsageError  # noqa: E402
from explicate_bundle.bundle import verify_bundle  # noqa: E402
from explicate_bundle.errors import BundleError, SignatureError  # noqa: E402
from explicate_bundle.signatures import sign_bundle  # noqa: E402
from explicate_export.mlflow.model_versions import DIGEST, Reference, pull, push  # noqa: E402
from support.tiny_table_bundle import tiny_table  # noqa: E402


class Registry:
    """The session's registry; every test has a name of its own in it."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri, self.name, self.client = uri, name, mlflow.MlflowClient(tracking_uri=uri)

    def push(self, folder: Path, alias: str | None = None) -> Any:
        return push(folder, name=self.name, alias=alias, tracking_uri=self.uri)

    def pull(self, repository: Path, which: str = "", **options: Any) -> Any:
        return pull(f"models:/{self.name}{which}", repository, tracking_uri=self.uri, **options)

    def artifact(self, version: str = "1") -> Path:
        return Path(urlparse(self.client.get_model_version_download_uri(self.name, version)).path)


@pytest.fixture
def registry(tracking_uri: str, request: pytest.FixtureRequest) -> Registry:
    return Registry(tracking_uri, f"m{sha256(request.node.nodeid.encode()).hexdigest()[:12]}")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Version 7 of the model "loans"."""
    return tiny_table().publish(tmp_path / "made", "loans", version=7)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_what_comes_back_is_the_same_to_the_byte(registry: Registry, bundle: Path, repository: Path) -> None:
    pushed = registry.push(bundle)
    assert (pushed.version, pushed.is_new) == ("1", True)
    assert files_of(registry.artifact()) == files_of(bundle)
    pulled = registry.pull(repository)
    assert (pulled.model, pulled.version, pulled.alias, pulled.is_new) == ("loans", 7, None, True)
    assert pulled.folder == repository / "loans" / "7"
    assert files_of(pulled.folder) == files_of(bundle)
    assert pulled.digest == verify_bundle(bundle, model="loans", version=7).digest
    assert [path.name for path in repository.iterdir()] == ["loans"]


def test_the_registry_tells_what_it_is(registry: Registry, bundle: Path) -> None:
    registry.push(bundle, alias="champion")
    version = registry.client.get_model_version_by_alias(registry.name, "champion")
    assert version.tags["explicate.model"] == "loans"
    assert version.tags["explicate.version"] == "7"
    assert version.tags[DIGEST] == sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert registry.client.get_run(version.run_id).info.status == "FINISHED"


def test_the_same_bundle_is_one_version_however_often_it_is_pushed_and_pulled(
    registry: Registry, bundle: Path, repository: Path
) -> None:
    registry.push(bundle)
    again = registry.push(bundle, alias="champion")
    assert (again.version, again.is_new) == ("1", False)
    assert registry.pull(repository, "@champion").alias == "champion"
    assert registry.pull(repository, "/1").is_new is False


def test_an_alias_a_version_and_the_newest_are_told_apart(
    registry: Registry, bundle: Path, repository: Path, tmp_path: Path
) -> None:
    registry.push(bundle, alias="champion")
    registry.push(tiny_table(seed=9).publish(tmp_path / "made", "loans", version=8))
    assert registry.pull(repository).version == 8
    assert registry.pull(repository, "@champion").version == 7
    assert registry.pull(repository, "/2").is_new is False


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _flip(folder / "model.onnx"), "model.onnx has been altered"),
        (lambda folder: _cut(folder / "model.onnx"), "model.onnx has .* bytes in MLflow"),
        (lambda folder: (folder / "golden.npz").unlink(), "golden.npz"),
        (lambda folder: (folder / "manifest.json").unlink(), "does not have a manifest.json"),
        (lambda folder: _cut(folder / "manifest.json"), "manifest"),
        (lambda folder: _edit(folder, model="../../loans"), "not the format|altered|cannot name a model|was changed"),
        (lambda folder: _edit(folder, model="other"), "was changed since"),
        (lambda folder: _edit(folder, version=-3), "a version is a number from 1"),
        (lambda folder: _name_a_file(folder, "../../escaped"), "not a plain file name"),
        (lambda folder: (folder / "manifest.json").write_bytes(b" " * (5 << 20)), "over the limit"),
    ],
    ids=["flipped", "cut", "missing", "no manifest", "cut manifest", "path", "name", "version", "file path", "huge"],
)
def test_an_artifact_that_was_changed_is_not_published(
    registry: Registry, bundle: Path, repository: Path, damage: Callable[[Path], object], message: str
) -> None:
    registry.push(bundle)
    damage(registry.artifact())
    with pytest.raises((BundleError, ExplicateError), match=message):
        registry.pull(repository)
    assert [path for path in repository.rglob("*") if path.is_file()] == []
    assert not (repository.parent / "escaped").exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _edit(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _name_a_file(folder: Path, name: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    _edit(folder, files=[*manifest["files"], {"name": name, "sizeBytes": "1", "sha256": "0" * 64}])


def test_what_the_manifest_does_not_list_stays_there(registry: Registry, bundle: Path, repository: Path) -> None:
    registry.push(bundle)
    (registry.artifact() / "model.pkl").write_bytes(b"cos\nsystem\n")
    (registry.artifact() / "more").mkdir()
    assert files_of(registry.pull(repository).folder) == files_of(bundle)


def test_another_bundle_of_the_same_version_is_left_alone(registry: Registry, bundle: Path, repository: Path) -> None:
    registry.push(bundle)
    mine = tiny_table(seed=9).publish(repository, "loans", version=7)
    before = files_of(mine)
    with pytest.raises(ExplicateError, match="is another bundle than"):
        registry.pull(repository)
    assert files_of(mine) == before


def test_only_what_the_key_signed_is_published(
    registry: Registry, bundle: Path, repository: Path, tmp_path: Path
) -> None:
    private, public = key_pair(tmp_path, "ours")
    _, stranger = key_pair(tmp_path, "theirs")
    sign_bundle(bundle, private)
    registry.push(bundle)
    with pytest.raises(SignatureError):
        registry.pull(repository, verify_key=stranger)
    assert not (repository / "loans").exists()
    assert registry.pull(repository, verify_key=public).is_new
    (registry.artifact() / "model.sig").unlink()
    shutil.rmtree(repository)
    with pytest.raises(SignatureError, match="not signed"):
        registry.pull(repository, verify_key=public)


@pytest.mark.parametrize("text", ["", "models:/", "models:/a/b/c", "a@", "a/latest", "a@b@c", "s3://bucket/a", "a'b"])
def test_what_does_not_name_a_model_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not name a model of MLflow"):
        Reference.parsed(text)


def test_what_is_not_there_is_said_in_a_sentence(registry: Registry, bundle: Path, repository: Path) -> None:
    with pytest.raises(UsageError, match="does not have a version of a model"):
        registry.pull(repository)
    registry.push(bundle)
    for which in ("@nobody", "/9"):
        with pytest.raises(UsageError, match=r"^MLflow: "):
            registry.pull(repository, which)
    with pytest.raises(UsageError, match="not a bundle of a repository"):
        registry.push(bundle.parent)
    for name in ("a/b", "models:/a", "a'b"):
        with pytest.raises(UsageError, match=r"(cannot|does not) name a model of MLflow"):
            push(bundle, name=name, tracking_uri=registry.uri)
    (bundle / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        push(bundle, name="half", tracking_uri=registry.uri)


def test_a_store_whose_package_is_missing_is_said_in_a_sentence(
    registry: Registry, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_sqlalchemy(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    monkeypatch.setattr(mlflow.MlflowClient, "search_model_versions", without_sqlalchemy)
    with pytest.raises(UsageError, match=r"MLflow lacks something: No module named 'sqlalchemy'; .* pip install"):
        registry.pull(repository)


def test_the_commands_say_what_they_did_and_what_is_next(
    registry: Registry, bundle: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--tracking-uri", registry.uri]
    assert main.main(["mlflow", "push", str(bundle), "--name", registry.name, "--alias", "champion", *where]) == 0
    out, err = capsys.readouterr()
    assert out == f"models:/{registry.name}/1\n"
    assert f"pushed as version 1 of {registry.name}" in err
    wanted = f"models:/{registry.name}@champion"
    assert main.main(["mlflow", "pull", wanted, "--repository", str(repository), *where]) == 0
    out, err = capsys.readouterr()
    assert out == f"{repository / 'loans' / '7'}\n"
    assert "next: explicate models activate loans 7 --label champion" in err
    assert main.main(["mlflow", "pull", wanted, "--repository", str(repository), "--label", "live", *where]) == 2
    assert "--label needs --activate" in capsys.readouterr().err
    _flip(registry.artifact() / "golden.npz")
    shutil.rmtree(repository)
    assert main.main(["mlflow", "pull", wanted, "--repository", str(repository), *where]) == 1
    assert f"{wanted} is not published: golden.npz has been altered" in capsys.readouterr().err
