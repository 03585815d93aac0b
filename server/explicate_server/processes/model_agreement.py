"""What the process that started the others keeps, so that all have the same of each model; see `registry.peers`.

It knows the last standing of each model, lets one process at a time change it, and passes on what that one asks of the
others. A process that starts later is given all standings before it takes calls. One that ends in the middle of a
change may have written the label file: another one then does what the file says.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from explicate_server.processes.line_channel import Gone, Refused

_log = logging.getLogger(__name__)


class Member(Protocol):
    """A process that serves.

    Attributes:
        number: counted from 1; the one that takes its place has the same.
        follows: whether it has what all have.
        gone: whether it has ended.
    """

    number: int
    follows: bool
    gone: bool

    async def call(self, name: str, **arguments: Any) -> Any:
        """Ask it; raises as a channel does."""


class Agreement:
    """Used on the event loop only."""

    def __init__(self, members: Callable[[], Iterable[Member]], broken: Callable[[Member, str], None]) -> None:
        """``members`` are those that run now; ``broken`` is told of one that cannot have what the others have."""
        self._members = members
        self._broken = broken
        self._standings: dict[str, dict[str, Any]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._leaders: dict[str, Member] = {}

    async def expect(self, asking: Member, models: list[str]) -> None:
        """These models are being started by one of the members."""
        await asyncio.gather(*(other.call("expect", models=models) for other in self._others(asking)))

    async def alone(self, asking: Member, model: str) -> None:
        """Wait until nobody else changes the model; ``release`` lets the next one."""
        lock = self._locks[model]
        await lock.acquire()
        if asking.gone:
            lock.release()
        else:
            self._leaders[model] = asking

    async def release(self, asking: Member, model: str) -> None:
        """The change is over."""
        if self._leaders.get(model) is asking:
            del self._leaders[model]
            self._locks[model].release()

    async def load(self, asking: Member, model: str, version: int) -> None:
        """Have the others load a version.

        Raises:
            Refused: one of them does not.
        """
        others = self._others(asking)
        done = await self._ask(others, "load", model=model, version=version)
        for other, refusal in zip(others, done, strict=True):
            if refusal is not None:
                raise Refused(refusal.reason, f"process {other.number}: {refusal.detail}")

    async def tell(self, asking: Member, model: str, standing: dict[str, Any]) -> None:
        """Have the others take over a standing; one that cannot is broken, for it loaded all of it before."""
        self._standings[model] = standing
        others = self._others(asking)
        done = await self._ask(others, "follow", model=model, standing=standing)
        for other, refusal in zip(others, done, strict=True):
            if refusal is not None:
                self._broken(other, refusal.detail)

    async def freed(self, asking: Member, model: str, version: int) -> None:
        """Wait until a version has left the memory of the others."""
        await self._ask(self._others(asking), "freed", model=model, version=version)

    async def tallies(self, asking: Member) -> list[Any]:
        """What each of the others counts; one that cannot be asked counts nothing."""
        told = await asyncio.gather(*(other.call("tally") for other in self._others(asking)), return_exceptions=True)
        return [tally for tally in told if not isinstance(tally, BaseException)]

    async def join(self, member: Member) -> None:
        """Give one that starts what all have; from then on it is told of each change.

        Raises:
            Refused: it cannot have it.
            Gone: it has ended.
        """
        told: dict[str, dict[str, Any]] = {}
        await member.call("expect", models=sorted(self._standings))
        while news := {model: new for model, new in self._standings.items() if told.get(model) is not new}:
            told |= news
            await asyncio.gather(*(member.call("follow", model=model, standing=new) for model, new in news.items()))
        member.follows = True

    async def left(self, member: Member) -> None:
        """One has ended: settle what it was changing."""
        for model in [model for model, leader in self._leaders.items() if leader is member]:
            try:
                await self._settle(model)
            finally:
                del self._leaders[model]
                self._locks[model].release()

    async def _settle(self, model: str) -> None:
        for other in [each for each in self._members() if each.follows and not each.gone]:
            try:
                await other.call("settle", model=model)
            except (Gone, Refused) as error:
                _log.warning("process %d did not settle %s: %s", other.number, model, error)
            else:
                _log.info("%s is as its label file says, after a process ended while it changed it", model)
                return

    def _others(self, asking: Member) -> list[Member]:
        return [each for each in self._members() if each is not asking and each.follows and not each.gone]

    async def _ask(self, others: list[Member], name: str, **arguments: Any) -> list[Refused | None]:
        """What each of them could not do; the one that takes the place of one that ends meanwhile is told later."""

        async def ask(other: Member) -> Refused | None:
            try:
                await other.call(name, **arguments)
            except Refused as refusal:
                return refusal
            except Gone:
                pass
            return None

        return await asyncio.gather(*map(ask, others))
