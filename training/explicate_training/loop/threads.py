"""Keeps small work on one thread.

The matrices of a small table are too small to share among cores, and where another process holds a core, threads wait
for each other at every one of them. On two cores that others used, the credits once took 141 s to learn with two
threads; runs with one took 5 to 8 s.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread(*, when: bool) -> Iterator[None]:
    """Runs what is inside on one thread (torch, BLAS, OpenMP), if `when`; afterwards all is as before."""
    if not when:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
