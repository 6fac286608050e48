#!/usr/bin/python
"""Ansible module: the members of an etcd cluster, seen and changed one at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_cluster
short_description: See an etcd cluster's members, plan a change of them, and make one step of it
description:
  - Speaks etcd's own HTTP API, from a host that reaches the members. What is there is read first
    and after every step; a step that is already done changes nothing, so that a run which died
    half-way is simply repeated.
  - A new member is added as a learner, which has no vote, and gets one when it has caught up. A
    member is removed only where the others keep a quorum.
attributes:
  check_mode:
    description: Says whether a step is still to be done; touches nothing.
    support: full
options:
  endpoints:
    description: Client URLs of members, of those that are to join too.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(seen) looks, and plans where O(wanted) is given.
      - V(added) adds the member O(name) at O(peer) as a learner.
      - V(promoted) waits until it has caught up and gives it its vote.
      - V(removed) removes the member with O(id).
      - V(whole) waits until every member is healthy, has a vote, and is one of O(wanted).
    type: str
    choices: [seen, added, promoted, removed, whole]
    default: seen
  wanted:
    description: Peer URL by name of the members that the cluster is to have.
    type: dict
    default: {}
  target:
    description: A member of O(wanted) that is to be made anew although the cluster has it.
    type: str
    default: ""
  name:
    description: The member that joins.
    type: str
  peer:
    description: Its peer URL.
    type: str
  id:
    description: The member to remove.
    type: str
  timeout:
    description: Seconds to wait for a learner to catch up, or for the cluster to be whole.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Look at the cluster
  etcd_cluster:
    endpoints: [http://10.0.0.11:2379, http://10.0.0.12:2379]
"""

RETURN = r"""
quorum:
  description: Whether the cluster has a leader and answers.
  type: bool
  returned: always
cluster:
  description: The cluster's id in hexadecimal digits, empty without a quorum.
  type: str
  returned: always
revision:
  description: The store's revision, 0 without a quorum.
  type: int
  returned: always
members:
  description: Each member with id, name, peer, client, learner and healthy.
  type: list
  elements: dict
  returned: always
healthy:
  description: Names of the healthy members.
  type: list
  elements: str
  returned: always
errors:
  description: What endpoints said that did not answer, by URL.
  type: dict
  returned: always
plan:
  description: >-
    remove_first, join, fresh, remove_last, problems and notes: the way to O(wanted).
  type: dict
  returned: with state V(seen) and O(wanted)
initial_cluster:
  description: What the joining member has to be told.
  type: str
  returned: with state V(added)
"""

import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import etcd_members
from ansible.module_utils.dynfleet.etcd_members import Member
from ansible.module_utils.dynfleet.verify.client import ask

REQUEST_TIMEOUT = 5.0


