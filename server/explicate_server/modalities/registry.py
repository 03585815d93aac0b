"""The kinds of model that can be served: one modality file each, one line here."""

from collections.abc import Callable, Mapping

from explicate.v1.bundle_pb2 import (
    MODEL_KIND_TABULAR_CLASSIFICATION,
    MODEL_KIND_TABULAR_REGRESSION,
    MODEL_KIND_TEXT_CLASSIFICATION,
)
from explicate_server.modalities.base import Modality
from explicate_server.modalities.tabular import TabularModality
from explicate_server.modalities.text import TextModality
from explicate_server.registry.bundle import VerifiedBundle


def _tabular(bundle: VerifiedBundle, _max_text_bytes: int) -> Modality:
    return TabularModality(bundle.manifest.tabular, bundle.background())


MODALITIES: Mapping[int, Callable[[VerifiedBundle, int], Modality]] = {
    MODEL_KIND_TEXT_CLASSIFICATION: lambda bundle, max_text_bytes: TextModality(
        bundle.manifest.text, bundle.read_text("tokenizer.json"), max_text_bytes=max_text_bytes
    ),
    MODEL_KIND_TABULAR_CLASSIFICATION: _tabular,
    MODEL_KIND_TABULAR_REGRESSION: _tabular,
}
