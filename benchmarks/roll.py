#!/usr/bin/env python3
"""Seconds of a rolling restart over 2, 4 and 8 lab hosts of one worker each, beside a control host.

    sudo .venv/bin/python benchmarks/roll.py [--hosts 2 4 8] [--batch 1]

Makes a lab for each size (bridge dynlabb), deploys, measures rolls of all workers, and takes the
lab away. A roll goes batch by batch: the time has to grow with the number of batches and no
faster. Prints one line a size, and a JSON line at the end. Wants an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SUBNET = "10.86.0"
MODEL = {"path": "/srv/models/lab", "source": str(PROJECT / "roles/lab/files/model")}
WHEELS = {"path": "/srv/dynamo/wheelhouse", "source": "/var/cache/dynamo-lab/wheelhouse"}


def inventory(place: Path, count: int) -> None:
    """Write the inventory of a lab of one control host and so many worker hosts."""
    state = "/var/lib/dynamo-lab-benchmark"
    known = f"-o UserKnownHostsFile={state}/ssh/known_hosts"
    workers = {
        f"gpu{number}": {
            "ansible_host": f"{SUBNET}.{20 + number}",
            "lab_suite": "trixie",
            "lab_topology": "inventory/lab/topologies/hgx-h200-8.json",
            "lab_binds": [{**MODEL, "read_only": True}],
        }
        for number in range(1, count + 1)
    }
    control = {"ansible_host": f"{SUBNET}.11", "lab_suite": "trixie", "lab_binds": [WHEELS]}
    one: dict[str, Any] = {"hosts": {"control": {}}}
    content = {
        "all": {
            "vars": {
                "lab_dir": state,
                "lab_bridge": "dynlabb",
                "lab_subnet": f"{SUBNET}.0/24",
                "ansible_user": "root",
                "ansible_ssh_private_key_file": f"{state}/ssh/id_ed25519",
                "ansible_ssh_common_args": f"{known} -o StrictHostKeyChecking=yes",
                "ansible_control_path_dir": f"{state}/ssh/cp",
                "dynamo_engine": "mocker",
                "dynamo_model_path": MODEL["path"],
                "dynamo_model_name": "lab",
                "dynamo_group_size": 8,
                "worker_block_size": 16,
                "worker_start_timeout": 120,
                "worker_grace_seconds": 1,
                "worker_cpu_cache_gib": 1,
            },
            "children": {
                "lab": {"hosts": {"control": control, **workers}},
                "etcd": one,
                "nats": one,
                "builder": one,
                "frontends": one,
                "workers": {
                    "hosts": {name: {} for name in workers},
                    "vars": {"placement_topology_recorded": "/etc/lab/gpu_topology"},
                },
            },
        }
    }
    place.mkdir()
    (place / "group_vars").symlink_to(PROJECT / "group_vars")
    (place / "hosts.json").write_text(json.dumps(content))


def play(place: Path, playbook: str, *options: str) -> float:
    """Run a playbook; its seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "--inventory", str(place), *options, playbook],
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3600,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{playbook} failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - started


def measure(count: int, batch: str, runs: int) -> list[float]:
    """Seconds of rolls over so many hosts."""
    with tempfile.TemporaryDirectory(prefix="dynfleet-") as folder:
        place = Path(folder) / "inventory"
        inventory(place, count)
        try:
            play(place, "playbooks/lab_up.yml")
            play(place, "site.yml")
            hosts = ",".join(f"gpu{number}" for number in range(1, count + 1))
            wanted = {"roll_workers": hosts, "roll_batch": [batch], "roll_max_out": "100%"}
            options = ("--extra-vars", json.dumps(wanted))
            return [play(place, "playbooks/rolling_restart.yml", *options) for _ in range(runs)]
        finally:
            play(place, "playbooks/lab_down.yml")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--batch", default="1", help="hosts at a time (1)")
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    seen: dict[int, list[float]] = {}
    for count in options.hosts:
        seen[count] = measure(count, options.batch, options.runs)
        best = min(seen[count])
        print(f"{count} hosts: {best:6.1f} s, {best / count:5.1f} s a host", flush=True)
    print(json.dumps({"batch": options.batch, "seconds": seen}))


if __name__ == "__main__":
    main()
