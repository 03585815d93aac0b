"""A model's sessions: one on each device, all in one runtime and precision, and each with the golden answers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from explicate_server.device import CPU, Device
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
    was computed. Where the choice of devices is free, the CPU serves what none of them does.

    Raises:
        NoRuntime: none of the devices passes.
    """
    sessions = Sessions([], [], {}, placement.reason)
    for device in placement.devices:
        _open(sessions, device, choose)
    if not sessions.runtimes and placement.free and CPU not in placement.devices:
        _open(sessions, CPU, choose)
    for device, reason in sessions.refused.items():
        _log.error("%s is not served on %s: %s", name, device, reason)
    if not sessions.runtimes:
        raise NoRuntime("; ".join(dict.fromkeys(sessions.refused.values())))
    for runtime in sessions.runtimes:
        _log.info("%s is served on %s", name, _where(runtime))
    return sessions


def _open(sessions: Sessions, device: Device, choose: Choose) -> None:
    """Load on one device more; where it cannot be done, the reason is kept."""
    first = sessions.runtimes[0] if sessions.runtimes else None
    try:
        runtime, trials = choose(device, first)
    except NoRuntime as error:
        sessions.refused[device] = str(error)
        return
    if first is None:
        sessions.trials.extend(trials)
    elif (reason := _unlike(runtime, first)) is not None:
        sessions.refused[device] = reason
        return
    sessions.runtimes.append(runtime)


def _where(runtime: Runtime) -> str:
    """Such as "cuda:0, 4 of 203 nodes on the CPU"."""
    if runtime.nodes is None:
        return str(runtime.device)
    return f"{runtime.device}, {runtime.cpu_nodes} of {runtime.nodes} nodes on the CPU"


def _unlike(runtime: Runtime, first: Runtime) -> str | None:
    """Why a session must not serve beside the first one."""
    if (runtime.name, runtime.precision) == (first.name, first.precision):
        return None
    ours, theirs = f"{runtime.name} in {runtime.precision}", f"{first.name} in {first.precision}"
    return f"it would be {ours}, and {first.device} has {theirs}"
