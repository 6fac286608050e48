"""Vars plugin: types for what comes by ``-e``, and words where Ansible ignores this project.

It lies beside the playbooks, where Ansible looks without any configuration, and runs when the
inventory has been read: before any play, host or task, in every playbook and in ad-hoc commands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.plugins.vars import BaseVarsPlugin
from ansible.utils.vars import load_extra_vars

ROOT = Path(__file__).resolve().parents[2]
# ansible-core makes library/module_utils known to modules only, not to plugins.
if str(ROOT / "library/module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(ROOT / "library/module_utils"))

from ansible.module_utils.dynfleet.inputs import catalogue, configuration, kinds, options, tags

DOCUMENTATION = r"""
name: run_options
short_description: Types for extra variables, and words where the project is ignored
description:
  - C(-e name=value) is text to Ansible, and nothing overrides an extra variable later on. Text
    that can only be a number, a truth value, or JSON of a list or dictionary becomes that, in
    place, where the variable is one of this project's and of that kind. Everything else stays as
    it is; the action M(inventory_check) refuses what is wrong.
  - Ends the run, with the reason, where Ansible does not find this project's roles and modules,
    and where C(--tags) or C(--skip-tags) would select nothing, or half of something.
  - Returns no variables.
options:
  stage:
    description: Runs when the inventory has been read, or at the first task without one.
    type: str
    choices: [all]
    default: all
"""


def refuse_tags() -> None:
    """End a run of one of our playbooks whose tags would select nothing, or half of something."""
    ours = {ROOT / "site.yml", *(ROOT / "playbooks").glob("*.yml")}
    for given in context.CLIARGS.get("args") or ():
        path = Path(given).resolve()
        if path in ours:
            known = tags.PLAYBOOKS.get(str(path.relative_to(ROOT)), {})
            run, skip = context.CLIARGS["tags"], context.CLIARGS["skip_tags"]
            if wrong := list(tags.problems(run, skip, known)):
                raise AnsibleError(f"{given}: {'. '.join(wrong)}")


@cache
def settle(loader: Any) -> None:
    """All there is to do, once a run."""
    if why := configuration.ignored(configuration.read(ROOT, constants)):
        raise AnsibleError(why)
    if context.CLIARGS.get("tags"):
        refuse_tags()
    given: dict[str, Any] = load_extra_vars(loader)
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    if not texts:
        return
    known = catalogue.read(ROOT)
    for name, value in texts.items():
        rule = kinds.rule_of(name, known.defaults)
        if rule and name in known.names:
            given[name] = options.typed(value, rule)
    # Ansible keeps one dictionary for all who ask. Should it ever hand out copies, this would be
    # without effect, and nobody would notice.
    if load_extra_vars(loader) is not given:
        raise AnsibleError(
            "this ansible-core does not let extra variables be typed: use 2.19 to 2.21"
        )


class VarsModule(BaseVarsPlugin):
    """Entry point."""

    REQUIRES_ENABLED = False
    is_stateless = True

    def get_vars(self, loader: Any, *_: Any) -> dict[str, Any]:
        """Give no variables."""
        settle(loader)
        return {}
