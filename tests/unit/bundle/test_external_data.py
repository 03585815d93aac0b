"""Graphs that keep tensors in other files are found wherever the tensor is, and a plain graph is let through."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from explicate_bundle.files.onnx_file import ExternalDataError, refuse_external_data

_FLOAT = TensorProto.FLOAT


def external(name: str = "weights") -> TensorProto:
    tensor = TensorProto(name=name, data_type=_FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="beside.bin")
    tensor.external_data.add(key="length", value="16")
    return tensor


def plain_graph(name: str = "graph") -> onnx.GraphProto:
    weights = helper.make_tensor("weights", _FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    node = helper.make_node("Add", ["x", "weights"], ["y"])
    values = [helper.make_tensor_value_info(value, _FLOAT, [4]) for value in ("x", "y")]
    return helper.make_graph([node], name, values[:1], values[1:], [weights])


def plain_model() -> onnx.ModelProto:
    model = helper.make_model(plain_graph(), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(external())


def in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_list_of_tensors(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("many", [external()]))


def in_branch(model: onnx.ModelProto) -> None:
    branch = plain_graph("branch")
    branch.initializer.append(external("more"))
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=plain_graph("other")))


def in_branch_of_branch(model: onnx.ModelProto) -> None:
    inner, outer = plain_graph("inner"), plain_graph("outer")
    inner.initializer.append(external("more"))
    outer.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=plain_graph()))
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=outer, else_branch=plain_graph()))


def in_list_of_graphs(model: onnx.ModelProto) -> None:
    branch = plain_graph("branch")
    branch.initializer.append(external("more"))
    model.graph.node[0].attribute.append(helper.make_attribute("many", [branch]))


def in_sparse_values(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_sparse_indices(model: onnx.ModelProto) -> None:
    sparse = onnx.SparseTensorProto(indices=external())
    model.graph.node[0].attribute.append(helper.make_attribute("sparse", sparse))


def in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("own", "F", [], ["c"], [node], [helper.make_opsetid("", 17)]))


def in_functions_default(model: onnx.ModelProto) -> None:
    function = helper.make_function("own", "F", [], ["c"], [], [helper.make_opsetid("", 17)])
    function.attribute_proto.append(helper.make_attribute("value", external()))
    model.functions.append(function)


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(external())


def location_without_a_file(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def file_without_a_location(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="beside.bin")


PLACES = [
    in_initializer,
    in_constant,
    in_list_of_tensors,
    in_branch,
    in_branch_of_branch,
    in_list_of_graphs,
    in_sparse_values,
    in_sparse_indices,
    in_function,
    in_functions_default,
    in_training,
    location_without_a_file,
    file_without_a_location,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_found_wherever_it_is(
    tmp_path: Path, place: Callable[[onnx.ModelProto], None]
) -> None:
    model, path = plain_model(), tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    refuse_external_data(path)
    place(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExternalDataError, match="another file"):
        refuse_external_data(path)


def test_such_a_graph_would_have_been_run_with_what_lies_beside_it(tmp_path: Path) -> None:
    """Why it is refused: the runtime reads a file that no digest covers."""
    model, path = plain_model(), tmp_path / "model.onnx"
    in_initializer(model)
    path.write_bytes(model.SerializeToString())
    (tmp_path / "beside.bin").write_bytes(np.full(4, 7, dtype=np.float32).tobytes())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.zeros(4, dtype=np.float32)})[0].tolist() == [7.0] * 4
    with pytest.raises(ExternalDataError):
        refuse_external_data(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"no graph at all", "not an ONNX graph"),
        (b"\x3a\xff\xff\xff\xff\x0f", "beyond its message"),  # graph = 7, longer than the file
        (b"\x3a\x80", "does not end"),
        (b"\xff" * 20, "does not end"),
        (b"\x0b\x0c", "wire type"),  # a group, which proto3 has not
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ExternalDataError, match=words):
        refuse_external_data(path)


def test_a_graph_within_graphs_without_end_is_refused(tmp_path: Path) -> None:
    path, content = tmp_path / "model.onnx", b""

    def field(number: int, inner: bytes) -> bytes:
        length, size = b"", len(inner)
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + inner

    for _ in range(2000):  # graph > node > attribute > graph > …
        content = field(1, field(5, field(6, content)))
    path.write_bytes(field(7, content))
    with pytest.raises(ExternalDataError, match="deep"):
        refuse_external_data(path)


@pytest.mark.parametrize(
    "listed",
    [
        [0.5, -1.0, 3e38] * 700_000,
        [0, -1, 1 << 40, 127, 128] * 420_000,
        [b"", b"LEAF", b"BRANCH_LEQ", b"x" * 16] * 500_000,
    ],
    ids=["floats", "ints", "strings"],
)
def test_long_lists_of_numbers_and_names_are_stepped_over_and_what_comes_behind_them_is_found(
    listed: list[object], tmp_path: Path
) -> None:
    model, path = plain_model(), tmp_path / "model.onnx"
    for name in ("one", "two", "three"):  # six million and more in all
        model.graph.node[0].attribute.append(helper.make_attribute(name, listed))
    path.write_bytes(model.SerializeToString())
    refuse_external_data(path)
    behind = helper.make_attribute("behind", listed[:5])
    behind.tensors.append(external())
    model.graph.node[0].attribute.append(behind)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExternalDataError, match="stored in another file"):
        refuse_external_data(path)


def test_a_list_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    model, path = plain_model(), tmp_path / "model.onnx"
    model.graph.node[0].attribute.append(helper.make_attribute("many", [1 << 40] * 3))
    content = model.SerializeToString()
    for length in range(len(content) - 60, len(content)):
        path.write_bytes(content[:length])
        try:
            refuse_external_data(path)
        except ExternalDataError:
            continue
        onnx.load_model_from_string(content[:length])  # what ends between two fields is a graph
