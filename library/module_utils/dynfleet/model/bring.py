"""A model onto this host's disk: what is missing, from where, and then all of it in one step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.dynfleet import nofollow
from ansible.module_utils.dynfleet.files import make_parents
from ansible.module_utils.dynfleet.lock import locked
from ansible.module_utils.dynfleet.model import hub, journal, room, rsync, tree
from ansible.module_utils.dynfleet.model.disk import DiskReader
from ansible.module_utils.dynfleet.model.journal import Record
from ansible.module_utils.dynfleet.model.manifest import NEEDED, File
from ansible.module_utils.dynfleet.model.piece import FetchError, Reader, Unanswered
from ansible.module_utils.dynfleet.model.source import CONTROLLER, DIRECTORY, HUB, RSYNC, Source
from ansible.module_utils.dynfleet.model.transfer import Transfer, link
from ansible.module_utils.dynfleet.model.web import Client, WebReader


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    path: as workers are told it. identity: of the revision. files: empty where the hub is asked
    for them. hub: its URL. exclude: patterns of files that are left out. verify: read every file
    again. user: who reads the model. jobs: connections. timeout: seconds.
    """

    path: Path
    identity: str
    source: Source
    files: Sequence[File]
    hub: str
    exclude: Sequence[str]
    token: str
    verify: bool
    user: str
    jobs: int
    timeout: float


@dataclass
class Plan:
    """What is to be done.

    damaged: the revision's directory is not whole. linked: the link says it. records: a file each.
    known: a file of this host by path, that was checked and can be linked.
    """

    files: list[File]
    damaged: list[str]
    linked: bool
    records: list[Record]
    known: dict[str, Path] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.damaged) or not self.linked

    @property
    def fetch(self) -> list[Record]:
        """Files that only the source has, as far as that is known without reading any."""
        return [
            record
            for record in self.records
            if record.verified is None
            and record.file.path not in self.known
            and not record.candidates
        ]