class Cluster:
    """The cluster behind some endpoints."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.endpoints: list[str] = module.params["endpoints"]
        self.deadline = time.monotonic() + module.params["timeout"]
        self.members: list[Member] = []
        self.errors: dict[str, str] = {}
        self.cluster = ""
        self.revision = 0
        self.asked = ""  # an endpoint with a quorum behind it

    def look(self) -> None:
        """Ask every endpoint, and the first that is healthy for the members."""
        self.errors, self.members, self.asked = {}, [], ""
        healthy = []
        for url in self.endpoints:
            answer = ask(f"{url}/health", REQUEST_TIMEOUT)
            if (answer.document() or {}).get("health") == "true":
                healthy.append(url)
            else:
                self.errors[url] = answer.brief()
        for url in healthy:
            listed = ask(f"{url}/v3/cluster/member/list", REQUEST_TIMEOUT, {}).document() or {}
            status = ask(f"{url}/v3/maintenance/status", REQUEST_TIMEOUT, {}).document() or {}
            # A learner answers for itself alone.
            if listed.get("members") and status.get("leader") and not status.get("isLearner"):
                # One that was left out of the endpoints may be well all the same.
                for entry in listed["members"]:
                    for other in entry.get("clientURLs") or []:
                        if other not in self.endpoints:
                            asked = ask(f"{other}/health", REQUEST_TIMEOUT).document() or {}
                            healthy += [other] if asked.get("health") == "true" else []
                self.members = etcd_members.read_members(listed, healthy)
                self.cluster = f"{int(status['header']['cluster_id']):x}"
                self.revision = int(status["header"].get("revision", 0))
                self.asked = url
                return

    def result(self) -> dict[str, Any]:
        """What was seen."""
        return {
            "quorum": bool(self.asked),
            "cluster": self.cluster,
            "revision": self.revision,
            "members": etcd_members.as_data(self.members),
            "healthy": [member.name for member in self.members if member.healthy],
            "errors": self.errors,
        }

    def fail(self, message: str) -> None:
        """End the module, with what was seen."""
        self.module.fail_json(msg=message, **self.result())

    def need_quorum(self) -> None:
        """End the module where the cluster cannot be changed."""
        if not self.asked:
            said = "; ".join(f"{url}: {error}" for url, error in self.errors.items())
            self.fail(
                f"no etcd endpoint answers with a quorum behind it ({said}). Start dynamo-etcd on "
                "the members that still have their data; where too many have lost it, "
                "playbooks/etcd_restore.yml makes the cluster anew from a snapshot"
            )

    def call(self, path: str, body: dict[str, Any]) -> str:
        """Ask for a change; what was said against it, or nothing."""
        answer = ask(f"{self.asked}/v3/cluster/member/{path}", REQUEST_TIMEOUT, body)
        return "" if answer.status == 200 else answer.brief()

    def by_peer(self, peer: str) -> Member | None:
        """The member with a peer URL."""
        return next((member for member in self.members if member.peer == peer), None)

    def added(self, name: str, peer: str) -> dict[str, Any]:
        """Add a learner, unless the cluster has a member of that address."""
        self.need_quorum()
        changed = self.by_peer(peer) is None
        if changed and not self.module.check_mode:
            if said := self.call("add", {"peerURLs": [peer], "isLearner": True}):
                self.fail(f"etcd does not add {name} ({peer}): {said}")
            self.look()
        told = etcd_members.initial_cluster(self.members, name, peer)
        return {"changed": changed, "initial_cluster": told}

    def promoted(self, name: str, peer: str) -> dict[str, Any]:
        """Give a learner its vote, as soon as it has caught up."""
        said = ""
        while True:
            member = self.by_peer(peer)
            if member and not member.learner and member.name:
                return {"changed": bool(said)}
            if self.module.check_mode:
                return {"changed": True}
            self.need_quorum()
            if member is None:
                self.fail(f"{name} ({peer}) is no member of the cluster")
                return {}
            said = self.call("promote", {"ID": member.id}) or "promoted"
            if said != "promoted" and time.monotonic() > self.deadline:
                self.fail(
                    f"{name} has no vote after {self.module.params['timeout']} s: {said}. See "
                    "journalctl -u dynamo-etcd on that host; run again when it has caught up"
                )
            time.sleep(0.5)
            self.look()

    def removed(self, identifier: str) -> dict[str, Any]:
        """Remove a member, where the others keep a quorum."""
        self.need_quorum()
        member = next((item for item in self.members if item.id == identifier), None)
        if member is None:
            return {"changed": False}
        if not member.learner and (why := etcd_members.lost_by_removal(self.members, member)):
            self.fail(f"refused: {why}")
        if not self.module.check_mode:
            if said := self.call("remove", {"ID": identifier}):
                self.fail(f"etcd does not remove {member.name or member.peer}: {said}")
            self.wait_quorum()
        return {"changed": True}

    def wait_quorum(self) -> None:
        """Wait while the rest elects a leader: the one that was removed may have been it."""
        self.look()
        while not self.asked and time.monotonic() < self.deadline:
            time.sleep(0.3)
            self.look()

    def missing(self, wanted: dict[str, str]) -> str:
        """What the cluster lacks to be whole."""
        if not self.asked:
            return f"no quorum ({self.errors})"
        if {member.peer for member in self.members} != set(wanted.values()):
            return f"members are {sorted(member.peer for member in self.members)}"
        bad = [item.name or item.peer for item in self.members if item.learner or not item.healthy]
        return f"not healthy or without a vote: {', '.join(bad)}" if bad else ""

    def whole(self, wanted: dict[str, str]) -> dict[str, Any]:
        """Wait until nothing is missing."""
        while said := self.missing(wanted):
            if self.module.check_mode:
                break
            if time.monotonic() > self.deadline:
                self.fail(
                    f"the cluster is not whole after {self.module.params['timeout']} s: {said}; "
                    f"wanted are {wanted}"
                )
            time.sleep(0.5)
            self.look()
        return {"changed": False}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "endpoints": {"type": "list", "elements": "str", "required": True},
            "state": {
                "type": "str",
                "default": "seen",
                "choices": ["seen", "added", "promoted", "removed", "whole"],
            },
            "wanted": {"type": "dict", "default": {}},
            "target": {"type": "str", "default": ""},
            "name": {"type": "str"},
            "peer": {"type": "str"},
            "id": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[
            ("state", "added", ["name", "peer"]),
            ("state", "promoted", ["name", "peer"]),
            ("state", "removed", ["id"]),
            ("state", "whole", ["wanted"]),
        ],
        supports_check_mode=True,
    )
    params = module.params
    cluster = Cluster(module)
    cluster.look()
    made: dict[str, Any] = {"changed": False}
    if params["state"] == "added":
        made = cluster.added(params["name"], params["peer"])
    elif params["state"] == "promoted":
        made = cluster.promoted(params["name"], params["peer"])
    elif params["state"] == "removed":
        made = cluster.removed(params["id"])
    elif params["state"] == "whole":
        made = cluster.whole(params["wanted"])
    elif params["wanted"] and cluster.asked:
        made["plan"] = asdict(
            etcd_members.plan(cluster.members, params["wanted"], params["target"])
        )
    module.exit_json(**cluster.result(), **made)


if __name__ == "__main__":
    main()
