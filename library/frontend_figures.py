#!/usr/bin/python
"""Ansible module: what the frontends count of the service, and how it changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: frontend_figures
short_description: Read failures, time to first token and KV hit rate off the frontends' metrics
description:
  - Runs on a host that reaches all frontends. Without O(since) the rates are those of the
    frontends' whole life; with it, of the time since then.
  - With O(refill) it watches until the hit rate is back at nine tenths of that, and says how long
    that took.
  - A frontend that does not answer is left out. Reads only.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  frontends:
    description: Base URLs of all frontends.
    type: list
    elements: str
    required: true
  since:
    description: RV(counters) of an earlier look.
    type: dict
    default: {}
  own:
    description: Requests of ours among them; none of their prompts was in a cache.
    type: int
    default: 0
  refill:
    description: Hit rate from before, to be reached again; 0 does not watch.
    type: float
    default: 0
  watch_seconds:
    description: Seconds to watch at most.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Count before the roll
  frontend_figures:
    frontends: ["http://10.0.0.5:8000"]
  register: before
"""

RETURN = r"""
counters:
  description: Counters by frontend.
  type: dict
  returned: always
rates:
  description: failed_percent, ttft_ms and hit_rate; null without a request.
  type: dict
  returned: always
requests:
  description: Requests that the rates are of.
  type: int
  returned: always
failures:
  description: Requests that failed by the service's fault.
  type: int
  returned: always
refill_seconds:
  description: Seconds until the hit rate was back; null where it was not, or not watched.
  type: float
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import figures, routing

LOOK_SECONDS = 2.0
FEW = 4  # requests: a window with fewer says nothing


def look(frontends: list[str]) -> dict[str, figures.Counters]:
    """The counters of the frontends that answer."""
    pages = routing.pages(frontends)
    return {url: figures.counters(page.body) for url, page in pages.items() if page.status == 200}


def watch(frontends: list[str], wanted: float, seconds: float) -> float | None:
    """Seconds until the hit rate is at nine tenths of the wanted one; None where it is not."""
    started = time.monotonic()
    last = look(frontends)
    while time.monotonic() - started < seconds:
        time.sleep(LOOK_SECONDS)
        now = look(frontends)
        counted = figures.between(last, now)
        rate = figures.rates(counted)["hit_rate"]
        if counted["hit_count"] >= FEW:
            last = now
            if rate is not None and rate >= 0.9 * wanted:
                return round(time.monotonic() - started, 1)
    return None


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "frontends": {"type": "list", "elements": "str", "required": True},
            "since": {"type": "dict", "default": {}},
            "own": {"type": "int", "default": 0},
            "refill": {"type": "float", "default": 0},
            "watch_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    counters = look(params["frontends"])
    counted = figures.between(params["since"], counters)
    for name in ("requests", "hit_count"):
        counted[name] = max(0.0, counted[name] - params["own"])
    seconds = None
    if params["refill"] and params["watch_seconds"] and not module.check_mode:
        seconds = watch(params["frontends"], params["refill"], params["watch_seconds"])
    module.exit_json(
        changed=False,
        counters=counters,
        rates=figures.rates(counted),
        requests=int(counted["requests"]),
        # Not "failed": Ansible takes a result of that name for the task's own.
        failures=int(counted["failed"]),
        refill_seconds=seconds,
    )


if __name__ == "__main__":
    main()
