"""One build: its stages in order, each once, each with a log of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.build import git, python, record, wheels
from ansible.module_utils.dynfleet.build.command import (
    PATH,
    CommandFailed,
    Runner,
    environment,
    last_lines,
)
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import LAST, Inputs, Step, fill, sha256
from ansible.module_utils.dynfleet.download import DownloadError, download
from ansible.module_utils.dynfleet.lock import locked


@dataclass
class Build:
    """A build on this host.

    interpreter: of the environment; the module's own where it is made. secret: environment of
    git. versions: commands by name that say their version, which is recorded. timeout: seconds for
    all that one call does. jobs: processes at a time; 0 takes the processors that there are.
    """

    inputs: Inputs
    root: Path
    interpreter: str
    secret: Mapping[str, str]
    versions: Mapping[str, Sequence[str]]
    timeout: float
    jobs: int

    def __post_init__(self) -> None:
        self.directory = self.inputs.directory(self.root)
        self.work = self.directory / "work"
        self.source = self.work / "source"
        self.cache = self.root / ".cache"
        # A finished build has no work directory: nothing is kept of what made it but the logs.
        self.state = self.work / record.STATE
        made = self.work / "environment"
        prefix = f"{made}/bin:" if self.inputs.lock else f"{Path(self.interpreter).parent}:"
        self.places = {
            "source": str(self.source),
            "wheels": str(self.directory / "wheels"),
            "work": str(self.work),
            "files": str(self.work / "files"),
            "archives": str(self.work / "archives"),
            "cache": str(self.cache),
            "python": str(made / "bin" / "python") if self.inputs.lock else self.interpreter,
            "path": f"{prefix}{PATH}",
            "commit": self.inputs.commit,
            # Not part of the digest: how fast, not what.
            "jobs": str(self.jobs or len(os.sched_getaffinity(0))),
            "digest": self.inputs.digest(),
            "patched": sha256("".join(p.content for p in self.inputs.patches))[:8]
            if self.inputs.patches
            else "",
        }

    def check(self) -> None:
        """Refuse places that there are not, before hours of work. Raises BuildError."""
        for step in self.inputs.steps:
            for text in (*step.argv, *step.env.values(), step.chdir):
                fill(text, self.places)

    def log(self, stage: str) -> Path:
        """The log of a stage."""
        number = self.inputs.stages().index(stage) + 1
        return self.directory / "log" / f"{number:02d}-{stage}.log"

    def done(self) -> list[str]:
        """Stages that an earlier run has finished."""
        found = record.read(self.state).get("done", [])
        return [str(name) for name in found] if isinstance(found, list) else []

    def pending(self) -> list[str]:
        """Stages that are still to do; none where the build is whole."""
        if record.finished(self.directory):
            return []
        done = self.done()
        return [name for name in self.inputs.stages() if name not in done]

    def unfinished(self) -> list[Path]:
        """Directories of this component that hold half a build of other inputs."""
        names = f"{self.inputs.component}-" + "[0-9a-f]" * 12
        return [
            path
            for path in sorted(self.root.glob(names))
            if path != self.directory and not (path / record.RECORD).exists()
        ]

    def run(self, through: str) -> list[str]:
        """Do what is pending up to a stage (empty: to the end); the stages that were done."""
        begun = time.monotonic()
        did: list[str] = []
        lock = self.root / f".{self.inputs.component}.lock"
        with locked(lock, self.timeout) as handle:
            deadline = begun + self.timeout
            stages = self.inputs.stages()
            end = stages.index(through) if through else len(stages) - 1
            for stage in self.pending():
                if stages.index(stage) > end:
                    break
                self.stage(stage, deadline, handle)
                did.append(stage)
        return did

    def stage(self, stage: str, deadline: float, handle: int) -> None:
        """Do one stage and note that it is done."""
        home = self.work / "home"
        for path in (self.directory, self.directory / "log", home):
            path.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        log = self.log(stage)
        log.write_text("", encoding="utf-8")
        env = environment(os.environ, home)
        runner = Runner(log, env, deadline, handle, self.work)
        begun = time.monotonic()
        try:
            self.act(stage, runner)
        except (CommandFailed, BuildError, OSError) as error:
            runner.note(f"# {error}")
            raise BuildError(
                f"step {stage} failed on {socket.gethostname()} after "
                f"{time.monotonic() - begun:.0f} s: {error}. Its log is {log}; the next run begins "
                f"with this step. The log's last lines:\n{last_lines(log)}"
            ) from error
        runner.note(f"# done in {time.monotonic() - begun:.1f} s")
        if stage != LAST:
            record.write(self.state, {"done": [*self.done(), stage]})

    def act(self, stage: str, runner: Runner) -> None:
        """What a stage is."""
        inputs = self.inputs
        if stage == "fetch":
            self.fetch(runner)
        elif stage == "checkout":
            self.checkout(runner)
        elif stage == "patches":
            git.patch(runner, self.source, tuple(inputs.patches), self.work / "patches")
        elif stage == "environment":
            place = self.work / "environment"
            python.make(runner, self.interpreter, inputs.lock, place, self.cache / "pip")
        elif stage == LAST:
            self.finish(runner)
        else:
            self.step(next(step for step in inputs.steps if step.name == stage), runner)

    def fetch(self, runner: Runner) -> None:
        """Have all that comes from elsewhere, but for the environment."""
        for path in self.unfinished():
            runner.note(f"# {path} is half a build of other inputs: removed")
            shutil.rmtree(path)
        # A build whose wheels were lost is none.
        (self.directory / record.RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.directory / "wheels", ignore_errors=True)
        inputs = self.inputs
        secret = Runner(runner.log, {**runner.env, **self.secret}, runner.deadline, runner.lock)
        mirror = git.mirror_of(self.root, inputs.component)
        git.ensure(secret, mirror, inputs.repository, inputs.commit)
        if inputs.tag:
            git.check_tag(runner, mirror, inputs.tag, inputs.commit)
        top = git.Module("", inputs.repository, inputs.commit, mirror)
        found = (
            git.fetch_modules(secret, self.root, inputs.component, top) if inputs.submodules else []
        )
        content = [[m.path, m.url, m.commit, str(m.mirror)] for m in found]
        record.write(self.work / "modules.json", {"modules": content})
        for archive in inputs.archives:
            kept = self.cache / "archives" / archive.sha256
            if not (kept.is_file() and wheels.digest(kept) == archive.sha256):
                kept.parent.mkdir(parents=True, exist_ok=True)
                runner.note(f"$ fetch {archive.url}")
                try:
                    download(archive.url, archive.sha256, kept)
                except DownloadError as error:
                    raise BuildError(str(error)) from error

    def modules(self) -> list[git.Module]:
        """The submodules that were fetched."""
        found = record.read(self.work / "modules.json").get("modules", [])
        return [git.Module(path, url, commit, Path(at)) for path, url, commit, at in found]

    def checkout(self, runner: Runner) -> None:
        """Lay out the source, and the files that steps need."""
        inputs = self.inputs
        shutil.rmtree(self.source, ignore_errors=True)
        mirror = git.mirror_of(self.root, inputs.component)
        git.checkout(runner, mirror, inputs.commit, self.source)
        for module in self.modules():
            git.checkout(runner, module.mirror, module.commit, self.source / module.path)
        for name in ("files", "archives"):
            shutil.rmtree(self.work / name, ignore_errors=True)
            (self.work / name).mkdir()
        for name, content in inputs.files.items():
            (self.work / "files" / name).write_text(content, encoding="utf-8")
        for archive in inputs.archives:
            kept = self.cache / "archives" / archive.sha256
            (self.work / "archives" / archive.name).symlink_to(kept)

    def step(self, step: Step, runner: Runner) -> None:
        """A command of the component's own."""
        (self.directory / "wheels").mkdir(exist_ok=True)
        env = {name: fill(value, self.places) for name, value in step.env.items()}
        argv = [fill(item, self.places) for item in step.argv]
        for name, value in sorted(env.items()):
            runner.note(f"# {name}={value}")
        runner.run(argv, {"PATH": self.places["path"], **env}, Path(fill(step.chdir, self.places)))

    def finish(self, runner: Runner) -> None:
        """Check the wheels, write the record, and take the work away."""
        inputs = self.inputs
        directory = self.directory / "wheels"
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        found = wheels.inspect(directory, inputs.expected, inputs.python)
        seen = {name: self.version(runner, argv) for name, argv in self.versions.items()}
        content = {
            "component": inputs.component,
            "digest": inputs.digest(),
            "directory": str(self.directory),
            "wheels": [wheel.plain() for wheel in found],
            "origin": {
                "repository": inputs.repository,
                "commit": inputs.commit,
                "submodules": git.origin(self.modules()),
                "patches": [
                    {"name": patch.name, "sha256": sha256(patch.content)}
                    for patch in inputs.patches
                ],
                "archives": [
                    {"name": item.name, "url": item.url, "sha256": item.sha256}
                    for item in inputs.archives
                ],
                "python": inputs.python,
                "lock": sha256(inputs.lock) if inputs.lock else "",
                "toolchain": {**inputs.toolchain, **seen},
                "flags": {name: value for step in inputs.steps for name, value in step.env.items()},
                "host": socket.gethostname(),
            },
        }
        record.finish(self.directory, content, found)
        shutil.rmtree(self.work, ignore_errors=True)

    def version(self, runner: Runner, argv: Sequence[str]) -> str:
        """What a tool says that it is: the first line with a version in it."""
        try:
            said = runner.ask([fill(item, self.places) for item in argv]) or ""
        except CommandFailed:  # not there: the build did without
            said = ""
        return next((line for line in said.splitlines() if re.search(r"\d\.\d", line)), "")

    def result(self) -> dict[str, Any]:
        """The build as the roles hand it on; without wheels where it is not made."""
        return record.finished(self.directory) or {
            "component": self.inputs.component,
            # Not part of the digest: how fast, not what.
            "jobs": str(self.jobs or len(os.sched_getaffinity(0))),
            "digest": self.inputs.digest(),
            "directory": str(self.directory),
            "wheels": [],
            "origin": {
                "repository": self.inputs.repository,
                "commit": self.inputs.commit,
                "python": self.inputs.python,
            },
        }
