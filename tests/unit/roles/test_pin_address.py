"""pin-address as root in the runtime directory of the frontend, which is the service user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted import Place

PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "frontend" / "files" / "pin-address"
ADDRESS = "10.1.2.3"
# ip(8) of a host that has the label already: nothing of this machine's network is changed.
SHOWN = [
    {
        "ifname": "eth0",
        "addr_info": [{"local": ADDRESS, "prefixlen": 32, "label": "eth0:d"}],
    }
]


def pin(tmp_path: Path, file: Path) -> subprocess.CompletedProcess[str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ip").write_text(f"#!/bin/sh\necho '{json.dumps(SHOWN)}'\n")
    (programs / "ip").chmod(0o755)
    return subprocess.run(
        [sys.executable, str(PROGRAM), "add", ADDRESS, str(file)],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("hard", [False, True])
def test_planted_link_is_replaced(place: Place, tmp_path: Path, hard: bool) -> None:
    file = place.own / "address.env"
    if hard:
        os.link(place.victim, file)
    else:
        place.link("address.env", place.victim)
    done = pin(tmp_path, file)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "DYN_TCP_RESPONSE_STREAM_HOST=eth0:d\n"
    assert (file.is_symlink(), file.stat().st_nlink, file.stat().st_uid) == (False, 1, 0)


def test_planted_directory_is_refused(place: Place, tmp_path: Path) -> None:
    link = place.link("frontend", place.folder)
    done = pin(tmp_path, link / "address.env")
    assert done.returncode != 0
    assert str(link) in done.stderr
