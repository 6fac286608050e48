"""Alarms of etcd: it refuses writes until an operator has cleared them.

/health names them since etcd 3.5 only; the gateway tells them in every version
(POST /v3/maintenance/alarm, rpc.proto: AlarmRequest, AlarmMember).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.dynfleet.verify import client

UNIT = "dynamo-etcd.service"
MEANING = {
    "NOSPACE": "the store has reached its quota (etcd_quota_mib) and takes no writes; to clear it "
    "see docs/etcd.md, The store is full (NOSPACE)",
    "CORRUPT": "a member's data differs from the others'; replace that member "
    "(playbooks/etcd_replace.yml -e target=HOST), see docs/etcd.md",
}


def ask(health: str, timeout: float) -> list[str]:
    """The alarms of a cluster in words, by the URL of a member's /health; none where it says none.

    timeout: seconds.
    """
    base = health.rpartition("/")[0]
    answer = client.ask(f"{base}/v3/maintenance/alarm", timeout, {"action": "GET"})
    return told(answer.document())


def told(document: Any) -> list[str]:
    """The same of the gateway's answer: ``{"alarms": [{"memberID": ID, "alarm": NAME}]}``."""
    alarms = document.get("alarms") if isinstance(document, Mapping) else None
    members: dict[str, list[str]] = {}
    for item in alarms or ():
        members.setdefault(str(item.get("alarm")), []).append(f"{int(item['memberID']):x}")
    return [
        f"alarm {name} (member {', '.join(ids)}): {MEANING.get(name, 'see docs/etcd.md')}"
        for name, ids in sorted(members.items())
    ]
