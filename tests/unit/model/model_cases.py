"""What the tests of models share: small models, and the store of molecule/files over them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.dynfleet.model.bring import Wanted
from ansible.module_utils.dynfleet.model.manifest import SHA256, File
from ansible.module_utils.dynfleet.model.source import parse

ROOT = Path(__file__).resolve().parents[3]
CONTENT = {
    "config.json": b'{"model_type": "llama"}\n',
    "empty.txt": b"",
    "sub dir/tokenizer.json": b"{}\n",
    "weights-1.safetensors": random.Random(1).randbytes(300_000),  # noqa: S311 - any bytes
    "weights-2.safetensors": random.Random(2).randbytes(1_000_001),  # noqa: S311
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load_store() -> ModuleType:
    """The store's program as a module."""
    path = ROOT / "molecule/files/model_store.py"
    spec = importlib.util.spec_from_file_location("model_store", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_store"] = module
    spec.loader.exec_module(module)
    return module


STORE = load_store()


def write(directory: Path, content: Mapping[str, bytes] = CONTENT) -> Path:
    """Write a model's files."""
    for name, data in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def files(content: Mapping[str, bytes] = CONTENT) -> list[File]:
    """What the manifest says of them."""
    return [
        File(name, len(data), SHA256, hashlib.sha256(data).hexdigest())
        for name, data in sorted(content.items())
    ]


def read(directory: Path) -> dict[str, bytes]:
    """The files of a directory without those of this project."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith(".dynamo-")
    }


@dataclass
class Served:
    """A running store. url: of its directory."""

    url: str
    state: Path

    def control(self, **what: Any) -> None:
        """Tell it how to behave."""
        (self.state / "control.json").write_text(json.dumps(what))

    def requests(self) -> list[dict[str, Any]]:
        """What was asked since the last call."""
        log = self.state / "served.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def bytes(self) -> int:
        """Bytes of files that were sent since the last call."""
        return sum(item["bytes"] for item in self.requests() if item["status"] in (200, 206))


@contextmanager
def serving(directory: Path, state: Path) -> Iterator[Served]:
    """Serve a directory."""
    state.mkdir()
    stores = STORE.start(directory, state, "127.0.0.1", 0)
    yield Served(stores[0].url, state)
    for store in stores:
        store.shutdown()
        store.server_close()


def wanted(path: Path, source: str, **more: Any) -> Wanted:
    """What is asked for, with everything that tests do not care for."""
    return Wanted(
        **{
            "path": path,
            "identity": "0a1b2c",
            "source": parse(source),
            "files": files(),
            "hub": "",
            "exclude": [],
            "token": "",
            "verify": False,
            "user": "root",
            "jobs": 4,
            "timeout": 60,
            **more,
        }
    )
