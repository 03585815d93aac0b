"""The ports of a server: one for everybody, and where the operator wants it a second one for administration.

Both are gRPC servers with the same servicers, limits and certificates. The second one answers no predictions.

Server reflection, as grpc.reflection.v1 and, for older tools, as v1alpha: the same service under two names.

grpcio-reflection serves v1alpha only. The messages of both are the same to the byte, so one servicer answers both:
https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1/reflection.proto
"""

import logging
import ssl
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from explicate.v1 import inference_service_pb2_grpc, model_service_pb2_grpc
from explicate_server.address import Address, AddressInUseError, parse_address
from explicate_server.rpc.health_service import HEALTH, INFERENCE, MODELS, HealthReport
from explicate_server.rpc.inference_service import InferenceServicer
from explicate_server.rpc.interceptor import Calls, PortHandlers
from explicate_server.rpc.model_service import ModelServicer
from explicate_server.rpc.open_inference import protocol
from explicate_server.rpc.open_inference.infer_calls import InferServicer
from explicate_server.rpc.open_inference.model_calls import InspectServicer
from explicate_server.security.access import exposure
from explicate_server.security.tokens import Reloaded, check_rights
from explicate_server.settings import Settings

_SERVICE = "grpc.reflection.v1.ServerReflection"


class _Pools:
    """Several descriptor pools as one, as far as reflection looks into it."""

    def __init__(self, *pools: Any) -> None:
        self._pools = pools

    def __getattr__(self, name: str) -> Any:
        def find(*arguments: Any) -> Any:
            for pool in self._pools[:-1]:
                with suppress(KeyError):
                    return getattr(pool, name)(*arguments)
            return getattr(self._pools[-1], name)(*arguments)

        return find


def add_reflection(server: PortHandlers, names: Iterable[str]) -> None:
    """Serve reflection of the services of these names, and of itself."""
    _describe_v1()
    names = [*names, _SERVICE, reflection.SERVICE_NAME]
    # What is in both pools, such as google.protobuf, is the default one's.
    servicer = reflection.aio.ReflectionServicer(names, pool=_Pools(descriptor_pool.Default(), protocol.POOL))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    both = (_SERVICE, reflection.SERVICE_NAME)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers) for name in both])


def _describe_v1() -> None:
    """Make v1 known to the descriptors that reflection tells, from those of v1alpha, unless it is."""
    pool = descriptor_pool.Default()
    try:
        pool.FindServiceByName(_SERVICE)
    except KeyError:
        alpha = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
        stable = json_format.MessageToJson(alpha).replace("v1alpha", "v1")  # in names of messages and of the file
        pool.Add(json_format.Parse(stable, descriptor_pb2.FileDescriptorProto()))


