"""What a source answers when it is asked for a part of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, Protocol

from ansible.module_utils.dynfleet.model.manifest import File


class FetchError(Exception):
    """A file cannot be had; asking again would not help."""


class Unanswered(Exception):
    """The source did not answer, or broke off: asking again may help.

    pause: seconds that the source wants to be left alone.
    """

    def __init__(self, message: str, pause: float = 0) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass
class Piece:
    """A part of a file, or all of it.

    whole: the blocks are the whole file, whatever was asked for: the source gives no parts, or the
    file is no longer the one that validator stood for. validator: stands for this state of the file
    when the next part is asked for; empty where the source has none. close: gives up the blocks.
    """

    blocks: Iterator[bytes]
    whole: bool
    validator: str
    close: Callable[[], None]


class Reader(Protocol):
    """A source as transfer.py uses it."""

    def open(self, file: File, start: int, end: int, validator: str) -> Piece:
        """Bytes start to end (not included). validator: of what was had before, or empty.

        Raises FetchError or Unanswered; so do the blocks.
        """
