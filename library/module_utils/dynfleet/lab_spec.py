"""What a lab is to be: from module parameters, or from the record that it left when it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet.lab import Host, Lab
from ansible.module_utils.dynfleet.lab_host_files import File
from ansible.module_utils.dynfleet.lab_machine import LabError
from ansible.module_utils.dynfleet.lab_write import replace, same


@dataclass(frozen=True)
class Spec:
    """A lab with its hosts and the cached root of each suite."""

    lab: Lab
    hosts: tuple[Host, ...]
    roots: dict[str, str]

    def file(self) -> File:
        """The record: enough to stop, boot and remove the lab without its inventory."""
        return File(json.dumps(asdict(self), indent=1).encode())

    def save(self) -> None:
        path = record_path(self.lab.directory)
        if not same(path, self.file()):
            replace(path, self.file())

    def chosen(self, names: Sequence[str]) -> list[Host]:
        """Hosts by name; all where none is named."""
        known = [host.name for host in self.hosts]
        if unknown := sorted(set(names) - set(known)):
            raise LabError(
                f"{', '.join(unknown)}: no host of the lab, which has {', '.join(known)}"
            )
        return [host for host in self.hosts if not names or host.name in names]


def record_path(directory: str) -> Path:
    return Path(directory) / "lab.json"


def recorded(directory: str) -> Spec | None:
    """The lab as it was made; None where there is none, or its record is damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(record_path(directory).read_text())
        hosts = tuple(pure.host_from(item) for item in found["hosts"])
        return Spec(Lab(**found["lab"]), hosts, found["roots"])
    return None


def remaining(params: Mapping[str, Any]) -> Spec | None:
    """The lab to take down: by its record, or where that is lost by its name."""
    if found := recorded(params["lab_dir"]):
        return found
    if params["bridge"] and params["subnet"] and params["cache_dir"]:
        return Spec(named(params), (), {})
    return None


def named(params: Mapping[str, Any]) -> Lab:
    """The lab that the parameters name."""
    refuse(pure.lab_problems(params["bridge"], params["subnet"]))
    return Lab(
        bridge=params["bridge"],
        subnet=params["subnet"],
        directory=params["lab_dir"],
        cache=params["cache_dir"],
        internet=params["internet"],
    )


def wanted(params: Mapping[str, Any]) -> Spec:
    """The lab that the parameters describe; all that is wrong with it at once."""
    lab = named(params)
    hosts = tuple(pure.host_from(item) for item in params["hosts"])
    found = pure.host_problems(lab, hosts)
    for host in hosts:
        if host.topology and not Path(host.topology).is_file():
            found.append(f"{host.name}: lab_topology {host.topology} is not a file")
        found.extend(
            f"{host.name}: lab_binds shows {bind.source} read-only, but it does not exist"
            for bind in host.binds
            if bind.read_only and not Path(bind.source).exists()
        )
    before = recorded(params["lab_dir"])
    if before and before.lab != lab:
        found.append(
            f"{lab.directory} holds a lab made as {before.lab}, wanted is {lab}: "
            "take it down first, or set lab_dir to another directory"
        )
    refuse(found)
    return Spec(lab, hosts, params["roots"] or {})


def refuse(found: Sequence[str]) -> None:
    if found:
        raise LabError("The lab cannot be made:\n- " + "\n- ".join(found))
