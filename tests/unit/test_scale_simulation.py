"""The simulation of a fleet: whatever dies, rows are written once and work is accounted for; what breaks it is seen."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from benchmarks import scale_simulation
from benchmarks.fleet import Fleet, Outcome
from benchmarks.scale_model import Call, Scorer, Server, Simulation, WrongRows

SMALL = Fleet(
    rows=203_500,  # the last part is not a whole one
    servers=6,
    scorers=4,
    shards=9,
    cores=2,
    call_rows=500,
    part_rows=2_000,
    queue_rows=1_500,
    server_mtbf_s=60.0,
    server_restart_s=10.0,
    scorer_mtbf_s=30.0,
    scorer_restart_s=5.0,
    slow=0.34,
)
CALM = replace(SMALL, server_mtbf_s=inf, scorer_mtbf_s=inf)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_dies_each_row_is_written_once_and_the_work_is_accounted_for(seed: int) -> None:
    told = Simulation(replace(SMALL, seed=seed)).run()
    assert told.written_rows == SMALL.rows
    assert told.scorer_deaths > 0
    assert told.lost_with_scorers_s > 0
    assert told.server_deaths > 0
    assert told.work_s == pytest.approx(told.useful_s + told.lost_with_scorers_s + told.lost_with_servers_s)
    assert told.useful_s == pytest.approx(SMALL.rows * SMALL.row_s, rel=0.05)
    assert told.seconds > told.ideal_s
    assert 0 <= told.slowest < 1


def test_the_same_seed_is_the_same_run() -> None:
    assert Simulation(SMALL).run() == Simulation(SMALL).run() != Simulation(replace(SMALL, seed=1)).run()


def test_without_failures_nothing_is_lost_and_one_server_takes_the_time_of_its_work() -> None:
    told = Simulation(CALM).run()
    assert told.lost == 0
    assert told.scorer_deaths == told.server_deaths == 0
    alone = replace(
        CALM, servers=1, slow=0.0, noise=0.0, call_s=0.0, scorer_s=0.0, write_s=0.0, scorers=3, queue_rows=10**6
    )
    one = Simulation(alone).run()
    assert one.seconds == pytest.approx(SMALL.rows * SMALL.row_s / SMALL.cores)
    assert one.refusals == 0


def test_larger_parts_lose_more_with_a_scorer_and_hold_more_rows() -> None:
    def summed(part_rows: int) -> tuple[float, int]:
        runs = [Simulation(replace(SMALL, part_rows=part_rows, seed=seed)).run() for seed in range(6)]
        return sum(run.lost_with_scorers_s for run in runs), max(run.most_rows_held for run in runs)

    (small_lost, small_held), (large_lost, large_held) = summed(500), summed(10_000)
    assert small_lost < large_lost
    assert small_held < large_held


def test_a_full_queue_refuses_and_scorers_back_off() -> None:
    assert Simulation(replace(CALM, servers=1, queue_rows=500)).run().refusals > 0


class AnswersOfTheDead(Simulation):
    """Its servers do not notice that a scorer left, and its scorers take answers for their earlier lives."""

    def _is_wanted(self, call: Call) -> bool:
        return True

    def _drop(self, server: Server, scorer: Scorer) -> None:
        pass


class LosesPartsOfTheDead(Simulation):
    """Its scorers go on after the parts that they had begun, as if those were written."""

    def _scorer_dies(self, scorer: Scorer) -> None:
        begun = set(scorer.open)
        super()._scorer_dies(scorer)
        for number in begun:
            scorer.parts.remove(number)


class ForgetsWork(Simulation):
    """Its servers do not tell what a scorer that left has cost them."""

    def _interrupt(self, server: Server) -> float:
        return super()._interrupt(server) / 2


@pytest.mark.parametrize("broken", [AnswersOfTheDead, LosesPartsOfTheDead, ForgetsWork])
def test_a_protocol_that_loses_or_doubles_is_caught(broken: type[Simulation]) -> None:
    with pytest.raises(WrongRows):
        broken(SMALL).run()


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"part_rows": 750}, "whole number"), ({"queue_rows": 400}, "never fits"), ({"scorers": 0}, "1 or more")],
)
def test_a_fleet_that_cannot_be_is_refused(changes: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(SMALL, **changes)  # type: ignore[arg-type]


def test_parts_longer_than_a_life_are_said_and_do_not_run_for_ever() -> None:
    with pytest.raises(ValueError, match="does not end"):
        Simulation(replace(SMALL, part_rows=200_000, call_rows=500, scorer_mtbf_s=5.0)).run()


def arguments(fleet: Fleet) -> Sequence[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in vars(fleet).items() if name != "explain_s"]


def test_the_output_says_which_figures_were_measured_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = tmp_path / "row_costs.json"
    costs.write_text(
        json.dumps(
            {"measured": "2026-11-26", "command": "a command", "machine": "2 cores", "seconds": {"explain_s": 0.1}}
        )
    )
    assert scale_simulation.origins({}, costs)["explain_s"].value == 0.1
    assert scale_simulation.origins({"explain_s": 0.2}, costs)["explain_s"].told == "given"
    monkeypatch.setattr(scale_simulation, "COSTS", costs)
    monkeypatch.setattr(scale_simulation.origins, "__defaults__", (costs,))
    assert scale_simulation.main(arguments(SMALL)) == 0
    written = capsys.readouterr().out
    assert "measured 2026-11-26 by `a command` on 2 cores" in written
    assert "203,500, none lost or doubled" in written
    costs.write_text("[]")
    assert scale_simulation.main(arguments(SMALL)) == 2
    assert "is not what benchmarks.row_costs writes" in capsys.readouterr().err


def test_an_outcome_without_an_end_has_no_slow_end() -> None:
    assert Outcome(seconds=10.0, end_s=8.0, work_s=40.0, end_work_s=32.0, core_speed=4.0).slowest == 0.0
    assert Outcome(seconds=10.0, end_s=8.0, work_s=36.0, end_work_s=32.0, core_speed=4.0).slowest == pytest.approx(0.1)
