"""Tiny models with random weights of the families that people fine-tune, as `save_pretrained` leaves them.

Their tokenizers and image processors are those of the family: its kind of pieces, special tokens and sizes.
"""

import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from support.tiny_text_model import WORDS, build_tokenizer

LABELS = ("schlecht 👎", "טוב", "so, so")
"""An emoji, a right-to-left script, a comma."""
_POSITIONS = 66
_STREAM = random.Random(3)
SENTENCES = tuple(" ".join(_STREAM.choices(WORDS, k=count)) for count in (1, 2, 3, 5, 8, 13, 21, 34, 90))
"""Texts, the last of them longer than any of the models reads."""


@dataclass(frozen=True)
class Family:
    """One architecture: its config, and what is beside it."""

    config: str
    settings: dict[str, Any]
    tokenizer: Callable[[], Any] | None = None  # of texts
    processor: dict[str, Any] = field(default_factory=dict)  # of images
    drops: bool = False  # whether leaving tokens out equals masking them

    def write(self, directory: Path, *, labels: Sequence[str] = LABELS, **changes: Any) -> Path:
        """A directory with config, weights and the tokenizer or image processor; `changes` are of the config."""
        settings = {**self.settings, **changes}
        if self.tokenizer is not None:
            tokenizer = self.tokenizer()
            settings = {"vocab_size": len(tokenizer), **settings}
        config = getattr(transformers, self.config)(**settings, id2label=dict(enumerate(labels)))
        config.label2id = {label: index for index, label in enumerate(labels)}
        maker = "AutoModelForSequenceClassification" if self.tokenizer else "AutoModelForImageClassification"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = getattr(transformers, maker).from_config(config).eval()
        _settle(model)
        model.save_pretrained(directory)
        if self.tokenizer is not None:
            tokenizer.save_pretrained(directory)
        else:
            text = json.dumps(self.processor, indent=2)
            (directory / "preprocessor_config.json").write_text(text, encoding="utf-8")
        return directory


