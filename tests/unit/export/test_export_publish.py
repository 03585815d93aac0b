"""Publication: one rename, whole or nothing, whoever else publishes and whenever the publisher dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.model_inputs import ImageInput
from explicate_bundle.writing import MANIFEST_NAME, manifest_bytes, sha256_of
from explicate_export.errors import PublicationError, UsageError
from explicate_export.publish import PREFIX, check_target, clear_dead_staging, stage_bundle

_PUBLISHER = """
import os, shutil, signal, sys
from pathlib import Path
from google.protobuf import json_format
from explicate.v1 import bundle_pb2
from explicate_export.publish import stage_bundle

repository, source, deed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with stage_bundle(repository, "m") as staged:
    for path in source.iterdir():
        shutil.copyfile(path, staged.folder / path.name)
    manifest = json_format.Parse((staged.folder / "manifest.json").read_text(), bundle_pb2.Bundle())
    if deed == "die while writing":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "die before the rename":
        Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    if deed == "wait":
        print("ready", flush=True)
        sys.stdin.readline()
    print(staged.publish(manifest))
"""


def graph(name: bytes) -> bytes:
    """Bytes that can be told apart and walked as a graph: a producer's name."""
    return b"\x12" + bytes([len(name)]) + name


def fill(folder: Path, name: bytes = b"graph", *, edge: int = 8) -> bundle_pb2.Bundle:
    """Writes the smallest whole bundle that is accepted, of images of so many pixels; returns its manifest."""
    manifest = bundle_pb2.Bundle(
        format_version=1,
        input_kind=bundle_pb2.INPUT_KIND_IMAGE,
        objective=bundle_pb2.OBJECTIVE_CLASSIFICATION,
        class_labels=["a", "b"],
        image=bundle_pb2.ImageSchema(width=edge, height=8, resampling=bundle_pb2.RESAMPLING_BILINEAR),
        golden_tolerance=1e-4,
    )
    (folder / "model.onnx").write_bytes(graph(name))
    write_golden(folder / "golden.npz", Golden((ImageInput(b"file"),), np.zeros((1, 2), np.float32)), manifest)
    return manifest


def _start_publisher(repository: Path, deed: str) -> "subprocess.Popen[str]":
    source = repository.with_name("source")
    if not source.exists():
        source.mkdir()
        (source / MANIFEST_NAME).write_bytes(manifest_bytes(fill(source)))
    command = [sys.executable, "-c", _PUBLISHER, str(repository), str(source), deed]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _publish(repository: Path, *, version: int | None = None, name: bytes = b"graph") -> Path:
    with stage_bundle(repository, "m", version=version) as staged:
        return staged.publish(fill(staged.folder, name))


def _read_manifest(bundle: Path) -> bundle_pb2.Bundle:
    return json_format.Parse((bundle / MANIFEST_NAME).read_text(encoding="utf-8"), bundle_pb2.Bundle())


def _hidden(repository: Path) -> list[str]:
    return [path.name for path in repository.iterdir() if path.name.startswith(".")]


def test_versions_count_up_from_one_and_from_the_highest(tmp_path: Path) -> None:
    assert _publish(tmp_path) == tmp_path / "m" / "1"
    assert _publish(tmp_path) == tmp_path / "m" / "2"
    assert _publish(tmp_path, version=10) == tmp_path / "m" / "10"
    (tmp_path / "m" / "notes").mkdir()
    assert _publish(tmp_path) == tmp_path / "m" / "11"
    assert _read_manifest(tmp_path / "m" / "11").version == 11
    assert _hidden(tmp_path) == []


def test_repository_is_made_with_its_parents(tmp_path: Path) -> None:
    assert _publish(tmp_path / "a" / "b") == tmp_path / "a" / "b" / "m" / "1"


def test_manifest_lists_every_file_with_its_digest_and_size(tmp_path: Path) -> None:
    with stage_bundle(tmp_path, "m") as staged:
        (staged.folder / "MODEL_CARD.md").write_text("card", encoding="utf-8")
        bundle = staged.publish(fill(staged.folder))
    manifest = _read_manifest(bundle)
    assert manifest.model == "m"
    assert {file.name: (file.sha256, file.size_bytes) for file in manifest.files} == {
        "model.onnx": (sha256_of(bundle / "model.onnx"), 7),
        "golden.npz": (sha256_of(bundle / "golden.npz"), (bundle / "golden.npz").stat().st_size),
        "MODEL_CARD.md": (sha256_of(bundle / "MODEL_CARD.md"), 4),
    }
    # Of `printf '\x12\x05graph' | sha256sum`.
    assert manifest.files[2].sha256 == "65d9a68b353ac6fcdf1fad00b7e7d6b6c2488aa23c87ab50ac72de5fc607adba"


def test_existing_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    bundle = _publish(tmp_path, version=3, name=b"first")
    with pytest.raises(UsageError, match="already has a version 3"):
        _publish(tmp_path, version=3, name=b"second")
    assert (bundle / "model.onnx").read_bytes() == graph(b"first")


