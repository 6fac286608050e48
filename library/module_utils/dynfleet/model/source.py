"""Where a model comes from: one text, whose form says the kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

DIRECTORY, CONTROLLER, RSYNC, HTTP, HUB = "directory", "controller", "rsync", "http", "hub"
FORMS = (
    "/DIRECTORY of the host, controller:/DIRECTORY, rsync://HOST/MODULE/PATH, USER@HOST:/DIRECTORY,"
    " http(s)://HOST/PATH or hf://ORGANISATION/NAME@COMMIT"
)
_PATH = r"/[^\x00-\x1f\x7f]*"
# A name, an IPv4 address, or an IPv6 address in brackets with or without a zone.
_HOST = r"(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])"
_PLACES = {
    DIRECTORY: re.compile(_PATH),
    CONTROLLER: re.compile(rf"controller:({_PATH})"),
    RSYNC: re.compile(rf"rsync://[^\s/]+{_PATH}|[A-Za-z0-9_][\w.-]*@{_HOST}:{_PATH}"),
    HTTP: re.compile(r"https?://\S+"),
}
_HUB = re.compile(r"hf://([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(.*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class SourceError(Exception):
    """The text is no source. mend: what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


@dataclass(frozen=True)
class Source:
    """A source.

    place: a directory, rsync's name of one, or a URL, all without a slash at the end; of the hub
    the repository. commit: only of the hub.
    """

    kind: str
    place: str
    commit: str = ""

    def url(self, path: str, hub: str) -> str:
        """Address of a file at an HTTP source or at the hub."""
        base = f"{hub}/{self.place}/resolve/{self.commit}" if self.kind == HUB else self.place
        return f"{base}/{quote(path)}"


def parse(text: str) -> Source:
    """Read a source. Raises SourceError."""
    if text.startswith("hf:"):
        return _hub(text)
    for kind, form in _PLACES.items():
        if match := form.fullmatch(text):
            place = (match.group(match.lastindex or 0)).rstrip("/")
            if kind == HTTP:
                _plain_url(place)
            if not place:
                raise SourceError("is the root directory", "name the model's own directory")
            return Source(kind, place)
    raise SourceError("has no form of a source", f"give {FORMS}")


def _plain_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        # Not repeated: it is about to be shown.
        raise SourceError(
            "holds a password, which would be in logs", "put a token into model_token instead"
        )
    if not parts.hostname or parts.query or parts.fragment:
        raise SourceError(
            "is no address of a directory", "give http(s)://HOST/PATH without ? and #"
        )


def _hub(text: str) -> Source:
    match = _HUB.fullmatch(text)
    if match is None:
        raise SourceError("names no repository of the hub", "give hf://ORGANISATION/NAME@COMMIT")
    repository, commit = match.groups()
    if not _COMMIT.fullmatch(commit or ""):
        raise SourceError(
            "has no full commit, and a branch or a tag can move",
            "give hf://ORGANISATION/NAME@ and the commit's 40 hexadecimal digits",
        )
    return Source(HUB, repository, commit)
