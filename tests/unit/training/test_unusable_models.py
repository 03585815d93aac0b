"""Base models that could not be exported or served are refused before anything is trained, each in one sentence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from explicate.errors import UsageError
from explicate_bundle.images import MAX_EDGE
from explicate_training.image.config import ImageConfig
from explicate_training.loop.run import Run
from explicate_training.text.config import Config, ModelConfig
from explicate_training.text.model import load_text_model
from explicate_training.text.run import TextRun
from explicate_training.train import train
from support.tiny_text_model import build_tokenizer

_SIZE = len(build_tokenizer())
_OTHERS: dict[str, Any] = {
    "T5": transformers.T5Config(
        vocab_size=_SIZE, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=4, pad_token_id=0, eos_token_id=3
    ),
    "XLNet": transformers.XLNetConfig(vocab_size=_SIZE, d_model=16, n_layer=1, n_head=4, d_inner=16),
    "Bart": transformers.BartConfig(
        vocab_size=_SIZE, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=16, decoder_ffn_dim=16, pad_token_id=0, eos_token_id=3,
    ),
}  # fmt: skip


def refused(config: Any) -> str:
    with pytest.raises(UsageError) as caught:
        train(config)
    assert "\n" not in str(caught.value)
    assert not Path(config.output.directory).exists()
    return str(caught.value)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training a step fails the test."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a step was trained")

    monkeypatch.setattr(Run, "train", never)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("name", list(_OTHERS))
def test_a_model_that_takes_no_positions_is_refused_before_training(
    text_config: Config, tmp_path: Path, name: str
) -> None:
    base = tmp_path / name
    AutoModelForSequenceClassification.from_config(_OTHERS[name]).save_pretrained(base)  # type: ignore[no-untyped-call]
    build_tokenizer().save_pretrained(base)
    sentence = refused(replace(text_config, model=ModelConfig(base=str(base), max_tokens=16)))
    assert f"cannot be exported, as {name}ForSequenceClassification takes no position_ids" in sentence
    assert "train with another base model, such as BERT" in sentence


@pytest.mark.usefixtures("untrained")
def test_a_model_that_numbers_tokens_its_own_way_is_refused_before_training(
    text_config: Config, base: Path, tmp_path: Path
) -> None:
    config = transformers.RobertaConfig(
        vocab_size=_SIZE, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, intermediate_size=16,
        max_position_embeddings=130, pad_token_id=5, initializer_range=0.5,
    )  # fmt: skip
    own = tmp_path / "own"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(own)  # type: ignore[no-untyped-call]
    build_tokenizer().save_pretrained(own)  # whose padding is token 0, not 5
    assert "does not number its tokens from 0" in refused(replace(text_config, model=ModelConfig(str(own), 16)))


def copy(base: Path, folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    shutil.copytree(base, folder)
    for name in without:
        (folder / name).unlink()
    return folder


def pickled(base: Path, folder: Path, model_class: Any = AutoModelForSequenceClassification) -> Path:
    copy(base, folder, without=("model.safetensors",))
    torch.save(model_class.from_pretrained(base).state_dict(), folder / "pytorch_model.bin")
    return folder


def test_pickled_weights_are_named_and_the_command_that_converts_them(
    text_config: Config, image_config: ImageConfig, base: Path, bases: Path, tmp_path: Path
) -> None:
    text = pickled(base, tmp_path / "text")
    sentence = refused(replace(text_config, model=ModelConfig(base=str(text), max_tokens=16)))
    assert (
        "its weights are in pytorch_model.bin, and pickled weights are not read, because they can run code" in sentence
    )
    command = sentence.split('python -c "')[1].split('"')[0]
    exec(command, {})  # as the user would
    assert load_text_model(ModelConfig(base=str(text), max_tokens=16), ["a", "b"], seed=0).limit == 128

    image = pickled(bases / "resnet", tmp_path / "image", AutoModelForImageClassification)
    sentence = refused(replace(image_config, model=replace(image_config.model, base=str(image))))
    assert "its weights are in pytorch_model.bin" in sentence
    assert "transformers.AutoModelForImageClassification.from_pretrained" in sentence


def write_vocabulary(folder: Path) -> None:
    tokens = build_tokenizer().get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(tokens, key=tokens.__getitem__)) + "\n", encoding="utf-8")


def test_a_folder_with_vocab_txt_alone_is_a_base(text_config: Config, base: Path, tmp_path: Path) -> None:
    old = copy(base, tmp_path / "old", without=("tokenizer.json", "tokenizer_config.json"))
    write_vocabulary(old)
    config = replace(text_config, model=ModelConfig(str(old), 16), training=replace(text_config.training, epochs=1))
    run = train(config)
    assert (run / "model" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda _: None, "asks for tokenizer.json, which is missing: add it)"),
        (write_vocabulary, "which is missing: add it, or remove tokenizer_config.json, so that vocab.txt is read)"),
        (lambda folder: (folder / "tokenizer_config.json").unlink(), "has no vocabulary: put the tokenizer's files"),
    ],
)
def test_a_folder_without_its_tokenizer_is_refused_by_what_it_lacks(
    text_config: Config, base: Path, tmp_path: Path, change: Callable[[Path], None], sentence: str
) -> None:
    folder = copy(base, tmp_path / "lacking", without=("tokenizer.json",))
    change(folder)
    assert sentence in refused(replace(text_config, model=ModelConfig(base=str(folder), max_tokens=16)))


def test_a_tokenizer_of_another_model_is_refused(text_config: Config, base: Path, tmp_path: Path) -> None:
    other = copy(base, tmp_path / "other")
    tokenizer = build_tokenizer()
    tokenizer.add_tokens([f"zz{index}" for index in range(9)])
    tokenizer.save_pretrained(other)
    sentence = refused(replace(text_config, model=ModelConfig(base=str(other), max_tokens=16)))
    assert f"has {_SIZE + 9:,} tokens and its model {_SIZE:,}" in sentence


# What servers refuse


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("edge", [MAX_EDGE + 1, 4096])
def test_training_refuses_images_of_more_pixels_than_servers_take(
    image_config: ImageConfig, bases: Path, tmp_path: Path, edge: int
) -> None:
    large = copy(bases / "resnet", tmp_path / "large")
    settings = json.loads((large / "preprocessor_config.json").read_text())
    settings["size"] = settings["crop_size"] = {"height": edge, "width": edge}
    (large / "preprocessor_config.json").write_text(json.dumps({**settings, "do_center_crop": False}))
    sentence = refused(replace(image_config, model=replace(image_config.model, base=str(large))))
    assert f"reads {edge} x {edge} pixels, and edges go from 1 to 2048" in sentence


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("labels", "tokens", "otherwise"),
    [(10_001, 16, "10001 class_labels"), (2, 70_000, "text.max_tokens is 70000")],
)
def test_training_refuses_what_servers_refuse(
    text_config: Config, monkeypatch: pytest.MonkeyPatch, labels: int, tokens: int, otherwise: str
) -> None:
    """The same checks as those of a manifest, on what the run will say of its model."""

    def load(run: TextRun) -> None:
        run.labels = [f"c{index}" for index in range(labels)]
        run.config = replace(run.config, model=replace(run.config.model, max_tokens=tokens))

    monkeypatch.setattr(TextRun, "load", load)
    assert f"no server would take such a model ({otherwise}), so it is not trained" in refused(text_config)
