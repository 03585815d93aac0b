"""Where Prometheus asks for metrics: HTTP, from a thread of its own."""

from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from explicate_server.address import Address, AddressInUseError
from explicate_server.lifetime import StartError

# A scraper that does not read its answer loses its thread's place after so long.
_SCRAPE_S = 10.0


class MetricsPort:
    """Answers with what a registry of metrics has."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._server: tuple[Any, Any] | None = None

    def listen(self, address: Address) -> Address:
        """Begin; returns the address with its port.

        Raises:
            StartError: it cannot be bound.
        """
        try:
            with address.claimed():
                self._server = start_http_server(address.port, addr=address.host, registry=self._registry)
        except (OSError, AddressInUseError) as error:
            raise StartError(f"cannot serve metrics on {address}: {error}. Try another --metrics-listen") from None
        server: Any = self._server[0]
        server.RequestHandlerClass.timeout = _SCRAPE_S
        return address.at(int(server.server_port))

    def close(self) -> None:
        """Stop listening. Blocks until the thread has ended."""
        if self._server is None:
            return
        server, thread = self._server
        server.shutdown()
        server.server_close()
        thread.join()
        self._server = None
