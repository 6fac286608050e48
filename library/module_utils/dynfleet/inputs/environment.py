"""The site's own variables in the environment of the engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ansible.module_utils.dynfleet.inputs import sandbox
from ansible.module_utils.dynfleet.inputs.arguments import UNSAFE, carried_out
from ansible.module_utils.dynfleet.inputs.catalogue import ENVIRONMENT
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

BY_INDEX = "worker_environment_by_index"
# Their values stand in a file of root's alone, and in no diff; roles/worker goes by the same words.
SECRET = re.compile(
    r"(?i)(^|_)(TOKEN|KEY|AUTH|PAT)(_|$)|APIKEY|TOKEN$"
    r"|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|BEARER"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GPUS = "set placement_layout or placement_exclude"
_ETCD = "set the group etcd and dynamo_ports.etcd_client"
_NATS = "set the group nats and dynamo_ports.nats_client"
_TIMES = "set worker_stop_timeout"
_LOOPBACK = "a worker is one host, whose ranks meet on loopback: leave it out"
_UNIT = "it is the unit's: leave it out"
_RELEASE = "a release runs with what its lock files name: leave it out"
_CACHE = "it is a directory of each worker's own: leave it out"
_FLEXKV = "each worker has its own, which the unit sets: leave it out"
_DYNAMO = "options of Dynamo go into worker_extra_args"
# What the unit sets itself, and what would set the same in another way: what to do instead.
OURS: Mapping[str, str] = {
    "ETCD_LEASE_TTL": "set dynamo_lease_ttl",
    "DYNAMO_NATS_SERVERS": _NATS,
    "DYNAMO_MODEL_ID": "set model_source and model_manifest",
    "DYN_NAMESPACE": "set dynamo_namespace",
    "DYN_ENDPOINT": "set dynamo_namespace",
    "DYN_SYSTEM_HOST": "set host_address",
    "DYN_SYSTEM_PORT": "set dynamo_ports.worker_system",
    "DYN_TCP_RPC_HOST": "set host_address",
    "DYN_TCP_RPC_PORT": "set dynamo_ports.worker_request",
    "DYN_GRACEFUL_SHUTDOWN_GRACE_PERIOD_SECS": "set worker_grace_seconds",
    "DYN_RUNTIME_GRACEFUL_SHUTDOWN_TIMEOUT_SECS": _TIMES,
    "DYN_LOG": _UNIT,
    "CUDA_VISIBLE_DEVICES": _GPUS,
    "CUDA_DEVICE_ORDER": "the plan counts GPUs by their PCI address: leave it out",
    "HF_HUB_OFFLINE": "the model is on the host before a worker starts: set model_source",
    "PYTHONHASHSEED": "KV block hashes have to agree between processes: leave it out",
    "PYTHONUNBUFFERED": "the journal would lag behind: leave it out",
    "PYTHONPATH": _RELEASE,
    "PYTHONHOME": _RELEASE,
    "LD_LIBRARY_PATH": _RELEASE,
    "VLLM_HOST_IP": _LOOPBACK,
    "NCCL_SOCKET_IFNAME": _LOOPBACK,
    "GLOO_SOCKET_IFNAME": _LOOPBACK,
    "VLLM_PORT": "set dynamo_ports.worker_vllm",
    "VLLM_NO_USAGE_STATS": "workers report to nobody: leave it out",
    "VLLM_USE_FLASHINFER_SAMPLER": "it would be compiled at run time: leave it out",
    "VLLM_CACHE_ROOT": _CACHE,
    "TRITON_CACHE_DIR": _CACHE,
    "TORCHINDUCTOR_CACHE_DIR": _CACHE,
    "UCX_NET_DEVICES": "it follows from the plan: see docs/placement.md",
    "CUFILE_ENV_PATH_JSON": "set worker_gds",
    "WORKER_SSD_DIRS": "set placement_ssd_roots",
    "FLEXKV_CONFIG_PATH": "what a file sets is not checked: set FlexKV's variables here",
    "FLEXKV_CPU_CACHE_GB": "set worker_cpu_cache_gib",
    "FLEXKV_SSD_CACHE_GB": "set worker_ssd_cache_gib",
    "FLEXKV_SSD_CACHE_DIR": "set placement_ssd_roots",
    "FLEXKV_ENABLE_GDS": "set worker_gds",
    "FLEXKV_PY_METRICS_PORT": "set dynamo_ports.worker_flexkv_metrics",
    "FLEXKV_CPP_METRICS_PORT": "set dynamo_ports.worker_flexkv_cpp_metrics",
    "FLEXKV_WORKER_SHUTDOWN_TIMEOUT_S": _TIMES,
    "FLEXKV_TRANSFER_MANAGER_SHUTDOWN_TIMEOUT_S": _TIMES,
    **dict.fromkeys(
        (
            *("FLEXKV_SERVER_RECV_PORT", "FLEXKV_VMM_FD_SOCK_DIR"),
            *("FLEXKV_LAYERWISE_EVENTFD_SOCKET", "FLEXKV_ENABLE_MPS", "FLEXKV_EVICT_RATIO"),
            *("FLEXKV_EVICT_START_THRESHOLD", "FLEXKV_ENABLE_METRICS", "FLEXKV_LOG_LEVEL"),
        ),
        _FLEXKV,
    ),
    **dict.fromkeys(
        (
            *("HOME", "PATH", "USER", "LOGNAME", "SHELL", "MAINPID"),
            *("INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID"),
            *("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY"),
        ),
        _UNIT,
    ),
}
# Whole families: a name that this project does not know yet can be one of the plane all the same.
FAMILIES: Mapping[str, str] = {
    "ETCD_": _ETCD,
    "NATS_": _NATS,
    "DYNAMO_": _UNIT,
    "DYN_": _DYNAMO,
}


def own(name: str) -> str:
    """What to do about a name that is not the site's to set; empty for any other."""
    family = next((told for prefix, told in FAMILIES.items() if name.startswith(prefix)), "")
    return OURS.get(name, family)


