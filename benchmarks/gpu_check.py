"""What a GPU makes of a bundle: parity with the CPU, rows a second, and explanations, from models made on the spot.

`make gpu-check` on a machine with a CUDA device; nothing is downloaded: the models have the shapes of MiniLM-L6 and
BERT-base and random weights, exported by this project. Prints a table and writes JSON. Without a GPU it says so and
exits 4; `--rehearse` runs the same steps on the CPU with a tiny model, so that the script itself can be tested.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # figures of several types; torch models

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from explicate import AsyncClient
from explicate_export.export import ExportOptions, export_run
from explicate_server.app import Server, StartError
from explicate_server.runtime.devices.cuda import has_cuda_driver
from explicate_server.settings import Settings

NO_GPU = 4  # exit code
CUDA = "CUDAExecutionProvider"
LABELS = ("other", "great")
LAYERS = {"tiny": (2, 32, 4), "minilm-l6": (6, 384, 12), "bert-base": (12, 768, 12)}
"""Layers, hidden size and heads of the models."""
SHAPES = ((8, 32), (64, 32), (256, 64), (512, 64), (64, 256))
"""Rows and tokens of the batches that are timed."""
ROUNDS = 7
Feeds = dict[str, NDArray[np.int64]]


@dataclass
class Report:
    """Figures by name, printed as they come."""

    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        """Keep a figure and print it."""
        self.figures[name] = value
        print(f"{name:<60} {value:.4g}" if isinstance(value, float) else f"{name:<60} {value}", flush=True)


def build(name: str, folder: Path) -> Path:
    """A repository with version 1 of a random BERT classifier of the named shape; returns the repository."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from support.tiny_bundle import compose_texts, write_run_files
    from support.tiny_text_model import build_tokenizer

    layers, hidden, heads = LAYERS[name]
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=512,
        initializer_range=0.3 if name == "tiny" else 0.05,
        id2label=dict(enumerate(LABELS)),
    )
    run = folder / f"run-{name}"
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(run / "model")
    BertForSequenceClassification(config).eval().save_pretrained(run / "model")
    write_run_files(run, texts=compose_texts(40, seed=1), labels=LABELS, max_tokens=512)
    repository = folder / f"repository-{name}"
    export_run(
        run, repository, ExportOptions(name, 1, compared_inputs=16), say=lambda line: print(f"  {line}", flush=True)
    )
    return repository


def feeds(session: ort.InferenceSession, rows: int, tokens: int) -> Feeds:
    """A batch of random tokens for the graph's inputs."""
    stream = np.random.Generator(np.random.Philox(rows * tokens))
    values = {
        "input_ids": stream.integers(5, 300, (rows, tokens)),
        "attention_mask": np.ones((rows, tokens), dtype=np.int64),
        "token_type_ids": np.zeros((rows, tokens), dtype=np.int64),
        "position_ids": np.tile(np.arange(tokens), (rows, 1)),
    }
    return {each.name: values[each.name].astype(np.int64) for each in session.get_inputs()}


def session(model: Path, provider: str, **options: Any) -> ort.InferenceSession:
    """A session of its own, beside the server's."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    providers: list[Any] = [(provider, options)] if options else [provider]
    if provider == CUDA:
        providers.append("CPUExecutionProvider")
    return ort.InferenceSession(str(model), settings, providers=providers)


def seconds(run: Callable[[], object]) -> float:
    """Median seconds of a call, after two that warm up."""
    run(), run()
    taken = []
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun_s)
    return statistics.median(taken)


def bound_run(graph: ort.InferenceSession, batch: Feeds, device: str) -> Callable[[], object]:
    """A run with IO binding: inputs copied to the device once, the output left there until it is asked for."""
    binding = graph.io_binding()
    for name, values in batch.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(values, device, 0))
    binding.bind_output(graph.get_outputs()[0].name, device)

    def run() -> object:
        graph.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return run


def nodes_by_provider(model: Path, provider: str, batch: Feeds, folder: Path) -> Mapping[str, int]:
    """How many of the graph's nodes ran on each provider, from ONNX Runtime's own profile."""
    settings = ort.SessionOptions()
    settings.enable_profiling = True
    settings.profile_file_prefix = str(folder / "profile")
    chain = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    graph = ort.InferenceSession(str(model), settings, providers=chain)
    graph.run(None, batch)
    events = json.loads(Path(graph.end_profiling()).read_text(encoding="utf-8"))
    kernels = {e["name"]: e["args"]["provider"] for e in events if e.get("cat") == "Node" and "provider" in e["args"]}
    return {name: list(kernels.values()).count(name) for name in set(kernels.values())}


def check_graph(report: Report, name: str, model: Path, provider: str, folder: Path) -> None:
    """Parity with the CPU, nodes by provider and rows a second of the bare graph."""
    device = "cuda" if provider == CUDA else "cpu"
    cpu = session(model, "CPUExecutionProvider")
    batch = feeds(cpu, 32, 48)
    right = cpu.run(None, batch)[0]
    options: dict[str, dict[str, Any]] = {"defaults": {}}
    if provider == CUDA:
        options |= {"use_tf32=0": {"use_tf32": 0}}
    for told, chosen in options.items():
        graph = session(model, provider, **chosen)
        report.add(f"{name}: provider in use, {told}", graph.get_providers()[0])
        difference = float(np.abs(graph.run(None, batch)[0] - right).max())
        report.add(f"{name}: largest logit difference from the CPU, {told}", difference)
        for rows, tokens in SHAPES[: 1 if device == "cpu" else None]:
            timed = feeds(graph, rows, tokens)
            plain, bound = seconds(lambda t=timed, g=graph: g.run(None, t)), seconds(bound_run(graph, timed, device))  # type: ignore[misc]
            report.add(f"{name}: rows/s, {rows} x {tokens}, session.run, {told}", rows / plain)
            report.add(f"{name}: rows/s, {rows} x {tokens}, IO binding, {told}", rows / bound)
    report.add(f"{name}: nodes by provider", dict(nodes_by_provider(model, provider, batch, folder)))
    check_half(report, name, model, provider, right)


def check_half(report: Report, name: str, model: Path, provider: str, right: NDArray[np.float32]) -> None:
    """The graph in fp16, fp32 at its ends: how far its logits are off, and rows a second."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    device, half = "cuda" if provider == CUDA else "cpu", model.with_name("half.onnx")
    graph = onnx.load(model)
    del graph.graph.value_info[:]
    onnx.save(convert_float_to_float16(graph, keep_io_types=True), half)
    graph = session(half, provider)
    report.add(f"{name}: fp16, size of the file", half.stat().st_size / model.stat().st_size)
    answers = graph.run(None, feeds(graph, 32, 48))[0]
    report.add(f"{name}: fp16, largest logit difference", float(np.abs(answers - right).max()))
    for rows, tokens in SHAPES[: 1 if device == "cpu" else None]:
        timed = feeds(graph, rows, tokens)
        report.add(
            f"{name}: rows/s, {rows} x {tokens}, fp16, IO binding", rows / seconds(bound_run(graph, timed, device))
        )
    half.unlink()


