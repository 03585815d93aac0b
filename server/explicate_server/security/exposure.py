"""Whether a port is open to a network without protection, and what to say about it."""

from explicate_server.settings import Settings

_LOOPBACK_NAMES = ("localhost", "[::1]", "::1")


def exposure(settings: Settings) -> str:
    """One warning for the log; empty when nothing is exposed, or what is has both TLS and a way to know its callers."""
    addresses = [address for address in (settings.listen, settings.admin_listen) if address and not is_local(address)]
    if not addresses:
        return ""
    missing = []
    if not settings.tls_cert:
        missing.append("encryption (--tls-cert, --tls-key)")
    if not settings.tokens and not settings.tls_client_ca:
        missing.append("authentication (--tokens or --tls-client-ca)")
    return f"{' and '.join(addresses)}: open to the network without {' and without '.join(missing)}" if missing else ""


def is_local(address: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    host = address.rpartition(":")[0]
    return address.startswith("unix:") or host in _LOOPBACK_NAMES or host.startswith("127.")
