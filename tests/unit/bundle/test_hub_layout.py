"""docs/registries.md: a repository as `hf download --local-dir` leaves it, and what may not lie beside a bundle."""

from pathlib import Path

import pytest

from explicate_bundle.bundle import check_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.repository import list_models, list_versions
from support.tiny_table_bundle import tiny_table


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """The repository of the Hub in a folder, with what huggingface_hub 2.4 keeps there."""
    tiny_table().publish(tmp_path, "loans", version=3)
    (tmp_path / "README.md").write_text("---\nlibrary_name: explicate\n---\n# loans\n", encoding="utf-8")
    (tmp_path / ".gitattributes").write_text("*.onnx filter=lfs diff=lfs merge=lfs -text\n", encoding="utf-8")
    told = tmp_path / ".cache" / "huggingface" / "download" / "loans" / "3"
    told.mkdir(parents=True)
    (told / "model.onnx.metadata").write_text("0" * 40 + "\n", encoding="utf-8")
    (told.parents[2] / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n", encoding="utf-8")
    return tmp_path


def test_a_repository_of_the_hub_is_one_of_ours(downloaded: Path) -> None:
    names, passed_over = list_models(downloaded)
    assert names == ["loans"]
    assert [each.path for each in passed_over] == ["README.md"]
    (version,), none = list_versions(downloaded, "loans")
    assert (version.version, none) == (3, [])
    assert check_bundle(version.folder, model="loans", version=3).manifest.model == "loans"


@pytest.mark.parametrize("name", ["README.md", ".gitattributes", ".cache"])
def test_nothing_may_be_added_beside_the_files_of_a_bundle(downloaded: Path, name: str) -> None:
    folder = downloaded / "loans" / "3"
    (folder / name).touch()
    with pytest.raises(BundleError, match=f"'{name}' lies in the bundle's folder and is not in its manifest"):
        check_bundle(folder, model="loans", version=3)


def test_files_that_are_links_into_a_cache_are_refused(downloaded: Path) -> None:
    path = downloaded / "loans" / "3" / "model.onnx"
    blob = path.rename(downloaded / ".cache" / "blob")
    path.symlink_to(blob)
    with pytest.raises(BundleError, match="not a plain file"):
        check_bundle(path.parent, model="loans", version=3)
