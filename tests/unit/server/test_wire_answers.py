"""What the server says in a form that callers of other languages read: offsets, packed ids, names of enum values."""

import random
from typing import Any, get_args

import numpy as np
import pytest

from explicate import options
from explicate._wire.decoding import ExplainAnswers
from explicate._wire.option_fields import numbers_of
from explicate.v1 import explanation_pb2, inference_service_pb2, model_service_pb2
from explicate_server.explain.rounds import StopReason
from explicate_server.registry.records import State
from explicate_server.rpc.answers import segment_map, utf16_offsets
from explicate_server.rpc.option_messages import is_known, name_of, number_of

_CHARACTERS = "aZ é☕味👍🏽👨\u200d👩𝄞\uffff\U00010000"


def utf16_slice(text: str, start: int, end: int) -> str:
    """What JavaScript's ``text.slice(start, end)`` gives."""
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


@pytest.mark.parametrize("seed", range(20))
def test_offsets_cut_a_text_in_utf16_as_code_points_cut_it_in_python(seed: int) -> None:
    stream = random.Random(seed)
    text = "".join(stream.choices(_CHARACTERS, k=stream.randint(0, 40)))
    units = utf16_offsets(text)
    assert len(units) == len(text) + 1
    for start in range(len(text) + 1):
        for end in range(start, len(text) + 1):
            assert utf16_slice(text, units[start], units[end]) == text[start:end]


@pytest.mark.parametrize(
    ("segments", "encoding", "dtype"),
    [
        (1, "UINT16_LITTLE_ENDIAN", "<u2"),
        (65_535, "UINT16_LITTLE_ENDIAN", "<u2"),
        (65_536, "UINT32_LITTLE_ENDIAN", "<u4"),
        (90_000, "UINT32_LITTLE_ENDIAN", "<u4"),
    ],
)
def test_ids_of_segments_are_packed_in_as_many_bytes_as_they_need(segments: int, encoding: str, dtype: str) -> None:
    ids = np.arange(90_000, dtype=np.intp).reshape(200, 450) % segments
    message = segment_map(ids)
    assert explanation_pb2.SegmentIdEncoding.Name(message.encoding) == f"SEGMENT_ID_ENCODING_{encoding}"
    np.testing.assert_array_equal(np.frombuffer(message.ids, dtype).reshape(message.height, message.width), ids)
    assert as_a_client_reads(message) == tuple(ids.ravel().tolist())


@pytest.mark.parametrize(
    "change",
    [
        lambda message: setattr(message, "encoding", 9),
        lambda message: setattr(message, "ids", message.ids[:-1]),
        lambda message: setattr(message, "width", message.width + 1),
    ],
)
def test_a_map_that_a_client_cannot_read_has_no_ids(change: Any) -> None:
    message = segment_map(np.zeros((3, 4), dtype=np.intp))
    change(message)
    assert as_a_client_reads(message) == ()


def as_a_client_reads(message: explanation_pb2.SegmentMap) -> tuple[int, ...]:
    told = explanation_pb2.Explanation(features=[explanation_pb2.Feature()], segment_map=message)
    result = inference_service_pb2.ExplainResult(explanation=told)
    shown = ExplainAnswers("")(inference_service_pb2.ExplainResponse(result=result)).explanation.segment_map
    assert shown is not None
    return shown.ids


ENUMS = [
    explanation_pb2.OutputSpace,
    explanation_pb2.Granularity,
    explanation_pb2.Masking,
    explanation_pb2.QualityLevel,
    explanation_pb2.StopReason,
    model_service_pb2.ModelState,
]


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.DESCRIPTOR.name)
def test_both_sides_call_a_value_by_the_same_name(enum: Any) -> None:
    for name, number in numbers_of(enum).items():
        assert name_of(enum, number) == name
        assert number_of(enum, name) == number
    assert {0, *numbers_of(enum).values()} == set(enum.values())
    assert name_of(enum, 0) is None
    assert number_of(enum, None) is None
    assert not is_known(enum, 99)
    with pytest.raises(ValueError, match="NO_SUCH"):
        number_of(enum, "no-such")


@pytest.mark.parametrize(
    ("enum", "names"),
    [
        (explanation_pb2.OutputSpace, get_args(options.OutputSpace)),
        (explanation_pb2.Granularity, get_args(options.Granularity)),
        (explanation_pb2.Masking, get_args(options.Masking)),
        (explanation_pb2.QualityLevel, get_args(options.QualityLevel)),
        (inference_service_pb2.Priority, get_args(options.Priority)),
        (explanation_pb2.StopReason, [reason.value for reason in StopReason]),
        (model_service_pb2.ModelState, [state.name.lower() for state in State]),
    ],
    ids=lambda value: value.DESCRIPTOR.name if hasattr(value, "DESCRIPTOR") else "",
)
def test_the_names_are_those_that_callers_and_the_server_use(enum: Any, names: Any) -> None:
    assert set(numbers_of(enum)) == set(names)
