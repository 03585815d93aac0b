"""The whole chain on small images: train, export, serve, predict, explain, and the picture that is drawn."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from explicate import Client
from explicate import Image as AskedImage
from explicate_bundle.images import Preparation, decode
from support.harness import server_process
from support.tiny_image_run import LABELS, write_images

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

EDGE = 24
_CONFIG = f"""
[data]
images = "shapes"
[model]
architecture = "resnet"
image_size = {EDGE}
width = 8
depth = 2
[training]
epochs = 10
learning_rate = 1e-2
[output]
explained = 0
"""


def _explicate(*arguments: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "explicate", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on images and a repository with its bundle."""
    folder = tmp_path_factory.mktemp("chain")
    write_images(folder / "shapes", each=30)
    (folder / "shapes.toml").write_text(_CONFIG, encoding="utf-8")
    assert _explicate("train", "shapes.toml", "--output", "run", directory=folder).strip() == "run"
    exported = _explicate("export", "run", "--repository", "repository", "--name", "shapes", directory=folder)
    assert exported.strip() == "repository/shapes/1"
    return folder


@pytest.fixture(scope="module")
def address(chain: Path) -> Iterator[str]:
    with server_process(chain / "repository") as (_, address):
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address, timeout_s=120.0) as client:
        yield client


def _held_out(chain: Path) -> list[bytes]:
    lines = (chain / "run" / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    return [(chain / "run" / json.loads(line)["image"]).read_bytes() for line in lines]


def _ask(chain: Path, contents: list[bytes]) -> Any:
    """float32 [images, classes] of the exported graph, asked with training's own pixels."""
    session: Any = onnxruntime.InferenceSession(chain / "repository" / "shapes" / "1" / "model.onnx")
    pixels = np.stack([Preparation(EDGE, EDGE).pixels(decode(content)) for content in contents])
    return session.run(None, {"pixels": pixels})[0]


def _as_jpeg(content: bytes) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.resize((120, 50)).save(file, format="JPEG")
    return file.getvalue()


def test_the_server_answers_images_as_the_exported_graph_does(chain: Path, client: Client) -> None:
    contents = _held_out(chain)
    contents += [_as_jpeg(content) for content in contents[:3]]
    predictions = client.predict("shapes", [AskedImage(content) for content in contents]).predictions
    answers = np.array([[score.logit for score in one.scores] for one in predictions])
    np.testing.assert_allclose(answers, _ask(chain, contents), rtol=0, atol=1e-4)
    assert {score.label for score in predictions[0].scores} == set(LABELS)


def test_an_explanation_adds_up(chain: Path, client: Client) -> None:
    content = _held_out(chain)[0]
    result = client.explain("shapes", AskedImage(content), granularity="grid", segments=9, output_space="logit")
    (attribution,) = result.explanation.attributions
    logits = _ask(chain, [content])[0]
    assert attribution.instance_value == pytest.approx(logits.max(), abs=1e-4)
    assert len(attribution.values) == 9
    assert sum(attribution.values) == pytest.approx(attribution.instance_value - attribution.baseline_value, abs=1e-4)
    assert max(map(abs, attribution.values)) > 0.01


def test_the_server_met_the_golden_images_and_their_attributions(client: Client) -> None:
    trial = client.get_model("shapes").runtimes[0]
    assert trial.passed
    # Export computed them in numpy, the server by its modality: the same game to rounding.
    assert trial.attribution_difference is not None
    assert trial.attribution_difference < 1e-4


def test_the_command_line_draws_the_picture(chain: Path, address: str) -> None:
    image = next((chain / "run" / "held_out").glob("*.png"))
    said = _explicate(
        "explain", "--server", address, "--model", "shapes", "--format", "text", "--image", str(image), "--out",
        "why.png", directory=chain,
    )  # fmt: skip
    assert "segment" in said
    with Image.open(chain / "why.png") as drawn, Image.open(image) as original:
        assert min(drawn.size) >= min(original.size)
        assert len(drawn.convert("RGB").getcolors(maxcolors=2**24) or ()) > 10
