"""Let a worker finish before it is stopped (``ExecStop`` of its unit).

Dynamo has no drain call: on SIGTERM a worker leaves discovery, serves for a fixed grace and then
aborts what it has. So, before SIGTERM, this takes the worker's key out of discovery, which stops
new requests within milliseconds, and waits until none is in flight. Whatever stops the unit, an
operator, a reboot or a roll, then interrupts nobody; an idle worker stops at once.

Runs on the host as one file, with the environment of the unit. Never fails: what cannot be asked
is not waited for.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from ansible.module_utils.dynfleet.day2 import discovery, idle, marks
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError
from ansible.module_utils.dynfleet.verify import client


def leave(environ: Mapping[str, str]) -> None:
    """Take this worker's keys out of discovery. Raises EtcdError."""
    etcd = Etcd(environ["ETCD_ENDPOINTS"].split(","))
    place = f"{environ['DYN_TCP_RPC_HOST']}:{environ['DYN_TCP_RPC_PORT']}"
    for item in discovery.at(discovery.serving(etcd, environ["DYN_NAMESPACE"]), place):
        etcd.delete(item.key)


def finish(environ: Mapping[str, str], cordon: str, seconds: float) -> None:
    """Leave discovery and wait, unless a roll has done both for this very process."""
    if not environ.get("MAINPID"):  # it has ended by itself
        return
    mark = marks.on_process(marks.read(cordon), environ.get("INVOCATION_ID", ""))
    if mark and mark.get("waited"):
        return
    try:
        leave(environ)
    except EtcdError as error:
        print(f"it stays in discovery until it ends: {error}", flush=True)
    url = f"http://{environ['DYN_SYSTEM_HOST']}:{environ['DYN_SYSTEM_PORT']}/metrics"
    waited = idle.wait(lambda: client.ask(url, 5.0), seconds)
    if not waited.idle:
        print(waited.why, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is always 0."""
    parser = argparse.ArgumentParser(prog="drain", description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="longest wait")
    parser.add_argument("--cordon", required=True, help="file: what a roll has done already")
    options = parser.parse_args(arguments)
    try:
        finish(os.environ, options.cordon, options.seconds)
    except Exception as error:
        # The worker is stopped all the same: to say why nobody waited is all there is to do.
        print(f"not waited for: {type(error).__name__}: {error}", flush=True)
    return 0
