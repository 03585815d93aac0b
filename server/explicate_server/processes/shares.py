"""What each of several processes gets of what was set for the whole server.

A limit that callers share is divided: each process keeps an Nth and shares it among its callers as one server would
(see `shared_room`). So all together keep what was promised, and a caller with connections to each of them has no more
than one that stays with one server. What bounds a single call is the same in each.
"""

import sys
from dataclasses import fields, replace

from explicate_server.address import parse_address
from explicate_server.device import AUTO, CPU, DeviceChoice
from explicate_server.runtime.cores import usable_cores
from explicate_server.settings import SettingError, Settings, flag

# Those that are counted in places, of which each process needs one.
_DIVIDED = (
    "max_concurrent_calls",
    "max_explanations",
    "max_evaluations_per_caller",
    "max_queued_rows",
    "max_queued_bulk_rows",
    "max_queued_bytes",
    "max_memo_bytes",
)


def check_processes(settings: Settings) -> None:
    """See that the settings fit several processes.

    Raises:
        SettingError: they do not; the message says what to change.
    """
    given = f"--processes {settings.processes}"
    if sys.platform != "linux":
        raise SettingError(f"{given} needs Linux, which spreads the connections of a port over processes")
    for name in ("listen", "admin_listen"):
        text = getattr(settings, name)
        if text and parse_address(text).path:
            raise SettingError(f"--{name.replace('_', '-')} is {text!r}, which {given} cannot share; give a HOST:PORT")
    if DeviceChoice.parse(settings.device).kind not in (AUTO, CPU.kind):
        raise SettingError(f"--device is {settings.device!r}; {given} runs models on the CPU only")
    if settings.swap_in_place:
        raise SettingError(f"--swap-in-place is for memory that holds one version, {given} takes {settings.processes}")
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if item.name in _DIVIDED and 0 < value < settings.processes:
            raise SettingError(f"{flag(item)} is {value}; with {given} it must be at least {settings.processes}")


def share_of(settings: Settings) -> Settings:
    """The settings of one of the processes."""
    count = settings.processes
    divided = {name: getattr(settings, name) // count for name in _DIVIDED}
    # One call must find room: with its inputs, where the whole server has room for them.
    for name in ("max_queued_rows", "max_queued_bulk_rows"):
        divided[name] = max(divided[name], min(settings.max_inputs, getattr(settings, name)))
    threads = settings.threads or max(1, usable_cores() // count)
    return replace(settings, **divided, threads=threads, device=CPU.kind, metrics_listen="")
