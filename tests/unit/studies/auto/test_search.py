"""The search on a clock that the test moves: what is tried, in time, and what is not done twice."""

from pathlib import Path

import pytest

from explicate.errors import ExplicateError, UsageError
from explicate_studies.auto.budget import Budget
from explicate_studies.auto.candidates import Shared, keep, kept
from explicate_studies.auto.finalists import compared
from explicate_studies.auto.search import chosen, search
from support.auto_table import Clock, Waiting, names, shared_of, write_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("data"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(config: Path, tmp_path: Path, clock: Clock) -> Shared:
    return shared_of(config, tmp_path, minutes=2, clock=clock)  # 105.6 s of them for candidates


def test_candidates_are_tried_in_order_until_the_time_is_over(shared: Shared, clock: Clock) -> None:
    tried = [Waiting(name, clock, takes_s=40) for name in ("one", "two", "three")]
    found = search(shared, tried)
    assert names(list(found.finished.values())) == ["one", "two"]
    assert found.untried == ["three"]
    assert clock.now_s <= 0.88 * 120
    assert tried[0].calls == [40]
    assert tried[2].calls == []


def test_a_candidate_that_fails_is_told_and_the_others_go_on(shared: Shared, clock: Clock) -> None:
    broken, whole = Waiting("broken", clock, takes_s=10), Waiting("whole", clock, takes_s=10)
    broken.raises = ExplicateError("the training diverged")
    found = search(shared, [broken, whole])
    assert found.failed == {"broken": "the training diverged"}
    assert list(found.finished) == ["whole"]
    assert found.untried == []


def test_what_is_finished_is_not_trained_again(config: Path, shared: Shared, clock: Clock) -> None:
    first = [Waiting("one", clock, takes_s=30), Waiting("two", clock, takes_s=30)]
    first[1].raises = KeyboardInterrupt()
    found = search(shared, first)
    assert found.interrupted
    assert found.untried == ["two"]
    assert shared.budget.spent_s == 60

    later = Clock()
    budget = Budget(2, shared.folder / "spent.json", clock=later, spent_s=60.0)
    again = shared_of(config, shared.folder, minutes=2, clock=later)
    again.budget = budget
    second = [Waiting("one", later, takes_s=30), Waiting("two", later, takes_s=30)]
    found = search(again, second)
    assert second[0].calls == []
    assert second[1].calls == [30]
    assert list(found.finished) == ["one", "two"]
    assert again.answers(found.finished["one"]).tolist() == shared.answers(found.finished["one"]).tolist()


def test_a_candidate_whose_answers_were_cut_off_is_not_finished(shared: Shared, clock: Clock) -> None:
    one = Waiting("one", clock, takes_s=1)
    finished, answers = one.fit(shared, 1)
    (shared.folder / "candidates" / "one.json.unfinished").write_text("{")
    assert kept(shared) == {}
    keep(shared, finished, answers)
    assert kept(shared) == {"one": finished}


def test_the_best_is_the_one_that_is_best_on_validation_rows(shared: Shared, clock: Clock) -> None:
    tried = [Waiting("worse", clock, takes_s=1, right=0.6), Waiting("better", clock, takes_s=1, right=0.95)]
    ranked = compared(shared, list(search(shared, tried).finished.values()))
    assert [one.finished.name for one in ranked] == ["better", "worse"]
    assert ranked[0].behind.value == 0
    assert ranked[0].tied
    assert ranked[1].behind.value == pytest.approx(ranked[0].metric.value - ranked[1].metric.value)
    assert ranked[1].behind.lower > 0
    assert not ranked[1].tied


def test_only_those_that_are_asked_for_are_tried(clock: Clock) -> None:
    tried = [Waiting("one", clock, takes_s=1), Waiting("two", clock, takes_s=1)]
    assert chosen(tried, ["two"]) == [tried[1]]
    with pytest.raises(UsageError, match="no candidate 'tow' for such data; there are one, two"):
        chosen(tried, ["tow"])
