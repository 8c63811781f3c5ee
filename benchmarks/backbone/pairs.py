"""Which backbones are held against which."""

from collections.abc import Sequence

REFERENCES = 2


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every backbone against the first one and against the second: those that were there before."""
    return [(one, names[at]) for at in range(REFERENCES) for one in names[at + 1 :]]
