"""One roll at a time: a key in etcd that says who rolls, since when, and how it ended.

The key hangs on a lease, so that it goes away by itself when nobody renews it: a roll renews it
before each worker. Whatever ends a turn but success is written into it; other hosts of the same
batch then stop before their next worker, and the next run takes over where this one ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ansible.module_utils.dynfleet.etcd import Etcd, Item

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


def doubt(holder: Mapping[str, Any], me: Mapping[str, Any]) -> str:
    """Why a holder of this controller's name may be dead although nobody can tell; or nothing."""
    same_name = holder.get("controller") == me.get("controller")
    if not same_name or holder.get("boot") == me.get("boot"):
        return ""
    return (
        f" It was begun on a machine called {me.get('controller')} that was booted at another time:"
        " this one before its last boot, where it is dead, or another one, where it may still run."
    )


def dead(holder: Mapping[str, Any], gone: Collection[str]) -> bool:
    """Whether a lock's holder is known to have ended.

    holder: the lock. gone: tokens of rolls that this controller knows to be dead (notes.py). Any
    other holder may live; only its lease says.
    """
    return bool(holder.get("ended")) or holder.get("token") in gone


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


def end(etcd: Etcd, run: str, why: str) -> None:
    """Write into the lock of this run why it has ended, unless that is said. Raises EtcdError."""
    item = etcd.get(KEY)
    holder = read(item)
    if item is None or holder is None or holder.get("run") != run or holder.get("ended"):
        return
    first = (why.splitlines() or ["for an unknown reason"])[0][:300]
    etcd.replace(KEY, json.dumps({**holder, "ended": first}), item.revision, item.lease)


@contextmanager
def ended_by_failure(endpoints: Sequence[str], run: str | None, where: str) -> Iterator[None]:
    """A turn of this run: whatever ends the block but success ends the roll.

    run: None for what is no part of a roll. where: the turn's host or unit, for the reason.
    """
    try:
        yield
    except BaseException as error:
        if run is not None:
            with suppress(Exception):  # then its lease ends it; the error itself says more
                end(Etcd(endpoints), run, f"{where}: {str(error) or type(error).__name__}")
        raise
