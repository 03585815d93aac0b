"""The device that the tests of this folder run on.

They need a CUDA device. EXPLICATE_TEST_DEVICE=cpu runs what they do on a CPU: a rehearsal of the GPU check finds the
mistakes in the tests themselves so.
"""

import os

import pytest

from explicate_server.runtime.devices.cuda import CUDA


@pytest.fixture(scope="session", autouse=True)  # before the bundles are made, which a skipped test does not need
def device() -> str:
    """As `--device` takes it; without one the test is skipped, with the reason."""
    wanted = os.environ.get("EXPLICATE_TEST_DEVICE", "cuda")
    reason = CUDA.why_not() if wanted.startswith("cuda") else None
    if reason:
        pytest.skip(reason)
    return wanted
