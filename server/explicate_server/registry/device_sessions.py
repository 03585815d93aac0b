"""A model's sessions: one on each device, all in one runtime and precision, and each with the golden answers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from explicate_server.device import Device
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.runtime_choice import NoRuntime
from explicate_server.runtime.devices.device_kinds import Placement
from explicate_server.runtime.model_runtime import Runtime

Choose = Callable[[Device, Runtime | None], tuple[Runtime, list[Trial]]]
"""Loads on a device: the best choice, or if a runtime is given the same as that one; see `choose_runtime`."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sessions:
    """Where a model was loaded.

    Attributes:
        runtimes: at least one, each on a device of its own.
        trials: how the runtimes did that were tried on the first device, the one that serves first.
        refused: devices that do not serve it, with why.
        reason: why it is not on another kind of device, where the choice was left to the server.
    """

    runtimes: list[Runtime]
    trials: list[Trial]
    refused: dict[Device, str] = field(default_factory=dict)
    reason: str = ""


def open_sessions(placement: Placement, choose: Choose, *, name: str) -> Sessions:
    """Load a model on all devices; one that fails is left out, because the others can serve.

    The best choice of the first device that passes is made on the others too: an answer must not depend on where it
    was computed.

    Raises:
        NoRuntime: none of the devices passes.
    """
    refused: dict[Device, str] = {}
    sessions: Sessions | None = None
    for device in placement.devices:
        try:
            runtime, trials = choose(device, sessions.runtimes[0] if sessions else None)
        except NoRuntime as error:
            refused[device] = str(error)
            continue
        if sessions is None:
            sessions = Sessions([runtime], trials, refused, placement.reason)
        elif (reason := _unlike(runtime, sessions.runtimes[0])) is not None:
            refused[device] = reason
        else:
            sessions.runtimes.append(runtime)
        if runtime.device != device:  # the CPU was faster
            break
    for device, reason in refused.items():
        _log.error("%s is not served on %s: %s", name, device, reason)
    if sessions is None:
        raise NoRuntime("; ".join(dict.fromkeys(refused.values())))
    return sessions


def _unlike(runtime: Runtime, first: Runtime) -> str | None:
    """Why a session must not serve beside the first one."""
    if (runtime.name, runtime.precision) == (first.name, first.precision):
        return None
    ours, theirs = f"{runtime.name} in {runtime.precision}", f"{first.name} in {first.precision}"
    return f"it would be {ours}, and {first.device} has {theirs}"
