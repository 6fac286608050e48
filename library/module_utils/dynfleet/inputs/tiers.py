"""Cache tiers of a worker: memory, then SSD."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

# From this size on a single registration of pinned memory fails (driver 580), GiB.
PIN_LIMIT = 512
# Above this share of GPU memory there is no room for FlexKV's CUDA contexts.
GPU_SHARE = 0.95


def check(fleet: Fleet) -> Iterator[Problem]:
    """What FlexKV refuses, and what it would do silently, on worker hosts."""
    for host in fleet.members("workers"):
        yield from _memory(host)
        yield from _ssd(host)


def _memory(host: Host) -> Iterator[Problem]:
    vllm = host.text("dynamo_engine") == "vllm"
    cpu, limit = host.integer("worker_cpu_cache_gib"), host.integer("worker_memory_gib")
    if cpu and cpu >= PIN_LIMIT and vllm:
        yield host.problem(
            "worker_cpu_cache_gib",
            f"the driver does not pin {PIN_LIMIT} GiB or more for one worker",
            f"give at most {PIN_LIMIT - 1}, and the rest to the SSD tier",
        )
    if cpu and limit and 0 < limit <= cpu:
        yield host.problem(
            "worker_memory_gib",
            f"the memory tier alone takes worker_cpu_cache_gib ({cpu}) of it: the worker would be "
            "killed while it starts",
            f"give clearly more than {cpu}, or 0 for no limit",
        )
    share = host.value("worker_gpu_memory_utilization")
    if vllm and isinstance(share, float) and GPU_SHARE < share < 1:
        yield host.problem(
            "worker_gpu_memory_utilization",
            "leaves FlexKV little room for its CUDA contexts on the GPU",
            f"{GPU_SHARE} or less leaves the 3 GiB that it needs",
            warning=True,
        )


def _ssd(host: Host) -> Iterator[Problem]:
    cpu, ssd = host.integer("worker_cpu_cache_gib"), host.integer("worker_ssd_cache_gib")
    if ssd and ssd > 0 and cpu == 0:
        yield host.problem(
            "worker_ssd_cache_gib",
            "FlexKV does not start without a memory tier (worker_cpu_cache_gib is 0)",
            "give worker_cpu_cache_gib 1 or more, or 0 here too for vLLM without FlexKV",
        )
    if ssd and cpu and 0 < ssd <= cpu:
        yield host.problem(
            "worker_ssd_cache_gib",
            f"FlexKV wants more SSD than memory tier (worker_cpu_cache_gib is {cpu})",
            f"give more than {cpu}, or 0 for no SSD tier",
        )
    roots = host.value("placement_ssd_roots")
    if ssd and ssd > 0 and roots is not None and not roots:
        yield host.problem(
            "worker_ssd_cache_gib",
            "there is no directory for the SSD tier: placement_ssd_roots is empty",
            "name a directory on each SSD in placement_ssd_roots, or give 0",
        )
    if host.value("worker_gds") is True and ssd == 0:
        yield host.problem(
            "worker_gds",
            "GPUDirect Storage reads the SSD tier, and there is none (worker_ssd_cache_gib is 0)",
            "give worker_ssd_cache_gib a size, or worker_gds: false",
        )
