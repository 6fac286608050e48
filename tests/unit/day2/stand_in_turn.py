"""A stand-in for module worker_service, for tests without a fleet: notes its turns in a file.

Host n1 is killed in its first turn where the file `kill` is beside that file; every other turn
takes long enough for the end of n1 to be known before the next one.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str"},
            "workers": {"type": "list", "elements": "int"},
            "etcd": {"type": "list", "elements": "str"},
            "run": {"type": "str"},
            "log": {"type": "path"},
        },
        supports_check_mode=True,
    )
    log = Path(module.params["log"])
    with log.open("a") as stream:
        stream.write(f"{module.params['address']}:{module.params['workers'][0]}\n")
    if module.params["address"] == "n1" and (log.parent / "kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(4)
    module.exit_json(changed=True, workers=[])


if __name__ == "__main__":
    main()
