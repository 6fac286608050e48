"""Values that have to be the same on all hosts, and advice about the service as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem, show

WHY = {
    "dynamo_engine": "one builder serves one release, which is for one engine",
    "dynamo_release_set": "one builder serves one release",
    "dynamo_namespace": "frontends find only the workers of their own namespace",
}
# Ports that other hosts dial by what they themselves are told.
DIALLED = ("etcd_client", "etcd_peer", "nats_client", "nats_cluster", "wheelhouse_http")


def _differ(variable: str, seen: Iterable[tuple[Host, Any]], why: str) -> Iterator[Problem]:
    """A problem on each host that has another value than most hosts."""
    pairs = [(host, show(value)) for host, value in seen if value is not None]
    values = [value for _, value in pairs]
    if len(set(values)) < 2:
        return
    usual = max(dict.fromkeys(values), key=values.count)
    for host, value in pairs:
        if value != usual:
            other = next(first.name for first, shown in pairs if shown == usual)
            yield Problem(
                message=f"is {usual} on {other}: {why}",
                mend="set it once, for all hosts",
                host=host.name,
                variable=variable,
                value=value,
                origin=host.origin(variable.split(".", maxsplit=1)[0]),
            )


def check(fleet: Fleet) -> Iterator[Problem]:
    """Fleet-wide values, blocks of workers that share a model, and migration."""
    hosts = list(fleet.hosts.values())
    for name, why in WHY.items():
        yield from _differ(name, [(host, host.text(name)) for host in hosts], why)
    for key in DIALLED:
        ports = [(host, host.mapping("dynamo_ports").get(key)) for host in hosts]
        yield from _differ(f"dynamo_ports.{key}", ports, "other hosts dial it")
    models: dict[str, list[Host]] = {}
    for host in fleet.members("workers"):
        models.setdefault(host.text("dynamo_model_name") or "", []).append(host)
    for same in models.values():
        yield from _differ(
            "worker_block_size",
            [(host, host.integer("worker_block_size")) for host in same],
            "the router counts in blocks of one size for a model",
        )
        yield from _differ(
            "dynamo_model_id",
            [(host, host.text("dynamo_model_id") or None) for host in same],
            "the same name would be answered by different revisions of the model",
        )
    for host in fleet.members("frontends"):
        if host.integer("frontend_migration_limit") == 0:
            yield host.problem(
                host.chosen("frontend_migration_limit", "dynamo_migration_limit"),
                "requests on a worker that stops or dies are lost",
                "3 lets them move to another worker",
                warning=True,
            )
