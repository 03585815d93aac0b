"""The affinity of a call: the same for all explanations of one input, another for any other, only where asked for."""

from explicate._wire import calls
from explicate.inputs import Input


def metadata(value: Input, *, model: str = "tiny", seed: int = 0, affinity: bool = True) -> dict[str, str]:
    call = calls.explain(model, value, {"seed": seed}, version=None, label=None, priority=None)
    return dict(call.metadata(None, affinity=affinity) or ())


def test_it_depends_on_the_model_and_the_input_and_on_nothing_else() -> None:
    row: Input = {"age": 31, "city": "Bonn", "income": None}
    first = metadata(row)[calls.AFFINITY_KEY]
    assert metadata(dict(reversed(row.items())), seed=7)[calls.AFFINITY_KEY] == first, "in any order of the columns"
    others = [metadata({**row, "age": 32}), metadata(row, model="other"), metadata("age 31")]
    assert len({first, *(each[calls.AFFINITY_KEY] for each in others)}) == 4


def test_it_is_a_digest_and_sent_only_where_asked_for() -> None:
    assert "secret" not in str(metadata("a secret"))
    assert metadata("a secret", affinity=False) == {}


def test_a_prediction_has_none() -> None:
    call = calls.predict("tiny", ["tea"], version=None, label=None, priority=None)
    assert call.metadata((("authorization", "Bearer x"),), affinity=True) == (("authorization", "Bearer x"),)


def test_a_stream_has_that_of_its_input() -> None:
    call = calls.explain("tiny", "tea", {}, version=None, label=None, priority=None, stream=True)
    assert dict(call.metadata(None, affinity=True) or ())[calls.AFFINITY_KEY] == metadata("tea")[calls.AFFINITY_KEY]
