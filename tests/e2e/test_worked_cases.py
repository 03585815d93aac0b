"""The worked cases of examples/: what they consist of fits together, and one runs whole, as its README says."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from explicate_standards.standard.standard import read_standard
from explicate_training.config.config_file import load_config
from explicate_training.data.demos import DEMO_TABLES

EXAMPLES = Path(__file__).parents[2] / "examples"
CASES = ("health", "finance", "retail")


@pytest.mark.parametrize("name", CASES)
def test_config_standard_and_names_are_of_the_columns_that_the_data_have(name: str) -> None:
    config, standard = (
        load_config(str(EXAMPLES / name / "config.toml")),
        read_standard(EXAMPLES / name / "standard.toml"),
    )
    columns = DEMO_TABLES[config.data.demo]()
    labels = {str(cell) for cell in columns[config.data.label_column]}
    section = config.interpretability
    known = set(columns)
    named = re.findall(r"column:(\w+)|^(\w+) [<>]", "\n".join(standard.slices.values()), re.MULTILINE)
    assert {first or second for first, second in named} <= known
    assert {*config.data.columns, *section.forbidden, *section.monotone} <= known
    assert set(tomllib.loads((EXAMPLES / name / "names.toml").read_text())) <= known | labels
    for required in standard.requirements:
        assert getattr(required, "label", None) in {None, *labels}
        assert getattr(required, "over", None) in {None, *known}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_case_of_health_runs_as_its_readme_says(tmp_path: Path) -> None:
    """Trains, meets its standard, serves behind it, explains a row in sentences and with other blood sugar."""
    (command,) = re.findall(r"^```\n(make .*)\n```$", (EXAMPLES / "health" / "README.md").read_text(), re.MULTILINE)
    environment = Path(sys.executable).parents[1]
    made = ("-o", f"{environment}/.ready", f"VENV={environment}", f"EXAMPLE=--folder {tmp_path}")
    done = subprocess.run(
        [*shlex.split(command), *made],
        cwd=EXAMPLES.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "repository" / "health" / "1" / "manifest.json").read_text())["standard"]
    assert record["verdict"] == "met"
    assert re.search(
        r"^1\. .+ \(.+\) (raises|lowers) the probability of diabetes by [\w .]+ percentage points\.$",
        done.stdout,
        re.MULTILINE,
    )
    ill = [float(number) for number in re.findall(r"^  \d+: diabetes ([\d.]+),", done.stdout, re.MULTILINE)]
    assert len(ill) == 5
    assert ill == sorted(ill)
    page = (tmp_path / "explanation.html").read_text()
    assert "bmi" in page
