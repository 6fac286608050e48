"""One lab host: its disk, its files, its boot and its end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import lab_host_files as texts
from ansible.module_utils.dynfleet import lab_processes as processes
from ansible.module_utils.dynfleet.lab import Host, Lab
from ansible.module_utils.dynfleet.lab_host_files import File
from ansible.module_utils.dynfleet.lab_machine import LabError, mounts_below, run, unmount_below
from ansible.module_utils.dynfleet.lab_write import replace, same

SYSTEMD = Path("/run/systemd/system")
NSPAWN = Path("/run/systemd/nspawn")


class LabHost:
    """A host by name. What it was made with lies in its record."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.directory = Path(lab.directory) / "hosts" / name
        self.root = self.directory / "root"
        self.archives = Path(lab.cache) / "apt" / "hosts" / lab.bridge / name
        self.argument = texts.root_argument(str(self.root))
        self.group = f"{lab.bridge}/{name}"

    def record(self) -> dict[str, Any]:
        """Suite, cached root and command that the host was made with."""
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.directory / "record.json").read_text())
            return found
        return {}

    def write_record(self, record: dict[str, Any]) -> None:
        path = self.directory / "record.json"
        path.with_suffix(".new").write_text(json.dumps(record))
        path.with_suffix(".new").replace(path)

    def pool(self, suite: str) -> Path:
        """Packages that hosts of the suite downloaded before."""
        return Path(self.lab.cache) / "apt" / "pool" / suite

    def process(self) -> int | None:
        """The host's nspawn."""
        for pid in processes.with_argument(self.argument):
            # With its path, where systemd started it.
            if Path(processes.arguments(pid)[0]).name == "systemd-nspawn":
                return pid
        return None

    def supervised(self) -> bool:
        """Whether somebody starts the host again when it reboots."""
        return SYSTEMD.is_dir() or len(processes.with_argument(self.argument)) > 1

    def has_disk(self) -> bool:
        return (self.directory / "upper").is_dir()

    def mounted(self) -> bool:
        return mounts_below(self.root) == [str(self.root)]

    def keys(self) -> tuple[bytes, bytes]:
        """The host's ssh key, made on first use."""
        key = self.directory / "ssh_host_ed25519_key"
        if not key.with_suffix(".pub").exists():
            make_key(key, f"root@{self.name}")
        return key.read_bytes(), key.with_suffix(".pub").read_bytes()

    def stop(self) -> bool:
        """Power off hard, keep the disk; whether it was running."""
        was_running = bool(processes.with_argument(self.argument))
        processes.kill_argument(self.argument)
        for group in processes.control_groups(self.group):
            was_running = was_running or group.exists()
            processes.clear_control_group(group)
        if SYSTEMD.is_dir():
            self.leave_unit()
        self.clear_runtime()
        return was_running

    def clear_runtime(self) -> None:
        """Remove what a killed nspawn leaves in /run; a newer one refuses to boot over it."""
        machine = self.lab.machine(self.name)
        # The kernel takes a dead container's network away when it gets to it, and with it the
        # link by whose name (or, where that is too long, alternative name) a new one is made.
        with suppress(LabError):
            run("ip", "link", "delete", f"vb-{machine}")
        for part in ("propagate", "unix-export"):
            directory = NSPAWN / part / machine
            unmount_below(directory)
            shutil.rmtree(directory, ignore_errors=True)
        with suppress(FileNotFoundError):
            info = self.root.stat()
            (NSPAWN / "locks" / f"inode-{info.st_dev}:{info.st_ino}").unlink()

    def leave_unit(self) -> None:
        """Wait until the service is gone, and with it every process of the host."""
        unit = f"{self.lab.machine(self.name)}.service"
        subprocess.run(["systemctl", "stop", unit], capture_output=True, timeout=60, check=False)

    def drop_disk(self) -> None:
        """End the host and forget what it wrote; its name and key stay."""
        self.stop()
        self.keep_packages()
        unmount_below(self.directory)
        (self.directory / "record.json").unlink(missing_ok=True)
        for part in ("upper", "work"):
            shutil.rmtree(self.directory / part, ignore_errors=True)
        shutil.rmtree(self.archives, ignore_errors=True)

    def remove(self) -> None:
        """End the host and leave nothing of it."""
        self.drop_disk()
        shutil.rmtree(self.directory, ignore_errors=True)

    def keep_packages(self) -> None:
        """Give the packages that the host downloaded to those that come after it.

        One directory for all would make them wait for each other: apt locks it.
        """
        suite = self.record().get("suite")
        if not suite or not self.archives.is_dir():
            return
        pool = self.pool(suite)
        pool.mkdir(parents=True, exist_ok=True)
        for package in self.archives.glob("*.deb"):
            with suppress(FileExistsError):
                os.link(package, pool / package.name)

    def take_packages(self, suite: str) -> None:
        self.archives.mkdir(parents=True, exist_ok=True)
        for package in self.pool(suite).glob("*.deb"):
            with suppress(FileExistsError):
                os.link(package, self.archives / package.name)

    def mount(self, cached_root: str) -> None:
        """The host's disk: a writable layer over the cached root."""
        unmount_below(self.root)
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={cached_root},upperdir={self.directory}/upper,"
        options += f"workdir={self.directory}/work"
        try:
            run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        except LabError as error:
            raise LabError(
                f"{error}\nThe kernel needs overlayfs (modprobe overlay), and lab_dir "
                f"{self.lab.directory} a file system that it takes as its upper layer "
                "(ext4 or xfs, not another overlay)"
            ) from None

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def boot(self, host: Host, files: dict[str, File], cached_root: str) -> None:
        """Mount the disk, write the files and start; ssh answers some seconds later."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.take_packages(host.suite)
        for bind in host.binds:
            if not bind.read_only:
                Path(bind.source).mkdir(parents=True, exist_ok=True)
        command = self.command(host)
        # Recorded first: a half-made host is still known as one of this suite and root.
        record = {"suite": host.suite, "root": cached_root, "command": digest(command)}
        self.write_record(record)
        self.mount(cached_root)
        for path, file in files.items():
            if not same(self.path(path), file):
                replace(self.path(path), file)
        if SYSTEMD.is_dir():
            run(*texts.unit_command(self.lab, host, command))
        else:
            self.supervise(command)

    def command(self, host: Host) -> list[str]:
        return texts.nspawn_command(self.lab, host, str(self.root), str(self.archives))

    def command_changed(self, host: Host) -> bool:
        """Whether it was booted with other binds or on another bridge."""
        return bool(self.record().get("command") != digest(self.command(host)))

    def supervise(self, command: Sequence[str]) -> None:
        """Start nspawn under a shell that outlives this run."""
        groups = processes.control_groups(self.group)
        if not groups:
            raise LabError(
                "no control groups of version 2 are mounted: "
                "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
            )
        for group in groups:
            group.mkdir(parents=True, exist_ok=True)
        joined = " ".join(map(str, groups))
        with (self.directory / "console.log").open("wb") as log:
            subprocess.Popen(
                ["sh", "-c", texts.SUPERVISOR, "lab-supervisor", joined, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=texts.nspawn_environment(),
                cwd="/",
                start_new_session=True,
            )

    def answers(self, address: str) -> bool:
        """Whether sshd says its name."""
        try:
            with socket.create_connection((address, 22), timeout=1) as peer:
                peer.settimeout(2)
                return peer.recv(8).startswith(b"SSH-")
        except OSError:
            return False

    def wait(self, address: str, timeout: int) -> None:
        """Wait for ssh."""
        begin = time.monotonic()
        while not self.answers(address):
            waited = time.monotonic() - begin
            if waited > 3 and not processes.with_argument(self.argument):
                raise LabError(f"{self.name} ended while booting. {self.last_words()}")
            if waited > timeout:
                raise LabError(
                    f"{self.name}: no ssh on {address}:22 within {timeout} s. {self.last_words()}"
                )
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of the console."""
        if SYSTEMD.is_dir():
            unit = self.lab.machine(self.name)
            return f"See journalctl --unit {unit}"
        log = self.directory / "console.log"
        lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        return f"The end of {log}:\n" + "\n".join(lines)

    def port(self) -> str | None:
        """The host's interface on the machine's side."""
        pid = self.process()
        init = processes.child(pid) if pid else None
        if init is None:
            return None
        link = Path(f"/proc/{init}/root/sys/class/net/host0/iflink")
        with suppress(OSError):
            index = link.read_text()
            for entry in Path("/sys/class/net").iterdir():
                if (entry / "ifindex").read_text() == index:
                    return entry.name
        return None


def digest(command: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(command).encode()).hexdigest()


def make_key(path: Path, comment: str) -> None:
    """A fresh ed25519 key; a half-made one is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
