"""Exports of the tiny model that go wrong, and the command line around one that goes right."""

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray
from onnx import numpy_helper

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.model_inputs import TextInput
from explicate_bundle.signatures import verify_signature
from explicate_export import cli, conversion, onnx_graph
from explicate_export.errors import ConversionError, ParityError, UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_export.parity import LOGITS, Parity, Scale, check_parity, measure_parity
from explicate_export.text import model as text_model
from explicate_export.text.model import check_token_ids, plain_tokenizer_json
from explicate_export.training_run import read_run, trained
from explicate_server.modalities.text import TextModality
from support.tiny_bundle import write_run_files, write_tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny model; for reading only."""
    return write_tiny_run(tmp_path_factory.mktemp("run") / "tiny-run")


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "own-run"))


def _reuse_graph(monkeypatch: pytest.MonkeyPatch, graph: Path, *, scale: float) -> None:
    """Instead of converting, takes a graph that exists, with one weight of its last layer multiplied."""

    def write_graph(source: Any, path: Path) -> None:
        model = onnx.load(graph)
        (weight,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.bias"))
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(scale), weight.name))
        onnx.save(model, path)

    monkeypatch.setattr(conversion, "write_graph", write_graph)


@pytest.mark.parametrize("scale", [1.001, float("nan")])
def test_graph_that_differs_from_torch_is_not_published(
    run: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    _reuse_graph(monkeypatch, tiny_repository / "tiny" / "1" / "model.onnx", scale=scale)
    repository = tmp_path / "repository"
    with pytest.raises(ParityError, match=r"differ by up to .* nothing was published"):
        export_run(run, repository, ExportOptions("tiny"))
    assert list(repository.iterdir()) == []


def test_unchanged_graph_passes_the_same_comparison(
    run: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reuse_graph(monkeypatch, tiny_repository / "tiny" / "1" / "model.onnx", scale=1.0)
    lines: list[str] = []
    bundle = export_run(run, tmp_path / "repository", ExportOptions("other", 4, compared_inputs=10), say=lines.append)
    assert bundle == tmp_path / "repository" / "other" / "4"
    assert any("on 10 held-out texts" in line for line in lines)
    assert any("token dropping: leaving tokens out equals masking them" in line for line in lines)


def test_difference_at_the_limit_passes_and_above_it_fails() -> None:
    origin = trained(TrainingRun())
    check_parity(Parity(8, 1e-4, 1e-4, LOGITS, 4, 1e-4), origin)
    for difference in (1.01e-4, float("inf"), float("nan")):
        with pytest.raises(ParityError, match=r"and torch differ by up to .* in a logit"):
            check_parity(Parity(8, difference, 0.0, LOGITS, 4, 0.0), origin)
        with pytest.raises(ParityError, match="the same input alone and in a batch"):
            check_parity(Parity(8, 0.0, difference, LOGITS, 4, 0.0), origin)
        with pytest.raises(ParityError, match=r"training wrote into held_out\.jsonl differ by up to .* in a logit"):
            check_parity(Parity(8, 0.0, 0.0, LOGITS, 4, difference), origin)


def test_parity_is_the_largest_difference_over_every_way_of_asking() -> None:
    reference = np.arange(20, dtype=np.float32)[:, None]

    def answer(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        together = np.float32(0.5 if len(rows) > 1 else 0.0)  # a batch spoils the answers
        return reference[rows] + np.where(rows == 3, np.float32(0.25), together)[:, None]

    order, scale = range(19, -1, -1), Scale(2.0, "of two")
    parity = measure_parity(answer, reference, trained=reference[:2] - 1, order=order, batch_rows=8, scale=scale)
    assert (parity.inputs, parity.difference, parity.batch_difference) == (20, 0.25, 0.25)
    assert (parity.trained, parity.trained_difference) == (2, 0.75)
    assert parity.absolute_difference == 0.5


def test_bundle_tokenizer_gives_the_training_tokenizers_ids(run: Path) -> None:
    trained = text_model.load(read_run(run))
    texts = [
        "Good FOOD!",
        "naïve café ½ 你好 😀",
        "[MASK] and [SEP] inside",
        "a\u200bb\u00ad \u2028 x\r\n\ty",
        "good " * 300,
        "?",
    ]
    ids = _token_ids(run, texts)
    check_token_ids(ids, trained.token_ids([(text,) for text in texts]))
    assert max(map(len, ids)) == 128


def _token_ids(run: Path, texts: list[str]) -> list[NDArray[np.int64]]:
    """By the tokenizer of the bundle, as a server uses it."""
    schema = bundle_pb2.TextSchema(max_tokens=128, inputs=["input_ids"])
    tokenizer_json = plain_tokenizer_json(run / "model" / "tokenizer.json")
    modality = TextModality(schema, tokenizer_json, max_text_bytes=1 << 20)
    return [modality.encode(TextInput(text)).row.values[0] for text in texts]


def test_other_token_ids_are_refused(run: Path) -> None:
    ids = _token_ids(run, ["good", "bad"])
    with pytest.raises(ParityError, match="held-out text 2"):
        check_token_ids(ids, [ids[0].tolist(), [2, 9, 3]])


def test_truncation_and_padding_of_the_training_tokenizer_are_left_behind(own_run: Path) -> None:
    path = own_run / "model" / "tokenizer.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(settings), encoding="utf-8")
    plain = json.loads(plain_tokenizer_json(path))
    assert plain["truncation"] is None
    assert plain["padding"] is None
    assert plain["model"] == settings["model"]


def test_model_without_its_classifier_weights_is_refused(own_run: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = own_run / "model" / "model.safetensors"
    weights = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("classifier")}
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks weights, 'classifier\.bias' among them"):
        text_model.load(read_run(own_run))


def test_truncated_weights_are_one_sentence(own_run: Path) -> None:
    path = own_run / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match="cannot be loaded"):
        text_model.load(read_run(own_run))


@pytest.mark.parametrize("labels", [("great", "other"), ("a", "b", "c")])
def test_labels_that_contradict_the_model_are_refused(own_run: Path, labels: tuple[str, ...]) -> None:
    write_run_files(own_run, texts=["good"], labels=labels)
    with pytest.raises(UsageError, match="not consistent"):
        text_model.load(read_run(own_run))


def test_more_tokens_than_the_model_has_positions_are_refused(run: Path) -> None:
    trained = dataclasses.replace(text_model.load(read_run(run)), max_tokens=129)
    with pytest.raises(UsageError, match="only 128 positions"):
        text_model.text_schema(trained, ("good food",))


def test_model_too_large_for_one_file_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ConversionError, match="can hold 2 GiB"):
        onnx_graph.write_graph(_source(run), tmp_path / "model.onnx")


def _source(run: Path) -> onnx_graph.TorchGraph:
    trained = text_model.load(read_run(run))
    return text_model.graph_source(trained, text_model.text_schema(trained, ("good food",)), "logits")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return parser.parse_args(arguments)


def test_command_prints_the_bundle_and_the_next_step(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repository"
    args = _parse(["export", str(run), "--repository", str(repository)])
    assert args.run(args) == 0
    output = capfd.readouterr()
    assert output.out == f"{repository / 'tiny-run' / '1'}\n"
    assert f"next: explicate serve --repository {repository}" in output.err
    # Nothing but our own lines: the exporter is silenced.
    assert all(line.startswith("export: ") for line in output.err.splitlines())


def test_command_signs_the_bundle_with_the_key_given(
    run: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reuse_graph(monkeypatch, tiny_repository / "tiny" / "1" / "model.onnx", scale=1.0)
    pem = serialization.Encoding.PEM
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    (tmp_path / "key.pem").write_bytes(encrypted)
    (tmp_path / "key.pub").write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    repository = tmp_path / "repository"
    args = _parse(["export", str(run), "--repository", str(repository), "--sign-key", str(tmp_path / "key.pem")])
    with pytest.raises(UsageError, match="its password is not in EXPLICATE_SIGN_KEY_PASSWORD"):
        args.run(args)
    assert not repository.exists()
    monkeypatch.setenv("EXPLICATE_SIGN_KEY_PASSWORD", "word")
    assert args.run(args) == 0
    verify_signature(repository / "tiny-run" / "1", tmp_path / "key.pub")


def test_export_twice_gives_the_same_graph(run: Path, tiny_repository: Path, tmp_path: Path) -> None:
    """The shared repository was exported from a model of the same seed."""
    onnx_graph.write_graph(_source(run), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == (tiny_repository / "tiny" / "1" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("extra", "message"),
    [(["--name", "No"], "cannot name"), (["--version", "0"], "from 1"), (["--compare", "0"], "--compare")],
)
def test_wrong_options_are_refused_before_anything_is_loaded(tmp_path: Path, extra: list[str], message: str) -> None:
    args = _parse(["export", str(tmp_path / "run"), "--repository", str(tmp_path / "repository"), *extra])
    with pytest.raises(UsageError, match=message):
        args.run(args)
    assert not (tmp_path / "repository").exists()


def test_registering_imports_nothing_heavy() -> None:
    script = (
        "import argparse, sys, explicate_export.cli as cli; cli.register(argparse.ArgumentParser().add_subparsers());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'onnx', 'onnxruntime', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
