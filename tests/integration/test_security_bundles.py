"""Which bundles a server trusts: only the listed files, weights in one file, and with a key only signed ones."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import SignatureError
from explicate_bundle.signatures import check_sign_key, sign_bundle, verify_signature
from explicate_bundle.writing import SIGNATURE_NAME
from explicate_export.publish import stage_bundle
from explicate_server.app import StartError
from support.bundle_edits import add_variant, edit_manifest, replace_file
from support.certificates import private_pem, public_pem
from support.harness import TEXT, predict_request, running_server


class Keys:
    """A pair of keys as files."""

    def __init__(self, folder: Path, name: str = "key") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.private, self.public = folder / f"{name}.pem", folder / f"{name}.pub"
        self.private.write_bytes(private_pem(key))
        self.public.write_bytes(public_pem(key))


@pytest.fixture
def bundle(tiny_repository: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change, in a repository of its own."""
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository")) / "tiny" / "1"


async def refusal(bundle: Path, **settings: Any) -> str:
    """Why the bundle is refused; empty when it is served."""
    try:
        async with running_server(bundle.parents[1], **settings) as running:
            assert (await running.inference.Predict(predict_request(TEXT))).predictions
    except StartError as error:
        return str(error).partition("was refused: ")[2] or str(error)
    return ""


async def test_a_file_that_the_manifest_does_not_list_is_refused(bundle: Path) -> None:
    assert await refusal(bundle) == ""
    for name in ("weights.bin", ".hidden", "folder"):
        path = bundle / name
        path.mkdir() if name == "folder" else path.write_bytes(b"x")
        assert repr(name) in await refusal(bundle)
        path.rmdir() if name == "folder" else path.unlink()
    (bundle / "link").symlink_to("/etc/hostname")
    assert "'link'" in await refusal(bundle)


async def test_links_in_a_bundle_are_refused(bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(bundle / "model.onnx", elsewhere)
    (bundle / "model.onnx").symlink_to(elsewhere)
    assert "model.onnx is missing or is not a plain file" in await refusal(bundle)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", ".hidden", "a\0b"])
async def test_a_manifest_that_names_a_file_elsewhere_is_refused(bundle: Path, name: str) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["files"].append({"name": name, "size_bytes": "1", "sha256": "00"})

    edit_manifest(bundle, rename)
    assert "not a plain file name" in await refusal(bundle)


async def test_a_manifest_that_is_too_large_is_refused(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text() + " " * (4 << 20))
    assert "manifest.json is larger than" in await refusal(bundle)


async def test_a_graph_with_weights_in_another_file_is_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    onnx.save(model, bundle / "moved.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    weights, graph = (bundle / "weights.bin").read_bytes(), (bundle / "moved.onnx").read_bytes()
    (bundle / "moved.onnx").unlink()

    def list_weights(manifest: dict[str, Any]) -> None:  # even with a digest of its own
        manifest["files"].append({"name": "weights.bin", "size_bytes": "0", "sha256": ""})

    edit_manifest(bundle, list_weights)
    replace_file(bundle, "weights.bin", weights)
    replace_file(bundle, "model.onnx", graph)
    assert "model.onnx: a tensor is stored in another file" in await refusal(bundle)


async def test_with_a_key_only_bundles_signed_by_it_are_served(bundle: Path, tmp_path: Path) -> None:
    keys, others = Keys(tmp_path), Keys(tmp_path, "others")
    verify = {"verify_key": str(keys.public)}
    assert "it is not signed" in await refusal(bundle, **verify)
    sign_bundle(bundle, others.private)
    assert "is not by this server's key" in await refusal(bundle, **verify)
    sign_bundle(bundle, keys.private)
    assert await refusal(bundle, **verify) == ""
    assert await refusal(bundle) == ""  # who asks for no signatures is not hindered by one
    (bundle / SIGNATURE_NAME).write_text("{}")
    assert "is not by this server's key" in await refusal(bundle, **verify)


async def test_a_signed_bundle_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    verify = {"verify_key": str(keys.public)}
    sign_bundle(bundle, keys.private)
    signed = (bundle / SIGNATURE_NAME).read_bytes()
    card = (bundle / "MODEL_CARD.md").read_bytes()
    replace_file(bundle, "MODEL_CARD.md", card + b"and more\n")  # with a digest in the manifest that fits
    assert "is not by this server's key over these files" in await refusal(bundle, **verify)
    assert await refusal(bundle) == ""
    second = shutil.copytree(bundle, bundle.parent / "2")
    shutil.rmtree(bundle)
    (second / SIGNATURE_NAME).write_bytes(signed)
    assert "is not by this server's key over these files" in await refusal(second, **verify)


async def test_a_signature_covers_the_variants_too(bundle: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    verify = {"verify_key": str(keys.public)}
    graph = (bundle / "model.onnx").read_bytes()
    add_variant(bundle, "fp16", graph)
    sign_bundle(bundle, keys.private)
    assert await refusal(bundle, **verify) == ""
    replace_file(bundle, "model.fp16.onnx", graph + b"\x32\x00")  # an empty documentation: the same graph
    assert await refusal(bundle) == ""
    assert "is not by this server's key over these files" in await refusal(bundle, **verify)


async def test_a_server_does_not_start_with_a_key_it_cannot_use(bundle: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    for path, words in (
        (tmp_path / "missing.pub", "cannot read"),
        (keys.private, "not a public key"),
        (Path(__file__), "not a public key"),
    ):
        assert words in await refusal(bundle, verify_key=str(path))


async def test_publishing_with_a_key_signs_what_is_published(bundle: Path, tmp_path: Path) -> None:
    keys, repository = Keys(tmp_path), bundle.parents[1]
    manifest = json_format.Parse((bundle / "manifest.json").read_text(), bundle_pb2.Bundle())
    with stage_bundle(repository, "tiny", sign_key=keys.private) as staged:
        for file in manifest.files:
            shutil.copyfile(bundle / file.name, staged.folder / file.name)
        published = staged.publish(manifest)
    assert published.name == "2"
    verify_signature(published, keys.public)
    shutil.rmtree(bundle)
    assert await refusal(published, verify_key=str(keys.public)) == ""


def test_a_key_that_cannot_sign_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    check_sign_key(keys.private)
    wrong = tmp_path / "rsa.pem"
    wrong.write_bytes(private_pem(rsa.generate_private_key(65537, 2048)))  # type: ignore[arg-type]
    for path, words in (
        (tmp_path / "missing.pem", "cannot read"),
        (keys.public, "not a private key"),
        (wrong, "not a key of an elliptic curve"),
    ):
        with pytest.raises(SignatureError, match=words):
            check_sign_key(path)
