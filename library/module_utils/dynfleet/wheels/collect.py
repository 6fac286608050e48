"""The wheels of one release, collected into a directory that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.files import sha256_of
from ansible.module_utils.dynfleet.wheels import lock, names, origins, pip
from ansible.module_utils.dynfleet.wheels.lock import Entry
from ansible.module_utils.dynfleet.wheels.names import WheelError, WheelName

# The part of a release that takes all that was built.
WORKER = "worker"
# Downloads at once: one large wheel does not hold up the small ones.
AT_ONCE = 4


@dataclass(frozen=True)
class Wanted:
    """What a release is made of.

    locks: text of the base lock by name (``worker-py3.12``); installer: one more pin, for each.
    glibc: N of the hosts' glibc 2.N; builds: facts of the build roles.
    """

    release: str
    release_set: str
    locks: Mapping[str, str]
    installer: str
    glibc: int
    builds: Sequence[Mapping[str, Any]]

    def built(self) -> list[Mapping[str, Any]]:
        return [wheel for build in self.builds for wheel in build["wheels"]]

    def built_for(self, name: str) -> list[Mapping[str, Any]]:
        """The built wheels that a lock takes: the workers' all of them, another one those of the
        packages and versions that it pins (a patched Dynamo reaches frontends of its version)."""
        if lock.part_of(name) == WORKER:
            return self.built()
        pinned = {(entry.name, entry.version) for entry in lock.parsed(self.locks[name])}
        return [
            wheel
            for wheel in self.built()
            if (names.normalised(wheel["name"]), wheel["version"]) in pinned
        ]

    def lock_names(self) -> list[str]:
        """Names of the locks that every built wheel fits: another Python gets none."""

        def fits(name: str) -> bool:
            wheels = [names.parsed(wheel["file"]) for wheel in self.built_for(name)]
            return all(names.fits_python(wheel, lock.python_of(name)) for wheel in wheels)

        found = [name for name in self.locks if fits(name)]
        lacking = {lock.part_of(name) for name in self.locks} - {lock.part_of(n) for n in found}
        if lacking:
            part = min(lacking)
            known = ", ".join(lock.python_of(n) for n in self.locks if lock.part_of(n) == part)
            files = ", ".join(wheel["file"] for wheel in self.built())
            raise WheelError(
                f"{files}: built for none of the release set's Pythons ({known}). "
                "The builder has to run a distribution release that worker hosts run too"
            )
        return found

    def from_index(self) -> dict[str, list[Entry]]:
        """What has to come from the index, by name of the lock."""
        installer = lock.parsed(self.installer)
        return {
            name: lock.without(
                lock.parsed(self.locks[name]), [wheel["name"] for wheel in self.built_for(name)]
            )
            + installer
            for name in self.lock_names()
        }

    def final_locks(self) -> dict[str, str]:
        """Text of the lock that hosts install, by its name."""
        return {
            name: lock.composed(
                self.locks[name],
                [(w["name"], w["version"], w["sha256"]) for w in self.built_for(name)],
            )
            for name in self.lock_names()
        }


@dataclass
class Collection:
    """A release in the making.

    index: what has to come from the index, by name of the lock. have: sha256 of each wheel that is
    there, by file name. lock: handle that downloads inherit.
    """

    wanted: Wanted
    directory: Path
    lock: int
    index: dict[str, list[Entry]] = field(init=False)
    have: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = self.wanted.from_index()

    def fitting(self, entry: Entry, python: str) -> str | None:
        """The file that is there for a package and a Python."""
        for file, sha256 in self.have.items():
            if sha256 in entry.hashes and self.fits(names.parsed(file), entry, python):
                return file
        return None

    def fits(self, wheel: WheelName, entry: Entry, python: str) -> bool:
        return (
            wheel.name == entry.name
            and names.fits_python(wheel, python)
            and names.fits_platform(wheel, self.wanted.glibc)
        )

    def link_from(self, other: Path) -> None:
        """Take what another release has of the same packages; digests are looked at later."""
        packages = {entry.name for entries in self.index.values() for entry in entries}
        for path in other.glob("*.whl"):
            with suppress(WheelError, FileExistsError):
                if names.parsed(path.name).name in packages:
                    os.link(path, self.directory / path.name)

    def look(self) -> None:
        """Take stock. What no lock names, or is not whole, goes."""
        found = {}
        for path in sorted(self.directory.glob("*.whl")):
            sha256 = self.have.get(path.name) or sha256_of(path)
            if self.named(path.name, sha256):
                found[path.name] = sha256
            else:
                path.unlink()
        self.have = found

    def named(self, file: str, sha256: str) -> bool:
        """Whether a lock names a file."""
        wheel = names.parsed(file)
        return any(
            sha256 in entry.hashes and self.fits(wheel, entry, lock.python_of(name))
            for name, entries in self.index.items()
            for entry in entries
        )

    def missing(self, name: str) -> list[Entry]:
        python = lock.python_of(name)
        return [entry for entry in self.index[name] if self.fitting(entry, python) is None]

    def download(self, timeout: int) -> list[str]:
        """Have pip load what is missing, lock after lock: they share files. What was loaded."""
        self.look()
        before = set(self.have)
        for name in self.index:
            python = lock.python_of(name)
            work = self.directory / ".batches"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            lists = []
            for number, batch in enumerate(pip.batches(self.missing(name))):
                lists.append(work / f"{name}-{number}.txt")
                lists[-1].write_text("".join(entry.text.rstrip("\n") + "\n" for entry in batch))
            self.run_batches(python, lists, timeout)
            shutil.rmtree(work)
            if lists:
                self.look()
            if lacking := self.missing(name):
                raise WheelError(
                    f"the index has no file for {name} (glibc 2.{self.wanted.glibc}) of "
                    f"{', '.join(map(str, lacking))}"
                )
        return sorted(set(self.have) - before)

    def run_batches(self, python: str, lists: Sequence[Path], timeout: int) -> None:
        """Load some batches at a time; the first failure keeps the rest from starting."""
        pool = ThreadPoolExecutor(max_workers=AT_ONCE)
        try:
            for task in [pool.submit(self.load, python, path, timeout) for path in lists]:
                task.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def load(self, python: str, requirements: Path, timeout: int) -> None:
        """Load a batch. pip takes a file that broke off for another one: a wrong digest counts if
        it is the same wrong one twice."""
        first = self.run_pip(python, requirements, timeout)
        if not first:
            return
        mismatch = pip.mismatch(first)
        second = self.run_pip(python, requirements, timeout) if mismatch else first
        if not second:
            return
        if mismatch and (again := pip.mismatch(second)) and again["got"] != mismatch["got"]:
            raise WheelError(f"pip download: {pip.broken_off(again)}")
        raise WheelError(f"pip download: {pip.explained(second)}")

    def run_pip(self, python: str, requirements: Path, timeout: int) -> str:
        """Output of a pip that failed; empty where it did not."""
        target = str(self.directory)
        argv = pip.download_command(python, self.wanted.glibc, str(requirements), target)
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                cwd="/",
                pass_fds=(self.lock,),
            )
        except subprocess.TimeoutExpired:
            raise WheelError(
                f"pip ran longer than {timeout} s; what was loaded is kept, run this again"
            ) from None
        return done.stderr + done.stdout if done.returncode != 0 else ""

    def add_built(self) -> None:
        """Copy the built wheels, each compared with the digest that its build names."""
        for wheel in self.wanted.built():
            target = self.directory / wheel["file"]
            # It may be a link to another release's file.
            target.unlink(missing_ok=True)
            shutil.copyfile(wheel["path"], target)
            sha256 = sha256_of(target)
            if sha256 != wheel["sha256"]:
                target.unlink()
                raise WheelError(
                    f"{wheel['path']} has sha256 {sha256}, its build names {wheel['sha256']}: "
                    "the file was changed after it was built; remove its directory to build anew"
                )
            self.have[wheel["file"]] = sha256

    def finish(self) -> None:
        """Write the final locks and the record; whatever root's umask, all can be read."""
        locks = self.wanted.final_locks()
        for base in self.directory.glob("*-py*.txt"):
            base.unlink()
        for name, text in locks.items():
            (self.directory / f"{name}.txt").write_text(text)
        record = origins.record(
            self.wanted.release,
            self.wanted.release_set,
            {name: lock.digest(text) for name, text in locks.items()},
            {n: (s, (self.directory / n).stat().st_size) for n, s in self.have.items()},
            self.wanted.builds,
        )
        (self.directory / origins.FILE).write_text(json.dumps(record, indent=1) + "\n")
        self.directory.chmod(0o755)
        for path in self.directory.iterdir():
            path.chmod(0o644)
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
