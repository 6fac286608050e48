"""A signed apt repository in one directory: packages with their closure, and a key for it alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.dynfleet.bundle import closure
from ansible.module_utils.dynfleet.bundle.closure import Package
from ansible.module_utils.dynfleet.files import sha256_of

HOST_ARCHIVES = Path("/var/cache/apt/archives")
KEY = "key.asc"
# What makes a directory a repository; InRelease is written last.
INDEXES = ("Packages", "Release", KEY, "InRelease")


class RepositoryError(Exception):
    """The repository could not be made; the message says why."""


def run(argv: Sequence[str], timeout: int, **options: object) -> str:
    """Run a tool of the distribution; its output becomes the error."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **proxies()},
            **options,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired as error:
        raise RepositoryError(f"{argv[0]} ran longer than {timeout} s") from error
    if done.returncode != 0:
        raise RepositoryError(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return str(done.stdout)


def proxies() -> dict[str, str]:
    """The host's proxy variables, which apt may need."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


class Repository:
    """A directory with the packages of one distribution release."""

    def __init__(self, directory: Path, timeout: int) -> None:
        self.directory = directory
        self.timeout = timeout
        # apt's own while it loads; what it has loaded is there for the next run.
        self.work = directory / ".apt"

    def wanted(self, names: Sequence[str]) -> list[Package]:
        """The packages with their closure, by the host's own package lists."""
        with tempfile.TemporaryDirectory(prefix="closure-") as place:
            status, archives = f"{place}/status", f"{place}/archives"
            Path(status).touch()
            Path(archives, "partial").mkdir(parents=True)
            argv = closure.command(status, archives, names, "--print-uris")
            try:
                return closure.parsed(run(argv, self.timeout))
            except ValueError as error:
                raise RepositoryError(str(error)) from error

    def missing(self, wanted: Sequence[Package]) -> list[Package]:
        """What is not there with the digest of the package list."""
        return [package for package in wanted if not self.is_there(package)]

    def is_there(self, package: Package) -> bool:
        path = self.directory / package.file
        return path.is_file() and sha256_of(path) == package.sha256

    def load(self, names: Sequence[str], wanted: Sequence[Package]) -> None:
        """Take what apt of this host has already, and have it load the rest."""
        self.take_from(HOST_ARCHIVES, wanted)
        if not self.missing(wanted):
            return
        archives = self.work / "archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        (self.work / "status").touch()
        for package in wanted:
            if self.is_there(package) and not (archives / package.cached).exists():
                os.link(self.directory / package.file, archives / package.cached)
        status = str(self.work / "status")
        run(closure.command(status, str(archives), names, "--download-only"), self.timeout)
        self.take_from(archives, wanted)
        for package in self.missing(wanted):
            path = archives / package.cached
            seen = f"has sha256 {sha256_of(path)}" if path.is_file() else "was not loaded"
            path.unlink(missing_ok=True)
            raise RepositoryError(
                f"{package.url} {seen}, the distribution's package list says {package.sha256}"
            )

    def take_from(self, archives: Path, wanted: Sequence[Package]) -> None:
        """Copy files that have the right digest."""
        for package in self.missing(wanted):
            path = archives / package.cached
            if path.is_file() and sha256_of(path) == package.sha256:
                (self.directory / package.file).unlink(missing_ok=True)
                with suppress(OSError):
                    os.link(path, self.directory / package.file)
                    continue
                shutil.copyfile(path, self.directory / package.file)

    def sign(self, wanted: Sequence[Package]) -> bool:
        """Write the indexes of exactly these files, unless they are there; whether written."""
        keep = {package.file for package in wanted}
        for path in self.directory.iterdir():
            if path.is_file() and path.name not in (*keep, *INDEXES):
                path.unlink()
        shutil.rmtree(self.work, ignore_errors=True)
        packages = run(["apt-ftparchive", "packages", "."], self.timeout, cwd=self.directory)
        index = self.directory / "Packages"
        if index.is_file() and index.read_text() == packages and self.is_signed():
            return False
        for name in INDEXES:
            (self.directory / name).unlink(missing_ok=True)
        index.write_text(packages)
        release = run(["apt-ftparchive", "release", "."], self.timeout, cwd=self.directory)
        (self.directory / "Release").write_text(release)
        self.sign_release()
        for path in self.directory.iterdir():
            path.chmod(0o644)
        return True

    def is_signed(self) -> bool:
        return all((self.directory / name).is_file() for name in INDEXES)

    def sign_release(self) -> None:
        """Sign with a new key, whose private part goes away with its directory."""
        with tempfile.TemporaryDirectory(prefix="key-") as home:
            gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-tty"]
            try:
                name = f"dynfleet bundle {self.directory.name}"
                unprotected = ("--pinentry-mode", "loopback", "--passphrase", "")
                expiry = ("ed25519", "sign", "never")
                run([*gpg, *unprotected, "--quick-generate-key", name, *expiry], self.timeout)
                key = run([*gpg, "--armor", "--export"], self.timeout)
                (self.directory / KEY).write_text(key)
                run(
                    [*gpg, "--clearsign", "--output", "InRelease", "Release"],
                    self.timeout,
                    cwd=self.directory,
                )
            finally:
                kill = ["gpgconf", "--homedir", home, "--kill", "all"]
                subprocess.run(kill, capture_output=True, timeout=30, check=False)
