"""What a sandbox hides, and the paths that a text of any form names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import sandbox

ROOT = Path(__file__).resolve().parents[3]
OURS = yaml.safe_load((ROOT / "group_vars/all/sandbox.yml").read_text())["dynamo_sandbox"]
CASES = yaml.safe_load((ROOT / "tests/fixtures/paths.yml").read_text())
HIDDEN = sandbox.hidden(OURS)


def test_what_the_units_sandbox_hides() -> None:
    assert CASES[" ".join(HIDDEN)] == list(HIDDEN)
    assert {"http_proxy", "HTTPS_PROXY"} <= sandbox.unset(OURS)


@pytest.mark.parametrize(
    ("directives", "hidden"),
    [
        ("ProtectHome=read-only\nPrivateTmp=no", ()),
        ("ProtectHome=tmpfs", ("/home", "/root", "/run/user")),
        ("PrivateTmp=yes\nPrivateTmp=false", ()),
        (
            "InaccessiblePaths=-/srv/secret /mnt\nTemporaryFileSystem=/var:ro",
            ("/srv/secret", "/mnt", "/var"),
        ),
        ("InaccessiblePaths=/srv\nInaccessiblePaths=", ()),
        ("# ProtectHome=yes", ()),
    ],
)
def test_hidden_by_other_directives(directives: str, hidden: tuple[str, ...]) -> None:
    assert sandbox.hidden(directives) == hidden


@pytest.mark.parametrize(("text", "paths"), CASES.items())
def test_paths_out_of_sight(text: str, paths: list[str]) -> None:
    assert [path for path, _ in sandbox.unseen(text, HIDDEN)] == paths
