#!/usr/bin/python
"""Ansible module: ask a frontend for what the service is there for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_probe
short_description: Check the service at one frontend with real completions
description:
  - Runs on the frontend's host, because the controller may have no route to it.
  - Checks that the model is listed, that every worker is registered, that a completion and a
    streamed one have content, a finish reason and usage, that a long prompt asked again comes
    from a cache, and that every worker serves.
  - Cached tokens are C(usage.prompt_tokens_details.cached_tokens) where the engine counts them,
    else the router's C(nvext.timing.kv_hit_rate) times the prompt's tokens; RV(seen) says which.
  - What is wrong is part of the result, never a failure of the task.
attributes:
  check_mode:
    description: Asks the same questions in any mode; the host is not changed by them.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  host:
    description: Name of this host, for the findings.
    type: str
    required: true
  url:
    description: Base URL of the frontend.
    type: str
    required: true
  model:
    description: Name that clients ask the model by.
    type: str
    required: true
  workers:
    description: By host, the workers that have to serve, each with C(unit) and C(url).
    type: dict
    default: {}
  timeout:
    description: Seconds that all requests together may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Ask the frontend of this host
  service_probe:
    host: "{{ inventory_hostname }}"
    url: http://10.0.0.5:8000
    model: Llama-3.1-70B
    workers:
      gpu1:
        - unit: dynamo-worker@0.service
          url: http://10.0.0.6:9100
  register: asked
"""

RETURN = r"""
findings:
  description: What is wrong, each with host, unit, check, expected and seen.
  type: list
  elements: dict
  returned: always
seen:
  description: >-
    models; model_ready (null where this version does not say); registered (expected, strangers);
    stream_events; cached (tokens, of, source, repeats); served (requests, and by worker how it
    was seen to serve).
  type: dict
  returned: always
figures:
  description: >-
    Milliseconds answer_ms, ttft_ms (streamed, first text), long_first_ms, long_again_ms; tokens
    cached_tokens and prompt_tokens of the repeated prompt; seconds of all checks. A figure that
    could not be measured is left out.
  type: dict
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.verify.frontend import Frontend, Worker


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "model": {"type": "str", "required": True},
            "workers": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    workers = [
        Worker(host, entry["unit"], entry["url"])
        for host, entries in sorted(params["workers"].items())
        for entry in entries
    ]
    started = time.monotonic()
    frontend = Frontend(params["host"], params["url"], params["model"], workers, params["timeout"])
    frontend.check()
    frontend.figures["seconds"] = round(time.monotonic() - started, 2)
    module.exit_json(
        changed=False, findings=frontend.findings, seen=frontend.seen, figures=frontend.figures
    )


if __name__ == "__main__":
    main()
