"""A model behind a server of its own process: Predict's times, explanations' seconds, the device's load and memory."""

import asyncio
import itertools
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any  # inputs of several kinds

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.gpu_check.findings import DONE, Findings, require
from benchmarks.gpu_check.outside_commands import Serving, serving
from benchmarks.gpu_check.random_models import SHAPES, words
from benchmarks.gpu_check.torch_speed import TorchModel
from explicate import AsyncClient, Image
from explicate_server.runtime.nvml import DeviceReading, open_nvml

_SERVER = "a server starts and stops"
_CALLERS = 4
_SEEDS = 5
_TRUTH_SEED = 20_261_122
_BUDGETS_PER_PLAYER = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_SHAP_GAME: dict[str, Any] = {"method": "kernel-shap", "granularity": "token", "masking": "mask-token"}


@dataclass
class Load(AbstractContextManager["Load"]):
    """Readings of the devices while a block runs; none without a driver."""

    readings: list[DeviceReading] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Load":
        nvml = open_nvml()
        if nvml is not None:
            self._thread = threading.Thread(target=self._watch, args=(nvml,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, nvml: Any) -> None:
        while not self._ended.wait(0.1):
            self.readings += nvml.readings()


def used_mb() -> int | None:
    """Memory in use on the first device; None where nobody tells."""
    nvml = open_nvml()
    reading = nvml.reading(0) if nvml else None
    return None if reading is None else reading.used_bytes >> 20


class Subject:
    """What is asked of a model: inputs of its kind, and options that make its explanations comparable."""

    def __init__(self, name: str, out: Path, *, short: bool) -> None:
        self.name, self.kind, self.run = name, SHAPES[name].kind, out / "runs" / name
        self.short = short
        lines = (self.run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
        self._held_out = [json.loads(line) for line in lines if line]

    def one(self, number: int = 0) -> Any:
        """An input."""
        line = self._held_out[number % len(self._held_out)]
        if self.kind == "text":
            return words(30, seed=number)
        return Image.open(self.run / line["image"]) if self.kind == "image" else line["row"]

    def explained(self) -> Mapping[str, tuple[Any, dict[str, Any]]]:
        """What is explained, and how, by what it is called."""
        if self.kind == "text":
            long = 60 if self.short else 400
            return {
                "50 words, 8n rows": (words(50), {"max_evaluations": 400, "tolerance": 0.0}),
                f"{long} words to tolerance .2": (words(long), {"tolerance": 0.2}),
            }
        if self.kind == "image":
            return {"an image, 49 segments": (self.one(), {"segments": 49, "granularity": "grid"})}
        return {"a row of a table": (self.one(), {})}

    def load(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """What callers that explain without a pause ask for."""
        rows = 200 if self.short else 4000
        value = words(50 if self.short else 200 + seed % 7, seed=seed) if self.kind == "text" else self.one(seed)
        return value, {"seed": seed, "tolerance": 0.0, "max_evaluations": rows}


def check_served(name: str, out: Path, device: str, findings: Findings, *, short: bool) -> None:
    """All parts of the step, in one server; `short` asks little, for a rehearsal."""
    if findings.parts.get(_SERVER) == DONE and not findings.failures:
        return
    subject = Subject(name, out, short=short)
    findings.add("MB of the device before the server", used_mb())
    try:
        asyncio.run(_in_a_server(subject, out, device, findings))
    except Exception as error:  # a server that does not start, or does not end
        findings.note(_SERVER, error)
    else:
        findings.note(_SERVER, None)
    findings.add("MB of the device after the process", used_mb())


async def _in_a_server(subject: Subject, out: Path, device: str, findings: Findings) -> None:
    name, begun_s = subject.name, time.monotonic()
    flags = ["--repository", str(out / "repository"), "--models", name, "--device", device, "--max-memo-bytes", "0"]
    # The label that goes at the end must be there for the next server.
    with (
        tempfile.TemporaryDirectory() as labels,
        serving(out / "logs" / f"serve-{name}.txt", *flags, "--state-dir", labels) as server,
    ):
        findings.add("seconds until it serves", round(time.monotonic() - begun_s, 1))
        async with AsyncClient(server.address, timeout_s=120) as client:
            for part, work in _parts(subject, client, server, device, findings).items():
                await findings.awaited(part, work)
        code = server.stop()
        require(code == 0, f"SIGTERM ended the server with {code}")


def _parts(
    subject: Subject, client: AsyncClient, server: Serving, device: str, findings: Findings
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    return {
        "trials": lambda: _trials(subject, client, device, findings),
        "explanations": lambda: _explanations(subject, client, findings),
        "Predict idle and beside explanations": lambda: _predictions(subject, client, server, findings),
        "beside shap": lambda: _beside_shap(subject, client, device, findings),
        "memory given back": lambda: _given_back(subject, client, findings),
    }


async def _trials(subject: Subject, client: AsyncClient, device: str, findings: Findings) -> None:
    model = await client.get_model(subject.name)
    for trial in model.runtimes:
        told = f"{trial.runtime} {trial.precision}: " + (trial.reason or "passed")
        findings.add(
            f"golden check, {trial.precision}: outputs, attributions",
            [trial.logit_difference, trial.attribution_difference],
        )
        findings.add(f"golden check, {trial.precision}", told)
    findings.add("served by", f"{model.status.runtime} in {model.status.precision}")
    require(device.split(":")[0] in model.status.runtime, f"it is served by {model.status.runtime}, not on {device}")


async def _explanations(subject: Subject, client: AsyncClient, findings: Findings) -> None:
    for told, (value, options) in subject.explained().items():
        answers, taken = [], []
        for seed in range(2 if subject.short else _SEEDS):
            begun_s = time.perf_counter()
            answers.append(await client.explain(subject.name, value, seed=seed, **options))
            taken.append(time.perf_counter() - begun_s)
        timing = answers[-1].timing
        findings.add(f"explanation of {told}, s", statistics.median(taken[1:]))
        findings.add(f"explanation of {told}: rows", answers[-1].explanation.evaluations)
        findings.add(f"explanation of {told}: model, solver, s", [round(timing.model_s, 4), round(timing.solver_s, 4)])


async def _predictions(subject: Subject, client: AsyncClient, server: Serving, findings: Findings) -> None:
    calls = 20 if subject.short else 300
    idle = await _predict_ms(subject, client, calls)
    findings.add("Predict idle: p50 and p99, ms", idle)
    busy = [asyncio.create_task(_explain_on(subject, client, seed)) for seed in range(_CALLERS)]
    try:
        await asyncio.sleep(0.5)
        before, begun_s = await _counted(server), time.perf_counter()
        with Load() as load:
            beside = await _predict_ms(subject, client, calls)
        after, passed_s = await _counted(server), time.perf_counter() - begun_s
    finally:
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    findings.add("Predict beside 4 explanations: p50 and p99, ms", beside)
    rows, batches, busy_s = (after[name] - before[name] for name in _COUNTERS)
    findings.add("rows/s inside 4 explanations", rows / passed_s)
    if batches:
        findings.add("rows in a batch, and its ms", [round(rows / batches, 1), round(1e3 * busy_s / batches, 2)])
        allowed = 2 * idle[1] + 1e3 * busy_s / batches
        findings.add("Predict's p99 beside explanations, of 2 x idle and a batch", beside[1] / allowed)
    utilisations = [one.utilisation for one in load.readings if one.utilisation is not None]
    if load.readings:
        findings.add("device: utilisation", round(statistics.mean(utilisations), 2) if utilisations else None)
        findings.add("device: MB in use at most", max(one.used_bytes for one in load.readings) >> 20)


async def _explain_on(subject: Subject, client: AsyncClient, first: int) -> None:
    for seed in itertools.count(first, _CALLERS):
        value, options = subject.load(seed)
        await client.explain(subject.name, value, **options)


async def _predict_ms(subject: Subject, client: AsyncClient, calls: int) -> list[float]:
    """Median and 99th percentile in milliseconds of calls one after the other."""
    taken = []
    for number in range(calls):
        value = subject.one(number)
        begun_s = time.perf_counter()
        await client.predict(subject.name, [value])
        taken.append((time.perf_counter() - begun_s) * 1e3)
    return [round(float(np.quantile(taken, q)), 2) for q in (0.5, 0.99)]


_COUNTERS = ("explicate_model_rows_total", "explicate_model_batches_total", "explicate_model_busy_seconds_total")


async def _counted(server: Serving) -> dict[str, float]:
    """Sums over all classes."""
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    sums = dict.fromkeys(_COUNTERS, 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
    return sums


async def _beside_shap(subject: Subject, client: AsyncClient, device: str, findings: Findings) -> None:
    """shap on torch on the same device, at its defaults; for texts also how long ours takes to shap's accuracy."""
    out = subject.run.parents[1]
    model = await asyncio.to_thread(TorchModel, subject.name, out, device)
    work = {"text": _shap_of_a_text, "image": _shap_of_an_image, "table": _shap_of_a_row}[subject.kind]
    await work(subject, client, model, findings)


async def _shap_of_a_text(subject: Subject, client: AsyncClient, model: TorchModel, findings: Findings) -> None:
    import shap

    text = words(12 if subject.short else 50, seed=3)
    predicted = (await client.predict(subject.name, [text])).predictions[0]
    explainer = shap.Explainer(model.probabilities_of_texts, shap.maskers.Text(model.tokenizer))
    await asyncio.to_thread(explainer, [words(4)], silent=True)  # what it compiles at its first call is not counted
    values, shap_s = await asyncio.to_thread(_timed, lambda: explainer([text], silent=True).values[0])
    theirs = np.asarray(values, dtype=np.float64)[1:-1, predicted.index]  # without the special tokens
    fixed: dict[str, Any] = {"target": predicted.label, "max_players": 1024, "tolerance": 0.0, **_SHAP_GAME}

    async def ours(rows: int, seed: int = 0) -> tuple[NDArray[np.float64], float]:
        begun_s = time.perf_counter()
        answer = await client.explain(subject.name, text, seed=seed, max_evaluations=rows, **fixed)
        return np.array(answer.explanation.attributions[0].values), time.perf_counter() - begun_s

    truth, _ = await ours(96 * len(theirs) if not subject.short else 24 * len(theirs), _TRUTH_SEED)
    error = _relative(theirs, truth)
    findings.add("shap of a text, fp32 on torch: s, relative error", [round(shap_s, 4), round(error, 4)])
    for per_player in _BUDGETS_PER_PLAYER:
        values, seconds = await ours(per_player * len(truth))
        if _relative(values, truth) <= error:
            break
    findings.add(
        "ours to shap's error, same game: s, relative error", [round(seconds, 4), round(_relative(values, truth), 4)]
    )
    findings.add("ours of shap's time, same error", seconds / shap_s)


async def _shap_of_an_image(subject: Subject, client: AsyncClient, model: TorchModel, findings: Findings) -> None:
    import shap

    picture: Any = subject.one()
    pixels = model.pixels(subject.run / subject._held_out[0]["image"])
    masker = shap.maskers.Image(np.full(pixels.shape, 128.0))
    explainer = shap.Explainer(model.probabilities_of_pixels, masker)
    await asyncio.to_thread(explainer, pixels[None], max_evals=50, silent=True)
    _, shap_s = await asyncio.to_thread(_timed, lambda: explainer(pixels[None], silent=True))
    begun_s = time.perf_counter()
    await client.explain(subject.name, picture, masking="grey", seed=_SEEDS)
    findings.add("shap of an image at its defaults, fp32 on torch, s", shap_s)
    findings.add("ours of shap's time, both at their defaults", (time.perf_counter() - begun_s) / shap_s)


async def _shap_of_a_row(subject: Subject, client: AsyncClient, model: TorchModel, findings: Findings) -> None:
    import shap

    table, number_columns = model.rows()

    def answer(rows: NDArray[Any]) -> NDArray[np.float64]:
        return model.probabilities_of_numbers(rows, number_columns)

    explainer = shap.Explainer(answer, table[:20])
    await asyncio.to_thread(explainer, table[21:22], silent=True)
    _, shap_s = await asyncio.to_thread(_timed, lambda: explainer(table[20:21], silent=True))
    begun_s = time.perf_counter()
    await client.explain(subject.name, subject.one(20), seed=_SEEDS)
    findings.add("shap of a row at its defaults, fp32 on torch, s", shap_s)
    findings.add("ours of shap's time, both at their defaults", (time.perf_counter() - begun_s) / shap_s)


async def _given_back(subject: Subject, client: AsyncClient, findings: Findings) -> None:
    """The device's memory once the model has left the server, which goes on."""
    serving_mb = used_mb()
    await client.remove_label(subject.name, "live")
    status = (await client.get_model(subject.name, version=1)).status
    while status.state == "unloading":
        await asyncio.sleep(0.1)
        status = (await client.get_model(subject.name, version=1)).status
    require(status.state == "available", f"it is {status.state}")
    left_mb = used_mb()
    findings.add("MB of the device: serving, and once its model has left", [serving_mb, left_mb])
    if serving_mb is not None and left_mb is not None:
        require(left_mb < serving_mb, f"{serving_mb} MB were in use, and {left_mb} MB are without the model")


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun_s = time.perf_counter()
    found = work()
    return found, time.perf_counter() - begun_s


def _relative(values: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(values - truth) / np.linalg.norm(truth))
