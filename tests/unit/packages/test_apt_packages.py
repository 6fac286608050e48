"""Packages where somebody else has locked apt: the real apt and dpkg, on a package database of
their own in a mount namespace, with a package that holds nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/usr/bin/python3"
PACKAGE = "dynfleet-nothing"
CONTROL = f"""Package: {PACKAGE}
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: nothing
"""
APT = """Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{0}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{0}/cache";
Dir::Log "{0}/log";
APT::Sandbox::User "root";
"""
PLAY = f"""- hosts: localhost
  gather_facts: false
  connection: local
  tasks:
    - name: Install
      apt_packages:
        name: [{PACKAGE}]
        update_cache: true
  vars:
    ansible_python_interpreter: {PYTHON}
"""
# A stand-in for unattended upgrades: it holds the lock as they do.
HOLDER = """import fcntl, sys, time
held = open(sys.argv[1], "w")
fcntl.lockf(held, fcntl.LOCK_EX)
print(flush=True)
time.sleep(600)
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A package database, and a repository of one package."""
    if os.geteuid() != 0 or not shutil.which("dpkg-deb"):
        pytest.skip("needs root and dpkg")
    if subprocess.run([PYTHON, "-c", "import apt"], check=False, capture_output=True).returncode:
        pytest.skip("needs python3-apt")
    shutil.copytree("/var/lib/dpkg", tmp_path / "dpkg")
    for name in ("state/lists/partial", "cache/archives/partial", "log", "package/DEBIAN"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package/DEBIAN/control").write_text(CONTROL)
    deb = tmp_path / "repository" / f"{PACKAGE}_1_all.deb"
    deb.parent.mkdir()
    build = ["dpkg-deb", "--root-owner-group", "--build", tmp_path / "package", deb]
    subprocess.run(build, check=True, capture_output=True)
    sha256 = hashlib.sha256(deb.read_bytes()).hexdigest()
    entry = f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256}\n"
    (deb.parent / "Packages").write_text(CONTROL + entry)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{deb.parent} ./\n")
    (tmp_path / "apt.conf").write_text(APT.format(tmp_path))
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "unattended-upgrade").write_text(HOLDER)
    return tmp_path


def installed(host: Path) -> bool:
    return f"Package: {PACKAGE}\n" in (host / "dpkg" / "status").read_text()


def install(host: Path, seconds: int, *more: str, given_back: bool = False) -> tuple[int, str, int]:
    """Install while the lock is held; exit code, output, and the holder's id.

    given_back: as soon as it is said that somebody waits for it.
    """
    lock = str(host / "dpkg" / "lock-frontend")
    with subprocess.Popen(
        [sys.executable, str(host / "unattended-upgrade"), lock], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        play = f"{Path(sys.executable).parent}/ansible-playbook {host}/play.yml {' '.join(more)}"
        with subprocess.Popen(
            [
                *("unshare", "--mount", "sh", "-ec"),
                f"mount --bind {host}/dpkg /var/lib/dpkg; "
                f"exec {play} -e dynamo_apt_lock_seconds={seconds}",
            ],
            env={
                **os.environ,
                "APT_CONFIG": str(host / "apt.conf"),
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_LOCALHOST_WARNING": "false",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as run:
            assert run.stdout is not None
            said = []
            for line in run.stdout:
                said.append(line)
                if given_back and "apt waits" in line:
                    holder.kill()
        holder.kill()
    return run.returncode, " ".join("".join(said).split()), holder.pid


def test_lock_that_is_given_back_is_waited_for(host: Path) -> None:
    code, said, pid = install(host, 120, given_back=True)
    assert code == 0, said
    wait = (
        f"localhost: apt waits for unattended-upgrade (pid {pid}), which holds /var/lib/dpkg/lock"
    )
    assert wait in said
    assert "of at most 120 s" in said
    assert installed(host)


def test_lock_that_is_kept_is_told_with_its_holder(host: Path) -> None:
    code, said, pid = install(host, 3)
    assert code != 0
    assert "apt stayed locked for the 3 s allowed (dynamo_apt_lock_seconds), by una" in said
    assert f"unattended-upgrade (pid {pid}), which holds /var/lib/dpkg/lock-frontend" in said
    assert not installed(host)


def test_check_mode_does_not_wait(host: Path) -> None:
    """It makes nothing of the lists either: the package is not known yet."""
    code, said, _ = install(host, 100, "--check")
    assert code != 0
    assert f"No package matching '{PACKAGE}' is available" in said
    assert "apt waits" not in said
