"""The guard as hosts get it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest


@pytest.fixture(scope="session")
def guard(render_helper: Callable[[str, str], Path]) -> Path:
    """The guard as the role writes it."""
    return render_helper("placement", "__placement_guard")
