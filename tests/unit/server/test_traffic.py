"""Shares of the traffic are told from digests: so many of them, always the same ones, more with a larger share."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from explicate_server.registry.label_store import Traffic
from explicate_server.rpc.requests import InputsDigest

DIGESTS = [sha256(str(number).encode()).digest() for number in range(4000)]
SHARES = st.floats(0, 1)


def chosen(share: float) -> set[bytes]:
    return {digest for digest in DIGESTS if Traffic(canary_share=share).answers(digest)}


def test_a_share_takes_as_many_as_it_says() -> None:
    assert chosen(0.0) == set()
    assert len(chosen(1.0)) == len(DIGESTS)
    # Four standard deviations of a binomial of 4,000 at 0.3.
    assert len(chosen(0.3)) == pytest.approx(1200, abs=4 * (4000 * 0.3 * 0.7) ** 0.5)


@given(SHARES, SHARES)
def test_a_larger_share_takes_the_same_requests_and_more(first: float, second: float) -> None:
    assert chosen(min(first, second)) <= chosen(max(first, second))


def test_who_is_shadowed_does_not_depend_on_who_is_answered() -> None:
    traffic = Traffic(canary_share=0.5, shadow_share=0.5)
    both = sum(traffic.answers(digest) and traffic.shadows(digest) for digest in DIGESTS)
    assert both == pytest.approx(1000, abs=4 * (4000 * 0.25 * 0.75) ** 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="not a share"):
        Traffic(canary_share=share)
    with pytest.raises(ValueError, match="not a share"):
        Traffic(shadow_share=share)


def row(*names: str) -> messages.Input:
    cells = {name: table_pb2.Cell(number=index) for index, name in enumerate(sorted(names))}
    return messages.Input(tabular=messages.TabularInput(cells={name: cells[name] for name in names}))


def test_the_digest_is_of_the_inputs_alone() -> None:
    one = row("age", "income", "job")
    same = row("job", "age", "income")  # a map has no order
    digests = {
        InputsDigest(messages.PredictRequest(inputs=[one]))(),
        InputsDigest(messages.PredictRequest(inputs=[same], priority=messages.PRIORITY_BULK))(),
        InputsDigest(messages.ExplainRequest(spec=messages.ExplainSpec(input=one)))(),
        InputsDigest(
            messages.StreamExplainRequest(spec=messages.ExplainSpec(input=same, model=messages.ModelRef(model="x")))
        )(),
    }
    assert len(digests) == 1
    others = [
        messages.PredictRequest(inputs=[one, one]),
        messages.PredictRequest(inputs=[row("age", "income")]),
        messages.PredictRequest(table=table_pb2.Table(rows=1)),
        messages.PredictRequest(table=table_pb2.Table(rows=2)),
    ]
    assert len(digests | {InputsDigest(request)() for request in others}) == 5