def words(count: int) -> str:
    """A text of that many words that the tokenizer knows."""
    from support.tiny_text_model import WORDS

    stream = np.random.Generator(np.random.Philox(count))
    return " ".join(stream.choice(WORDS, count))


async def check_server(report: Report, name: str, repository: Path) -> None:
    """Loads the bundle in a server of this process, golden check included, and times calls."""
    begun_s = time.perf_counter()
    server = Server(Settings(repository=repository, listen="127.0.0.1:0", threads=4, max_evaluations=16_384))
    port = await server.start()
    try:
        await server.load()
    except StartError as error:
        report.add(f"{name}: the server refused the bundle", str(error))
        return
    report.add(f"{name}: server ready, s", time.perf_counter() - begun_s)
    async with AsyncClient(f"127.0.0.1:{port}", timeout_s=120) as client:
        model = await client.get_model(name)
        report.add(f"{name}: served by", ", ".join(f"{t.runtime} {t.precision}" for t in model.runtimes))
        for count, options in ((50, {"max_evaluations": 400, "tolerance": 0.0}), (400, {"tolerance": 0.2})):
            text = words(count)
            answers = [await client.explain(name, text, seed=seed, **options) for seed in range(4)]  # type: ignore[arg-type]
            taken = [answer.timing.total_s for answer in answers[1:]]
            report.add(f"{name}: parts of an explanation of {count} words", str(answers[1].timing))
            told = f"{name}: explanation of {count} words, {answers[1].explanation.evaluations} rows"
            report.add(f"{told}, s", min(taken))
        report.add(f"{name}: Predict idle, p50 p99 ms", await predict_times(client, name, 200))
        busy = [asyncio.create_task(_explain_on(client, name, seed)) for seed in range(4)]
        await asyncio.sleep(0.5)
        report.add(f"{name}: Predict beside 4 explanations, p50 p99 ms", await predict_times(client, name, 200))
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    report.add(f"{name}: GPU memory used, MB", gpu_memory_mb())
    await server.drain()
    await server.stop()
    report.add(f"{name}: GPU memory used after the stop, MB", gpu_memory_mb())


async def _explain_on(client: AsyncClient, name: str, seed: int) -> None:
    while True:
        seed += 4
        await client.explain(name, words(200 + seed % 7), seed=seed, tolerance=0.0, max_evaluations=4000)


async def predict_times(client: AsyncClient, name: str, calls: int) -> list[float]:
    """Median and 99th percentile in milliseconds of calls one after the other."""
    taken = []
    for _ in range(calls):
        begun_s = time.perf_counter()
        await client.predict(name, [words(30)])
        taken.append((time.perf_counter() - begun_s) * 1e3)
    return [round(float(np.quantile(taken, q)), 2) for q in (0.5, 0.99)]


def gpu_memory_mb() -> int | None:
    """Memory in use on the first device; None without NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used) >> 20
    except Exception:  # no package, no driver
        return None


def why_no_cuda() -> str | None:
    """Why CUDA cannot be used here; None if a session can be made on it."""
    if CUDA not in ort.get_available_providers():
        return f"this build of ONNX Runtime ({ort.__version__}) has no CUDA provider"
    return None if has_cuda_driver() else "no CUDA driver (libcuda.so.1) on this machine"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; the exit code is 4 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="the same steps on the CPU with a tiny model")
    parser.add_argument("--models", default="minilm-l6,bert-base", help="shapes, separated by commas")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args(argv)
    reason = None if arguments.rehearse else why_no_cuda()
    if reason:
        print(f"no GPU check here: {reason}; --rehearse runs the steps on the CPU", file=sys.stderr)
        return NO_GPU
    report = Report()
    provider = "CPUExecutionProvider" if arguments.rehearse else CUDA
    with tempfile.TemporaryDirectory() as made:
        for name in ["tiny"] if arguments.rehearse else arguments.models.split(","):
            repository = build(name, Path(made))
            check_graph(report, name, repository / name / "1" / "model.onnx", provider, Path(made))
            with threadpool_limits(limits=1, user_api="blas"):  # as `explicate serve` has it
                asyncio.run(check_server(report, name, repository))
            if arguments.json:
                arguments.json.write_text(json.dumps(report.figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
