#!/usr/bin/python
"""Ansible module: what the frontends count of the service, and how it changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: frontend_figures
short_description: Read failures, time to first token and KV hit rate off the frontends' metrics
description:
  - Runs on a host that reaches all frontends. Without O(since) the rates are those of the next
    O(window) seconds; with it, of the time since then.
  - With O(refill) it watches until the hit rate is back at nine tenths of that, and says how long
    that took.
  - A frontend that does not answer, or is not in O(since), is left out (RV(uncounted)): its
    counters are of its whole life. Reads only.
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
  window:
    description: >-
      Seconds to count for where there is no O(since). Ends early where no request comes at all;
      check mode does not wait.
    type: int
    default: 0
  few:
    description: Rates of fewer requests than these are null.
    type: int
    default: 1
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
    window: 10
    few: 20
  register: before
"""

RETURN = r"""
counters:
  description: Counters by frontend.
  type: dict
  returned: always
rates:
  description: failed_percent, ttft_ms and hit_rate; null where they are of too few requests.
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
window_seconds:
  description: Seconds that were counted for; null with O(since).
  type: float
  returned: always
uncounted:
  description: Frontends that are not in the rates.
  type: list
  elements: str
  returned: always
refill_seconds:
  description: Seconds until the hit rate was back; null where it was not, or not watched.
  type: float
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import figures

LOOK_SECONDS = 2.0
FEW = 4  # requests: a window with fewer says nothing


def window(
    frontends: list[str], seconds: float
) -> tuple[dict[str, figures.Counters], dict[str, figures.Counters], float]:
    """Two looks, so many seconds apart, and how many it were: an idle service is not waited for."""
    started = time.monotonic()
    first = now = figures.look(frontends)
    while time.monotonic() - started < seconds:
        time.sleep(min(LOOK_SECONDS, seconds))
        now = figures.look(frontends)
        # One that answers only now has nothing to be compared with, but from now on.
        first = {**now, **first}
        if not figures.between(first, now)["requests"]:
            break
    return first, now, round(time.monotonic() - started, 1)


def watch(frontends: list[str], wanted: float, seconds: float) -> float | None:
    """Seconds until the hit rate is at nine tenths of the wanted one; None where it is not."""
    started = time.monotonic()
    last = figures.look(frontends)
    while time.monotonic() - started < seconds:
        time.sleep(LOOK_SECONDS)
        now = figures.look(frontends)
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
            "window": {"type": "int", "default": 0},
            "few": {"type": "int", "default": 1},
            "own": {"type": "int", "default": 0},
            "refill": {"type": "float", "default": 0},
            "watch_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    if params["since"]:
        first, counters, took = params["since"], figures.look(params["frontends"]), None
    else:
        seconds = 0 if module.check_mode else params["window"]
        first, counters, took = window(params["frontends"], seconds)
    counted = figures.between(first, counters)
    for name in ("requests", "hit_count"):
        counted[name] = max(0.0, counted[name] - params["own"])
    refilled = None
    if params["refill"] and params["watch_seconds"] and not module.check_mode:
        refilled = watch(params["frontends"], params["refill"], params["watch_seconds"])
    module.exit_json(
        changed=False,
        counters=counters,
        rates=figures.rates(counted, params["few"]),
        requests=int(counted["requests"]),
        # Not "failed": Ansible takes a result of that name for the task's own.
        failures=int(counted["failed"]),
        window_seconds=took,
        uncounted=[url for url in params["frontends"] if url not in first or url not in counters],
        refill_seconds=refilled,
    )


if __name__ == "__main__":
    main()
