"""What systemd says of units, and what to do about it: pure functions over text and dicts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

SHOW_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "NeedDaemonReload",
    "UnitFileState",
    "ExecMainStartTimestamp",
    "ActiveEnterTimestamp",
    "InvocationID",
    "ControlGroup",
)


def parse_show(text: str) -> dict[str, dict[str, str]]:
    """Read ``systemctl show -p ... UNIT...``: one block of key=value lines a unit.

    Returns a dict by unit name (its ``Id``).
    """
    units: dict[str, dict[str, str]] = {}
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if pairs.get("Id"):
            units[pairs["Id"]] = pairs
    return units


def fingerprint(parts: Mapping[str, bytes], salt: str) -> str:
    """Digest of a unit's inputs.

    parts: content by path, of every file that the process is started from.
    salt: what else decides the process (release id, package version).
    Returns 16 hexadecimal digits: enough to tell states apart, short enough to read.
    """
    digest = hashlib.sha256()
    for path in sorted(parts):
        digest.update(f"{path}\0{hashlib.sha256(parts[path]).hexdigest()}\n".encode())
    digest.update(f"salt\0{salt}".encode())
    return digest.hexdigest()[:16]


def variable(environ: bytes, name: str) -> str | None:
    """A variable of a process environment (``/proc/PID/environ``); None without it."""
    for entry in environ.split(b"\0"):
        if entry.startswith(name.encode() + b"="):
            return entry.decode("utf-8", "replace").split("=", 1)[1]
    return None


def from_file(content: bytes) -> bytes:
    """An environment file, a variable a line, as a process environment."""
    return content.replace(b"\n", b"\0")


def listed(environ: bytes, name: str) -> list[str]:
    """A comma list in a variable of a process environment."""
    return [item for item in (variable(environ, name) or "").split(",") if item]


def collide(wanted: Mapping[str, Sequence[str]], held: Mapping[str, Sequence[str]]) -> bool:
    """Whether a unit wants what another one's running process holds.

    wanted, held: names of devices by unit; only of units that are to be started.
    """
    return any(
        set(devices) & set(held.get(other, ()))
        for unit, devices in wanted.items()
        for other in held
        if other != unit
    )


def running_fingerprint(environ: bytes) -> str | None:
    """The fingerprint in a process environment, or None."""
    return variable(environ, "DYNAMO_FINGERPRINT")


def action(active_state: str, have: str | None, want: str | None) -> str:
    """What a unit needs: ``none``, ``start``, ``wait`` or ``restart``.

    want None: the unit has no process of its own (a target). A unit that is still starting
    with another fingerprint serves nobody yet: it is started anew, not waited for.
    """
    same = want is None or have == want
    if active_state == "active":
        return "none" if same else "restart"
    return "wait" if same and active_state in ("activating", "reloading") else "start"


def stale_instances(known: Sequence[str], wanted: Sequence[str], template: str) -> list[str]:
    """Instances of ``template`` (``name@``) that systemd knows and the plan does not."""
    keep = set(wanted)
    return sorted(
        {unit for unit in known if unit.startswith(template) and unit.endswith(".service")}
        - keep
        - {f"{template}.service"}
    )
