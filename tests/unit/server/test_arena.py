"""What becomes of a session's memory: spare pieces after a batch that did not fit, and all of it with the session."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_server.device import Device
from explicate_server.modalities.modalities import open_modality
from explicate_server.runtime import onnx_runtime
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.onnx_runtime import OnnxRuntime, Provider, _shrinking
from explicate_server.settings import Settings

FULL = "Failed to allocate memory for requested buffer of size 1073741824"
SHRINK = "memory.enable_memory_arena_shrinkage"


class FullOnce:
    """A session whose first run does not fit; tells with which options the others ran."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.full = True
        self.options: list[str] = []

    def run(self, outputs: list[str], feeds: dict[str, Any], options: Any = None) -> Any:
        if self.full:
            self.full = False
            raise RuntimeError(FULL)
        self.options.append("" if options is None else options.get_run_config_entry(SHRINK))
        return self._inner.run(outputs, feeds, options)


@pytest.fixture
def feeds(tiny_repository: Path) -> Feeds:
    bundle = verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)
    modality = open_modality(bundle, Settings(repository=tiny_repository))
    return modality.collate([modality.encode(value).row for value in bundle.golden().inputs[:3]])


@pytest.fixture
def runtime(tiny_repository: Path) -> OnnxRuntime:
    return OnnxRuntime(tiny_repository / "tiny" / "1" / "model.onnx", threads=1)


def test_the_first_run_after_one_that_did_not_fit_gives_spare_memory_back(runtime: OnnxRuntime, feeds: Feeds) -> None:
    right = runtime.run(feeds)
    session = runtime._session = FullOnce(runtime._session)
    with pytest.raises(DeviceOutOfMemory):
        runtime.run(feeds)
    for _ in range(3):
        np.testing.assert_array_equal(runtime.run(feeds), right)
    assert session.options == ["cpu:0", "", ""]


def test_another_fault_gives_nothing_back(runtime: OnnxRuntime, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    session = runtime._session = FullOnce(runtime._session)
    session.run = lambda *_: (_ for _ in ()).throw(ValueError("a bad row"))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a bad row"):
        runtime.run(feeds)
    del session.run
    session.full = False
    runtime.run(feeds)
    assert session.options == [""]


def test_the_arena_of_a_device_is_named_by_its_number() -> None:
    assert _shrinking(Device("cuda", 2)).get_run_config_entry(SHRINK) == "gpu:2"


@pytest.mark.usefixtures("no_cycle_collection")
@pytest.mark.parametrize("binds", [True, False])
def test_a_session_ends_with_its_last_reference(
    feeds: Feeds, tiny_repository: Path, monkeypatch: pytest.MonkeyPatch, binds: bool
) -> None:
    monkeypatch.setattr(onnx_runtime, "is_faster", lambda *_: binds)
    provider = Provider(host_buffer=lambda size: np.zeros(size, dtype=np.uint8))
    own = OnnxRuntime(tiny_repository / "tiny" / "1" / "model.onnx", threads=1, provider=provider)
    own.settle(feeds)
    own.run(feeds)
    assert own.binds_inputs == binds
    left, session = weakref.ref(own), weakref.ref(own._session)
    del own
    assert (left(), session()) == (None, None)
