"""The Doctor's findings as a page of text."""

from collections.abc import Iterator, Sequence

from .findings import Finding


def is_well(found: Sequence[Finding]) -> bool:
    """Whether nothing is broken; what merely lacks is no illness."""
    return all(finding.mark != "WRONG" for finding in found)


def report(found: Sequence[Finding]) -> str:
    """A summary, then a line for each finding; below it what it means and what mends it."""
    wrong = sum(finding.mark == "WRONG" for finding in found)
    lacks = sum(finding.mark == "lacks" for finding in found)
    if wrong or lacks:
        head = f"{wrong} to mend, {lacks} not installed; everything else is well."
    else:
        head = "All is well."
    return "\n".join([head, *(line for finding in found for line in lines(finding))])


def lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.mark:6} {finding.subject:22} {finding.found}"
    if finding.means:
        yield f"{'':9}means  {finding.means}"
    if finding.mend:
        yield f"{'':9}mend   {finding.mend}"
