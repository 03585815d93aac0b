"""The metrics port of several processes: each is asked at the moment at which Prometheus asks."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from explicate_server.address import parse_address
from explicate_server.processes.child import Child
from explicate_server.processes.line_channel import Gone, Refused
from explicate_server.processes.merged_metrics import Counts, families_of, merge, metrics_of, of_process
from explicate_server.settings import Settings
from explicate_server.telemetry.metrics_port import MetricsPort

# A process that hangs is told as it was when it last answered.
_ANSWER_S = 5.0
# The number of the process that starts the others.
_SUPERVISOR = 0
_log = logging.getLogger(__name__)


class MetricsOfAll(Collector):
    """Answers for all processes. Create it on the event loop; the port has a thread of its own."""

    def __init__(self, children: Callable[[], Iterable[Child]], settings: Settings) -> None:
        self._children = children
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._counts = Counts()
        self._replaced = 0
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        registry = CollectorRegistry()
        registry.register(self)
        self._port = MetricsPort(registry)

    def listen(self) -> None:
        """Open the port, if there is to be one.

        Raises:
            StartError: it cannot be bound.
        """
        if self._settings.metrics_listen:
            listening = self._port.listen(parse_address(self._settings.metrics_listen, unix=False))
            _log.info("metrics on http://%s/metrics", listening)

    def ended(self, number: int) -> None:
        """A process has ended; what it counted stays."""
        self._counts.end(number)
        self._replaced += 1

    def close(self) -> None:
        """Close the port. Blocks."""
        self._port.close()

    def collect(self) -> Iterable[Metric]:
        """For the thread of the port."""
        return asyncio.run_coroutine_threadsafe(self._ask_all(), self._loop).result()

    async def _ask_all(self) -> list[Metric]:
        serving = [child for child in self._children() if child.ready_s is not None]
        await asyncio.gather(*map(self._ask, serving))
        own = of_process(_SUPERVISOR, families_of(self._own))
        calls = CounterMetricFamily(
            "explicate_process_calls", "Calls that each of the processes ended.", labels=["process"]
        )
        for number, count in self._counts.calls():
            calls.add_metric([str(number)], count)
        processes = GaugeMetricFamily("explicate_processes", "Processes that serve the port.", len(serving))
        ended = CounterMetricFamily("explicate_ended_processes", "Processes that ended and were replaced.")
        ended.add_metric([], self._replaced)
        return [*metrics_of(merge([self._counts.all(), own])), calls, processes, ended]

    async def _ask(self, child: Child) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                families = await child.call("metrics")
        except (Gone, Refused, TimeoutError) as error:
            _log.warning("process %d did not tell its metrics: %s", child.number, error or "it takes too long")
            return
        if not child.gone:
            self._counts.note(child.number, families)
