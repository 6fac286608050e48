"""Model cards: what a worker says of its model when it registers.

A frontend serves a model by the card of its first worker, and takes no worker whose card differs
in what matters to a request; it says so in its own log only. The cards lie in discovery under
``v1/mdc/NAMESPACE/COMPONENT/ENDPOINT/ID`` (seen on Dynamo 1.4.2 and 1.5.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.dynfleet.etcd import Etcd

# What each worker has of its own: where its files are, and what its engine has measured.
_OWN = frozenset(("path", "runtime_config"))
# The setting of this project that decides a field.
SETTINGS = {
    "kv_cache_block_size": "worker_block_size",
    "context_length": "worker_max_model_len",
    "display_name": "dynamo_model_name",
}


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Fields by dotted name, without those that each worker has of its own."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        if key not in _OWN:
            yield from _fields(inner, f"{name}.{key}" if name else str(key))


def read(etcd: Etcd, namespace: str) -> dict[int, dict[str, Any]]:
    """The cards of all workers, flat, by instance. Raises EtcdError."""
    found = {}
    for item in etcd.list(f"v1/mdc/{namespace}/"):
        try:
            found[int(item.key.rpartition("/")[2], 16)] = dict(
                _fields(json.loads(item.value)["card_json"])
            )
        except (ValueError, KeyError, TypeError):  # not of a worker, or of another version
            continue
    return found


def differences(cards: Mapping[int, Mapping[str, Any]], instance: int) -> list[str]:
    """How an instance's card differs from every other one, in words; none without others."""
    mine = cards.get(instance)
    others = [card for number, card in cards.items() if number != instance]
    if mine is None or not others:
        return []
    return [
        f"{name} is {mine.get(name)!r}, theirs {others[0].get(name)!r}"
        + (f" ({SETTINGS[name]})" if name in SETTINGS else "")
        for name in sorted({name for card in (mine, others[0]) for name in card})
        if all(mine.get(name) != other.get(name) for other in others)
    ]