class Certificates:
    """The certificates of the ports, which follow their files."""

    def __init__(self, settings: Settings) -> None:
        """Read them once; ``settings`` name them.

        Raises:
            OSError, ValueError: the files cannot be read, or do not fit together.
        """
        paths = [Path(name) for name in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if name]
        self._configuration = Reloaded(lambda: _read(*paths), paths, what="the TLS certificates")
        self._ask_clients = bool(settings.tls_client_ca)

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials of one port: each port must be told of new certificates by itself."""
        told = self._configuration.value()

        def changed() -> grpc.ServerCertificateConfiguration | None:
            """What gRPC asks at each handshake; None keeps what it has.

            A configuration makes gRPC free what another handshake may be about to use, and the process ends or hangs
            (https://github.com/grpc/grpc/issues/36693). So one is told only where it is a new one.
            """
            nonlocal told
            before, told = told, self._configuration.value()
            return None if told is before else told

        return grpc.dynamic_ssl_server_credentials(
            told,
            changed,  # type: ignore[arg-type]  # None is documented
            require_client_authentication=self._ask_clients,
        )


def _read(cert: Path, key: Path, client_ca: Path | None = None) -> grpc.ServerCertificateConfiguration:
    check_rights(key, what="anybody who has the key can pose as this server")
    _check(cert, key, client_ca)
    ca = client_ca.read_bytes() if client_ca else None
    return grpc.ssl_server_certificate_configuration([(key.read_bytes(), cert.read_bytes())], ca)


def _check(cert: Path, key: Path, client_ca: Path | None) -> None:
    """gRPC takes any bytes and then fails handshake by handshake; Python's ssl says at once what is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for path in (cert, key, *([client_ca] if client_ca else [])):
        if not path.is_file() and path.exists():  # to read a pipe would hold up the server for ever
            raise ValueError(f"{path} is not a plain file")
        path.read_bytes()  # names the file where it is missing, which ssl does not
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # else a key with a password would ask the terminal
    except ssl.SSLError as error:
        raise ValueError(f"{cert} and {key} are no certificate and its key without a password: {error}") from None
    try:
        if client_ca:
            context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise ValueError(f"{client_ca} holds no certificates: {error}") from None


# Calls over those in progress that may wait for the event loop to take them. From 1,000 on gRPC ends some at random
# as CANCELLED, which tells nobody to come back: 217 of 2,000 that came at once from 100 connections. Those that are
# taken and too many are refused by the reception, with RetryInfo.
_MORE_PENDING = 4096
_C_INT = (1 << 31) - 1
_log = logging.getLogger(__name__)


class PortError(Exception):
    """A port cannot be opened; the message says which and why."""


@dataclass(frozen=True)
class Services:
    """What answers on the ports."""

    inference: InferenceServicer
    models: ModelServicer
    health: HealthReport
    open_infer: InferServicer
    open_inspect: InspectServicer


class Ports:
    """Opens the ports. Create and use it on a running event loop."""

    def __init__(self, settings: Settings, services: Services, calls: Calls) -> None:
        self._settings = settings
        handlers: Any = calls.of_port()  # generated code adds services to it as to a server
        inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(services.inference, handlers)
        handlers.add_generic_rpc_handlers([protocol.handlers(services.open_infer, services.open_inspect)])
        _add_services(handlers, services, own=[INFERENCE, MODELS])
        self._server = grpc.aio.server(handlers=[handlers], options=_options(settings))
        self._admin_server: grpc.aio.Server | None = None
        if settings.admin_listen:
            handlers = calls.of_port(on_admin_port=True)
            handlers.add_generic_rpc_handlers([protocol.handlers(services.open_inspect)])
            _add_services(handlers, services, own=[MODELS])
            self._admin_server = grpc.aio.server(handlers=[handlers], options=_options(settings))
        self.address = parse_address(settings.listen)
        self.admin_address: Address | None = None

    async def start(self) -> int:
        """Listen; returns the port for everybody, which is 0 where it is a unix socket.

        Raises:
            PortError: an address cannot be bound, or the certificates cannot be used.
        """
        try:
            certificates = Certificates(self._settings) if self._settings.tls_cert else None
        except (OSError, ValueError) as error:
            raise PortError(f"TLS cannot be set up: {error}") from None
        shared = self._settings.processes > 1
        self.address = _bind(self._server, self._settings.listen, "--listen", certificates, shared=shared)
        if self._admin_server is not None:
            wanted = self._settings.admin_listen
            self.admin_address = _bind(self._admin_server, wanted, "--admin-listen", certificates, shared=shared)
            await self._admin_server.start()
        await self._server.start()
        warning = "" if shared else exposure(self._settings)  # of several processes the one that started them says it
        if warning:
            _log.warning("%s", warning)
        return self.address.port

    @property
    def admin_port(self) -> int | None:
        """The port for administration, where there is one."""
        return self.admin_address.port if self.admin_address else None

    async def stop(self, grace_s: float) -> None:
        """End every call after ``grace_s`` seconds."""
        if self._admin_server is not None:
            await self._admin_server.stop(grace_s)
        await self._server.stop(grace_s)


def _add_services(server: Any, services: Services, *, own: list[str]) -> None:
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services.models, server)
    health_pb2_grpc.add_HealthServicer_to_server(services.health, server)
    server.not_offered.update(protocol.NOT_OFFERED)
    add_reflection(server, [*own, HEALTH, protocol.SERVICE])


def _bind(server: grpc.aio.Server, text: str, flag: str, certificates: Certificates | None, *, shared: bool) -> Address:
    """Listen on an address; returns it with its port. One that is ``shared`` was claimed for all of its processes."""
    address = parse_address(text)
    try:
        with nullcontext() if shared else address.claimed():
            if certificates is None:
                return address.at(int(server.add_insecure_port(str(address))))
            return address.at(int(server.add_secure_port(str(address), certificates.credentials())))
    except (AddressInUseError, RuntimeError) as error:
        raise PortError(f"cannot listen on {address}: {error}. Try another {flag}") from None


def _options(settings: Settings) -> list[tuple[str, int]]:
    options = [
        # Else a second server binds the same port without a word.
        ("grpc.so_reuseport", int(settings.processes > 1)),
        # The reception measures requests, and says what is wrong; gRPC ends larger ones at their first bytes, and
        # without details.
        ("grpc.max_receive_message_length", min(settings.max_message_bytes * 9 // 8, _C_INT)),
        ("grpc.max_send_message_length", -1),  # measured before it is handed over
        # A call may have 64 KiB on its way before it is let in; with probing that grows to megabytes of each stranger.
        ("grpc.http2.bdp_probe", 0),
        # The client pings every 30 s during a call; gRPC's default of 5 minutes would take that for abuse.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_concurrent_streams", settings.max_connection_streams),
        ("grpc.server.max_pending_requests", settings.max_concurrent_calls + _MORE_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_concurrent_calls + _MORE_PENDING),
        # Above the soft limit gRPC refuses some calls at random, so that clients notice in time; we have one limit.
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_connection_idle_ms", int(settings.max_idle_s * 1e3)),
        ("grpc.server_handshake_timeout_ms", int(settings.max_handshake_s * 1e3)),
    ]
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1e3)))
    return options
