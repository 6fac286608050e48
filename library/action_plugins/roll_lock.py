"""Action plugin: the controller's part of the lock of rolls."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.plugins.action import ActionBase

CODE = str(Path(__file__).resolve().parents[1] / "module_utils")
# ansible-core makes library/module_utils known to modules only, not to plugins.
if CODE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(CODE)

from ansible.module_utils.dynfleet.day2.notes import Notes, process


class ActionModule(ActionBase):
    """Entry point."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The module's result, asked with who runs and which rolls are known to be dead."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        # The playbook's own process is the parent of the one that runs a task.
        me = process(os.getppid())
        notes = Notes(Path(constants.ANSIBLE_HOME) / "dynfleet" / "rolls", me)
        gone = notes.gone()
        taking = self._task.args.get("state", "present") == "present"
        token = notes.begin() if taking and not self._task.check_mode else ""
        controller = socket.gethostname()
        who = {
            "who": f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{controller}",
            "controller": controller,
            **me._asdict(),
            "token": token,
        }
        answer: dict[str, Any] = self._execute_module(
            module_name="roll_lock_key",
            module_args={**self._task.args, "me": who, "gone": gone},
            task_vars=task_vars,
        )
        if self._task.check_mode:
            return {**result, **answer}
        if answer.get("failed"):
            # Of a module that was killed, or cut off, nobody knows whether it has taken the lock.
            if "holder" in answer:
                notes.forget(token)
        elif taking:
            # Of others' locks, on other fleets, only these notes say that they are dead.
            notes.forget(*answer["replaced"])
        else:
            notes.forget(*notes.mine())
        return {**result, **answer}
