"""Whether a version may serve by the standard of this server: its record, its waivers, or an override.

A version that is or was live may always return. One that does not meet the standard is refused, unless an operator
overrides that: the line is in the audit log, and the override on disk, before the version serves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, read_manifest
from explicate_bundle.errors import BundleError
from explicate_bundle.standard.gate import StandardGate, Unmet
from explicate_bundle.writing import STANDARD_ROWS_NAME
from explicate_server.call_record import AskedOverride, current_call, override_of_call
from explicate_server.errors import NotServable, Violation
from explicate_server.registry.label_store import LIVE
from explicate_server.registry.records import VersionRecord
from explicate_server.registry.required.gate_verdict import MET, NOT_MET, OVERRIDDEN, RETURNED, WAIVED, Standing
from explicate_server.registry.required.overrides import Override, OverrideStore

Audit = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Appends a line to the audit log; whether it is in the file."""
_REFUSED = "STANDARD_NOT_MET"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequiredStandard:
    """What bundles are held to before they are loaded.

    Attributes:
        recheck_rows: how many test rows are scored again at load; 0 for none.
        audit: where overrides are written; None where there is no audit log, and so no override.
    """

    gate: StandardGate
    overrides: OverrideStore
    recheck_rows: int = 0
    audit: Audit | None = None

    async def let_in(self, record: VersionRecord, bundle: VerifiedBundle, *, follows: bool = False) -> None:
        """Let a version serve, and write into its record by what. An override that the call asks for is given.

        Args:
            record: of the version.
            bundle: its files are what its manifest says.
            follows: whether another process of this server has let it in.

        Raises:
            NotServable: it does not meet the standard, or an override cannot be written down.
            BundleError: its record is not in the format.
        """
        place = record.location
        standing = record.required = await self.judged(record, bundle, follows=follows)
        if standing.verdict == NOT_MET:
            asked = override_of_call(place.model, place.version)
            if asked is None:
                raise _refusal(standing)
            record.required = await self._overridden(asked, record, bundle, standing)
        elif standing.override is None and not follows:
            await asyncio.to_thread(self.overrides.clear, place.model, place.version)

    async def check(self, record: VersionRecord, bundle: VerifiedBundle) -> None:
        """Whether :meth:`let_in` would let it in, or could by an override.

        Raises:
            NotServable, BundleError: as :meth:`let_in`.
        """
        standing = record.required = await self.judged(record, bundle)
        if standing.verdict == NOT_MET and override_of_call(record.location.model, record.location.version) is None:
            raise _refusal(standing)

    async def judged(self, record: VersionRecord, bundle: VerifiedBundle, *, follows: bool = False) -> Standing:
        """By what a version may serve as things are, or that it does not meet the standard.

        Raises:
            BundleError: its record is not in the format.
        """
        place, live = record.location, record.targets.get(LIVE)
        kept = None
        if record.labels or follows:  # one that no label wants was unloaded, and its override ended
            kept = await asyncio.to_thread(self.overrides.read, place.model, place.version, bundle.digest)
        if live is not None and place.version in (live.version, live.previous, live.newest):
            unmet = () if kept is None else tuple(Unmet(*pair) for pair in kept.unmet)
            return self._standing(OVERRIDDEN if kept else RETURNED, unmet, kept)
        unmet = await asyncio.to_thread(self._unmet, record, bundle)
        failing = [one for one in unmet if one.waiver is None]
        if not failing:
            return self._standing(WAIVED if unmet else MET, unmet)
        if kept is not None:
            new = kept.unknown(failing)
            if not new:
                return self._standing(OVERRIDDEN, unmet, kept)
            told = ", ".join(new)
            _log.error("%s: the override of %s was given before %s was required", record.name, kept.who, told)
        return self._standing(NOT_MET, unmet)

    def refused(self, record: VersionRecord, error: Exception) -> None:
        """A load has failed: what the record says of the standard is why, if that was the reason."""
        standing, record.required = record.required, None
        if not isinstance(error, NotServable) or error.reason != _REFUSED:
            return
        if standing is None or standing.verdict != NOT_MET:  # its rows were answered otherwise, or in another process
            standing = self._standing(NOT_MET, [Unmet("", error.detail)])
        record.required = standing

    async def forget(self, record: VersionRecord, *, comes_back: bool = False) -> None:
        """A version was unloaded: its override has ended, unless it may come back at once."""
        standing, record.required = record.required, None
        if standing is not None and standing.override is not None and not comes_back:
            place = record.location
            await asyncio.to_thread(self.overrides.clear, place.model, place.version, standing.override)

    def _unmet(self, record: VersionRecord, bundle: VerifiedBundle) -> tuple[Unmet, ...]:
        unmet = self.gate.unmet(bundle, _live_manifest(record))
        if self.recheck_rows and STANDARD_ROWS_NAME not in {file.name for file in bundle.manifest.files}:
            told = "it keeps no test rows to score again (--standard-recheck): export it anew with --standard"
            unmet.append(Unmet("", told))
        return tuple(unmet)

    async def _overridden(
        self, asked: AskedOverride, record: VersionRecord, bundle: VerifiedBundle, standing: Standing
    ) -> Standing:
        """Give an override: written down first."""
        place = record.location
        told = tuple((one.requirement, one.problem) for one in standing.failing)
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        override = Override(bundle.digest, asked.who, asked.why, time, told)
        if self.audit is None or not await self.audit(self._line(record, override)):
            raise NotServable("OVERRIDE_NOT_AUDITED", "see --audit-log, and the log for why it cannot be written")
        await asyncio.to_thread(self.overrides.write, place.model, place.version, override)
        _log.warning("%s is loaded by override of %s: %s", record.name, asked.who, asked.why)
        return self._standing(OVERRIDDEN, standing.unmet, override)

    def _line(self, record: VersionRecord, override: Override) -> dict[str, Any]:
        call, standard = current_call.get(), self.gate.standard
        return {
            "time": override.time,
            "event": "standard-override",
            "request_id": call.request_id if call else "",
            "call": call.method if call else "",
            "caller": call.caller if call else "",
            "model": record.location.model,
            "version": record.location.version,
            "bundle_digest": override.bundle_digest,
            "who": override.who,
            "why": override.why,
            "standard": {"name": standard.name, "version": standard.version, "sha256": standard.sha256},
            "unmet": [{"requirement": requirement, "reason": reason} for requirement, reason in override.unmet],
        }

    def _standing(self, verdict: str, unmet: Sequence[Unmet] = (), override: Override | None = None) -> Standing:
        standard = self.gate.standard
        return Standing(standard.name, standard.version, standard.sha256, verdict, tuple(unmet), override)


def _refusal(standing: Standing) -> NotServable:
    """The error of a version that does not meet the standard, with a violation for each requirement."""
    failing = standing.failing
    return NotServable(
        _REFUSED,
        "; ".join(map(str, failing)),
        violations=[Violation(one.requirement or standing.name, one.problem) for one in failing],
    )


def _live_manifest(record: VersionRecord) -> bundle_pb2.Bundle | None:
    """What the version beside a bundle that is live says of itself; None if none is, or it cannot be read."""
    live = record.targets.get(LIVE)
    if live is None:
        return None
    try:
        return read_manifest(record.location.folder.parent / str(live.version))
    except BundleError as error:
        _log.warning("%s: the live version cannot be compared with: %s", record.location.model, error)
        return None
