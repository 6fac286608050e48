"""The document in what `nvidia-smi -q -x` prints, made readable.

nvidia-smi copies names of processes without care: control bytes, broken UTF-8, unescaped signs,
and, where two of it run at once, bytes of neither. Nothing about processes is read here, so that
part is left out, and elsewhere what XML forbids is dropped.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

_DOCUMENT = re.compile(r"(?:<\?xml|<nvidia_smi_log).*?(?:</nvidia_smi_log>|\Z)", re.DOTALL)
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Never across GPUs: a broken end would take the next GPU with it.
_PROCESSES = re.compile(
    r"<(processes|accounted_processes)>(?:(?!</?gpu\b).)*?</\1>",
    re.DOTALL,
)
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]+)|([0-9]+));")
_LONE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_LONE_LESS = re.compile(r"<(?![/?!A-Za-z_])")


class Garbled(Exception):
    """There is a document, and it cannot be read; the message says where and shows the place."""


def root(text: str) -> ElementTree.Element | None:
    """The root of the document, None where there is none. Raises Garbled."""
    match = _DOCUMENT.search(text)
    if match is None:
        return None
    document = _cleaned(match.group())
    try:
        return ElementTree.fromstring(document)  # noqa: S314 - printed by nvidia-smi
    except ElementTree.ParseError as error:
        line, column = error.position
        lines = document.split("\n")
        place = lines[line - 1] if line <= len(lines) else ""
        shown = place[max(0, column - 40) : column + 40].strip()
        raise Garbled(f"{error}: {shown!r}") from error


def around(text: str) -> str:
    """What stands before and after the document: complaints about single GPUs."""
    return _DOCUMENT.sub("\n", text)


def _cleaned(document: str) -> str:
    document = _PROCESSES.sub("", _FORBIDDEN.sub("", document))
    document = _REFERENCE.sub(_allowed, document)
    return _LONE_LESS.sub("&lt;", _LONE_AMPERSAND.sub("&amp;", document))


def _allowed(match: re.Match[str]) -> str:
    """A reference to a character, empty where XML forbids that character."""
    digits, base = (match.group(1), 16) if match.group(1) else (match.group(2), 10)
    number = int(digits, base) if len(digits) < 8 else -1
    if not 0 <= number <= 0x10FFFF or _FORBIDDEN.match(chr(number)):
        return ""
    return match.group()
