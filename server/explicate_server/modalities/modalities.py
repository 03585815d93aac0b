"""The kinds of input that can be served: one modality file each, one line here."""

from collections.abc import Mapping

from explicate_bundle.bundle import VerifiedBundle
from explicate_server.modalities.image import ImageModality
from explicate_server.modalities.modality import Modality
from explicate_server.modalities.table import TabularModality
from explicate_server.modalities.text import TextModality
from explicate_server.settings import Settings

_MODALITIES: Mapping[str, type[Modality]] = {
    "text": TextModality,
    "table": TabularModality,
    "image": ImageModality,
}


def open_modality(bundle: VerifiedBundle, settings: Settings) -> Modality:
    """The modality of what a bundle's model reads, set up for it.

    Raises:
        BundleError: a file that it needs is not in its format.
    """
    return _MODALITIES[bundle.kind.reads.name].open(bundle, settings)


def bytes_beside(bundle: VerifiedBundle) -> int:
    """Memory that the modality of a bundle takes for itself, as far as it is worth counting."""
    return _MODALITIES[bundle.kind.reads.name].bytes_beside(bundle)
