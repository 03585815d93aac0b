"""Silence around libraries that chat: warnings, prints, log lines and progress bars that are no concern of a user's."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from transformers.utils import logging as transformers_logging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing but exceptions gets out; afterwards everything is as before."""
    disabled_level = logging.root.manager.disable
    bars = transformers_logging.is_progress_bar_enabled()
    logging.disable(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled_level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
