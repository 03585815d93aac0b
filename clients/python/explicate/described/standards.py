"""How a version did by a benchmark standard, and by the one that its server requires."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StandardWaiver:
    """Somebody answers for a model that does not meet a requirement, up to the day `until` (UTC)."""

    requirement: str
    who: str
    why: str
    until: str


@dataclass(frozen=True)
class StandardVerdict:
    """What a benchmark standard said of a model when it was exported.

    sha256: of the standard's file. verdict: "met", "waived", "not met" or "cannot tell". rows, rows_sha256: test rows,
    and the digest of their file. met: of the `judged` requirements, each slice counted. waivers: of requirements that
    it need not meet for some time; the verdict is "waived" where it took them.
    """

    name: str
    version: str
    sha256: str
    verdict: str
    rows: int
    rows_sha256: str
    met: int
    judged: int
    waivers: tuple[StandardWaiver, ...] = ()


@dataclass(frozen=True)
class UnmetRequirement:
    """A requirement of a server's standard that a version does not meet.

    requirement: its id; empty where the record as a whole cannot be judged. waiver: who answers for that; None if
    nobody does, or it does not count at the server.
    """

    requirement: str
    reason: str
    waiver: StandardWaiver | None


@dataclass(frozen=True)
class StandardOverride:
    """Who let a version serve that does not meet the server's standard, why, and when (UTC)."""

    who: str
    why: str
    time: str


@dataclass(frozen=True)
class StandardRecheck:
    """Test rows that the server scored again when it loaded a version: how far answers are from those on record.

    right: how many are answered rightly; None where no answer is right or wrong.
    """

    rows: int
    largest_difference: float
    allowed: float
    right: int | None


@dataclass(frozen=True)
class RequiredStandard:
    """How a version meets the standard that its server requires, whatever its publisher found.

    verdict: "met"; "waived", met but for what somebody answers for; "overridden", it serves although it was refused;
    "returned", it is or was live and may always return; or "not met", it is refused. unmet: what is not met, waived or
    not. override: by which it serves, if it does. recheck: None if the server scored nothing again.
    """

    name: str
    version: str
    sha256: str
    verdict: str
    unmet: tuple[UnmetRequirement, ...]
    override: StandardOverride | None
    recheck: StandardRecheck | None
