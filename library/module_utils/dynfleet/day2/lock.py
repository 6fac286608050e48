"""One roll at a time: a key in etcd that says who rolls, since when, and how it ended.

The key hangs on a lease, so that it goes away by itself when nobody renews it: a roll renews it
before each worker. A failure is written into it; other hosts of the same batch then stop before
their next worker, and the next run takes over where this one ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError, Item

KEY = "dynfleet/roll"


class Stopped(Exception):
    """This roll may not go on; the message says why."""


def read(item: Item | None) -> dict[str, Any] | None:
    """What a lock says; None where there is none."""
    if item is None:
        return None
    try:
        found = json.loads(item.value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def told(holder: Mapping[str, Any]) -> str:
    """A lock's holder in words."""
    return (
        f"run {holder.get('run')} of {holder.get('who')} (process {holder.get('pid')}) "
        f"since {holder.get('since')}"
    )


def process(holder: Mapping[str, Any]) -> str:
    """A lock's process with its start time: ids are used again."""
    return f"{holder.get('pid')}/{holder.get('started')}"


def dead(holder: Mapping[str, Any], me: Mapping[str, Any], alive: bool) -> bool:
    """Whether a lock's holder is known to have ended.

    holder: the lock. me: identity of this run (controller, boot). alive: whether a process with
    the holder's id and start time runs on this controller. A holder on another controller may
    live; only its lease says.
    """
    if holder.get("ended"):
        return True
    if holder.get("controller") != me["controller"]:
        return False
    return holder.get("boot") != me["boot"] or not alive


def resumes(holder: Mapping[str, Any], what: str) -> bool:
    """Whether a run that wants `what` goes on with the ended run of this lock."""
    return holder.get("what") == what


def hold(etcd: Etcd, run: str) -> Item:
    """Renew the lock of this run. Raises Stopped where the roll may not go on."""
    item = etcd.get(KEY)
    holder = read(item)
    if item is None or holder is None:
        raise Stopped(f"the lock of roll {run} is gone from etcd: it expired, or was removed")
    if holder.get("run") != run:
        raise Stopped(f"another roll has taken the lock: {told(holder)}")
    if holder.get("ended"):
        raise Stopped(f"the roll has ended: {holder['ended']}")
    etcd.renew(item.lease)
    return item


def try_end(endpoints: Sequence[str], run: str, why: str) -> None:
    """Write into the lock of this run why it ended; where that fails, its lease ends it."""
    etcd = Etcd(endpoints)
    try:
        item = etcd.get(KEY)
        holder = read(item)
        if item is None or holder is None or holder.get("run") != run or holder.get("ended"):
            return
        first = why.splitlines()[0][:300]
        etcd.replace(KEY, json.dumps({**holder, "ended": first}), item.revision, item.lease)
    except EtcdError:
        return
