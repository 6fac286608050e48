"""The marks of the picture: SVG elements as text, and the colour of each link class."""

from __future__ import annotations

from html import escape

from ansible.module_utils.dynfleet.topology.links import nvlinks

PCIE_COLOURS = {
    "PIX": "#0969da",
    "PXB": "#6639ba",
    "PHB": "#bf8700",
    "NODE": "#e8590c",
    "SYS": "#cf222e",
    "NONE": "#8c959f",
}
# One colour a worker, for its ring.
RINGS = ("#0b7285", "#a61e4d", "#5f3dc4", "#2b8a3e", "#d9480f", "#364fc7", "#862e9c", "#5c940d")
Point = tuple[float, float]
INK, SOFT, PALE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#f6f8fa"


def link_colour(link: str, strongest: int) -> str:
    """Colour of a class; NVLink is dark green for the host's most links, lighter for fewer."""
    if nvlinks(link):
        return "#1a7f37" if nvlinks(link) == strongest else "#6cc24a"
    return PCIE_COLOURS[link]


def text(
    at: Point,
    words: str,
    size: int = 12,
    colour: str = INK,
    *,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """A line of text; `at` is on its base line."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{at[0]:g}" y="{at[1]:g}" font-size="{size}" fill="{colour}"'
        f' text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def box(
    area: tuple[float, float, float, float],
    fill: str,
    edge: str,
    stroke: float = 1,
    radius: float = 6,
) -> str:
    """A rounded rectangle; `area` is x, y, width and height."""
    x, y, width, height = area
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
        f' fill="{fill}" stroke="{edge}" stroke-width="{stroke:g}"/>'
    )


def line(start: Point, end: Point, colour: str, stroke: float) -> str:
    """A straight line."""
    return (
        f'<line x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"'
        f' stroke="{colour}" stroke-width="{stroke:g}"/>'
    )


def arc(start: Point, end_x: float, height: float, colour: str, stroke: float) -> str:
    """An arc to another point of the same height, `height` above them at its top."""
    x, y = start
    top = y - height * 4 / 3  # a cubic curve reaches three quarters of its handles
    faint = ' stroke-opacity="0.55"' if stroke < 2 else ""
    return (
        f'<path d="M{x:g} {y:g} C{x:g} {top:g} {end_x:g} {top:g} {end_x:g} {y:g}" fill="none"'
        f' stroke="{colour}" stroke-width="{stroke:g}"{faint}/>'
    )


def label(x: float, y: float, words: str, colour: str) -> str:
    """Small text on a white ground, centred on a point."""
    width = 7 * len(words) + 6
    pill = box((x - width / 2, y - 8, width, 16), "#ffffff", colour, 1, 8)
    return pill + text((x, y + 4), words, 10, colour, anchor="middle", bold=True)


def document(width: float, height: float, marks: list[str]) -> str:
    """The whole picture."""
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg"'
            f' viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
            ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif">',
            box((0, 0, width, height), "#ffffff", "#ffffff", 0, 0),
            *marks,
            "</svg>\n",
        ]
    )
