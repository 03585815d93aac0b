"""The kinds of input that can be served: one modality file each, one line here."""

from collections.abc import Callable, Mapping

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import BundleError
from explicate_server.modalities.image import ImageModality
from explicate_server.modalities.modality import Modality
from explicate_server.modalities.segmentation import load_library
from explicate_server.modalities.table import TabularModality
from explicate_server.modalities.text import TextModality
from explicate_server.settings import Settings


def _text(bundle: VerifiedBundle, settings: Settings) -> Modality:
    tokenizer = bundle.read_text("tokenizer.json")
    try:
        return TextModality(bundle.manifest.text, tokenizer, max_text_bytes=settings.max_text_bytes)
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise BundleError(f"tokenizer.json is not a tokenizer: {error}") from error


def _table(bundle: VerifiedBundle, _settings: Settings) -> Modality:
    return TabularModality(bundle.manifest.tabular, bundle.background(), bundle.lime_statistics())


def _image(bundle: VerifiedBundle, settings: Settings) -> Modality:
    load_library()
    return ImageModality(
        bundle.manifest.image,
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
    )


_MODALITIES: Mapping[str, Callable[[VerifiedBundle, Settings], Modality]] = {
    "text": _text,
    "table": _table,
    "image": _image,
}


def open_modality(bundle: VerifiedBundle, settings: Settings) -> Modality:
    """The modality of what a bundle's model reads, set up for it."""
    return _MODALITIES[bundle.kind.reads.name](bundle, settings)
