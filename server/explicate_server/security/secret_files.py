"""Whom the system lets at a file that the server trusts."""

import logging
import stat
from pathlib import Path

_log = logging.getLogger(__name__)


def check_rights(path: Path, *, what: str) -> None:
    """Refuse a file that others may change; warn of one that others may read.

    Reading is no reason to refuse: orchestrators mount secrets readable for a group.

    Raises:
        OSError: there is no such file.
        ValueError: others than its owner may write it.
    """
    mode = path.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"{path} can be changed by others than its owner; chmod 600 it ({what})")
    if mode & stat.S_IROTH:
        _log.warning("%s can be read by everybody on this machine; chmod 600 it (%s)", path, what)
