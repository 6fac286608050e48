"""Action plugin: the inventory as plain data, given to the checks of dynfleet.inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.vault import EncryptedString
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible.utils.vars import load_extra_vars

ROOT = Path(__file__).resolve().parents[2]
# ansible-core makes library/module_utils known to modules only, not to plugins.
if str(ROOT / "library/module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(ROOT / "library/module_utils"))

from ansible.module_utils.dynfleet.inputs import (
    arguments,
    catalogue,
    checks,
    configuration,
    logins,
    model,
    report,
    text,
)

try:
    # Where values come from: no public name yet. It serves messages only.
    TAGS: Any = import_module("ansible._internal._datatag._tags")
except ImportError:
    TAGS = None

# Ansible's own variables that checks ask for.
CONNECTION = logins.VARIABLES | {"ansible_connection", "ansible_host", "ansible_port"}
MISSING = object()


def plain(value: Any) -> Any:
    """A rendered value as plain data: whatever fails to render or to decrypt fails here."""
    if isinstance(value, EncryptedString):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def is_vaulted(value: Any) -> bool:
    """Whether a value, or anything in it, is encrypted in the inventory. Opens nothing."""
    if isinstance(value, Mapping):
        return any(is_vaulted(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(is_vaulted(item) for item in value)
    return isinstance(value, EncryptedString)


class Variables(Mapping[str, Any]):
    """Some variables of a host, rendered when asked for; one that cannot be is missing.

    failed: what was asked for and could not be rendered, with the reason.
    """

    def __init__(self, raw: Mapping[str, Any], names: frozenset[str], templar: Templar) -> None:
        self.raw = {name: raw[name] for name in names if name in raw}
        self.templar = templar
        self.rendered: dict[str, Any] = {}
        self.failed: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.rendered:
            self.rendered[name] = self.render(name)
        if self.rendered[name] is MISSING:
            raise KeyError(name)
        return self.rendered[name]

    def render(self, name: str) -> Any:
        """The value, or MISSING."""
        value = self.raw[name]
        try:
            return plain(self.templar.template(value) if catalogue.is_template(value) else value)
        except (AnsibleError, RecursionError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            self.failed[name] = "it names itself" if "recursion" in reason.lower() else reason
            return MISSING

    def __contains__(self, name: object) -> bool:
        return name in self.raw and self.get(str(name), MISSING) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


def origin_of(raw: Mapping[str, Any], by_option: frozenset[str], name: str) -> str:
    """File and line that set a variable, ``-e``, or nothing where Ansible does not know."""
    tag = TAGS.Origin.get_tag(raw[name]) if TAGS and name in raw else None
    if tag is None:
        return "-e" if name in by_option else ""
    if not tag.path:
        return "-e" if "'-e'" in str(tag.description) else str(tag.description or "")
    path = Path(tag.path)
    shown = path.relative_to(ROOT) if ROOT in path.parents else path
    return f"{shown}:{tag.line_num}" if tag.line_num else str(shown)


def unrendered(fleet: model.Fleet, given: bool) -> Iterator[model.Problem]:
    """Values that a check asked for and that do not render: given by the site, or derived."""
    for host in fleet.hosts.values():
        if not isinstance(host.variables, Variables):
            continue
        for name, reason in host.variables.failed.items():
            if (name in host.given) != given:
                continue
            if name in host.secret:
                yield host.problem(
                    name, f"cannot be read: {reason}", "give its password: --ask-vault-pass"
                )
            else:
                problem = host.problem(
                    name,
                    f"cannot be rendered: {reason}",
                    arguments.mend(name),
                    value=str(host.variables.raw[name]),
                )
                yield replace(problem, value="") if name in catalogue.ENVIRONMENT else problem


def decrypted(fleet: model.Fleet) -> set[str]:
    """The texts behind the vaulted values of ours, as far as a password opens them."""
    found: set[str] = set()
    for host in fleet.hosts.values():
        for name in host.secret:
            found.update(text.texts(host.variables.get(name)))
    return found


def verdict(
    problems: list[model.Problem], line: Callable[[model.Problem], str] = report.line
) -> dict[str, Any]:
    """The failed task's result."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the inventory; no host was touched.", *map(line, problems)]
    return {"changed": False, "failed": True, "msg": "\n".join(lines)}


class ActionModule(ActionBase):
    """Entry point."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take the scope; fail with the report if there is anything to report."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {"scope": {"type": "str", "choices": [*checks.SCOPES], "default": "all"}}
        )
        how = list(configuration.check(configuration.read(ROOT, constants)))
        if not all(problem.warning for problem in how):
            # Every value that is seen may be another than the site's.
            return {**result, **verdict([line for line in how if not line.warning])}
        seen = self.look(task_vars or {}, given["scope"])
        warnings = [*map(report.line, how), *seen["warnings"]]
        return {**result, **seen, "warnings": warnings}

    def look(self, task_vars: Mapping[str, Any], scope: str = "all") -> dict[str, Any]:
        """Look at every host of ours: the task's result."""
        fleet = self.fleet(task_vars, scope)
        found = checks.run(fleet, scope)
        problems = [problem for problem in found if not problem.warning]
        problems += report.merge(unrendered(fleet, given=True), fleet)
        # What follows from others fails only because of them: said where nothing else is.
        problems = problems or report.merge(unrendered(fleet, given=False), fleet)
        secrets = decrypted(fleet)

        def line(problem: model.Problem) -> str:
            return report.withhold(report.line(problem), secrets)

        warnings = [line(problem) for problem in found if problem.warning]
        good = {"changed": False, "msg": f"{len(fleet.hosts)} hosts: nothing to object to"}
        return {**(verdict(problems, line) if problems else good), "warnings": warnings}

    def fleet(self, task_vars: Mapping[str, Any], scope: str) -> model.Fleet:
        """The inventory as the checks take it."""
        known = catalogue.read(ROOT)
        by_option = frozenset(load_extra_vars(self._loader))
        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        ours = dict.fromkeys(name for group in model.GROUPS for name in groups.get(group, ()))
        # A run on no host of ours has options too.
        alone = [task_vars["inventory_hostname"]] if scope == "options" and by_option else []
        hostvars = task_vars["hostvars"]
        hosts = {
            name: self.host(
                name, groups, {**hostvars.raw_get(name), "hostvars": hostvars}, known, by_option
            )
            for name in ours or alone
        }
        return model.Fleet(groups=groups, hosts=hosts, catalogue=known, root=ROOT)

    def host(
        self,
        name: str,
        groups: Mapping[str, list[str]],
        raw: dict[str, Any],
        known: catalogue.Catalogue,
        by_option: frozenset[str],
    ) -> model.Host:
        """A host; nothing of it is rendered yet, and what is vaulted is not opened."""
        templar = Templar(loader=self._loader, variables=raw)
        secret = frozenset(name for name in known.names & set(raw) if is_vaulted(raw[name]))
        return model.Host(
            name=name,
            groups=frozenset(group for group in model.GROUPS if name in groups.get(group, ())),
            variables=Variables(raw, known.names | CONNECTION, templar),
            names=frozenset(raw),
            given=frozenset(
                key
                for key in raw
                # The comparison would open a vaulted value.
                if key in secret or key not in known.derived or raw[key] != known.derived[key]
            ),
            defaults=known.defaults,
            origin=partial(origin_of, raw, by_option),
            secret=secret,
            written=raw,
            by_option=by_option,
        )