def check(fleet: Fleet) -> Iterator[Problem]:
    """The variables of each worker host, and of its single workers."""
    for host in fleet.members("workers"):
        for variable in ENVIRONMENT:
            written = host.written.get(variable)
            if variable != BY_INDEX:
                yield from _variables(host, variable, host.mapping(variable), written)
                continue
            for index, variables in host.mapping(variable).items():
                place = f"{variable}.{index}"
                if not _INDEX.fullmatch(str(index)):
                    yield _problem(host, place, "is no number of a worker", "give 0, 1 and so on")
                elif not isinstance(variables, Mapping):
                    yield _problem(host, place, "is no dictionary", "write NAME: 'value' below it")
                else:
                    by_name = written.get(index) if isinstance(written, Mapping) else None
                    yield from _variables(host, place, variables, by_name)


def _problem(host: Host, place: str, message: str, mend: str, shown: object = "") -> Problem:
    """A problem; what is shown is nothing secret."""
    problem = host.problem(place, message, mend, shown)
    return problem if shown != "" else replace(problem, value="")


def _variables(
    host: Host, place: str, variables: Mapping[str, object], written: object
) -> Iterator[Problem]:
    """The variables of one dictionary; written: as the inventory has it, before rendering."""
    directives = host.text("dynamo_worker_sandbox") or host.text("dynamo_sandbox") or ""
    hidden, unset = sandbox.hidden(directives), sandbox.unset(directives)
    for name, value in variables.items():
        where = f"{place}.{name}"
        if not _NAME.fullmatch(name):
            yield _problem(
                host,
                place,
                f"'{name}' is no name of a variable",
                "use letters, digits and _, and no digit first",
            )
        elif told := own(name):
            yield _problem(host, where, "this variable is the project's own", told)
        elif name in unset:
            yield _problem(
                host,
                where,
                "the units' sandbox takes it out again: all that they talk to is on the private "
                "network",
                "leave it out",
            )
        else:
            raw = written.get(name) if isinstance(written, Mapping) else None
            yield from _value(host, where, value, raw, hidden)


def _value(
    host: Host, where: str, value: object, raw: object, hidden: tuple[str, ...]
) -> Iterator[Problem]:
    shown = "(withheld)" if SECRET.search(where.rpartition(".")[2]) else value
    if carried_out(raw, value):
        yield _problem(host, where, "Ansible carries out the {% or {# in it", UNSAFE)
    elif not isinstance(value, str):
        yield _problem(host, where, "is not text", "put it into quotes", shown)
    elif _CONTROL.search(value):
        yield _problem(
            host, where, "has a line break or another control character", "take it out", shown
        )
    else:
        for path, why in sandbox.unseen(value, hidden):
            if shown == value:
                yield _problem(host, where, f"'{path}' {why}", sandbox.MOVE, shown)
            else:
                yield _problem(host, where, f"holds a path that {why}", sandbox.MOVE)
