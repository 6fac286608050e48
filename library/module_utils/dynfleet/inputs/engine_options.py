"""Options of the engine and the frontend that are the project's own, in every spelling.

vLLM's parser (vllm/utils/argparse_utils.py) takes _ for -, sets a key of a JSON option by
--option.key VALUE, adds to a list by --option.key+ VALUE, reads a YAML file of options for
--config, and, as argparse does, takes any beginning that only one option has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLANE = "the service uses etcd, tcp and NATS throughout: leave it out"
_ONE_GROUP = "a worker is one GPU group: set dynamo_group_size"
_GATEWAY = "health checks and the proof speak plain HTTP: end TLS at your gateway"
_TIERS = "set worker_cpu_cache_gib, worker_ssd_cache_gib and worker_gds"
_PORT = "it opens a port that is not in the port table: leave it out"
_FILE = "what a file sets is not checked: list its options here"
_COMMON: Mapping[str, str] = {
    "--namespace": "set dynamo_namespace",
    "--discovery-backend": _PLANE,
    "--request-plane": _PLANE,
    "--response-plane": _PLANE,
    "--event-plane": _PLANE,
}
WORKER: Mapping[str, str] = {
    **_COMMON,
    "--endpoint": "set dynamo_namespace",
    "--model": "set dynamo_model_path",
    "--model-path": "set dynamo_model_path",
    "--served-model-name": "set dynamo_model_name",
    "--model-name": "set dynamo_model_name",
    "--tensor-parallel-size": "set dynamo_group_size",
    "-tp": "set dynamo_group_size",
    **dict.fromkeys(
        (
            *("--pipeline-parallel-size", "-pp", "--prefill-context-parallel-size", "-pcp"),
            *("--data-parallel-size", "-dp", "--data-parallel-size-local", "-dpl"),
            *("--data-parallel-rank", "-dpn", "--data-parallel-start-rank", "-dpr"),
            *("--data-parallel-address", "-dpa", "--data-parallel-rpc-port", "-dpp"),
            *("--data-parallel-backend", "-dpb", "--data-parallel-hybrid-lb", "-dph"),
            *("--data-parallel-external-lb", "-dpe"),
            *("--data-parallel-multi-port-external-lb", "-dpm"),
            *("--nnodes", "-n", "--node-rank", "-r", "--master-addr", "--master-port"),
            *("--num-workers", "--headless"),
        ),
        _ONE_GROUP,
    ),
    "--block-size": "set worker_block_size",
    "--gpu-memory-utilization": "set worker_gpu_memory_utilization",
    "--max-model-len": "set worker_max_model_len",
    "--kv-transfer-config": _TIERS,
    "--kv-offloading-size": _TIERS,
    "--kv-offloading-backend": _TIERS,
    "--kv-events-config": "it is a socket of each worker's own: leave it out",
    "--zmq-kv-events-ports": _PORT,
    "--zmq-replay-ports": _PORT,
    "--fpm-trace": _PORT,
    "--connector": "Dynamo refuses it; worker_cpu_cache_gib connects FlexKV: leave it out",
    "--config": _FILE,
    "--engine-config-json": _FILE,
    "--extra-engine-args": _FILE,
}
FRONTEND: Mapping[str, str] = {
    **_COMMON,
    "--namespace-prefix": "set dynamo_namespace",
    "--http-host": "set host_address",
    "--http-port": "set dynamo_ports.frontend_http",
    "--router-mode": "it is kv: leave it out",
    "--migration-limit": "set dynamo_migration_limit",
    "--kv-cache-block-size": "workers tell it to the frontends: set worker_block_size",
    "--kserve-grpc-server": _PORT,
    "--grpc-metrics-port": _PORT,
    "--interactive": "it is for a terminal: leave it out",
    "-i": "it is for a terminal: leave it out",
    "--tls-cert-path": _GATEWAY,
    "--tls-key-path": _GATEWAY,
    "--tls-client-ca-cert-path": _GATEWAY,
}


def meant(argument: str, refused: Mapping[str, str]) -> tuple[str, str]:
    """The refused option that an argument is, and in what way; both empty for another argument.

    The way is empty where it is the option itself; else it says how the argument comes to be it.
    """
    given = argument.split("=", 1)[0]
    name, dot, _ = given.partition(".")
    name = name.replace("_", "-")
    if len(name.strip("-")) == 0 or not name.startswith("-"):
        return "", ""
    way = "sets a part of" if dot else ""
    if not name.startswith("--"):
        # The value may follow at once: -n2.
        name = name if name in refused else re.sub(r"(?<=[a-z])\d+$", "", name)
    if name in refused:
        return name, way
    positive = re.sub(r"^--no-", "--", name)
    if positive in refused:
        return positive, "negates"
    for spelling in dict.fromkeys((name, positive)):
        full = next((option for option in refused if option.startswith(spelling)), "")
        if full and spelling != "--":
            return full, way or "is short for"
    return "", ""
