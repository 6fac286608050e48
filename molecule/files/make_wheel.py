"""Stand-in for a build role: make a wheel in a directory and print the role's fact as JSON."""

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

directory = Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
path = directory / "tinybuilt-1.0-py3-none-any.whl"
info = "tinybuilt-1.0.dist-info"
files = {
    "tinybuilt.py": "BUILT = True\n",
    f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinybuilt\nVersion: 1.0\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = ""
for name, text in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record += f"{name},sha256={digest},{len(text)}\n"
files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
with zipfile.ZipFile(path, "w") as archive:
    for name, text in files.items():
        archive.writestr(zipfile.ZipInfo(name), text)
wheel = {"file": path.name, "path": str(path), "name": "tinybuilt", "version": "1.0"}
fact = {
    "component": "tinybuilt",
    "digest": "d" * 64,
    "directory": str(directory),
    "wheels": [{**wheel, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}],
    "origin": {"repository": "https://example.org/tinybuilt.git", "commit": "c0ffee"},
}
print(json.dumps(fact))
