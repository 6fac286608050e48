"""What the frontends count of the service: requests, failures, time to first token, cache hits.

Counters are summed over frontends. A frontend that was restarted counts from zero again: what
it lost is missing from a difference, never added to it. One that did not answer at the first look
has its whole life in its counters: it is counted from the first time that it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.day2 import routing
from ansible.module_utils.dynfleet.verify import metrics

# Client errors are no fault of the service, and a client that left is none either.
CLIENT_ERRORS = frozenset(("validation", "not_found", "not_implemented", "cancelled"))
NAMES = ("requests", "failed", "ttft_seconds", "ttft_count", "hit_sum", "hit_count")
Counters = dict[str, float]


def _sum(page: str, name: str) -> float:
    return sum(sample.value for sample in metrics.samples(page, name))


def counters(page: str) -> Counters:
    """The counters of one frontend, by its metrics page."""
    done = metrics.samples(page, "dynamo_frontend_requests_total")
    failed = [
        sample
        for sample in done
        if sample.labels.get("status") != "success"
        and sample.labels.get("error_type") not in CLIENT_ERRORS
    ]
    return {
        "requests": sum(sample.value for sample in done),
        "failed": sum(sample.value for sample in failed),
        "ttft_seconds": _sum(page, "dynamo_frontend_time_to_first_token_seconds_sum"),
        "ttft_count": _sum(page, "dynamo_frontend_time_to_first_token_seconds_count"),
        "hit_sum": _sum(page, "dynamo_component_router_kv_hit_rate_sum"),
        "hit_count": _sum(page, "dynamo_component_router_kv_hit_rate_count"),
    }


def look(frontends: Sequence[str]) -> dict[str, Counters]:
    """The counters of those frontends that answer, by URL."""
    pages = routing.pages(frontends)
    return {url: counters(page.body) for url, page in pages.items() if page.status == 200}


def between(before: Mapping[str, Counters], after: Mapping[str, Counters]) -> Counters:
    """What was counted between two looks, both by frontend, by those that are in both."""
    total = dict.fromkeys(NAMES, 0.0)
    for frontend, now in after.items():
        then = before.get(frontend)
        if then is None:
            continue
        restarted = any(now[name] < then[name] for name in NAMES)
        for name in NAMES:
            total[name] += now[name] - (0.0 if restarted else then[name])
    return total


def rates(counted: Mapping[str, float], few: int = 1) -> dict[str, float | None]:
    """``failed_percent``, ``ttft_ms`` (mean) and ``hit_rate`` (0 to 1).

    few: None for a rate that is of fewer requests than these.
    """

    def ratio(part: str, whole: str, scale: float) -> float | None:
        enough = counted[whole] >= max(few, 1)
        return round(counted[part] / counted[whole] * scale, 3) if enough else None

    return {
        "failed_percent": ratio("failed", "requests", 100),
        "ttft_ms": ratio("ttft_seconds", "ttft_count", 1000),
        "hit_rate": ratio("hit_sum", "hit_count", 1),
    }


def over_budget(
    before: Mapping[str, float | None],
    during: Mapping[str, float],
    limits: Mapping[str, Any],
) -> list[str]:
    """What of a roll is beyond its error budget, in words.

    before: rates from before the roll; None: too few requests to say, so that first token and hit
    rate are not judged, and failures as if there had been none. during: counters since it began.
    limits: ``failed_percent`` more than before, ``ttft_factor`` and ``hit_rate_share`` of before
    (0: not watched), ``requests``: fewer than that many say nothing.
    """
    if during["requests"] < limits["requests"]:
        return []
    now = rates(during)
    found = []
    allowed = (before["failed_percent"] or 0.0) + limits["failed_percent"]
    if now["failed_percent"] is not None and now["failed_percent"] > allowed:
        found.append(
            f"{during['failed']:.0f} of {during['requests']:.0f} requests failed "
            f"({now['failed_percent']} %, allowed {allowed:g} %: roll_max_failed_percent)"
        )
    worst = (before["ttft_ms"] or 0.0) * limits["ttft_factor"]
    if worst and now["ttft_ms"] is not None and now["ttft_ms"] > worst:
        found.append(
            f"first token after {now['ttft_ms']:.0f} ms on average, before the roll after "
            f"{before['ttft_ms']:.0f} ms (allowed {worst:.0f} ms: roll_max_ttft_factor)"
        )
    least = (before["hit_rate"] or 0.0) * limits["hit_rate_share"]
    if least and now["hit_rate"] is not None and now["hit_rate"] < least:
        found.append(
            f"KV hit rate {now['hit_rate']:.2f}, before the roll {before['hit_rate']:.2f} "
            f"(allowed {least:.2f}: roll_min_hit_rate_share)"
        )
    return found
