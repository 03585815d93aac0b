"""An objective from its own file alone goes from training to a served explanation; see support/ordinal.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tomlkit

from explicate import AsyncClient
from explicate_export.export import ExportOptions, export_run
from explicate_training.config.config_file import parse_config
from explicate_training.train import train
from support.harness import running_server
from support.ordinal import NAME, forget_in_bundles, ranks, register_everywhere


@pytest.fixture
def stars(tmp_path: Path) -> Iterator[Path]:
    """A repository with a model that tells 7, 8, 9 or 10 stars, of taste and price."""
    register_everywhere()
    stream = np.random.default_rng(0)
    rows = []
    for taste, price in stream.normal(size=(300, 2)).tolist():
        rows.append(
            {"taste": taste, "price": price, "stars": int(np.clip(round(9 + 1.2 * taste - 0.6 * price), 7, 10))}
        )
    (tmp_path / "stars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = {
        "data": {"table": str(tmp_path / "stars.jsonl"), "task": NAME, "label_column": "stars"},
        "model": {"width": 16, "blocks": 1, "members": 2, "bins": 4},
        "training": {"epochs": 15, "learning_rate": 0.01},
        "output": {"directory": str(tmp_path / "run")},
    }
    run = train(parse_config(tomlkit.dumps(config)))
    export_run(run, tmp_path / "repository", ExportOptions("stars"))
    yield tmp_path
    forget_in_bundles()


async def test_a_new_objective_is_trained_exported_served_and_explained(stars: Path) -> None:
    card = (stars / "repository" / "stars" / "1" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "A model that places rows among 4 classes in an order." in card
    async with running_server(stars / "repository") as running, AsyncClient(running.target) as client:
        model = await client.get_model("stars")
        assert model.class_labels == ("7", "8", "9", "10")
        rows = [{"taste": taste, "price": 0.0} for taste in (-2.0, -0.5, 0.5, 2.0)]
        scored = (await client.predict("stars", rows)).predictions
        logits = np.array([[score.logit for score in one.scores] for one in scored])
        assert np.all(np.diff(ranks(logits)) > 0)  # more taste, more stars
        explained = await client.explain("stars", rows[-1], target="10", method="exact-shap")
        (attribution,) = explained.explanation.attributions
        assert sum(attribution.values) == pytest.approx(
            attribution.instance_value - attribution.baseline_value, abs=1e-9
        )
        by_name = dict(zip((f.name for f in explained.explanation.features), attribution.values, strict=True))
        assert by_name["taste"] > abs(by_name["price"])
