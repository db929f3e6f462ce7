"""What does not match, and the command that mends it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One output, or one file of a model, that is not what was made.

    Attributes:
        where: the stage and the path, or the path.
        what: what is wrong with it.
        mend: the command that mends it, or what to do.
    """

    where: str
    what: str
    mend: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.where}: {self.what}; to mend it: {self.mend}"


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what does not match.

    Attributes:
        files: so many were read.
        findings: what is wrong, in the order of the stages or files.
    """

    files: int
    findings: list[Finding]
