"""`pip install explicate` gives the thin client, and nothing that belongs to the other packages."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROBE = """
import sys
import explicate
from explicate.v1 import inference_service_pb2_grpc

with explicate.Client("127.0.0.1:1", timeout_s=0.1) as client:
    try:
        client.predict("any", ["text"])
    except explicate.errors.ServerError as error:
        print(type(error).__name__)
print(sorted({"numpy", "onnxruntime", "torch", "rich", "shap"} & {name.partition(".")[0] for name in sys.modules}))
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_bare_wheel_is_a_working_client(tmp_path: Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("explicate-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    run(python, "-m", "pip", "install", *quiet, "-c", str(ROOT / "constraints.txt"), str(wheel))
    error, imported = run(python, "-c", _PROBE).splitlines()
    assert error in ("Unavailable", "DeadlineExceeded")
    assert imported == "[]"
    installed = run(python, "-m", "pip", "list", "--format=freeze", *quiet).lower()
    assert "torch" not in installed
    assert "numpy" not in installed
    helped = run(str(tmp_path / "venv" / "bin" / "explicate"), "--help")
    assert "predict" in helped
    missing = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "explicate"), "serve"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "pip install 'explicate[server]'" in missing.stderr
