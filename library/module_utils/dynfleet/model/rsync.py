"""Files by rsync, several processes at once; what was had is compared, not fetched again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ansible.module_utils.dynfleet.model.journal import Part, Record
from ansible.module_utils.dynfleet.model.piece import FetchError
from ansible.module_utils.dynfleet.model.pool import Pool, Stopped
from ansible.module_utils.dynfleet.model.transfer import ATTEMPTS, LATE, LONGEST_PAUSE, ON, reported

# Network trouble, of rsync and of ssh (rsync(1), EXIT VALUES).
AGAIN = frozenset((10, 12, 30, 35, 255))
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
# Names come on standard input; --copy-links, for a hub's cache is made of links.
OPTIONS = (
    *("--files-from=-", "--inplace", "--partial", "--ignore-times", "--copy-links"),
    *("--secluded-args", "--timeout=60"),
)


def command(place: str, target: Path, *more: str) -> list[str]:
    """The argument list that fetches the files named on standard input."""
    # With a shell named, even the daemon of rsync:// would be asked for by ssh.
    shell = [] if place.startswith("rsync://") else [f"--rsh={SSH}"]
    return ["rsync", *OPTIONS, *shell, *more, "--", f"{place}/", f"{target}/"]


def shares(records: Sequence[Record], jobs: int) -> list[list[Record]]:
    """The files in lists of about the same size, the largest first."""
    lists: list[list[Record]] = [[] for _ in range(min(jobs, len(records)))]
    for record in sorted(records, key=lambda item: -item.file.size):
        min(lists, key=lambda part: sum(item.file.size for item in part)).append(record)
    return lists


def names(records: Sequence[Record]) -> str:
    """Standard input of rsync."""
    return "".join(f"{record.file.path}\n" for record in records)


def probe(place: str, records: Sequence[Record], target: Path) -> None:
    """Ask whether the source has the files; raises FetchError. Needs rsync on this host."""
    if not shutil.which("rsync"):
        return
    argv = command(place, target, "--dry-run")
    try:
        done = subprocess.run(
            argv, input=names(records), capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{place}: rsync did not answer within 120 s") from error
    if done.returncode:
        raise FetchError(said(place, done.returncode, done.stderr))


def said(place: str, code: int, stderr: str) -> str:
    """What rsync said, on one line."""
    return f"{place}: rsync ended with {code}: {' '.join(stderr.split())[:500]}"


class Fetch:
    """The files of a model by rsync; lock: a handle that processes outliving this one keep held."""

    def __init__(
        self, place: str, records: Sequence[Record], staging: Path, deadline: float, lock: int
    ) -> None:
        self.place, self.records, self.staging = place, records, staging
        self.deadline, self.lock = deadline, lock

    def run(self, jobs: int) -> None:
        """Bring the files; their digests are checked afterwards."""
        todo = [record for record in self.records if record.verified is None]
        pool = Pool(jobs)
        for share in shares(todo, jobs):
            pool.add(0, partial(self._share, share, pool))
        # rsync says nothing of use: what lies on the disk is the progress.
        with reported(self.staging, self.records, self._measure):
            pool.run()

    def _measure(self) -> None:
        for record in self.records:
            path = self.staging / record.file.path
            if record.verified is None and path.is_file():
                size = min(path.stat().st_size, record.file.size)
                record.parts = [Part(0, record.file.size, size)]

    def _share(self, share: Sequence[Record], pool: Pool) -> None:
        for attempt in range(ATTEMPTS):
            code, stderr = self._once(share, pool)
            if code == 0:
                return
            if code not in AGAIN:
                break
            if pool.stop.wait(min(2**attempt, LONGEST_PAUSE)):
                raise Stopped
        raise FetchError(f"{said(self.place, code, stderr)}. {ON}")

    def _once(self, share: Sequence[Record], pool: Pool) -> tuple[int, str]:
        with subprocess.Popen(
            command(self.place, self.staging),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(self.lock,),
        ) as process:
            given: str | None = names(share)
            while True:
                try:
                    stderr = process.communicate(given, timeout=1)[1]
                    return process.returncode, stderr
                except subprocess.TimeoutExpired:
                    given = None
                if pool.stop.is_set() or time.monotonic() > self.deadline:
                    process.terminate()
                    if pool.stop.is_set():
                        raise Stopped
                    raise FetchError(LATE)
