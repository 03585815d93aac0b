"""docs/registries.md: a bundle to the Hugging Face Hub and back by huggingface_hub, with a Hub in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, snapshot_download

from explicate_bundle.bundle import check_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.repository import list_models, list_versions
from support.hub import hub
from support.tiny_table_bundle import tiny_table

Download = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Version 3 of the model "loans"."""
    return tiny_table().publish(tmp_path / "made", "loans", version=3)


@pytest.fixture
def download(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Downloads what was uploaded as the page says, a README.md and the Hub's own .gitattributes beside it."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "1")
    with hub() as served:
        api = HfApi(endpoint=served.endpoint, token="hf_none")
        api.upload_folder(repo_id="acme/models", folder_path=made, path_in_repo="loans/3")
        served.files |= {"README.md": b"---\nlibrary_name: explicate\n---\n# loans\n", ".gitattributes": b"* -text\n"}

        def downloaded(**how: Any) -> Path:
            return Path(snapshot_download("acme/models", endpoint=served.endpoint, token=False, **how))

        yield downloaded


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_version_comes_back_to_the_byte(download: Download, made: Path, tmp_path: Path) -> None:
    folder = download(local_dir=tmp_path / "incoming", allow_patterns="loans/3/*") / "loans" / "3"
    assert files_of(folder) == files_of(made)
    assert check_bundle(folder, model="loans", version=3).manifest.model == "loans"


def test_a_whole_repository_of_the_hub_is_one_of_ours(download: Download, tmp_path: Path) -> None:
    repository = download(local_dir=tmp_path / "repository")
    assert {".cache", ".gitattributes", "README.md"} <= {path.name for path in repository.iterdir()}
    names, passed_over = list_models(repository)
    assert names == ["loans"]
    assert [each.path for each in passed_over] == ["README.md"]
    (version,), none = list_versions(repository, "loans")
    assert (version.version, none) == (3, [])
    check_bundle(version.folder, model="loans", version=3)


def test_without_a_local_folder_the_files_are_links_which_are_refused(download: Download, tmp_path: Path) -> None:
    folder = download(cache_dir=tmp_path / "cache") / "loans" / "3"
    assert (folder / "manifest.json").is_symlink()
    with pytest.raises(BundleError, match=r"manifest\.json is a symbolic link"):
        check_bundle(folder, model="loans", version=3)


def test_right_into_the_folder_of_a_bundle_is_not_the_way(download: Download, made: Path) -> None:
    download(local_dir=made, allow_patterns="README.md")
    with pytest.raises(BundleError, match=r"lies in the bundle's folder and is not in its manifest"):
        check_bundle(made, model="loans", version=3)
