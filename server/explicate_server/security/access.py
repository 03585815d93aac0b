"""Whether a call may be made: its token, the token's rights, and the port it came to."""

from collections.abc import Callable, Sequence

from explicate_server.address import parse_address
from explicate_server.errors import AccessDenied
from explicate_server.security.tokens import ADMIN, OPEN, OVERRIDE, Need, Token, find_token, need
from explicate_server.settings import Settings


def exposure(settings: Settings) -> str:
    """A warning for the log: each address that others can reach without TLS, or without a way to know its callers."""
    grpc_addresses = [address for address in (settings.listen, settings.admin_listen) if address]
    without = [] if settings.tls_cert else ["encryption (--tls-cert, --tls-key)"]
    if not settings.tokens and not settings.tls_client_ca:
        without.append("authentication (--tokens or --tls-client-ca)")
    warnings = [_exposed(grpc_addresses, without)]
    if settings.metrics_listen:
        firewall = "authentication, which metrics do not have: keep strangers out with a firewall"
        warnings.append(_exposed([settings.metrics_listen], ["encryption", firewall]))
    return "; ".join(filter(None, warnings))


def _exposed(addresses: Sequence[str], without: Sequence[str]) -> str:
    open_ones = [address for address in addresses if not is_local(address)]
    if not open_ones or not without:
        return ""
    return f"{' and '.join(open_ones)}: open to the network without {' and without '.join(without)}"


def is_local(address: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    return parse_address(address).is_local


def caller_key(token_name: str, address: str) -> str:
    """What limits, logs and audit call the caller: its token by name, or its address where tokens are not asked for."""
    return f"token:{token_name}" if token_name else address


_SCHEME = "bearer "
_REALM = 'Bearer realm="explicate"'  # RFC 6750, section 3: what a refused caller is told to bring


class Access:
    """The rules of one server."""

    def __init__(self, tokens: Callable[[], Sequence[Token]] | None = None, *, admin_apart: bool = False) -> None:
        """``tokens`` gives those that are valid now; None if no token is needed.

        ``admin_apart``: calls that ask for ADMIN are answered on the port of their own only.
        """
        self._tokens = tokens
        self._admin_apart = admin_apart

    def check(self, method: str, authorizations: Sequence[str], *, on_admin_port: bool = False) -> str:
        """Let a call in; returns the name of its token, empty if no token is needed.

        Args:
            method: ``package.Service/Method``.
            authorizations: all values of the metadata entry ``authorization``.
            on_admin_port: whether it came to the port for administration.

        Raises:
            AccessDenied: no token, a wrong one, one without the right; or the call belongs to the other port.
        """
        needed = need(method)
        if needed == ADMIN and self._admin_apart and not on_admin_port:
            raise AccessDenied("ADMIN_PORT_ONLY", "ask the address that the operator gave to --admin-listen")
        if self._tokens is None or needed == OPEN:
            return ""
        return self._authorised(needed, authorizations, self._tokens()).name

    def check_override(self, authorizations: Sequence[str]) -> str:
        """Let a call override the standard; returns the name of its token.

        Raises:
            AccessDenied: it has no token with that right, or this server has no tokens, so that nobody could be named.
        """
        if self._tokens is None:
            problem = "an override needs a token with the right override-standard, and this server has none (--tokens)"
            raise AccessDenied("RIGHT_MISSING", problem)
        return self._authorised(OVERRIDE, authorizations, self._tokens()).name

    def _authorised(self, needed: Need, authorizations: Sequence[str], tokens: Sequence[Token]) -> Token:
        if len(authorizations) != 1 or not authorizations[0].lower().startswith(_SCHEME):
            raise AccessDenied("TOKEN_MISSING", "send the metadata `authorization: Bearer TOKEN`", challenge=_REALM)
        token = find_token(tokens, authorizations[0][len(_SCHEME) :].strip())
        if token is None:
            raise AccessDenied(
                "TOKEN_INVALID", "ask the operator for a new one", challenge=f'{_REALM}, error="invalid_token"'
            )
        if not token.rights & needed:
            rights = " or ".join(sorted(right.value for right in needed))
            raise AccessDenied(
                "RIGHT_MISSING",
                f"this call needs the right {rights}, which the token {token.name!r} does not have",
                challenge=f'{_REALM}, error="insufficient_scope", scope="{rights}"',
                token_name=token.name,
            )
        return token
