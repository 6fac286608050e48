"""Action plugin of worker_service and unit_restart: a roll ends with the first turn that fails.

The modules end the roll themselves as long as they live. What they cannot see is seen here: a
module that was killed, a host that is no longer reached, a turn that other hosts of the batch
would begin although one of them has failed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# Ansible looks for modules in directories below library first, so that a module is never found by
# the name of an action: each has a second name, a link beside it.
MODULES = {"worker_service": "worker_turn", "unit_restart": "unit_turn"}
CODE = str(Path(__file__).resolve().parents[1] / "module_utils")
# ansible-core makes library/module_utils known to modules only, not to plugins.
if CODE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(CODE)

from ansible.module_utils.dynfleet.day2.notes import Notes, process


def without_answer(module: str, answer: dict[str, Any]) -> dict[str, Any]:
    """A module's failure, in words where it has left none: it was killed, or never ran."""
    if answer.get("_ansible_parsed", True):
        return answer
    status = answer.get("rc")
    said = str(answer.get("module_stderr") or answer.get("module_stdout") or "").strip()
    killed = "killed by SIGKILL: out of memory?" if status in (137, -9) else "see below"
    return {
        **answer,
        "msg": (
            f"{module} ended without an answer (status {status}: {killed}). On the host: "
            "journalctl -k -n 50. The same command again completes what was begun; what was taken "
            f"out of service stays out until then.\n{said}\n{answer.get('msg', '')}"
        ),
    }


class ActionModule(ActionBase):
    """Entry point."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The module's result; a failure ends the roll that it is a part of."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        name = str(self._task.action)
        module = MODULES[name]
        arguments: dict[str, Any] = self._task.args
        run = arguments.get("run")
        if not run or self._task.check_mode:
            return {**result, **self._execute_module(module, arguments, task_vars=task_vars)}
        # The playbook's own process is the parent of the one that runs a task.
        folder = Path(constants.ANSIBLE_HOME) / "dynfleet" / "rolls"
        notes = Notes(folder, process(os.getppid()))
        host = str((task_vars or {}).get("inventory_hostname", "a host"))
        why = notes.stopped()
        if why:
            self._end(why, task_vars)
            told = f"{host} was not touched: the roll has ended: {why}"
            return {**result, "failed": True, "msg": told}
        try:
            answer = self._execute_module(module, arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            # A failure like others: an unreachable host has no rescue, nor a way back.
            said = " ".join(str(error).split())[:300]
            answer = {"failed": True, "msg": f"{host} is no longer reached: {said}"}
        except BaseException as error:
            with suppress(OSError):
                notes.stop(f"{host}: {' '.join(str(error).split())[:300]}")
            raise
        if answer.get("failed"):
            answer = without_answer(name, answer)
            why = f"{host}: {(str(answer.get('msg')).splitlines() or [''])[0]}"
            # A full disk of the controller must not hide the reason.
            with suppress(OSError):
                notes.stop(why)
            with suppress(AnsibleConnectionFailure):  # then its lease ends it
                self._end(why, task_vars)
        return {**result, **answer}

    def _end(self, why: str, task_vars: dict[str, Any] | None) -> None:
        """Say in the lock why the roll has ended, from this host, unless it is said already."""
        arguments = {"state": "ended", "why": why}
        arguments.update({name: self._task.args[name] for name in ("etcd", "run")})
        self._execute_module("roll_lock_key", arguments, task_vars=task_vars)
