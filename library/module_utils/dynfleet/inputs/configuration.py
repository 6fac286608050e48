"""Whether Ansible goes by this project's ansible.cfg, and what follows where it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.inputs.model import Problem

# What the inventory file and the site's group_vars set, and the defaults that have to come before.
DEFAULTS = "all_plugins_inventory"
SITES = ("all_inventory", "groups_plugins_inventory", "groups_inventory")
WORLD_WRITABLE = 0o002
# What Ansible has to find of the project, each with its name for the setting.
PATHS = {
    "roles": "DEFAULT_ROLES_PATH",
    "library": "DEFAULT_MODULE_PATH",
    "library/module_utils": "DEFAULT_MODULE_UTILS_PATH",
    "library/action_plugins": "DEFAULT_ACTION_PLUGIN_PATH",
}


@dataclass(frozen=True)
class Configuration:
    """What Ansible runs with.

    root: the project. directory: where the command was run. file: the configuration file in
    force, None without one. variable: what ANSIBLE_CONFIG is, None where it is not set. paths: by
    the name of a directory of the project, where Ansible looks for what is in there, and what
    said so: a file, ``env: NAME`` or ``default``. precedence: the order of variables, and what
    said so.
    """

    root: Path
    directory: Path
    file: Path | None
    variable: str | None
    paths: Mapping[str, tuple[Sequence[str], str]]
    precedence: tuple[Sequence[str], str]

    @property
    def own(self) -> Path:
        """The project's configuration file."""
        return self.root / "ansible.cfg"

    @property
    def in_force(self) -> bool:
        """Whether the project's file is the one that Ansible has read."""
        return self.file is not None and self.file.resolve() == self.own.resolve()


def read(root: Path, constants: Any) -> Configuration:
    """What Ansible runs with, from its module ``ansible.constants``."""

    def setting(name: str) -> tuple[list[str], str]:
        value, source = constants.config.get_config_value_and_origin(name)
        return list(value or ()), str(source)

    return Configuration(
        root=root,
        directory=Path.cwd(),
        file=Path(constants.CONFIG_FILE) if constants.CONFIG_FILE else None,
        variable=os.environ.get("ANSIBLE_CONFIG"),
        paths={name: setting(key) for name, key in PATHS.items()},
        precedence=setting("VARIABLE_PRECEDENCE"),
    )


def writable_by_all(path: Path) -> bool:
    """Whether every user of this machine may write here."""
    try:
        return bool(path.stat().st_mode & WORLD_WRITABLE)
    except OSError:
        return False


def readable(path: Path) -> bool:
    """Whether this user may read a file."""
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def ignored(configuration: Configuration) -> str:
    """Why Ansible finds no roles or modules of the project, and the fix; empty where it does."""
    lost = {
        name: source
        for name, (places, source) in configuration.paths.items()
        if configuration.root / name not in [Path(place).resolve() for place in places]
    }
    if not lost:
        return ""
    if configuration.in_force:
        said = " and ".join(dict.fromkeys(source.replace("env: ", "") for source in lost.values()))
        named = " and ".join(str(configuration.root / name) for name in lost)
        return (
            f"Ansible does not look into {named}, because of {said}: unset it, or add these to it."
        )
    why, fix = _reason(configuration)
    instead = f" (in force is {configuration.file})" if configuration.file else ""
    return (
        f"Ansible ignores {configuration.own}{instead}, and without it finds none of this "
        f"project's roles and modules: {why}. {fix}."
    )


def _reason(configuration: Configuration) -> tuple[str, str]:
    """Why another configuration file than the project's is in force, and the fix."""
    root, own = configuration.root, configuration.own
    export = f"export ANSIBLE_CONFIG={own}"
    if not own.exists():
        return "the file is not there", f"Restore it: git -C {root} checkout ansible.cfg"
    if not readable(own):
        return "this user may not read it", f"chmod a+r {own}"
    if configuration.variable is not None:
        there = "" if configuration.file else ", which is no file that can be read"
        return f"ANSIBLE_CONFIG is {configuration.variable}{there}", f"Set it: {export}"
    if configuration.directory != root:
        return (
            f"the command was run in {configuration.directory}, and Ansible takes ansible.cfg "
            "from there only",
            f"Run it in the project: cd {root}; or {export}",
        )
    return (
        f"every user may write in {root}, and Ansible takes no ansible.cfg from such a directory",
        f"Take that right away: chmod o-w {root}; where the file system has no modes: {export}",
    )


def in_order(precedence: Sequence[str]) -> bool:
    """Whether what a site writes wins over the defaults of group_vars/all."""
    order = list(precedence)
    return all(name in order for name in (DEFAULTS, *SITES)) and all(
        order.index(DEFAULTS) < order.index(name) for name in SITES
    )


def check(configuration: Configuration) -> Iterator[Problem]:
    """The order of variables, the directory that paths begin with, and who may write there."""
    order, source = configuration.precedence
    own = configuration.own
    if not in_order(order):
        by = (
            f"{configuration.file or 'no configuration file'} is in force and does not set it"
            if source == "default"
            else f"set by {source.replace('env: ', '')}"
        )
        yield Problem(
            message="Ansible's order of variables (precedence) is not this project's, so that the "
            "defaults in group_vars/all win over what the inventory file sets for all hosts or "
            f"for a group: {by}",
            mend=f"export ANSIBLE_CONFIG={own}, or take the line 'precedence = ...' over from "
            "there; nothing else was checked",
        )
    elif not configuration.file or not (configuration.file.parent / "roles").is_dir():
        yield Problem(
            message="lock files and reports are looked for beside the configuration file in "
            f"force, {configuration.file or 'and there is none'}",
            mend=f"export ANSIBLE_CONFIG={own}",
        )
    if writable_by_all(configuration.root):
        yield Problem(
            message=f"every user of this machine may write in {configuration.root}, and with that "
            "change what runs as root on the hosts",
            mend=f"chmod -R o-w {configuration.root}",
            warning=True,
        )
