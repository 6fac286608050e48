"""What a unit's sandbox keeps out of its sight, and the paths that a text names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from posixpath import normpath
from typing import Any
from urllib.parse import unquote

from ansible.module_utils.dynfleet.inputs.model import Host

# systemd.exec(5): what these settings hide, unless they are off (or leave it to be read).
_HIDDEN_BY = {
    "ProtectHome": ("/home", "/root", "/run/user"),
    "PrivateTmp": ("/tmp", "/var/tmp"),  # noqa: S108 - only compared
}
_SHOWN = ("no", "false", "off", "0", "read-only")
_LISTS = ("InaccessiblePaths", "InaccessibleDirectories", "TemporaryFileSystem")
MOVE = "put it elsewhere, for example below /srv"
# Jinja or several lines: text for the engine, as an inline chat template is.
_PROSE = re.compile(r"\{[{%#]|\n")
# What a URL names is at its host. With no host (file:///x, ipc:///x) it is a path of this one.
_LOCAL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:localhost)?(?=/)")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s,;\"']*")
_ENDS = re.compile(r"[\s,;=:\"'`()\[\]{}<>|]+")
_HOME = re.compile(r"~[\w.-]*(/|$)|\$HOME\b")
_RELATIVE = re.compile(r"\.{1,2}/.*|[\w.@+-][\w./@+-]*\.(jinja2?|j2|json|ya?ml|toml)")


def plain(path: str) -> str:
    """A path without what the kernel does not see: doubled slashes, dots, a slash at the end."""
    return "/" + normpath(path).lstrip("/")


def hidden(directives: str) -> tuple[str, ...]:
    """The directories that a unit's directives hide from it."""
    found: dict[str, tuple[str, ...]] = {}
    for line in directives.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key in _HIDDEN_BY:
            found[key] = () if value.lower() in _SHOWN else _HIDDEN_BY[key]
        elif key in _LISTS:
            paths = (word.lstrip("-+").split(":")[0] for word in value.split())
            # An empty assignment takes back what was assigned before.
            found[key] = (*found.get(key, ()), *map(plain, paths)) if value else ()
    return tuple(path for paths in found.values() for path in paths)


def unset(directives: str) -> frozenset[str]:
    """The variables that a unit's directives take out of its environment."""
    pairs = (line.strip().partition("=") for line in directives.splitlines())
    return frozenset(
        name for key, _, names in pairs if key == "UnsetEnvironment" for name in names.split()
    )


def of(host: Host, variable: str) -> tuple[str, ...]:
    """The directories that the sandbox in a variable of a host hides."""
    return hidden(host.text(variable) or host.text("dynamo_sandbox") or "")


def within(path: str, directories: tuple[str, ...]) -> bool:
    """Whether a path is one of some directories, or below one."""
    return f"{plain(path)}/".startswith(tuple(f"{directory}/" for directory in directories))


def out_of_sight(directories: tuple[str, ...]) -> str:
    """What is wrong with a path in one of these directories."""
    return f"is out of the units' sight: their sandbox hides {', '.join(directories)}"


def _parsed(text: str) -> Any:
    """The value of a JSON object or list; None for other text."""
    try:
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
    except ValueError:
        return None


def _words(value: Any) -> Iterator[str]:
    """Everything in a text, or in the JSON in it, that may be a path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _words(key)
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, str):
        option = re.match(r"--?[A-Za-z][\w.+-]*=", value)
        rest = (value[option.end() :] if option else value).replace("${HOME}", "$HOME")
        if (nested := _parsed(rest)) is not None:
            yield from _words(nested)
        elif not _PROSE.search(rest):
            whole = _LOCAL.sub("", rest)
            # One path with spaces in it.
            if whole.startswith("/") and not re.search(r"[,;=:]|\s/", whole):
                yield unquote(whole) if whole != rest else whole
            else:
                local = _LOCAL.sub(",", rest)
                yield from filter(None, _ENDS.split(_REMOTE.sub(",", local)))


def unseen(text: str, directories: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each path in a text that a unit does not find, and why; each once.

    directories: those that its sandbox hides. A model's name (organisation/name) is no path.
    """
    for word in dict.fromkeys(_words(text)):
        if _HOME.match(word):
            yield word, "is in the unit's own home below /var/lib/dynamo, not in a person's"
        elif word.startswith("/"):
            if within(word, directories):
                yield word, out_of_sight(directories)
        elif _RELATIVE.fullmatch(word):
            yield word, "is relative, and no unit runs in a directory of yours"
