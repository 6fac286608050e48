#!/usr/bin/env python3
"""Print as JSON what a wheel holds: name, version, files, and of its extension what readelf and
strings see."""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path


def extension(path: Path) -> dict[str, object]:
    """Path, needed libraries and texts of a native module."""
    dynamic = subprocess.run(
        ["readelf", "--wide", "--dynamic", str(path)], capture_output=True, text=True, check=True
    ).stdout
    texts = re.findall(rb"[ -~]{3,}", path.read_bytes())
    return {
        "runpath": ":".join(re.findall(r"\(R(?:UN)?PATH\).*\[(.*)\]", dynamic)),
        "needed": re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic),
        "texts": "\n".join(sorted({text.decode() for text in texts if len(text) < 60})),
    }


wheel = Path(sys.argv[1])
found: dict[str, object] = {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(wheel) as archive:
    archive.extractall(place)
    found["files"] = sorted(archive.namelist())
    for path in Path(place).rglob("*.dist-info/METADATA"):
        headers = HeaderParser().parsestr(path.read_text())
        found["name"], found["version"] = headers["Name"], headers["Version"]
    for path in Path(place).glob("*/*.so"):
        found.update(extension(path))
print(json.dumps(found))
