"""What is known of a call before it is let in: the port it came to, and whose token it brought.

Set by the surface for the task that answers the call; what the task starts (`asyncio.to_thread`) sees it as well.
"""

from contextvars import ContextVar

on_admin_port: ContextVar[bool] = ContextVar("on_admin_port", default=False)


def caller_key(token_name: str, address: str) -> str:
    """What limits, logs and audit call the caller: its token by name, or its address where tokens are not asked for."""
    return f"token:{token_name}" if token_name else address
