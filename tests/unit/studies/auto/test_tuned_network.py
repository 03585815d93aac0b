"""The best network's tuning: what comes of its trials."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from explicate_studies.auto.candidates import Finished, Network, Shared
from explicate_studies.auto.tuned_network import best_trial
from explicate_studies.choice import Goals, Tried
from explicate_studies.trial import answers_of


@dataclass(frozen=True)
class _Trial:
    run: str
    loss: float
    seconds: float = 1.0
    point: Any = None


@pytest.mark.parametrize(("before", "is_kept"), [(0.8, True), (0.95, False), (None, True)])
def test_a_better_one_of_an_earlier_command_is_not_lost(tmp_path: Path, before: float | None, is_kept: bool) -> None:
    candidate = cast(Network, SimpleNamespace(name="free", title="a network", simplicity=3))
    values = {"free": 0.7, "tuned": before}
    shared = cast(
        Shared,
        SimpleNamespace(
            say=lambda _line: None,
            answers=lambda finished: finished.name,
            value=lambda name: values[name],
            candidate_folder=lambda name: tmp_path / name,
            budget=SimpleNamespace(keep=lambda: None),
        ),
    )
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "old").touch()
    trial = tmp_path / "trial-1"
    trial.mkdir()
    (trial / "new").touch()
    answers_of(trial).parent.mkdir(parents=True, exist_ok=True)
    np.save(answers_of(trial), np.zeros((2, 1)))
    rivals = [Finished(name, "", "", 1.0, 3) for name, value in values.items() if value is not None]
    goals = cast(Goals, SimpleNamespace(smaller_is_better=False, loss=lambda one: one.loss))
    tried = cast(list[Tried], [_Trial(str(trial), -0.9, point={}), _Trial(str(trial), -0.6, point={})])
    found = best_trial(shared, candidate, rivals, tried, goals)
    assert (found is not None) is is_kept
    assert (tmp_path / "tuned" / ("new" if is_kept else "old")).exists()
    assert not (tmp_path / "tuned" / ("old" if is_kept else "new")).exists()
