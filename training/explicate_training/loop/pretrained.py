"""Why a Hugging Face directory cannot be a base model, in words that help."""

from pathlib import Path

_PICKLED = ("pytorch_model*.bin", "*.ckpt", "*.pt", "*.pth")
_IN_TOKENIZER_JSON = ("PreTrainedTokenizerFast", "TokenizersBackend")  # classes that have nothing but this file
_OTHERS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax"}


def model_folder(base: str) -> str:
    """Where the model of a base is: of a finished run's folder, which a run may continue, the one inside it."""
    folder = Path(base)
    return str(folder / "model") if base and (folder / "run.json").is_file() else base


def cannot_load(base: str, error: Exception, *, model_class: str, advice: str) -> str:
    """A sentence: what is wrong with the base, and what to give instead."""
    folder = Path(base)
    reason = (
        _unread_weights(folder, model_class) or _lost_tokenizer(folder) or " ".join(str(error).split()).split(". ")[0]
    )
    return f"model.base: cannot load {base!r} ({reason}): {advice}"


def _unread_weights(folder: Path, model_class: str) -> str:
    """What weights a folder has instead of safetensors; empty if it has those, or none, or is no folder."""
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return ""
    for pattern in _PICKLED:
        if found := sorted(folder.glob(pattern)):
            return (
                f"its weights are in {found[0].name}, and pickled weights are not read, because they can run code; if "
                f'you trust them, write model.safetensors beside them: python -c "import transformers; '
                f'transformers.{model_class}.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
            )
    for name, library in _OTHERS.items():
        if (folder / name).exists():
            return f"its weights are in {name}, which {library} wrote; only model.safetensors is read"
    return ""


def _lost_tokenizer(folder: Path) -> str:
    """Whether the tokenizer's config asks for a file that is not there; empty if not."""
    config = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").exists() or not config.is_file():
        return ""
    if not any(name in config.read_text(encoding="utf-8", errors="replace") for name in _IN_TOKENIZER_JSON):
        return ""
    advice = ", or remove tokenizer_config.json, so that vocab.txt is read" if (folder / "vocab.txt").exists() else ""
    return f"its tokenizer_config.json asks for tokenizer.json, which is missing: add it{advice}"
