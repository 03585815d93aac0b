"""Explain an image against `shap` and `lime`, on the digits' model of `make demo-image`.

Wall time and model rows per image. The peers run the torch model in this process, with the same preparation and as many
rows at a time as they take by default; ours goes through gRPC to a server process. One after the other on each image,
never at once. Absent means grey for kernel-shap and shap (its blur needs OpenCV). lime cuts with its own default on
both sides, so both explain the same segments.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from benchmarks import subject
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import server_process
from explicate import Client, Image

RUN = subject.ROOT / "runs" / "digits"
MODEL = "digits"
IMAGES = 7
LIME_ROWS = 1000


class CountingModel:
    """The torch model with its normalisation, and a count of the rows that went through it."""

    def __init__(self) -> None:
        import json

        import torch
        from transformers import AutoModelForImageClassification

        self._torch = torch
        description = json.loads((RUN / "run.json").read_text(encoding="utf-8"))
        self.edge = int(description["image"]["width"])
        normalisation = description["normalisation"]
        self._mean, self._std = (np.array(normalisation[name], dtype=np.float32) for name in ("mean", "std"))
        self._model: Any = AutoModelForImageClassification.from_pretrained(RUN / "model").eval()
        self.rows = 0

    def pixels(self, path: str) -> NDArray[np.uint8]:
        """uint8[height, width, 3] as the model reads them."""
        with Pictures.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((self.edge, self.edge), Pictures.Resampling.BILINEAR))

    def probabilities(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """float64[images, classes] of pixels[images, height, width, 3] from 0 to 255."""
        self.rows += len(pixels)
        scaled = (np.asarray(pixels, dtype=np.float32) / 255 - self._mean) / self._std
        with self._torch.inference_mode():
            logits = self._model(self._torch.from_numpy(scaled).permute(0, 3, 1, 2)).logits
        return np.asarray(logits.softmax(dim=-1).numpy(), dtype=np.float64)


def measure() -> list[Figure]:
    """Seconds and model rows per image: ours, shap's, lime's."""
    import shap
    from lime.lime_image import LimeImageExplainer

    subject.prepare("digits")
    model = CountingModel()
    paths = sorted((RUN / "held_out").glob("*.png"))[:IMAGES]
    seconds: dict[str, list[float]] = {"kernel-shap": [], "shap": [], "our lime": [], "lime": []}
    rows: dict[str, list[float]] = {name: [] for name in seconds}

    def peer(name: str, work: Callable[[], object]) -> None:
        model.rows = 0
        begin_s = time.perf_counter()
        work()
        seconds[name].append(time.perf_counter() - begin_s)
        rows[name].append(model.rows)

    masker = shap.maskers.Image(np.full((model.edge, model.edge, 3), 128.0))
    with server_process() as server, Client(server.address, timeout_s=120.0) as client:

        def ours(name: str, image: Image, **options: Any) -> None:
            begin_s = time.perf_counter()
            answer = client.explain(MODEL, image, **options)
            seconds[name].append(time.perf_counter() - begin_s)
            rows[name].append(answer.explanation.evaluations)

        client.explain(MODEL, Image.open(paths[-1]), method="lime", max_evaluations=50)  # what a first call loads
        for path in paths:
            image, pixels = Image.open(path), model.pixels(str(path))
            ours("kernel-shap", image, masking="grey")
            peer("shap", lambda pixels=pixels: shap.Explainer(model.probabilities, masker)(pixels[None], silent=True))  # type: ignore[misc]
            ours("our lime", image, method="lime", max_evaluations=LIME_ROWS)
            peer(
                "lime",
                lambda pixels=pixels: LimeImageExplainer(random_state=0).explain_instance(  # type: ignore[misc]
                    pixels, model.probabilities, num_samples=LIME_ROWS
                ),
            )
            latest = ", ".join(f"{name} {times[-1]:.2f} s {rows[name][-1]:.0f} rows" for name, times in seconds.items())
            print(f"{path.name}: {latest}", file=sys.stderr)
    return [
        compared("Explain kernel-shap, image", "s", seconds["kernel-shap"], seconds["shap"], "shap.Explainer"),
        compared("  model rows", "rows", rows["kernel-shap"], rows["shap"], "shap.Explainer"),
        compared(f"Explain lime, image, {LIME_ROWS} samples", "s", seconds["our lime"], seconds["lime"], "lime_image"),
        compared("  model rows", "rows", rows["our lime"], rows["lime"], "lime_image"),
    ]


if __name__ == "__main__":
    print_table(measure(), name="image_time")
