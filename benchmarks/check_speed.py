"""`python -m benchmarks.check_speed BUNDLE RUN`: how long `explicate check` takes, of what is on record and afresh.

A standard of several requirements and two slices is judged on the run's held-out rows, then by what a copy of the
bundle has on record of it. Prints seconds of wall and of CPU time, the start of Python included; judging a record
should take less than 10 s.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.writing import MANIFEST_NAME, STANDARD_RECORD_NAME, describe_files, manifest_bytes
from explicate_standards.standard.check import check
from explicate_standards.standard.standard import read_standard
from explicate_standards.standard.verdict_report import as_message, as_record

_METRICS = {"class": "accuracy f1_macro auroc brier", "labels": "f1_macro auroc brier", "value": "mae rmse r2"}


def standard_text(answer: str) -> str:
    """A standard that any model of a form of answers can be judged by; its lines do not matter here."""
    lines = [f'{{ id = "{name}", metric = "{name}", at_least = 0 }}' for name in _METRICS[answer].split()]
    better = "mae" if answer == "value" else "brier"
    lines += [
        f'{{ id = "{name}", metric = "{better}", against = "{name}", margin = 1e9 }}' for name in ("majority", "fp32")
    ]
    sliced = _METRICS[answer].split()[0]
    lines += [
        f'{{ id = "slices", metric = "{sliced}", slices = "all", at_least = 0 }}',
        '{ id = "size", metric = "size_mb", at_most = 1e6 }',
    ]
    head = '[standard]\nname = "speed"\nversion = "1"\ncannot_tell = "warn"\nrequire = [\n  '
    label = "label > 0" if answer == "value" else "label != ''"
    return head + ",\n  ".join(lines) + f'\n]\n[slices]\none = "{label}"\ntwo = "not ({label})"\n'


def recorded_copy(bundle: Path, standard: Path, rows: Path, folder: Path) -> Path:
    """A copy of a bundle with the figures of a standard on record."""
    checked = check(read_standard(standard), bundle, rows, say=lambda _line: None)
    manifest = checked.model.manifest
    copy = folder / manifest.model / str(manifest.version)
    shutil.copytree(bundle, copy)
    as_record(checked).write(copy / STANDARD_RECORD_NAME)
    manifest.standard.CopyFrom(as_message(checked))
    del manifest.files[:]
    manifest.files.extend(describe_files(copy, sorted(one.name for one in copy.iterdir() if one.name != MANIFEST_NAME)))
    (copy / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))
    verify_bundle(copy, model=manifest.model, version=manifest.version)
    return copy


def timed(*arguments: str | Path) -> tuple[float, float]:
    """Seconds of wall and of CPU time that `explicate check` takes."""
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "explicate", "check", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "requirements" not in done.stdout:
        raise SystemExit(done.stderr or done.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started_s, cpu_s


def main() -> None:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a version")
    parser.add_argument("run", type=Path, help="the run that it was made of")
    arguments = parser.parse_args()
    rows = arguments.run / "held_out.jsonl"
    with TemporaryDirectory() as folder:
        answer = verify_bundle(
            arguments.bundle, model=arguments.bundle.resolve().parent.name, version=int(arguments.bundle.name)
        ).kind.predicts.answer
        standard = Path(folder) / "standard.toml"
        standard.write_text(standard_text(answer), encoding="utf-8")
        copy = recorded_copy(arguments.bundle, standard, rows, Path(folder))
        print("| `explicate check` | wall, s | CPU, s |\n|---|---|---|")
        for name, more in (("of what is on record", ()), ("afresh", ("--rows", rows))):
            wall_s, cpu_s = timed(copy, "--standard", standard, "--json", *more)
            print(f"| {name} | {wall_s:.1f} | {cpu_s:.1f} |")


if __name__ == "__main__":
    main()
