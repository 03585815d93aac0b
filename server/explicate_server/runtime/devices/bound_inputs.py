"""Batches handed to a device from page-locked memory, which it reads by itself; other memory is copied on the way.

That saves time where a batch has many bytes, as pixels have, and costs a copy in the host's memory everywhere, so it is
tried with a real batch and kept only where it is faster.
"""

import statistics
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_server.runtime.model_runtime import Feeds

HostBuffer = Callable[[int], NDArray[np.uint8]]
"""Makes page-locked memory of so many bytes; raises OSError where there is none."""
# What it must save to be kept.
_LEAST_GAIN = 1.05
_TRIES = 5


class BoundInputs:
    """Runs a session with its inputs in page-locked memory. As many runs at once as there are lanes; others wait."""

    def __init__(self, session: Any, output: str, host_buffer: HostBuffer, *, lanes: int) -> None:
        self._session = session
        self._output = output
        self._host_buffer = host_buffer
        self._rooms: SimpleQueue[dict[str, NDArray[np.uint8]]] = SimpleQueue()
        for _ in range(lanes):
            self._rooms.put({})

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """The output; raises what the session raises."""
        room = self._rooms.get()
        try:
            binding = self._session.io_binding()
            for name, values in feeds.items():
                held = self._held(room, name, values)
                binding.bind_input(name, "cpu", 0, held.dtype.type, held.shape, held.ctypes.data)
            binding.bind_output(self._output, "cpu")
            self._session.run_with_iobinding(binding)
            answers: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
            return answers
        finally:
            self._rooms.put(room)

    def _held(self, room: dict[str, NDArray[np.uint8]], name: str, values: NDArray[Any]) -> NDArray[Any]:
        """The values in page-locked memory, which grows with the largest batch."""
        if name not in room or room[name].nbytes < values.nbytes:
            room[name] = self._host_buffer(values.nbytes)
        held = room[name][: values.nbytes].view(values.dtype).reshape(values.shape)
        np.copyto(held, values)
        return held


def is_faster(
    other: Callable[[Feeds], object],
    usual: Callable[[Feeds], object],
    feeds: Feeds,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> bool:
    """Whether another way of running a batch is clearly faster than the usual one; each is warmed up, then in turn."""
    taken: dict[Callable[[Feeds], object], list[float]] = {usual: [], other: []}
    for attempt in range(_TRIES + 1):
        for run, seconds in taken.items():
            begun_s = clock()
            run(feeds)
            if attempt:
                seconds.append(clock() - begun_s)
    return statistics.median(taken[other]) * _LEAST_GAIN <= statistics.median(taken[usual])
