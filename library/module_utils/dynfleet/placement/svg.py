"""One picture of a host: GPUs in their NUMA nodes, links, workers, NVMe and network devices.

GPUs stand in one row, the members of a worker next to each other wherever NUMA nodes allow it.
Links are arcs above them: thick inside a worker, thin elsewhere. SYS, and the PCIe class that most
pairs have, are drawn inside workers only; where all pairs are alike, a bar says so. A device
stands under the one GPU it is nearest to, or in the row below its node where it is near to
several.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from typing import Any

from ansible.module_utils.dynfleet.placement.svg_marks import (
    INK,
    PALE,
    PAPER,
    PCIE_COLOURS,
    RINGS,
    SOFT,
    arc,
    box,
    document,
    label,
    line,
    link_colour,
    text,
)
from ansible.module_utils.dynfleet.topology.links import nvlinks, points

CARD, CARD_HEIGHT, GAP, PAD = 118, 66, 24, 22
CHIP = 22  # height of a device
HEAD = 92  # title and legend
MARGIN = 24


class Picture:
    """Lays the host out and collects the marks."""

    def __init__(self, topology: dict[str, Any], plan: dict[str, Any]) -> None:
        self.topology, self.plan = topology, plan
        self.gpus = topology["gpus"]
        self.worker = {
            gpu["index"]: worker["index"] for worker in plan["workers"] for gpu in worker["gpus"]
        }
        self.strongest = max(
            (nvlinks(link) for row in topology["links"] for link in row), default=0
        )
        self.nodes = self._nodes()
        self.at: dict[int, float] = {}  # middle of each GPU's card, by position in the facts
        self.spans: list[tuple[float, float]] = []  # left edge and width of each node
        left = float(MARGIN)
        for _, members in self.nodes:
            width = 2 * PAD + len(members) * (CARD + GAP) - GAP
            self.spans.append((left, width))
            for place, gpu in enumerate(members):
                self.at[gpu] = left + PAD + place * (CARD + GAP) + CARD / 2
            left += width + MARGIN
        self.width = max(left, 760.0)
        self.marks: list[str] = []

    def _nodes(self) -> list[tuple[str, list[int]]]:
        """NUMA nodes with the positions of their GPUs, workers kept together."""
        nodes: dict[Any, list[int]] = {}
        for position in sorted(range(len(self.gpus)), key=lambda at: self.gpus[at]["index"]):
            nodes.setdefault(self.gpus[position].get("numa_node"), []).append(position)
        ordered = sorted(nodes, key=lambda node: (node is None, node or 0))
        found = []
        for rank, node in enumerate(ordered):
            found.append(
                (
                    "NUMA node not known" if node is None else f"NUMA node {node}",
                    sorted(nodes[node], key=lambda gpu: self._seat(gpu, rank, ordered)),
                )
            )
        return found

    def _seat(self, gpu: int, rank: int, ordered: list[Any]) -> tuple[int, int, int]:
        """Workers on one node in the middle, those that reach over to a neighbour at its edge."""
        index = self.gpus[gpu]["index"]
        worker = self.worker.get(index)
        if worker is None:
            return (1, len(self.worker), index)
        ranks = {
            ordered.index(member["numa_node"])
            for member in self.plan["workers"][worker]["gpus"]
            if member["numa_node"] in ordered
        }
        edge = 0 if min(ranks) < rank else 2 if max(ranks) > rank else 1
        return (edge, worker, index)

    def draw(self) -> str:
        """The picture as an SVG document."""
        pairs = list(combinations(sorted(self.at, key=lambda gpu: self.at[gpu]), 2))
        links = {pair: self.topology["links"][pair[0]][pair[1]] for pair in pairs}
        kinds = set(links.values())
        mesh = len(kinds) == 1 and len(pairs) > 1
        hidden = None if mesh else self._hidden(links)
        drawn = {pair: link for pair, link in links.items() if self._shown(pair, link, hidden)}
        row = HEAD + (72 if mesh else 34 + max(map(self._height, drawn), default=0.0))
        lowest = self._boxes(row)
        if mesh:
            self._mesh(row, links[pairs[0]])
        else:
            self._arcs(row, drawn)
        self._cards(row)
        self._legend(kinds, kinds if mesh else set(drawn.values()))
        height = lowest + 22 + 18 * len(self.plan["idle"])
        for place, idle in enumerate(self.plan["idle"]):
            words = f"GPU {idle['index']} is idle: {idle['reason']}"
            self.marks.append(text((MARGIN, lowest + 22 + 18 * place), words, 12, SOFT))
        return document(self.width, height, self.marks)

    def _together(self, pair: tuple[int, int]) -> bool:
        one, other = (self.worker.get(self.gpus[gpu]["index"]) for gpu in pair)
        return one is not None and one == other

    def _hidden(self, links: dict[tuple[int, int], str]) -> str | None:
        """The class that most pairs have, where it is PCIe and no worker uses it."""
        used = {link for pair, link in links.items() if self._together(pair)}
        common = Counter(links.values()).most_common(1)
        return common[0][0] if common and common[0][0] not in used | {self._nv(common)} else None

    @staticmethod
    def _nv(common: list[tuple[str, int]]) -> str:
        return common[0][0] if nvlinks(common[0][0]) else ""

    def _shown(self, pair: tuple[int, int], link: str, hidden: str | None) -> bool:
        return self._together(pair) or (link != hidden and points(link) > points("SYS"))

    def _boxes(self, row: float) -> float:
        """NUMA nodes with their devices; returns the lower edge."""
        stacks = dict.fromkeys(self.at, 0)
        shared: list[list[tuple[str, str]]] = [[] for _ in self.nodes]
        chips = []
        for device in [*self.topology["nvme"], *self.topology["network"]]:
            if not device.get("distance"):
                continue
            best = max(device["distance"], key=points)
            near = [gpu for gpu in self.at if device["distance"][gpu] == best]
            if len(near) == 1:
                chips.append((near[0], stacks[near[0]], device, best))
                stacks[near[0]] += 1
            elif len(near) < len(self.at):
                home = next(at for at, (_, own) in enumerate(self.nodes) if near[0] in own)
                shared[home].append((self._device(device), best))
        deep = row + CARD_HEIGHT + 34 + (CHIP + 4) * max(stacks.values())
        lower = deep + (CHIP + 4) * max(len(found) for found in shared) + 12
        back = []
        for (name, _), (left, width), found in zip(self.nodes, self.spans, shared):
            back.append(box((left, row - 22, width, lower - row + 22), PAPER, PALE, 1.5, 10))
            back.append(text((left + 12, lower - 8), name, 12, SOFT, bold=True))
            for place, (words, best) in enumerate(found):
                back += self._chip(
                    left + PAD, deep - 14 + place * (CHIP + 4), width - 2 * PAD, words, best
                )
        for gpu, place, device, best in chips:
            top = row + CARD_HEIGHT + 18 + place * (CHIP + 4)
            back += self._chip(self.at[gpu] - CARD / 2, top, CARD, self._device(device), best)
        self.marks = back + self.marks
        return lower + 10

    @staticmethod
    def _device(device: dict[str, Any]) -> str:
        """Name of a device, with its first mount point."""
        mounts = [mount["path"] for mount in device.get("mounts", [])]
        name = str(device["name"])
        return f"{name} {mounts[0]}" if mounts else name

    @staticmethod
    def _chip(x: float, y: float, width: float, words: str, link: str) -> list[str]:
        colour = PCIE_COLOURS.get(link, SOFT)
        room = int((width - 38) / 5.4)
        words = words if len(words) <= room else words[: room - 1] + "\u2026"
        return [
            box((x, y, width, CHIP), "#ffffff", colour, 1, 4),
            text((x + 6, y + 15), words, 9),
            text((x + width - 5, y + 15), link, 9, colour, anchor="end", bold=True),
        ]

    def _mesh(self, row: float, link: str) -> None:
        """A bar over all GPUs, where every two have the same link."""
        colour = link_colour(link, self.strongest)
        left, right = min(self.at.values()) - CARD / 2, max(self.at.values()) + CARD / 2
        self.marks += [line((x, row - 40), (x, row), colour, 4) for x in self.at.values()]
        self.marks.append(box((left, row - 56, right - left, 24), colour, colour, 1, 12))
        words = f"{link} between every two GPUs"
        self.marks.append(
            text(((left + right) / 2, row - 40), words, 12, "#ffffff", anchor="middle", bold=True)
        )

    def _height(self, pair: tuple[int, int]) -> float:
        """Height of an arc: it grows with its width, but slower."""
        return 2.4 * math.pow(abs(self.at[pair[0]] - self.at[pair[1]]), 0.65)

    def _arcs(self, row: float, drawn: dict[tuple[int, int], str]) -> None:
        """Thin arcs first, then those inside workers, then their labels."""
        labels = []
        for pair in sorted(drawn, key=lambda one: (self._together(one), points(drawn[one]))):
            x1, x2 = self.at[pair[0]], self.at[pair[1]]
            colour, height = link_colour(drawn[pair], self.strongest), self._height(pair)
            inside = self._together(pair)
            self.marks.append(arc((x1, row), x2, height, colour, 4 if inside else 1.4))
            if inside:
                labels.append(label((x1 + x2) / 2, row - height, drawn[pair], colour))
        self.marks += labels

    def _cards(self, row: float) -> None:
        """The GPUs, and rings around those of a worker that stand side by side."""
        runs: list[tuple[int, list[int]]] = []
        labels = []
        for _, members in self.nodes:
            previous = None
            for gpu in members:
                worker = self.worker.get(self.gpus[gpu]["index"])
                if worker is not None and worker == previous:
                    runs[-1][1].append(gpu)
                elif worker is not None:
                    runs.append((worker, [gpu]))
                previous = worker
        for worker, members in runs:
            colour = RINGS[worker % len(RINGS)]
            left = self.at[members[0]] - CARD / 2 - 5
            width = self.at[members[-1]] - self.at[members[0]] + CARD + 10
            self.marks.append(
                box((left, row - 5, width, CARD_HEIGHT + 10), "#ffffff", colour, 3, 12)
            )
            words = f"worker {worker}"
            labels.append(label(left + width / 2, row + CARD_HEIGHT + 5, words, colour))
        for gpu, x in self.at.items():
            facts = self.gpus[gpu]
            idle = facts["index"] not in self.worker
            self.marks.append(
                box(
                    (x - CARD / 2, row, CARD, CARD_HEIGHT),
                    "#eaeef2" if idle else "#ffffff",
                    PALE if idle else INK,
                    1,
                    8,
                )
            )
            ink = SOFT if idle else INK
            title = f"GPU {facts['index']}" + (" (idle)" if idle else "")
            name = (facts.get("name") or "").replace("NVIDIA ", "")
            name = name if len(name) < 21 else name[:19] + "\u2026"
            self.marks += [
                text((x, row + 22), title, 14, ink, anchor="middle", bold=True),
                text((x, row + 38), name, 9, SOFT, anchor="middle"),
                text((x, row + 51), facts.get("pci") or "", 9, SOFT, anchor="middle"),
            ]
        self.marks += labels

    def _legend(self, kinds: set[str], drawn: set[str]) -> None:
        """Title, one line about the plan, and the link classes of this host."""
        plan = self.plan
        count, size = len(plan["workers"]), plan["group_size"]
        groups = f"{count} worker{'s' * (count > 1)} of {size} GPU{'s' * (size > 1)}"
        parts = [groups]
        if size > 1:
            parts.append(f"weakest link {plan['score']['weakest_link']}")
        if plan["forced"]:
            parts.append("forced: no clean grouping exists")
        if plan["by_hand"]:
            parts.append("layout by hand")
        self.marks.append(text((MARGIN, 34), plan["host"], 20, INK, bold=True))
        self.marks.append(text((MARGIN, 56), ", ".join(parts), 13, SOFT))
        x = float(MARGIN)
        for kind in sorted(kinds, key=points, reverse=True):
            colour = link_colour(kind, self.strongest)
            words = kind
            if kind not in drawn:
                words += " (not drawn)"
            elif kind == "SYS" and len(kinds) > 1:
                words += " (drawn inside workers only)"
            self.marks.append(line((x, 76), (x + 24, 76), colour, 4))
            self.marks.append(text((x + 30, 80), words, 12))
            x += 50 + 7.2 * len(words)


def picture(topology: dict[str, Any], plan: dict[str, Any]) -> str:
    """The SVG document of a host and its plan."""
    return Picture(topology, plan).draw()
