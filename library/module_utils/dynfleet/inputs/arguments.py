"""Extra arguments of the engine and the frontend: their form, and those that are ours to set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

_PLANE = "the service uses etcd, tcp and NATS throughout: leave it out"
_ONE_GROUP = "a worker is one GPU group: set dynamo_group_size"
_GATEWAY = "health checks and the proof speak plain HTTP: end TLS at your gateway"
COMMON: Mapping[str, str] = {
    "--namespace": "set dynamo_namespace",
    "--discovery-backend": _PLANE,
    "--request-plane": _PLANE,
    "--response-plane": _PLANE,
    "--event-plane": _PLANE,
}
WORKER: Mapping[str, str] = {
    **COMMON,
    "--model": "set dynamo_model_path",
    "--model-path": "set dynamo_model_path",
    "--served-model-name": "set dynamo_model_name",
    "--model-name": "set dynamo_model_name",
    "--tensor-parallel-size": "set dynamo_group_size",
    "-tp": "set dynamo_group_size",
    "--pipeline-parallel-size": _ONE_GROUP,
    "-pp": _ONE_GROUP,
    "--data-parallel-size": _ONE_GROUP,
    "-dp": _ONE_GROUP,
    "--num-workers": _ONE_GROUP,
    "--headless": _ONE_GROUP,
    "--nnodes": _ONE_GROUP,
    "--block-size": "set worker_block_size",
    "--gpu-memory-utilization": "set worker_gpu_memory_utilization",
    "--max-model-len": "set worker_max_model_len",
    "--kv-transfer-config": "set worker_cpu_cache_gib, worker_ssd_cache_gib and worker_gds",
    "--kv-events-config": "it is a socket of each worker's own: leave it out",
    "--zmq-kv-events-ports": "it opens a port that is not in the port table: leave it out",
    "--connector": "Dynamo refuses it; worker_cpu_cache_gib connects FlexKV: leave it out",
}
FRONTEND: Mapping[str, str] = {
    **COMMON,
    "--http-host": "set host_address",
    "--http-port": "set dynamo_ports.frontend_http",
    "--router-mode": "it is kv: leave it out",
    "--migration-limit": "set dynamo_migration_limit",
    "--kserve-grpc-server": "it opens a port that is not in the port table: leave it out",
    "--tls-cert-path": _GATEWAY,
    "--tls-key-path": _GATEWAY,
}
PLACES = (
    ("workers", "worker_extra_args", WORKER),
    ("frontends", "frontend_extra_args", FRONTEND),
)
_FLAG_AND_VALUE = re.compile(r"--?[A-Za-z][\w.-]*\s")


def flag(argument: str) -> str:
    """The flag of an argument, as engines that take _ for - read it."""
    return argument.split("=", 1)[0].replace("_", "-")


def meant(argument: str, refused: Mapping[str, str]) -> str:
    """The refused flag that an argument is, or is short for, as argparse takes it; else empty."""
    given = flag(argument)
    if given in refused or not given.startswith("--"):
        return given if given in refused else ""
    return next((full for full in refused if len(given) > 2 and full.startswith(given)), "")


def check(fleet: Fleet) -> Iterator[Problem]:
    """Each list on the hosts that use it."""
    for group, name, refused in PLACES:
        for host in fleet.members(group):
            for argument in host.sequence(name):
                yield from _argument(host, name, argument, refused)


def _argument(
    host: Host, name: str, argument: object, refused: Mapping[str, str]
) -> Iterator[Problem]:
    if not isinstance(argument, str):
        yield host.problem(name, "holds something that is not text", "put it into quotes", argument)
    elif not argument.strip():
        yield host.problem(name, "holds an empty argument", "take it out", argument)
    elif own := meant(argument, refused):
        short = "" if own == flag(argument) else f"is short for {own}: "
        yield host.problem(
            name, f"{short}this argument is the project's own", refused[own], argument
        )
    elif _FLAG_AND_VALUE.match(argument):
        yield host.problem(
            name,
            "one list item is one argument, this is two",
            "write two items, or --name=value",
            argument,
        )
