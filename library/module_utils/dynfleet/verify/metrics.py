"""Read the text format of Prometheus metrics."""

from __future__ import annotations

import re
from typing import NamedTuple

_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line of a metrics page."""

    labels: dict[str, str]
    value: float


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match.group(1) == "n" else match.group(1), text)


def samples(text: str, name: str) -> list[Sample]:
    """All samples of one metric; lines that are not samples are passed over."""
    found = []
    for line in text.splitlines():
        match = _SAMPLE.match(line.strip()) if line.startswith(name) else None
        if not match or match.group(1) != name:
            continue
        try:
            value = float(match.group(3))
        except ValueError:
            continue
        labels = {key: _unescape(label) for key, label in _LABEL.findall(match.group(2) or "")}
        found.append(Sample(labels, value))
    return found


class Served(NamedTuple):
    """A worker by its own metrics."""

    instance: int | None  # id under which it is registered; None where the page has none
    requests: int  # generate requests since its start


def served(text: str) -> Served:
    """The instance id of a worker and how many generate requests it has taken."""
    generate = [
        sample
        for sample in samples(text, "dynamo_component_requests_total")
        if sample.labels.get("dynamo_endpoint") == "generate"
    ]
    ids = [sample.labels["worker_id"] for sample in generate if "worker_id" in sample.labels]
    try:
        instance = int(ids[0], 16) if ids else None
    except ValueError:
        instance = None
    return Served(instance, int(sum(sample.value for sample in generate)))


def in_flight(text: str) -> int | None:
    """Requests that a worker is working on; None where its page does not say."""
    values = [
        sample.value
        for sample in samples(text, "dynamo_component_inflight_requests")
        if sample.labels.get("dynamo_endpoint") == "generate"
    ]
    return int(sum(values)) if values else None


def cache_in_use(text: str) -> float | None:
    """Share of an engine's GPU cache that running requests hold, 0 to 1; None where unknown."""
    values = [sample.value for sample in samples(text, "vllm:kv_cache_usage_perc")]
    return max(values) if values else None


def registered(text: str) -> list[int]:
    """Instance ids of the workers that a frontend's router has registered."""
    return sorted(
        {
            int(sample.labels["router_worker_id"])
            for sample in samples(text, "dynamo_component_router_worker_registered")
            if sample.value == 1 and sample.labels.get("router_worker_id", "").isdigit()
        }
    )


def model_ready(text: str, model: str) -> bool | None:
    """Whether a frontend calls the model ready; None where it says nothing of it."""
    values = [
        sample.value
        for sample in samples(text, "dynamo_frontend_model_ready")
        if sample.labels.get("model") == model
    ]
    return min(values) == 1 if values else None
