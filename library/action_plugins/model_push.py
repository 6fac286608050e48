"""Action plugin: a model's files to the host, over the connection that Ansible itself has."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

LIBRARY = str(Path(__file__).resolve().parents[1] / "module_utils")
# ansible-core makes library/module_utils known to modules only, not to plugins.
if LIBRARY not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(LIBRARY)

from ansible.module_utils.dynfleet.model import progress, push
from ansible.module_utils.dynfleet.model.transfer import ATTEMPTS, LONGEST_PAUSE, ON

# A network that went away is noticed; what a site says itself comes first and wins.
ALIVE = "-o ServerAliveInterval=15"


def uncompressed(arguments: str) -> str:
    """Arguments of ssh without compression: weights do not get smaller, and it costs a core."""
    return shlex.join(word for word in shlex.split(arguments) if word != "-C")


def own_control_path(*whose: object) -> str:
    """A shared connection that is not the tasks' one, which may be compressed."""
    name = hashlib.sha256(f"push-{whose}".encode()).hexdigest()[:10]
    return f"%(directory)s/{name}"


class ActionModule(ActionBase):
    """Entry point."""

    _supports_check_mode = False
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send for some seconds; the progress, and whether all is there."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "nothing is sent in check mode"}
        text = {"type": "path", "required": True}
        _, args = self.validate_argument_spec(
            {
                **dict.fromkeys(("source", "staging", "lock"), text),
                "files": {"type": "list", "elements": "str", "required": True},
                "wait": {"type": "int", "default": 10},
            }
        )
        name = (task_vars or {}).get("inventory_hostname", "")
        try:
            return {**result, **self.send(args, task_vars or {})}
        except OSError as error:
            # Of the controller: what the host says comes with its own words.
            said = f"{error.filename or args['source']} on the controller: {error.strerror}"
        except AnsibleError as error:
            said = str(error)
        return {**result, "failed": True, "msg": f"{name}: {said}. {ON}"}

    def send(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Send until the time is over: the task's result."""
        source = Path(args["source"])
        sizes = {path: (source / path).stat().st_size for path in args["files"]}
        arguments = {"staging": args["staging"], "files": args["files"]}
        answer = self._execute_module(
            module_name="model_push_files", module_args=arguments, task_vars=task_vars
        )
        if answer.get("failed"):
            raise AnsibleError(str(answer.get("msg", "the host's Python failed")))
        place = push.Place(args["staging"], answer["identity"], args["lock"])
        had = {path: min(answer["had"][path], size) for path, size in sizes.items()}
        before = {"time": time.time(), "bytes": sum(had.values())}
        self.tune(task_vars.get("inventory_hostname", ""))
        end = time.monotonic() + args["wait"]
        have = dict(had)
        for path, size in sizes.items():
            with (source / path).open("rb") as stream:
                while have[path] < size and time.monotonic() < end:
                    stream.seek(have[path])
                    data = stream.read(min(push.PIECE, size - have[path]))
                    if not data:
                        raise AnsibleError(f"{source / path} on the controller has become shorter")
                    self.persist(place, path, have[path], data)
                    have[path] += len(data)
        now = {"time": time.time(), "bytes": sum(have.values())}
        total = sum(sizes.values())
        finished = now["bytes"] == total
        line = "finished" if finished else progress.line(before, now, total)
        return {"changed": False, "had": had, "line": line, "finished": finished}

    def tune(self, name: str) -> None:
        """Let this task's connection suit a stream; another plugin than ssh stays as it is."""
        connection = self._connection
        if connection.transport != "ssh":
            return
        option = connection.get_option
        connection.set_option("ssh_args", uncompressed(option("ssh_args") or ""))
        connection.set_option("ssh_extra_args", f"{option('ssh_extra_args') or ''} {ALIVE}".strip())
        path = own_control_path(name, option("host"), option("port"), option("remote_user"))
        connection.set_option("control_path", path)

    def persist(self, place: push.Place, path: str, offset: int, data: bytes) -> None:
        """Send a piece, again with pauses where the connection fails; raises AnsibleError."""
        for attempt in range(ATTEMPTS):
            try:
                self.piece(place, path, offset, data)
                return
            except AnsibleConnectionFailure:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(min(2**attempt, LONGEST_PAUSE))

    def piece(self, place: push.Place, path: str, offset: int, data: bytes) -> None:
        """Send a piece once."""
        if self._is_pipelining_enabled("new"):
            done = self._low_level_execute_command(push.command(place, path, offset), in_data=data)
        else:
            done = self.by_file(place, path, offset, data)
        if done["rc"] == push.BUSY:
            raise AnsibleError(
                f"another run has worked on the model for {push.PATIENCE} s (fuser -v {place.lock})"
            )
        if done["rc"]:
            raise AnsibleError(f"{place.staging}/{path}: {said(done)}")
        if int(done["stdout"]) < offset + len(data):
            raise AnsibleConnectionFailure(f"{path}: a piece came only in part")

    def by_file(self, place: push.Place, path: str, offset: int, data: bytes) -> dict[str, Any]:
        """Where a terminal stands in the way of bytes: as a file of the user who logs in."""
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        there = self._connection._shell.join_path(self._connection._shell.tmpdir, "piece")
        with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP) as local:
            local.write(data)
            local.flush()
            self._transfer_file(local.name, there)
        self._fixup_perms2((self._connection._shell.tmpdir, there), execute=False)
        return self._low_level_execute_command(push.command(place, path, offset, there))


def said(done: Mapping[str, Any]) -> str:
    """What a command said, on one line."""
    words = " ".join(f"{done['stderr']} {done['stdout']}".split())
    return f"{words[:500]} (exit status {done['rc']})"
