"""Two NIXL agents in two processes, and a megabyte written from one to the other.

Runs by itself, as text given to the release's Python inside a sandbox: standard library only, and
NIXL's extension (nixl 1.3), loaded past its package, which would load torch too. UCX's words, with
UCX_PROTO_INFO=y its choice of transports, go to standard error.
Arguments: major version of CUDA. Prints JSON: `error` (empty where all is well) and `plugins`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

BYTES = 1 << 20
PATTERN = b"dynfleet" * (BYTES // 8)
SECONDS = 20
ADDRESS = struct.Struct("<Q")


class NoTransfer(Exception):
    """Why nothing was transferred."""


def load(cuda: int) -> Any:
    """NIXL's extension for a CUDA major. Raises NoTransfer."""
    name = f"nixl_cu{cuda}"
    found = importlib.util.find_spec(name)
    folders = found.submodule_search_locations if found else None
    files = [file for folder in folders or () for file in Path(folder).glob("_bindings*.so")]
    if not files:
        raise NoTransfer(f"the release has no {name} (NIXL for CUDA {cuda})")
    spec = importlib.util.spec_from_file_location(f"{name}._bindings", files[0])
    if spec is None or spec.loader is None:
        raise NoTransfer(f"{files[0]} is no extension")
    try:
        bindings = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bindings)
    except ImportError as error:
        raise NoTransfer(f"{name} cannot be loaded: {error}") from error
    return bindings


class Agent:
    """An agent with UCX and a megabyte of memory."""

    def __init__(self, nixl: Any, name: str) -> None:
        self.nixl = nixl
        config = nixl.nixlAgentConfig()
        config.useProgThread = True
        self.agent = nixl.nixlAgent(name, config)
        self.plugins = list(self.agent.getAvailPlugins())
        if "UCX" not in self.plugins:
            raise NoTransfer(f"NIXL finds no UCX plugin, only {', '.join(self.plugins) or 'none'}")
        try:
            backend = self.agent.createBackend("UCX", {})
        except Exception as error:  # NIXL's own kinds have no other base
            raise NoTransfer(f"NIXL cannot use UCX ({error})") from error
        self.memory = mmap.mmap(-1, BYTES)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        listed = nixl.nixlRegDList(nixl.DRAM_SEG)
        listed.append((self.address, BYTES, 0, ""))
        self.agent.registerMem(listed, [backend])

    def descriptor(self, address: int) -> Any:
        """A list of the one block at an address."""
        listed = self.nixl.nixlXferDList(self.nixl.DRAM_SEG)
        listed.append((address, BYTES, 0))
        return listed

    def write(self, metadata: bytes, address: int) -> None:
        """Write the memory to another agent's. Raises NoTransfer."""
        nixl = self.nixl
        self.memory[:] = PATTERN
        peer = self.agent.loadRemoteMD(metadata)
        peer = peer.decode() if isinstance(peer, bytes) else peer
        request = self.agent.createXferReq(
            nixl.NIXL_WRITE, self.descriptor(self.address), self.descriptor(address), peer, b""
        )
        status = self.agent.postXferReq(request, b"")
        deadline = time.monotonic() + SECONDS
        while status == nixl.NIXL_IN_PROG:
            if time.monotonic() > deadline:
                raise NoTransfer(f"a megabyte did not arrive within {SECONDS} s")
            time.sleep(0.002)
            status = self.agent.getXferStatus(request)
        if status != nixl.NIXL_SUCCESS:
            raise NoTransfer(f"the transfer ended with {status}")


def target(cuda: int, told: int, asked: int) -> int:
    """The other process: 0 where the data arrived."""
    try:
        agent = Agent(load(cuda), "target")
    except Exception:
        return 1  # the first one meets the same, and says it
    os.write(told, ADDRESS.pack(agent.address) + agent.agent.getLocalMD())
    os.close(told)
    os.read(asked, 1)
    return 0 if agent.memory[:] == PATTERN else 2


def read_all(pipe: int) -> bytes:
    """Everything until the other end is closed."""
    parts = []
    while part := os.read(pipe, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def transfer(cuda: int) -> list[str]:
    """Transfer between two processes; the plugins found. Raises NoTransfer."""
    listening, telling = os.pipe()
    waiting, asking = os.pipe()
    # Before anything is loaded: NIXL has threads.
    child = os.fork()
    if child == 0:
        os.close(listening)
        os.close(asking)
        os._exit(target(cuda, telling, waiting))
    os.close(telling)
    os.close(waiting)
    agent = Agent(load(cuda), "initiator")
    told = read_all(listening)
    if not told:
        raise NoTransfer("the second agent did not come up")
    (address,) = ADDRESS.unpack_from(told)
    agent.write(told[ADDRESS.size :], address)
    os.write(asking, b"\n")
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise NoTransfer("what arrived is not what was sent")
    return agent.plugins


def main() -> None:
    """Entry point."""
    out = os.dup(1)
    os.dup2(2, 1)  # UCX writes to standard output
    result: dict[str, Any] = {"error": "", "plugins": []}
    try:
        result["plugins"] = transfer(int(sys.argv[1]))
    except Exception as error:
        result["error"] = str(error)
    os.write(out, json.dumps(result).encode() + b"\n")
    # Not the libraries' own clean-up, which may wait for a peer that is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
