"""Whether a bundle meets the standard of who serves it: its record judged anew, by the operator's lines.

The publisher's verdict does not count, only what was measured. So a publisher cannot weaken a line, and a line that an
operator moves holds at once, for bundles that were published before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import StandardError
from explicate_bundle.standard.record import RecordedFigure, StandardRecord, content_sha256, read_record
from explicate_bundle.standard.requirement_lines import RequiredLine, required_line
from explicate_bundle.standard.standard_file import StandardFile, read_standard_file
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.standard.waivers import Waiver, today, waiver_for
from explicate_bundle.writing import STANDARD_RECORD_NAME, STANDARD_ROWS_NAME

LIVE = "live"
_AGAINST, _SUITE = "against", "suite"


@dataclass(frozen=True)
class Unmet:
    """A requirement that a bundle does not meet, with why and who answers for that, if that counts here.

    `requirement` is empty where the record as a whole cannot be judged. `excusable` is what was measured and is not
    good enough; what is missing, or about something else, no waiver is for.
    """

    requirement: str
    problem: str
    waiver: Waiver | None = None
    excusable: bool = False

    def __str__(self) -> str:
        told = f"{self.requirement}: {self.problem}" if self.requirement else self.problem
        return told if self.waiver is None else f"{told}; {self.waiver}"


@dataclass(frozen=True)
class StandardGate:
    """An operator's standard. `suite_sha256` is that of the cases beside it; empty without any."""

    standard: StandardFile[RequiredLine]
    suite_sha256: str = field(default="")

    @classmethod
    def read(cls, path: Path) -> "StandardGate":
        """The gate of a file.

        Raises:
            StandardError: the file, or that of the cases, cannot be read, or it is not a standard; it names the line.
        """
        standard = read_standard_file(path, required_line)
        return cls(standard, "" if standard.suite is None else file_sha256(standard.suite))

    def unmet(self, bundle: VerifiedBundle, live: bundle_pb2.Bundle | None, *, day: date | None = None) -> list[Unmet]:
        """Why a bundle must not serve, one for each requirement that is not met; it may if all of them are waived.

        Args:
            bundle: its files are what its manifest says.
            live: the manifest of what serves now, which it was to be compared with; None if nothing does.
            day: by which waivers expire; None for today.

        Raises:
            BundleError: its record is not in the format.
        """
        record = read_record(bundle.folder, bundle.manifest)
        name = f"{self.standard.name} {self.standard.version}"
        if record is None:
            told = f"the bundle has no {STANDARD_RECORD_NAME}, and {name} is required: export it with --standard"
            return [Unmet("", told)]
        if record.content_sha256 != content_sha256(bundle.manifest):
            return [Unmet("", f"its {STANDARD_RECORD_NAME} is about other files: export it anew")]
        if not _agrees(record, bundle.manifest):
            return [Unmet("", f"its {STANDARD_RECORD_NAME} is not what its manifest says of it: export it anew")]
        kept = {file.name: file.sha256.lower() for file in bundle.manifest.files}.get(STANDARD_ROWS_NAME, "")
        if record.kept_rows_sha256 != kept:
            return [Unmet("", f"its {STANDARD_ROWS_NAME} is not that of its {STANDARD_RECORD_NAME}: export it anew")]
        if record.confidence < self.standard.confidence:
            wanted = f"{self.standard.confidence:g} is wanted"
            return [Unmet("", f"it was judged with a confidence of {record.confidence:g}, and {wanted}")]
        found = (one for wanted in self.standard.requirements for one in self._unmet(wanted, record, live))
        return [self._excused(one, record, day or today()) for one in found]

    def _excused(self, unmet: Unmet, record: StandardRecord, day: date) -> Unmet:
        """With its waiver, if there is one that counts here; one that does not is told."""
        if not unmet.excusable:
            return unmet
        waiver = waiver_for(record.waivers, unmet.requirement, day)
        if waiver is not None and self.standard.takes_waivers:
            return replace(unmet, waiver=waiver)
        given = next((one for one in record.waivers if one.requirement == unmet.requirement), None)
        if given is None:
            return unmet
        why = "this server takes no waivers" if waiver is not None else f"its waiver has expired on {given.until}"
        return replace(unmet, problem=f"{unmet.problem} ({why})")

    def _unmet(self, wanted: RequiredLine, record: StandardRecord, live: bundle_pb2.Bundle | None) -> Iterator[Unmet]:
        if wanted.identity.get(_SUITE) is not None and record.suite_sha256 != self.suite_sha256:
            yield Unmet(wanted.id, "its cases were others than those of this server")
            return
        for rule_of, figures in self.figures(wanted, record):
            if not figures:
                yield Unmet(wanted.id, f"was not measured{rule_of}")
            for figure in figures:
                stale = self._stale(wanted, figure, live)
                if problem := stale or self._problem(wanted, figure):
                    # A waiver is for the requirement as its giver knew it: by its id, and about the same.
                    excusable = not stale and any(one.id == wanted.id for one in figures)
                    yield Unmet(wanted.id, f"{figure.measured}: {problem}", excusable=excusable)

    def figures(self, wanted: RequiredLine, record: StandardRecord) -> Iterator[tuple[str, list[RecordedFigure]]]:
        """What is on record for a requirement: once, or for each of the rules of its slices."""
        about = [figure for figure in record.figures if figure.identity == wanted.identity]
        if wanted.slices is None:
            yield "", [figure for figure in about if not figure.slice]
            return
        for name in wanted.slices:
            rule = self.standard.slices.get(name, "")
            same = [one for one in about if one.rule == rule and one.slice.partition(": ")[0] == name]
            yield f" of the slice {name} ({rule})", same

    def _stale(self, wanted: RequiredLine, figure: RecordedFigure, live: bundle_pb2.Bundle | None) -> str:
        """Why a figure does not count any more; empty if it does."""
        if wanted.identity.get(_AGAINST) != LIVE or live is None or figure.against_sha256 == content_sha256(live):
            return ""
        told = f"{live.model} version {live.version}"
        return f"is stale: it was compared with another model than {told}, which is live: export it anew"

    def _problem(self, wanted: RequiredLine, figure: RecordedFigure) -> str:
        """Why a figure does not meet its line; empty if it does."""
        if wanted.identity.get(_AGAINST) == LIVE and not figure.against:
            return ""  # nothing was live, and nothing is
        verdict = wanted.line.verdict(figure.bounds)
        if figure.bounds.rows < self.standard.minimum_rows and _SUITE not in wanted.identity:
            verdict = Verdict.CANNOT_TELL
        if verdict is Verdict.MET or (verdict is Verdict.CANNOT_TELL and not self.standard.refuses_unknown):
            return ""
        bounds = figure.bounds
        told = f"{bounds.value:.4f} [{bounds.lower:.4f}, {bounds.upper:.4f}] of {bounds.rows:,}"
        return f"{verdict.value}: {told}, {wanted.line} is wanted"


def _agrees(record: StandardRecord, manifest: bundle_pb2.Bundle) -> bool:
    """Whether a record is in itself, and with the manifest, of one standard, one verdict and the same rows."""
    told = manifest.standard
    ours = record.name, record.version, record.sha256, record.verdict, record.rows, record.rows_sha256
    theirs = told.name, told.version, told.sha256, told.verdict, told.rows, told.rows_sha256
    waivers = [(one.requirement, one.who, one.why, one.until) for one in told.waivers]
    same_waivers = waivers == [tuple(one.document().values()) for one in record.waivers]
    return ours == theirs and same_waivers and sha256(record.text.encode()).hexdigest() == record.sha256


def file_sha256(path: Path) -> str:
    """Of a file of cases.

    Raises:
        StandardError: it cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StandardError(f"{path} cannot be read ({error.strerror})") from None
