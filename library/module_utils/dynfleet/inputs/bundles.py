"""The bundle to deploy from, if there is to be one."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.dynfleet.inputs.files import is_file
from ansible.module_utils.dynfleet.inputs.model import Fleet, Problem


def check(fleet: Fleet) -> Iterator[Problem]:
    """It has to be a file here; what is in it is looked at when the hosts are known."""
    for host in fleet.members("builder"):
        if host.text("bundle") and not is_file(host.text("bundle_path") or ""):
            yield host.problem(
                "bundle",
                "is no file on the controller",
                "give the path of an archive that playbooks/bundle.yml made",
            )
