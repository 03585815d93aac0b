"""Whether a bundle meets the standard of who serves it: its record judged anew, by the operator's lines.

The publisher's verdict does not count, only what was measured. So a publisher cannot weaken a line, and a line that an
operator moves holds at once, for bundles that were published before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import StandardError
from explicate_bundle.standard.record import RecordedFigure, StandardRecord, content_sha256, read_record
from explicate_bundle.standard.requirement_lines import RequiredLine, required_line
from explicate_bundle.standard.standard_file import StandardFile, read_standard_file
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.writing import STANDARD_RECORD_NAME

LIVE = "live"
_AGAINST, _SUITE = "against", "suite"


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

    def problems(self, bundle: VerifiedBundle, live: bundle_pb2.Bundle | None) -> list[str]:
        """Why a bundle must not serve, a sentence for each requirement; none if it may.

        Args:
            bundle: its files are what its manifest says.
            live: the manifest of what serves now, which it was to be compared with; None if nothing does.

        Raises:
            BundleError: its record is not in the format.
        """
        record = read_record(bundle.folder, bundle.manifest)
        name = f"{self.standard.name} {self.standard.version}"
        if record is None:
            return [f"the bundle has no {STANDARD_RECORD_NAME}, and {name} is required: export it with --standard"]
        if record.content_sha256 != content_sha256(bundle.manifest):
            return [f"its {STANDARD_RECORD_NAME} is about other files: export it anew"]
        if record.confidence < self.standard.confidence:
            wanted = f"{self.standard.confidence:g} is wanted"
            return [f"it was judged with a confidence of {record.confidence:g}, and {wanted}"]
        return [problem for one in self.standard.requirements for problem in self._unmet(one, record, live)]

    def _unmet(self, wanted: RequiredLine, record: StandardRecord, live: bundle_pb2.Bundle | None) -> Iterator[str]:
        if wanted.identity.get(_SUITE) is not None and record.suite_sha256 != self.suite_sha256:
            yield f"{wanted.id}: its cases were others than those of this server"
            return
        for rule_of, figures in self.figures(wanted, record):
            if not figures:
                yield f"{wanted.id}: was not measured{rule_of}"
            for figure in figures:
                if problem := self._problem(wanted, figure, live):
                    yield f"{wanted.id}: {figure.measured}: {problem}"

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

    def _problem(self, wanted: RequiredLine, figure: RecordedFigure, live: bundle_pb2.Bundle | None) -> str:
        """Why a figure does not meet its line; empty if it does."""
        beside_live = wanted.identity.get(_AGAINST) == LIVE
        if beside_live and live is not None and figure.against_sha256 != content_sha256(live):
            told = f"{live.model} version {live.version}"
            return f"is stale: it was compared with another model than {told}, which is live: export it anew"
        if beside_live and not figure.against:
            return ""  # nothing was live, and nothing is
        verdict = wanted.line.verdict(figure.bounds)
        if figure.bounds.rows < self.standard.minimum_rows and _SUITE not in wanted.identity:
            verdict = Verdict.CANNOT_TELL
        if verdict is Verdict.MET or (verdict is Verdict.CANNOT_TELL and not self.standard.refuses_unknown):
            return ""
        bounds = figure.bounds
        told = f"{bounds.value:.4f} [{bounds.lower:.4f}, {bounds.upper:.4f}] of {bounds.rows:,}"
        return f"{verdict.value}: {told}, {wanted.line} is wanted"


def file_sha256(path: Path) -> str:
    """Of a file of cases.

    Raises:
        StandardError: it cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StandardError(f"{path} cannot be read ({error.strerror})") from None
