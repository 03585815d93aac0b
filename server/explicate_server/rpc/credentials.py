"""TLS of the ports: certificates from files, taken anew for each connection once they have changed."""

import ssl
from pathlib import Path

import grpc

from explicate_server.security.reloaded import Reloaded
from explicate_server.security.secret_files import check_rights
from explicate_server.settings import Settings


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Credentials for the ports; None without ``--tls-cert``. With ``--tls-client-ca`` clients must show theirs.

    Raises:
        OSError, ValueError: the files cannot be read, or do not fit together.
    """
    if not settings.tls_cert:
        return None
    paths = [Path(name) for name in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if name]
    configuration = Reloaded(lambda: _read(*paths), paths, what="the TLS certificates")
    # The fetcher runs at each handshake; giving it the same configuration again costs nothing to speak of.
    return grpc.dynamic_ssl_server_credentials(
        configuration.value(), configuration.value, require_client_authentication=bool(settings.tls_client_ca)
    )


def _read(cert: Path, key: Path, client_ca: Path | None = None) -> grpc.ServerCertificateConfiguration:
    check_rights(key, what="whoever has the key can pose as this server")
    _check(cert, key, client_ca)
    ca = client_ca.read_bytes() if client_ca else None
    return grpc.ssl_server_certificate_configuration([(key.read_bytes(), cert.read_bytes())], ca)


def _check(cert: Path, key: Path, client_ca: Path | None) -> None:
    """gRPC takes any bytes and then fails handshake by handshake; Python's ssl says at once what is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for path in (cert, key, *([client_ca] if client_ca else [])):
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