def test_loser_of_a_race_takes_the_next_number(tmp_path: Path) -> None:
    with stage_bundle(tmp_path, "m") as slow:
        fast = _publish(tmp_path, name=b"fast")
        late = slow.publish(fill(slow.folder, b"slow"))
    assert (fast.name, late.name) == ("1", "2")
    assert (late / "model.onnx").read_bytes() == graph(b"slow")
    assert _read_manifest(late).version == 2


def test_loser_between_its_look_and_its_rename_takes_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def rename_after_somebody_else(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        _publish(tmp_path, name=b"somebody else")
        return rename(self, target)

    with stage_bundle(tmp_path, "m") as staged:
        manifest = fill(staged.folder, b"mine")
        monkeypatch.setattr(Path, "rename", rename_after_somebody_else)
        mine = staged.publish(manifest)
    assert mine.name == "2"
    assert (mine / "model.onnx").read_bytes() == graph(b"mine")
    assert (tmp_path / "m" / "1" / "model.onnx").read_bytes() == graph(b"somebody else")


def test_loser_of_a_race_for_a_given_version_is_told(tmp_path: Path) -> None:
    with stage_bundle(tmp_path, "m", version=5) as slow:
        _publish(tmp_path, version=5)
        with pytest.raises(PublicationError, match="already has a version 5"):
            slow.publish(fill(slow.folder))
    assert _hidden(tmp_path) == []


def test_publishers_in_several_processes_get_a_version_each(tmp_path: Path) -> None:
    publishers = [_start_publisher(tmp_path, "wait") for _ in range(4)]
    for publisher in publishers:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "ready\n"
    for publisher in publishers:
        assert publisher.stdin is not None
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
    paths = {publisher.communicate()[0].strip() for publisher in publishers}
    assert paths == {str(tmp_path / "m" / str(version)) for version in range(1, 5)}
    assert all(_read_manifest(Path(path)).version == int(Path(path).name) for path in paths)
    assert _hidden(tmp_path) == []


@pytest.mark.parametrize("deed", ["die while writing", "die before the rename"])
def test_killed_publisher_leaves_nothing_visible_and_the_next_clears_up(tmp_path: Path, deed: str) -> None:
    publisher = _start_publisher(tmp_path, deed)
    publisher.communicate()
    assert publisher.returncode == -signal.SIGKILL
    assert [path for path in tmp_path.rglob("*") if path.name == "1"] == []
    assert len(_hidden(tmp_path)) == 2  # the folder and its lock
    assert _publish(tmp_path).name == "1"
    assert _hidden(tmp_path) == []


def test_folder_of_a_living_publisher_is_left_alone(tmp_path: Path) -> None:
    publisher = _start_publisher(tmp_path, "wait")
    assert publisher.stdout is not None
    assert publisher.stdout.readline() == "ready\n"
    assert clear_dead_staging(tmp_path) == []
    output, _ = publisher.communicate("go\n")
    assert output.strip() == str(tmp_path / "m" / "1")


def test_folder_without_a_lock_is_a_dead_one(tmp_path: Path) -> None:
    dead = tmp_path / f"{PREFIX}0123"
    dead.mkdir()
    assert clear_dead_staging(tmp_path) == [dead]
    assert _hidden(tmp_path) == []


def test_failure_while_filling_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with stage_bundle(tmp_path, "m") as staged:
            (staged.folder / "model.onnx").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_server_would_refuse_is_not_published(tmp_path: Path) -> None:
    with stage_bundle(tmp_path, "m") as staged, pytest.raises(PublicationError, match=r"image\.width is 4096"):
        staged.publish(fill(staged.folder, edge=4096))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.onnx", b"no graph", r"model\.onnx: it is not an ONNX graph"),
        ("golden.npz", b"no archive", r"golden\.npz is not in the format"),
        ("a name with spaces", b"", "not a plain file name"),
    ],
)
def test_a_file_that_a_server_would_refuse_keeps_the_bundle_from_being_published(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    with stage_bundle(tmp_path, "m") as staged:
        manifest = fill(staged.folder)
        (staged.folder / name).write_bytes(content)
        with pytest.raises(PublicationError, match=sentence):
            staged.publish(manifest)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "0", "food-reviews", "a.b_c-9", "x" * 64])
def test_names_of_the_manifest_rule_are_accepted(tmp_path: Path, name: str) -> None:
    check_target(tmp_path, name)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", ".a", "A", "a/b", "a b", "ü", "a\n", "x" * 65, "../a"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a model"):
        check_target(tmp_path, name)


@pytest.mark.parametrize("version", [0, 2**31])
def test_a_version_below_one_or_beyond_the_wire_is_refused(tmp_path: Path, version: int) -> None:
    with pytest.raises(UsageError, match="a number from 1"):
        check_target(tmp_path, "m", version=version)


def test_symbolic_link_as_model_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "m").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="symbolic link"):
        _publish(tmp_path / "repository")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("not a folder", encoding="utf-8")
    with pytest.raises(UsageError, match="not a folder"):
        _publish(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        _publish(tmp_path / "m")


def test_repository_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PublicationError, match="cannot write in"):
        _publish(tmp_path / "file" / "repository")


def test_publication_needs_no_torch() -> None:
    script = "import sys, explicate_export.publish; sys.exit(any(m in sys.modules for m in ('torch', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ)).returncode == 0
