"""Writes the version into the package, as Dynamo's own hook does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class VersionHook(BuildHookInterface):
    """Called before files are packed."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Write the file."""
        name = "components/src/dynamo/frontend/_version.py"
        Path(self.root, name).write_text(f'__version__ = "{self.metadata.version}"\n')
        build_data["artifacts"].append(name)
