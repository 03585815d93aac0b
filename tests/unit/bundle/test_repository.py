"""The listing of a repository: no entry, however broken, hides another, and each that is not served is named."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from explicate_bundle.repository import PassedOver, in_words, list_models, list_versions


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def versions(root: Path, model: str) -> list[int]:
    return [place.version for place in list_versions(root, model)[0]]


def reasons(passed_over: list[PassedOver]) -> dict[str, str]:
    return {entry.path: entry.reason for entry in passed_over}


Fail = Callable[[str, int], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Makes every look at one path fail, as a network file system or a broken disk does; root can read all else."""
    broken: dict[str, int] = {}

    def guarded(call: Callable[..., object]) -> Callable[..., object]:
        def looked(path: str | Path, *arguments: object, **named: object) -> object:
            if os.fspath(path) in broken:
                raise OSError(broken[os.fspath(path)], os.strerror(broken[os.fspath(path)]), os.fspath(path))
            return call(path, *arguments, **named)

        return looked

    for name in ("listdir", "lstat", "readlink"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    return broken.__setitem__


def test_what_is_no_model_or_version_is_named_with_its_reason(tmp_path: Path) -> None:
    folders(tmp_path, "good/1", "good/12", "good/01", "good/v2", "good/2.0", "good/-1", "UPPER/1", ".publishing/1")
    (tmp_path / "good" / "3").write_text("no folder")
    (tmp_path / "good" / "labels.json").write_text("{}")
    (tmp_path / "model.onnx").write_text("beside the models")
    models, of_models = list_models(tmp_path)
    places, of_versions = list_versions(tmp_path, "good")
    assert models == ["good"]
    assert [(place.version, place.folder) for place in places] == [
        (1, tmp_path / "good" / "1"),
        (12, tmp_path / "good" / "12"),
    ]
    assert list(reasons(of_models)) == ["UPPER", "model.onnx"]
    assert reasons(of_versions).keys() == {"good/01", "good/v2", "good/2.0", "good/-1", "good/3"}
    assert "not a version" in reasons(of_versions)["good/v2"]
    assert "not a folder" in reasons(of_versions)["good/3"]


def test_names_that_are_no_models_have_no_versions(tmp_path: Path) -> None:
    folders(tmp_path, "tiny/1")
    for name in ("nobody", "..", f"../{tmp_path.name}/tiny", "tiny/1", ""):
        assert list_versions(tmp_path, name) == ([], [])


def test_links_that_stay_in_the_repository_are_followed(tmp_path: Path) -> None:
    # As a volume of a ConfigMap lies there: what is served are links, and one rename turns ..data.
    folders(tmp_path, "..2026_11/tiny/1", "..2026_12/tiny/2", "releases/1")
    (tmp_path / "..data").symlink_to("..2026_11")
    (tmp_path / "tiny").symlink_to("..data/tiny")
    (tmp_path / "releases" / "7").symlink_to("../tiny/1")
    assert list_models(tmp_path) == (["releases", "tiny"], [])
    (place,) = list_versions(tmp_path, "tiny")[0]
    assert (place.version, place.folder) == (1, tmp_path / "..2026_11" / "tiny" / "1")
    assert list_versions(tmp_path, "releases")[0][1].folder == place.folder
    (tmp_path / "..data").unlink()
    (tmp_path / "..data").symlink_to("..2026_12")
    assert versions(tmp_path, "tiny") == [2]


def test_a_repository_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    folders(tmp_path, "elsewhere/tiny/1")
    (tmp_path / "repository").symlink_to(tmp_path / "elsewhere")
    assert list_models(tmp_path / "repository")[0] == ["tiny"]
    assert versions(tmp_path / "repository", "tiny") == [1]


def test_links_that_leave_the_repository_are_not_followed_and_named(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    folders(root, "good/1")
    folders(tmp_path, "secret/1")
    for name, target in {
        "up": "../secret",
        "round-about": "good/../../secret",
        "absolute": str(tmp_path / "secret"),
        "inside-but-absolute": str(root / "good"),
        "nowhere": "gone",
        "circle": "circle",
        "to-a-file": "good/file",
    }.items():
        (root / name).symlink_to(target)
    (root / "good" / "file").write_text("")
    (root / "good" / "2").symlink_to("../../secret/1")
    models, passed_over = list_models(root)
    assert models == ["good"]
    told = reasons(passed_over)
    assert "out of the repository" in told["up"]
    assert "out of the repository" in told["round-about"]
    assert "absolute link" in told["absolute"]
    assert "absolute link" in told["inside-but-absolute"]
    assert "to nowhere" in told["nowhere"]
    assert "circle" in told["circle"]
    assert "not a folder" in told["to-a-file"]
    assert versions(root, "good") == [1]
    assert "out of the repository" in reasons(list_versions(root, "good")[1])["good/2"]
    assert list_versions(root, "up") == ([], [])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_model_that_cannot_be_looked_at_hides_no_other(tmp_path: Path, fail: Fail, number: int) -> None:
    folders(tmp_path, "bad/1", "good/1", "stale/1")
    fail(str(tmp_path / "bad"), number)
    fail(str(tmp_path / "stale" / "1"), number)
    assert list_models(tmp_path) == (["bad", "good", "stale"], [])
    with pytest.raises(OSError, match=os.strerror(number)):
        list_versions(tmp_path, "bad")
    assert versions(tmp_path, "good") == [1]
    assert versions(tmp_path, "stale") == [1]  # and what is wrong with it shows when it is read


def test_entries_that_vanish_between_two_looks_are_named_and_hide_no_other(tmp_path: Path, fail: Fail) -> None:
    folders(tmp_path, "good/1", "good/2", "leaving/1")
    fail(str(tmp_path / "leaving"), errno.ENOENT)
    fail(str(tmp_path / "good" / "1"), errno.ENOENT)
    models, passed_over = list_models(tmp_path)
    assert models == ["good"]
    assert "has gone" in reasons(passed_over)["leaving"]
    places, passed_over = list_versions(tmp_path, "good")
    assert [place.version for place in places] == [2]
    assert "has gone" in reasons(passed_over)["good/1"]


def test_a_repository_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_models(tmp_path / "none")


def test_many_entries_are_counted_in_a_sentence() -> None:
    entries = [PassedOver(f"v{i}", "no") for i in range(10)]
    assert in_words(entries[:2]) == "'v0' (no), 'v1' (no)"
    assert in_words(entries, most=2) == "'v0' (no), 'v1' (no) and 8 more"
    assert in_words([]) == ""