class Bring:
    """One model on this host."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.tree = tree.Tree(wanted.path, wanted.identity)
        self.client = Client(wanted.token)

    def reader(self) -> Reader | None:
        """How files are read; None where rsync or a push brings them."""
        source = self.wanted.source
        if source.kind in (RSYNC, CONTROLLER):
            return None
        if source.kind == DIRECTORY:
            return DiskReader(Path(source.place))
        return WebReader(self.client, lambda path: source.url(path, self.wanted.hub))

    def files(self, stamp: dict[str, object]) -> list[File]:
        """The revision's files; the hub is asked once, for a commit does not change."""
        if self.wanted.files:
            return list(self.wanted.files)
        if stamp:
            return tree.listed(stamp)
        return hub.listing(self.client, self.wanted.hub, self.wanted.source, self.wanted.exclude)

    def plan(self) -> Plan:
        """Look; changes nothing. Raises TreeError, FetchError or Unanswered."""
        self.tree.refuse()
        if place := room.closed(self.tree.final / NEEDED, self.wanted.user):
            raise tree.TreeError(
                f"{place} may not be entered by the user {self.wanted.user}, who reads the model: "
                f"chmod o+x {place}, or choose another dynamo_model_path"
            )
        stamp = tree.read_stamp(self.tree.final)
        files = self.files(stamp)
        good = dict(tree.stamped(self.tree.final, stamp))
        damaged = [file.path for file in files if good.get(file.path) != file.name]
        damaged += sorted(set(stamp) - {file.path for file in files})
        plan = Plan(files, damaged, self.tree.linked(), journal.load(self.tree.staging, files))
        if damaged or self.wanted.verify:
            self.look_around(plan)
        return plan

    def look_around(self, plan: Plan) -> None:
        """Find files on this host: those that were checked, and those that may be the same."""
        own, site = self.tree.final, self.wanted.path
        places = [own] if site.is_symlink() else [own, site]
        if not self.wanted.verify:
            for directory in (*self.tree.others(), own):
                stamp = tree.read_stamp(directory)
                checked = {name: directory / p for p, name in tree.stamped(directory, stamp)}
                plan.known.update(
                    {f.path: checked[f.name] for f in plan.files if f.name in checked}
                )
        for record in plan.records:
            file = record.file
            # What the controller pushes is sent before this host could compare.
            if file.path not in plan.known and self.wanted.source.kind != CONTROLLER:
                record.candidates = [
                    place / file.path for place in places if _size(place / file.path) == file.size
                ]

    def short(self, plan: Plan) -> str:
        """What to say where there is too little room, or nothing."""
        needed = sum(record.file.size for record in plan.fetch)
        begun = [self.tree.staging / record.file.path for record in plan.fetch]
        needed -= sum(path.stat().st_blocks * 512 for path in begun if path.is_file())
        return room.lack(self.tree.final, needed, [*self.tree.others(), *self.tree.left()])

    def problems(self, plan: Plan) -> list[str]:
        """What would keep the model from coming: no room, a source without it."""
        found = [self.short(plan)]
        try:
            self.probe(plan)
        except (FetchError, Unanswered) as error:
            found.append(str(error))
        return [text for text in found if text]

    def probe(self, plan: Plan) -> None:
        """Ask the source for what is to be fetched, and take none of it."""
        source, reader, fetch = self.wanted.source, self.reader(), plan.fetch
        if source.kind == RSYNC and fetch:
            rsync.probe(source.place, fetch, self.tree.staging)
        if reader is None:
            return
        if source.kind != DIRECTORY:
            # One answer stands for all: a hub or a store counts requests.
            fetch = sorted((r for r in fetch if r.file.size), key=lambda r: r.file.size)[:1]
        for record in fetch:
            reader.open(record.file, 0, min(record.file.size, 1), "").close()

    def apply(self) -> tuple[list[str], bool]:
        """Bring the model; the files that were fetched, and whether anything changed."""
        make_parents(self.wanted.path)
        deadline = time.monotonic() + self.wanted.timeout
        with locked(self.tree.lock, self.wanted.timeout) as lock:
            plan = self.plan()
            fetched: list[str] = []
            remade = bool(plan.damaged)
            if remade or self.wanted.verify:
                with self.staging() as staging:
                    fetched = self.stage(plan, staging, deadline, lock)
                    remade = remade or not all(_same(self.tree, file) for file in plan.files)
                    self.name(plan, staging, remade)
            if not plan.linked:
                tree.switch(self.tree)
            for left in self.tree.left():
                nofollow.remove_tree(left)
            return fetched, remade or not plan.linked

    def stage(self, plan: Plan, staging: Path, deadline: float, lock: int) -> list[str]:
        """Fill the staging directory; the files that the source gave."""
        source, jobs = self.wanted.source, self.wanted.jobs
        journal.unshare(staging, plan.records)
        for record in plan.records:
            known = plan.known.get(record.file.path)
            if known is not None and record.verified is None:
                handle = os.open(known, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    link(handle, staging / record.file.path)
                    record.verified = os.fstat(handle).st_mtime_ns
                finally:
                    os.close(handle)
        transfer = Transfer(self.reader(), plan.records, staging, jobs, deadline)
        transfer.look()
        fetch = [record.file.path for record in plan.fetch]
        if short := self.short(plan):
            raise FetchError(short)
        if source.kind == RSYNC:
            rsync.Fetch(source.place, plan.fetch, staging, deadline, lock).run(jobs)
        transfer.run()
        return fetch

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """The staging directory by descriptor: above it another user may be able to write. What
        goes wrong in it is told with its name."""
        with nofollow.private(self.tree.staging) as path:
            named, name = str(path), str(self.tree.staging)
            try:
                yield path
            except FetchError as error:
                raise type(error)(str(error).replace(named, name)) from error
            except OSError as error:
                if isinstance(error.filename, str):
                    error.filename = error.filename.replace(named, name)
                raise

    def name(self, plan: Plan, staging: Path, remade: bool) -> None:
        """Make the staging directory the revision's, or remove it where nothing was wrong."""
        if not remade:
            nofollow.remove_tree(self.tree.staging)
            return
        tree.purge(staging, [file.path for file in plan.files])
        tree.write_stamp(staging, plan.files, _told(self.wanted.source))
        tree.name_staging(self.tree, staging)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _same(made: tree.Tree, file: File) -> bool:
    """Whether the staged file is the one that the revision's directory has already."""
    try:
        return (made.final / file.path).samefile(made.staging / file.path)
    except OSError:
        return False


def _told(source: Source) -> str:
    return f"{source.place}@{source.commit}" if source.kind == HUB else source.place
