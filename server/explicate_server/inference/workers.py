"""The threads that do what would hold up the event loop: some for short steps, and apart from them some for long ones.

With one pool for both, a text's explanation that takes 0.06 s had no answer in 2 s while four callers sent images of
31 million pixels: each of its steps waited behind images.
"""

from concurrent.futures import Executor, ThreadPoolExecutor

# Tokenising and fitting; more threads than that would only fight the model for the cores.
_SHORT_THREADS = 2
# Decoding and cutting images. Their number also bounds the memory that decoding takes.
_LONG_THREADS = 2
# An encoding that costs as much as this many characters of a text is short: about 10 ms.
_MOST_SHORT_CHARACTERS = 1 << 17


class Workers:
    """The threads of one server.

    Attributes:
        short: for steps of milliseconds, such as a fit.
    """

    def __init__(self) -> None:
        self.short: Executor = ThreadPoolExecutor(_SHORT_THREADS, thread_name_prefix="worker")
        self._long = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="encoder")

    def encoding(self, cost: int) -> Executor:
        """The threads for inputs whose encoding costs as much as this many characters of a text."""
        return self.short if cost <= _MOST_SHORT_CHARACTERS else self._long

    def close(self) -> None:
        """Wait for the steps that have begun, and drop the others."""
        for threads in (self.short, self._long):
            threads.shutdown(wait=True, cancel_futures=True)
