"""The kernel's CPU list format: `0-3,8,10-11`."""

from __future__ import annotations

from collections.abc import Iterable


def parse(text: str) -> list[int]:
    """CPU numbers of a list, ascending. Raises ValueError with the text where it is malformed."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        if (
            not first.isdigit()
            or (dash and not last.isdigit())
            or (dash and int(last) < int(first))
        ):
            raise ValueError(f"'{text}' is not a CPU list such as 0-3,8")
        cpus.update(range(int(first), int(last or first) + 1))
    return sorted(cpus)


def render(cpus: Iterable[int]) -> str:
    """The shortest list that holds these CPUs."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in ranges)