@torch.no_grad()
def _settle(model: Any) -> None:
    """As training leaves it: statistics of batches are those of some noise, and the head tells inputs apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for module in norms:
            module.momentum = None  # the mean of all that is seen
        if norms:
            edge = getattr(model.config, "image_size", 32)
            model.train()(pixel_values=torch.randn(16, 3, edge, edge))
            model.eval()
        *_, head = (module for module in model.modules() if isinstance(module, torch.nn.Linear))
        head.weight.normal_(0, 1 / head.in_features**0.5)


def _special(tokenizer: Tokenizer, begin: str, end: str) -> None:
    ids = {token: tokenizer.token_to_id(token) for token in (begin, end)}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", pair=f"{begin} $A {end} {end} $B {end}", special_tokens=list(ids.items())
    )


def _word_pieces() -> Any:
    return build_tokenizer()


def _of_roberta() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    _special(tokenizer, "<s>", "</s>")
    return _wrapped(tokenizer, bos="<s>", eos="</s>", cls="<s>", sep="</s>", pad="<pad>", unk="<unk>", mask="<mask>")


def _of_gpt2() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return _wrapped(tokenizer, bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")


def _pieces(special: Sequence[str], begin: str, end: str, *, lower: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=list(special), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS), *WORDS], trainer)
    _special(tokenizer, begin, end)
    return tokenizer


def _of_xlm_r() -> Any:
    tokenizer = _pieces(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>")
    return _wrapped(tokenizer, bos="<s>", eos="</s>", cls="<s>", sep="</s>", pad="<pad>", unk="<unk>", mask="<mask>")


def _of_albert() -> Any:
    tokenizer = _pieces(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], "[CLS]", "[SEP]", lower=True)
    return _wrapped(tokenizer, cls="[CLS]", sep="[SEP]", pad="<pad>", unk="<unk>", mask="[MASK]", typed=True)


def _of_deberta() -> Any:
    tokenizer = _pieces(["[PAD]", "[CLS]", "[SEP]", "<unk>", "[MASK]"], "[CLS]", "[SEP]")
    return _wrapped(tokenizer, cls="[CLS]", sep="[SEP]", pad="[PAD]", unk="<unk>", mask="[MASK]", typed=True)


def _wrapped(tokenizer: Tokenizer, *, typed: bool = False, **tokens: str) -> Any:
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"],
        **{f"{name}_token": token for name, token in tokens.items()},
    )


_LAYERS = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
_BERT = {**_LAYERS, "max_position_embeddings": _POSITIONS, "initializer_range": 0.3}
_ROBERTA = {**_BERT, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
_MEANS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}

TEXT_FAMILIES = {
    "BERT": Family("BertConfig", {**_BERT, "pad_token_id": 0}, _word_pieces, drops=True),
    "RoBERTa": Family("RobertaConfig", _ROBERTA, _of_roberta, drops=True),
    "DistilBERT": Family(
        "DistilBertConfig",
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": _POSITIONS,
            "initializer_range": 0.3,
        },
        _word_pieces,
        drops=True,
    ),
    "ELECTRA": Family("ElectraConfig", {**_BERT, "embedding_size": 16}, _word_pieces, drops=True),
    "ALBERT": Family("AlbertConfig", {**_BERT, "embedding_size": 16}, _of_albert, drops=True),
    "XLM-R": Family("XLMRobertaConfig", _ROBERTA, _of_xlm_r, drops=True),
    "MPNet": Family("MPNetConfig", {**_BERT, "pad_token_id": 1}, _of_xlm_r),
    "GPT-2": Family(
        "GPT2Config",
        {
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": _POSITIONS,
            "initializer_range": 0.3,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        _of_gpt2,
        drops=True,
    ),
    "ModernBERT": Family(
        "ModernBertConfig",
        {**_LAYERS, "max_position_embeddings": 64, "local_attention": 16, "pad_token_id": 1, "initializer_range": 0.3},
        _of_xlm_r,
    ),
    "DeBERTa-v2": Family(
        "DebertaV2Config",
        {
            **_BERT,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
        _of_deberta,
    ),
}

IMAGE_FAMILIES = {
    "ViT": Family(
        "ViTConfig",
        {**_LAYERS, "image_size": 32, "patch_size": 8, "initializer_range": 0.3},
        processor={"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, **_HALVES},
    ),
    "ConvNeXt": Family(
        "ConvNextConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "initializer_range": 0.3},
        processor={
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": 32},
            "crop_pct": 0.875,
            "resample": 3,
            **_MEANS,
        },
    ),
    "Swin": Family(
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 4,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
            "initializer_range": 0.3,
        },
        processor={
            "image_processor_type": "ViTImageProcessor",
            "size": {"height": 32, "width": 32},
            "resample": 3,
            **_MEANS,
        },
    ),
    "DINOv2": Family(
        "Dinov2Config",
        {**_LAYERS, "image_size": 42, "patch_size": 14, "initializer_range": 0.3},
        processor={
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": 36},
            "crop_size": {"height": 28, "width": 28},
            "do_center_crop": True,
            "resample": 3,
            **_MEANS,
        },
    ),
    "ResNet": Family(
        "ResNetConfig",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        processor={
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": 32},
            "crop_pct": 0.875,
            "resample": 2,
            **_MEANS,
        },
    ),
    "MobileNetV2": Family(
        "MobileNetV2Config",
        {"image_size": 32, "depth_multiplier": 0.35, "first_layer_is_expansion": True},
        processor={
            "image_processor_type": "MobileNetV2ImageProcessor",
            "size": {"shortest_edge": 40},
            "crop_size": {"height": 32, "width": 32},
            "do_center_crop": True,
            "resample": 2,
            **_HALVES,
        },
    ),
}


def write_sentences(path: Path, *, labelled: bool = False) -> Path:
    """A CSV file of texts, which may say what is right of them, each label in its turn."""
    labels = [f',"{LABELS[index % len(LABELS)]}"' if labelled else "" for index in range(len(SENTENCES))]
    lines = [f'"{text}"{label}' for text, label in zip(SENTENCES, labels, strict=True)]
    path.write_text("\n".join(["text,label" if labelled else "text", *lines]) + "\n", encoding="utf-8")
    return path


def write_pictures(folder: Path, count: int = 5) -> Path:
    """PNG files of odd sizes, smooth pictures and noise."""
    folder.mkdir(parents=True)
    stream = np.random.Generator(np.random.Philox(4))
    for index in range(count):
        height, width = (int(edge) for edge in stream.integers(40, 120, 2))
        rough = stream.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        image = Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)
        noise = stream.normal(0, 12, (height, width, 3))
        pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        (folder / f"{index}.png").write_bytes(file.getvalue())
    return folder
