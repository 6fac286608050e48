"""What can go wrong with a build, as the user has to read it."""

from __future__ import annotations


class BuildError(Exception):
    """The build cannot go on; the message says why, where and what to do."""
