"""A host of its own to log in to: a real sshd, sudo and su, which leave nothing on this machine.

All of it runs in namespaces with their own /etc/passwd, /etc/shadow, /etc/sudoers, /root and /home,
and ends with the one process that is its parent. Needs root, sshd and sudo.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

# Of users who live for one test.
PHRASE = "pass'word $1"
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")
NEEDED = bool(SSHD and shutil.which("sudo") and os.geteuid() == 0)

# ops: sudo without a password, from a terminal or not. asked: sudo asks. none: no sudo, su alone.
USERS = ("ops", "asked", "none")
SUDOERS = """Defaults use_pty, env_reset
root ALL=(ALL:ALL) ALL
ops ALL=(ALL:ALL) NOPASSWD: ALL
asked ALL=(ALL:ALL) ALL
"""
CONFIG = """Port {port}
ListenAddress 127.0.0.1
ListenAddress ::1
HostKey {directory}/host_key
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication yes
AuthorizedKeysFile {directory}/%u.keys
Subsystem sftp internal-sftp
"""
START = """set -eu
for place in /run /root /home; do mount -t tmpfs -o mode=755 none $place; done
mkdir -p /run/sshd
for file in passwd group shadow sudoers; do mount --bind "$1/$file" "/etc/$file"; done
for user in ops asked none; do install -d -o "$user" "/home/$user"; done
exec "$2" -D -e -f "$1/sshd_config"
"""


def free_port() -> int:
    """A port that is free on both loopback addresses."""
    with socket.socket(socket.AF_INET6) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", 0))
        return int(one.getsockname()[1])


def key(path: Path) -> str:
    """Make a key; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(path.suffix + ".pub").read_text()


class SshHost:
    """The host. directory: for all to enter; holds its files and the client's key."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.log = directory / "sshd.log"
        self.key = directory / "client key"
        public = key(self.key)
        host = key(directory / "host_key")
        for user in ("root", "ops", "asked"):
            (directory / f"{user}.keys").write_text(public)
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.write_text(
            "".join(f"[{a}]:{self.port} {host}" for a in ("127.0.0.1", "::1"))
        )
        self._accounts()
        (directory / "sshd_config").write_text(CONFIG.format(port=self.port, directory=directory))

    def _accounts(self) -> None:
        etc = self.directory
        crypted = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"],
            input=PHRASE,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        shadow = [f"root:{crypted}:19000:0:99999:7:::"]
        for uid, user in enumerate(USERS, start=61234):
            passwd += f"{user}:x:{uid}:{uid}::/home/{user}:/bin/sh\n"
            group += f"{user}:x:{uid}:\n"
            shadow.append(f"{user}:{crypted}:19000:0:99999:7:::")
        (etc / "passwd").write_text(passwd)
        (etc / "group").write_text(group)
        for name, text, mode in (
            ("shadow", "\n".join(shadow) + "\n", 0o600),
            ("sudoers", SUDOERS, 0o440),
        ):
            (etc / name).touch(0o600)
            (etc / name).write_text(text)
            (etc / name).chmod(mode)

    def __enter__(self) -> SshHost:
        assert SSHD
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*namespaces, "sh", "-c", START, "sh", str(self.directory), SSHD],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("::1", self.port), timeout=1).close()
                return self
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
