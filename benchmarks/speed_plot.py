"""`python -m benchmarks.speed_plot FILE.svg`: what `benchmarks.equal_accuracy` found, as a picture.

Two panels of ratios, ours over the peer's: the time to the peer's error, and the error in the peer's time. Shorter is
better; the line is what was asked for.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from explicate.views.look.palette import FIRST, SECOND

RUNTIMES = {"onnxruntime": "ONNX Runtime, fp32", "openvino": "OpenVINO, bf16"}
COLOURS = {"onnxruntime": FIRST, "openvino": SECOND}
PANELS = {"time to": "time to the peer's error, ours / peer's", "error in": "error in the peer's time, ours / peer's"}
ASKED = {"time to": {"onnxruntime": 1 / 6, "openvino": 1 / 12}, "error in": {"onnxruntime": 1 / 2, "openvino": 1 / 3}}


def ratios(runtime: str, panel: str) -> dict[str, float]:
    """The ratio of each comparison."""
    figures = json.loads((RESULTS / f"equal-accuracy-{runtime}.json").read_text())["figures"]
    return {
        f"{figure['peer_name'].partition('(')[0].partition(',')[0]}, {figure['what'].partition(':')[0]}": figure[
            "ratio"
        ]
        for figure in figures
        if f": {panel} " in figure["what"]
    }


def draw(path: Path) -> None:
    """Draw both panels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "explicate"  # the same picture from the same figures
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes: Any = figure.subplots(1, 2, sharey=True)
    for axis, (panel, title) in zip(axes, PANELS.items(), strict=True):
        for offset, runtime in enumerate(RUNTIMES):
            found = ratios(runtime, panel)
            places = [place + 0.4 * offset for place in range(len(found))]
            axis.barh(places, list(found.values()), height=0.34, color=COLOURS[runtime])
            for place, ratio in zip(places, found.values(), strict=True):
                axis.text(ratio, place, f" {ratio:.3f}", va="center", fontsize=8, color=COLOURS[runtime])
            asked = ASKED[panel][runtime]
            axis.axvline(asked, color=COLOURS[runtime], linewidth=1, linestyle="--")
            side = "right" if runtime == "openvino" else "left"  # away from the other line
            said = f" {RUNTIMES[runtime]} \n asked {asked:.2f} "
            axis.text(asked, -0.45, said, fontsize=7, ha=side, color=COLOURS[runtime])
        axis.set_yticks([place + 0.2 for place in range(len(found))], list(found))
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, 1.35 * max(ASKED[panel].values()))
        axis.set_ylim(len(found), -0.75)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw what was measured last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="picture to write")
    draw(parser.parse_args().file)


if __name__ == "__main__":
    main()
