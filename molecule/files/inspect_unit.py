"""What a test wants to know of one unit, as JSON: inspect_unit.py UNIT DATA_DIRECTORY.

Runs on the host, as root. Asks the kernel and systemd, not the roles' modules.
"""

from __future__ import annotations

import grp
import ipaddress
import json
import pwd
import re
import struct
import subprocess
import sys
from pathlib import Path

LISTEN = "0A"


def output(*argv: str) -> str:
    """What a command prints, on both of its streams."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
    )
    return done.stdout.strip()


def address(text: str) -> str:
    """`0B00000A:1F90` of /proc/net as `10.0.0.11:8080`."""
    host, port = text.split(":")
    words = [int(host[i : i + 8], 16) for i in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return f"{ipaddress.ip_address(packed)}:{int(port, 16)}"


def listeners() -> dict[str, str]:
    """Listening address of each TCP socket of this host, by inode."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                found[f"socket:[{fields[9]}]"] = address(fields[1])
    return found


def main() -> None:
    """Entry point."""
    unit, data = sys.argv[1:]
    properties = "MainPID,ActiveState,UnitFileState"
    properties += ",ActiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic"
    shown = dict(
        line.split("=", 1) for line in output("systemctl", "show", "-p", properties, unit).split()
    )
    process = Path("/proc") / shown["MainPID"]
    status = (process / "status").read_text()
    environment = dict(
        entry.split("=", 1)
        for entry in (process / "environ").read_text().split("\0")
        if "=" in entry
    )
    owner = Path(data).stat()
    sockets = listeners()
    own = {str(link.readlink()) for link in (process / "fd").iterdir() if link.is_symlink()}
    score = re.search(
        r": ([\d.]+) ", output("systemd-analyze", "security", "--no-pager", unit)[-80:]
    )
    everywhere = [text for text in sockets.values() if text.startswith(("0.0.0.0:", ":::"))]
    report = {
        "pid": int(shown["MainPID"]),
        "state": f"{shown['ActiveState']} {shown['UnitFileState']}",
        "user": pwd.getpwuid(int(re.findall(r"Uid:\s+(\d+)", status)[0])).pw_name,
        "umask": re.findall(r"Umask:\s+(\d+)", status)[0],
        "environment": environment,
        "fingerprint": Path(f"/etc/dynamo/fingerprint/{unit}.env").read_text().strip(),
        "data": f"{owner.st_mode & 0o7777:04o} {pwd.getpwuid(owner.st_uid).pw_name} "
        f"{grp.getgrgid(owner.st_gid).gr_name}",
        "listeners": sorted(sockets[inode] for inode in own & set(sockets)),
        "everywhere": sorted(text for text in everywhere if not text.endswith(":22")),
        "score": float(score.group(1)) if score else None,
        "verify": output("systemd-analyze", "verify", unit),
        # When it last went down and came up; of all hosts of a lab on one clock.
        "down": int(shown["ActiveExitTimestampMonotonic"]),
        "up": int(shown["ActiveEnterTimestampMonotonic"]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
