"""Action plugin: who is running this playbook, and who of this controller is still alive."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty where it is gone."""
    try:
        # The second field may hold blanks and parentheses; what follows does not.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def identity() -> dict[str, Any]:
    """Who runs: the playbook's own process is the parent of the one that runs a task."""
    pid = os.getppid()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    controller = socket.gethostname()
    return {
        "who": f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{controller}",
        "controller": controller,
        "boot": boot,
        "pid": pid,
        "started": started(pid),
    }


class ActionModule(ActionBase):
    """Entry point."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The module's result, asked with who runs."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        alive = [
            f"{pid}/{started(int(pid))}"
            for pid in os.listdir("/proc")  # noqa: PTH208 - names are wanted
            if pid.isdigit()
        ]
        arguments = {**self._task.args, "me": identity(), "alive": alive}
        answer: dict[str, Any] = self._execute_module(
            module_name="roll_lock_key", module_args=arguments, task_vars=task_vars
        )
        return {**result, **answer}
