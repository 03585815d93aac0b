"""A loaded version with everything that answers for it, and the leases that hold it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from explicate_bundle.bundle import VerifiedBundle
from explicate_server.inference.explain_options import Choices
from explicate_server.inference.outputs import Scales
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import Trial
from explicate_server.runtime.batcher import Batcher
from explicate_server.runtime.model_runtime import Runtime


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class ServedModel:
    """A loaded version. It is freed when nobody can lease it any more and the last lease has ended."""

    bundle: VerifiedBundle
    modality: Modality
    runtime: Runtime
    batcher: Batcher
    trials: Sequence[Trial] = ()
    """How the runtimes did that were tried, the one that serves first."""
    leases: int = 0
    """Requests that it answers now."""
    idle: asyncio.Event = field(default_factory=_set_event, repr=False)
    """Set while there are none."""

    @contextmanager
    def lease(self) -> Iterator["ServedModel"]:
        """Hold it for as long as the block lasts."""
        self.leases += 1
        self.idle.clear()
        try:
            yield self
        finally:
            self.leases -= 1
            if not self.leases:
                self.idle.set()

    @cached_property
    def labels(self) -> Sequence[str]:
        """Labels of the outputs, by index: of the classes, or the name of what a regression predicts."""
        return tuple(self.bundle.manifest.class_labels) or (self.bundle.manifest.target_name,)

    @cached_property
    def scales(self) -> Scales:
        """What is kept of its answers."""
        return Scales(len(self.labels), self.bundle.kind.predicts)

    @cached_property
    def choices(self) -> Choices:
        """What may be asked about it."""
        modality = self.modality
        return Choices(
            self.labels, self.scales.spaces, modality.maskings, modality.granularities, self.bundle.kind.reads
        )
