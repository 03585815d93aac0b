"""The time of a search: how it is divided, and how a schedule is shortened to what fits."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from transformers import TrainerControl, TrainerState
from transformers.optimization import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from explicate_studies.auto.budget import Budget, Ending, Need, allot, end_in_time
from support.auto_table import Clock

SECONDS = some.floats(0, 1000)
NEEDS = some.lists(some.tuples(SECONDS, SECONDS).map(lambda two: Need(min(two), max(two))), min_size=1, max_size=6)


@given(needs=NEEDS, left_s=SECONDS)
def test_no_more_is_given_than_there_is_and_nobody_gets_less_than_his_least(needs: list[Need], left_s: float) -> None:
    named = {str(place): need for place, need in enumerate(needs)}
    given_s = allot(named, left_s)
    assert "0" in given_s
    assert sum(given_s.values()) <= left_s + 1e-6
    for name, seconds in given_s.items():
        assert seconds <= named[name].full_s + 1e-6
        assert seconds >= min(named[name].least_s, left_s) - 1e-6


def test_the_first_ones_get_what_is_left_when_all_have_their_least() -> None:
    needs = {"a": Need(10, 100), "b": Need(10, 100), "c": Need(50, 50)}
    assert allot(needs, 60) == {"a": 50, "b": 10}
    assert allot(needs, 70) == {"a": 10, "b": 10, "c": 50}
    assert allot(needs, 200) == {"a": 100, "b": 50, "c": 50}


def test_what_is_spent_outlives_the_process(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(2, tmp_path / "spent.json", clock=clock)
    clock.now_s += 30
    budget.keep()
    assert json.loads((tmp_path / "spent.json").read_text()) == {"seconds": 30.0}
    again = Budget(2, tmp_path / "spent.json", clock=Clock(), spent_s=30.0)
    assert again.left_s == 90
    assert again.search_left_s == pytest.approx(120 * 0.88 - 30)


@pytest.mark.parametrize("schedule", [get_linear_schedule_with_warmup, get_cosine_schedule_with_warmup])
def test_a_schedule_is_shortened_so_that_its_last_step_is_in_time_and_at_its_end(schedule: object) -> None:
    clock, weight = Clock(), torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    rates = schedule(optimiser, 100, 1000)  # type: ignore[operator]
    ending, state, control = Ending(50.0, clock), TrainerState(max_steps=1000), TrainerControl()
    ending.begin(state)
    seen = []
    while not control.should_training_stop:
        optimiser.step()
        rates.step()
        seen.append(rates.get_last_lr()[0])
        state.global_step += 1
        clock.now_s += 0.5  # 500 s in all, of which there are 50
        end_in_time(ending, state, control, rates)
    assert clock.now_s <= 50.0
    assert state.global_step == ending.steps == 100
    assert max(seen) > 0.9
    assert seen[-1] == pytest.approx(0.0, abs=1e-6)
    assert control.should_save
    assert control.should_evaluate
    assert ending.note == "100 of 1,000 steps, for lack of time"


def test_a_machine_that_becomes_slower_shortens_it_again() -> None:
    clock, state = Clock(), TrainerState(max_steps=100)
    rates = get_linear_schedule_with_warmup(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 0, 100)
    ending, control = Ending(60.0, clock), TrainerControl()
    ending.begin(state)
    while not control.should_training_stop:
        state.global_step += 1
        clock.now_s += 0.5 if state.global_step < 40 else 2.0
        end_in_time(ending, state, control, rates)
    assert 50 <= clock.now_s <= 62
    assert state.global_step < 100


def test_a_training_with_time_enough_is_left_alone() -> None:
    clock, state, control = Clock(), TrainerState(max_steps=20), TrainerControl()
    rates = get_linear_schedule_with_warmup(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 0, 20)
    before, ending = list(rates.lr_lambdas), Ending(1000.0, clock)
    ending.begin(state)
    while not control.should_training_stop:
        state.global_step += 1
        clock.now_s += 1.0
        end_in_time(ending, state, control, rates)
    assert state.global_step == 20
    assert rates.lr_lambdas == before
    assert ending.note == ""
