"""What becomes model.onnx: a source that can write it, and the source that holds an ONNX graph already.

Free of torch, so that a model of any library can be exported in that library's own process.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol  # onnx's messages

import onnx

from explicate_bundle.files.onnx_file import ExternalDataError, refuse_external_data
from explicate_export.errors import ConversionError, UsageError, first_line

# Protocol buffers cannot be larger, and the weights are inside; what is not weights stays below the margin.
MAX_FILE_BYTES = 2**31 - 1
# What ONNX Runtime brings with it: ONNX's own operators, those of classical models, and Microsoft's.
_KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


class GraphSource(Protocol):
    """What becomes model.onnx."""

    def write(self, path: Path) -> None:
        """Writes the graph into one file, weights inside.

        Raises ConversionError when that is not possible.
        """


@dataclass(frozen=True)
class ReadyGraph:
    """A graph that is there already: the path of a file, or onnx's ModelProto, which is changed (`strip`).

    Its inputs have the names of the kind's schema, its first dimension is dynamic, and its first output is float32
    [batch, outputs]: logits of classes and labels, values of a regression.
    """

    model: Any

    def write(self, path: Path) -> None:
        """See GraphSource."""
        model = read_graph(self.model) if isinstance(self.model, Path) else self.model
        refuse_unknown_operators(model)
        strip(model)
        if model.ByteSize() > MAX_FILE_BYTES:
            raise ConversionError("the graph is larger than 2 GiB, which one file cannot hold: export a smaller model")
        path.write_bytes(model.SerializeToString(deterministic=True))
        _refuse_other_files(path)


def write_graph(source: GraphSource, path: Path) -> None:
    """Writes model.onnx; raises ConversionError when that is not possible."""
    source.write(path)


def read_graph(path: Path) -> Any:
    """An ONNX file as onnx's ModelProto.

    Raises UsageError when it is not one, or keeps weights in other files.
    """
    try:
        _refuse_other_files(path)
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error})") from None
    except ConversionError as error:
        raise UsageError(str(error)) from None
    except Exception as error:  # protobuf raises nothing narrower
        raise UsageError(f"{path} is not an ONNX file ({first_line(error)})") from None


def refuse_unknown_operators(model: Any) -> None:
    """Raises ConversionError where a graph needs operators that ONNX Runtime does not bring with it."""
    own = {function.domain for function in model.functions}
    for entry in model.opset_import:
        if entry.domain not in _KNOWN_DOMAINS and entry.domain not in own:
            raise ConversionError(
                f"the graph needs operators of {entry.domain!r}, which is code of others that a server does not run: "
                "export it with ONNX's own operators"
            )


def strip(model: Any) -> None:
    """Takes out what running does not need: traces with file names of this machine, and inferred shapes."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]


def _refuse_other_files(path: Path) -> None:
    try:
        refuse_external_data(path)
    except ExternalDataError as error:
        raise ConversionError(f"{path.name} cannot be used: {error}") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing but exceptions gets out; afterwards everything is as before."""
    disabled_level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _no_bars():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled_level)


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Without the progress bars of transformers, where that is loaded."""
    if "transformers" not in sys.modules:
        yield
        return
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()  # type: ignore[no-untyped-call]
