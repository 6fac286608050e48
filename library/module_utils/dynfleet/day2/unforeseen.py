"""An error that no step has foreseen, told to an operator first and to developers after."""

from __future__ import annotations

import subprocess
import traceback


def told(error: Exception, place: str) -> str:
    """A message: a line for the operator, what to do, and the traceback.

    place: what was being done, as the beginning of a sentence.
    """
    if isinstance(error, subprocess.TimeoutExpired):
        command = " ".join(map(str, error.cmd)) if isinstance(error.cmd, list) else str(error.cmd)
        line = (
            f"{place} was interrupted: '{command}' did not answer within {error.timeout:g} s "
            "(on the host: systemctl list-jobs, journalctl -n 50)"
        )
    elif isinstance(error, OSError):
        line = f"{place} was interrupted: {error}"
    else:
        line = (
            f"{place} was interrupted by a fault of this program, not of the host: "
            f"{type(error).__name__}: {error}"
        )
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return (
        f"{line}\nThe same command again completes what was begun; what was taken out of service "
        f"stays out until then. If it ends here again, report these lines:\n{trace.rstrip()}"
    )
