"""Action plugin: packages by ansible.builtin.apt, which waits for whoever has locked it."""

from __future__ import annotations

import re
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

VARIABLE = "dynamo_apt_lock_seconds"
SECONDS = 900
# apt(8) and dpkg(1): installing, lists of packages, what is downloaded.
LOCKS = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
]
LOOK_EVERY, SAY_EVERY = 5, 30
_LOCKED = re.compile(r"(could not get|unable to acquire|failed to|unable to)[\w ]* lock", re.I)


class ActionModule(ActionBase):
    """Entry point."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result of ansible.builtin.apt; where a lock kept it from working, with its holder."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        seconds = int(self._templar.template((task_vars or {}).get(VARIABLE, SECONDS)))
        begun = time.monotonic()
        if not self._task.check_mode:
            self.wait(seconds, task_vars)
        # Somebody may be quicker than apt after that.
        left = max(seconds - int(time.monotonic() - begun), 1)
        answer: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.apt",
            module_args={**self._task.args, "lock_timeout": left},
            task_vars=task_vars,
        )
        said = f"{answer.get('msg', '')} {answer.get('stderr', '')}"
        if answer.get("failed") and _LOCKED.search(said):
            answer["msg"] = self.locked(seconds, answer.get("msg", ""), task_vars)
        return {**result, **answer}

    def holders(self, task_vars: dict[str, Any] | None) -> str:
        """Who has a lock of apt's, in words; empty where nobody has, or it cannot be told."""
        answer: dict[str, Any] = self._execute_module(
            module_name="path_holders", module_args={"locks": LOCKS}, task_vars=task_vars
        )
        return str(answer.get("told", ""))

    def wait(self, seconds: int, task_vars: dict[str, Any] | None) -> None:
        """Wait until nobody has a lock, and say every now and then for whom."""
        host = (task_vars or {}).get("inventory_hostname", "")
        begun = time.monotonic()
        said = ""
        due = begun
        while told := self.holders(task_vars):
            now = time.monotonic()
            if told != said or now >= due:
                said, due = told, now + SAY_EVERY
                spent = f"{now - begun:.0f} of at most {seconds} s"
                Display().display(f"{host}: apt waits for {told} ({spent})")
            if now - begun > seconds:
                return
            time.sleep(min(LOOK_EVERY, max(seconds - (now - begun), 0.1)))

    def locked(self, seconds: int, said: str, task_vars: dict[str, Any] | None) -> str:
        """Why apt did not work."""
        told = self.holders(task_vars) or "a process that has ended meanwhile"
        return (
            f"apt stayed locked for the {seconds} s allowed ({VARIABLE}), by {told}. "
            "Unattended upgrades end by themselves: run this again, or give it more seconds. One "
            "that hangs: "
            f"systemctl status apt-daily-upgrade unattended-upgrades. apt said: {said.strip()}"
        )
