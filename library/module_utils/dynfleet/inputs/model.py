"""The inventory as plain data, and what a check finds in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible.module_utils.dynfleet.inputs.catalogue import Catalogue

# The inventory groups, each with the role that its hosts get.
GROUPS = {
    "etcd": "etcd",
    "nats": "nats",
    "builder": "wheelhouse",
    "frontends": "frontend",
    "workers": "worker",
}
SHOWN = 80
WITHHELD = "(vaulted)"


@dataclass(frozen=True)
class Problem:
    """Something wrong with the input.

    message: what is wrong. mend: what to do. host or group: where; neither is the fleet.
    variable, value: empty where it is not about one; value is as shown to people. origin: the
    file and line that set it. warning: worth knowing, no reason to stop.
    """

    message: str
    mend: str
    host: str = ""
    group: str = ""
    variable: str = ""
    value: str = ""
    origin: str = ""
    warning: bool = False


def show(value: Any) -> str:
    """A value on one line, as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def nowhere(_name: str) -> str:
    """The origin of a variable where none is known."""
    return ""


@dataclass
class Host:
    """A host in one of our groups.

    names: of all its variables. variables: values of those that are ours; one that cannot be
    rendered is missing. given: names whose value the site chose, as opposed to those that follow
    from others. defaults: the roles' own. origin: file and line of a variable. secret: names
    whose value is encrypted in the inventory and not to be shown. written: values as the inventory
    has them, before Ansible renders them. by_option: names of what was given by -e.
    """

    name: str
    groups: frozenset[str]
    variables: Mapping[str, Any]
    names: frozenset[str]
    given: frozenset[str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    origin: Callable[[str], str] = nowhere
    secret: frozenset[str] = frozenset()
    written: Mapping[str, Any] = field(default_factory=dict)
    by_option: frozenset[str] = frozenset()

    def value(self, name: str) -> Any:
        """The value in force; None where there is none, or it cannot be rendered."""
        return (self.variables if name in self.names else self.defaults).get(name)

    def chosen(self, own: str, fleets: str) -> str:
        """The name to speak of: a role's own variable where the site set that, else the fleet's."""
        return own if own in self.given else fleets

    def integer(self, name: str) -> int | None:
        """The value if it is a whole number. A wrong kind is another check's business."""
        value = self.value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """The value if it is text."""
        value = self.value(name)
        return value if isinstance(value, str) else None

    def sequence(self, name: str) -> Sequence[Any]:
        """The value if it is a list, else an empty one."""
        value = self.value(name)
        return value if isinstance(value, (list, tuple)) else ()

    def mapping(self, name: str) -> Mapping[str, Any]:
        """The value if it is a dictionary, else an empty one."""
        value = self.value(name)
        return value if isinstance(value, Mapping) else {}

    def problem(
        self, variable: str, message: str, mend: str, value: Any = None, warning: bool = False
    ) -> Problem:
        """A problem with a variable of this host; value None takes the one in force."""
        root = variable.split(".", maxsplit=1)[0]
        shown = self.value(variable) if value is None else value
        seen = WITHHELD if root in self.secret else show(shown)
        return Problem(
            message=message,
            mend=mend,
            host=self.name,
            variable=variable,
            value="" if shown is None else seen,
            origin=self.origin(root),
            warning=warning,
        )


@dataclass
class Fleet:
    """The whole inventory.

    groups: host names by inventory group. hosts: those in our groups, by name. root: the
    project's directory on the controller.
    """

    groups: Mapping[str, Sequence[str]]
    hosts: Mapping[str, Host]
    catalogue: Catalogue
    root: Path

    def members(self, group: str) -> list[Host]:
        """The hosts of a group."""
        return [self.hosts[name] for name in self.groups.get(group, ()) if name in self.hosts]
