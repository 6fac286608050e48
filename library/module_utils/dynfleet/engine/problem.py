"""What is wrong with a host, as people are told it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """what: the thing looked at. seen, wanted: its value, and the one that would do. mend: how."""

    what: str
    seen: str
    wanted: str
    mend: str

    def line(self) -> str:
        """All of it in one line."""
        return f"{self.what} is {self.seen}, wanted is {self.wanted}: {self.mend}"


def report(host: str, problems: Sequence[Problem], outcome: str) -> str:
    """Every problem of a host. outcome: what was done about them, such as `nothing was changed`."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{host}: {count}; {outcome}."]
    return "\n".join(lines + [f"{host}: {problem.line()}" for problem in problems])
