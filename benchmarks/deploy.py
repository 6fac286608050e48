#!/usr/bin/env python3
"""What a deploy of the wheels takes: against the hand recipe's commands, and on eight hosts.

    sudo --preserve-env .venv/bin/python benchmarks/deploy.py

Makes fifteen lab hosts on this machine (a builder and fourteen bare ones) and takes them away
again. Eight of the bare hosts get the release by one run of the playbook, which is all of
`ansible-playbook`: its start, ssh, the installer, the environment, the wheels, the proof by import.
Then three get it one by one, and three get the same wheels, from the same wheelhouse and with the
same lock file, by the hand recipe's commands in a shell over ssh: `python3 -m venv` and `pip
install` (the packages that these need are put there before the clock runs), and the same imports.
They take turns. No host is used twice, and the eight come first: for minutes after thousands of
files were deleted, ext4 without a journal takes many times as long to make new ones.

Limits: the playbook's median at most 1.15 times the recipe's; eight hosts at most 2.5 times one, on
two cores. Wall time, so that the machine should do nothing else. Exits 1 where a limit is broken.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "benchmarks" / "deploy" / "inventory"
STATE = Path("/var/lib/dynamo-lab-benchmark")
BY_HAND, BY_PLAYBOOK, TOGETHER = (1, 3, 5), (2, 4, 6), range(7, 15)
RATIO, EIGHT = 1.15, 2.5
BIN = Path(sys.executable).parent
IMPORTS = "import dynamo.mocker.main"


def timed(argv: list[str]) -> float:
    """Run a command in the project's directory; its wall time in seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return time.monotonic() - begun


def play(playbook: str, *options: str) -> float:
    """Run a playbook; its wall time in seconds."""
    return timed([str(BIN / "ansible-playbook"), "-i", str(INVENTORY), playbook, *options])


def ssh(host: int, command: str) -> float:
    """Run a shell command on a bare host; its wall time in seconds."""
    options = (
        "BatchMode=yes",
        f"UserKnownHostsFile={STATE / 'ssh/known_hosts'}",
        "IdentitiesOnly=yes",
    )
    return timed(
        [
            *("ssh", "-i", str(STATE / "ssh/id_ed25519")),
            *(part for option in options for part in ("-o", option)),
            *(f"root@10.87.0.{20 + host}", command),
        ]
    )


def release_id() -> str:
    """The release that the inventory wants."""
    argv = [str(BIN / "ansible"), "builder", "-i", str(INVENTORY), "-m", "debug"]
    done = subprocess.run(
        [*argv, "-a", "var=dynamo_release_id"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return re.findall(r"dynamo_release_id: (\S+)", done.stdout)[0]


def by_hand(host: int, url: str) -> float:
    """The recipe's commands in one shell."""
    return ssh(
        host,
        "set -e; python3 -m venv /opt/recipe; . /opt/recipe/bin/activate; "
        'python3 -c "import urllib.request as u; '
        f"u.urlretrieve('{url}worker-py3.11.txt', '/root/l')\"; "
        f"pip install --quiet --require-hashes --no-deps --no-index --trusted-host 10.87.0.11 "
        f"--find-links {url} --requirement /root/l; python -c '{IMPORTS}'",
    )


def main() -> int:
    """Measure, print, compare."""
    # The hosts go away however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}", flush=True)
    try:
        play("playbooks/lab_up.yml")
        play("benchmarks/deploy/builder.yml")
        names = ",".join(f"host{number}" for number in TOGETHER)
        eight = play("benchmarks/deploy/release.yml", "--limit", names)
        print(f"{len(TOGETHER)} hosts {eight:.1f} s", flush=True)
        url = f"http://10.87.0.11:8080/{release_id()}/"
        for host in BY_HAND:
            ssh(host, "apt-get -qq install --no-install-recommends python3-venv >/dev/null")
        hand, ours = [], []
        for one, other in zip(BY_HAND, BY_PLAYBOOK):
            hand.append(by_hand(one, url))
            ours.append(play("benchmarks/deploy/release.yml", "--limit", f"host{other}"))
            print(f"by hand {hand[-1]:.1f} s, by the playbook {ours[-1]:.1f} s", flush=True)
    finally:
        play("playbooks/lab_down.yml")
    ratio = statistics.median(ours) / statistics.median(hand)
    growth = eight / statistics.median(ours)
    print(
        f"medians: {statistics.median(ours):.1f} s / {statistics.median(hand):.1f} s = {ratio:.2f}"
    )
    print(f"{len(TOGETHER)} hosts take {growth:.2f} times as long as one")
    return int(ratio > RATIO or growth > EIGHT)


if __name__ == "__main__":
    sys.exit(main())
