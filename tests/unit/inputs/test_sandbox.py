"""What a sandbox hides, and the paths that a text of any form names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import sandbox

ROOT = Path(__file__).resolve().parents[3]
OURS = yaml.safe_load((ROOT / "group_vars/all/sandbox.yml").read_text())["dynamo_sandbox"]
HIDDEN = sandbox.hidden(OURS)


def test_what_the_units_sandbox_hides() -> None:
    assert HIDDEN == ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
    assert {"http_proxy", "HTTPS_PROXY"} <= sandbox.unset(OURS)


@pytest.mark.parametrize(
    ("directives", "hidden"),
    [
        ("ProtectHome=read-only\nPrivateTmp=no", ()),
        ("ProtectHome=tmpfs", ("/home", "/root", "/run/user")),
        ("PrivateTmp=yes\nPrivateTmp=false", ()),
        ("InaccessiblePaths=-/srv/secret /mnt\nTemporaryFileSystem=/var:ro", ("/srv/secret", "/mnt", "/var")),
        ("InaccessiblePaths=/srv\nInaccessiblePaths=", ()),
        ("# ProtectHome=yes", ()),
    ],
)
def test_hidden_by_other_directives(directives: str, hidden: tuple[str, ...]) -> None:
    assert sandbox.hidden(directives) == hidden


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/home/ops/x.jinja", ["/home/ops/x.jinja"]),
        ("/root", ["/root"]),
        ("/home/my templates/x.jinja", ["/home/my templates/x.jinja"]),
        ("--chat-template=/root/templates/tool.jinja", ["/root/templates/tool.jinja"]),
        ("sql=/home/ops/lora/sql", ["/home/ops/lora/sql"]),
        ("a=/srv/a,b=/tmp/b,/var/tmp/c", ["/tmp/b", "/var/tmp/c"]),
        ("/opt/lib:/home/x/lib", ["/home/x/lib"]),
        ("file:///home/x/a%20b", ["/home/x/a b"]),
        ("file://localhost/root/x", ["/root/x"]),
        ("a=file:///root/x", ["/root/x"]),
        ("unix:/run/user/1000/s", ["/run/user/1000/s"]),
        ("ipc:///tmp/s", ["/tmp/s"]),
        ('{"name": "sql", "path": "/home/x/sql"}', ["/home/x/sql"]),
        ('--lora-modules={"path":"\\/home\\/x"}', ["/home/x"]),
        ('[{"a": ["/srv/x", {"/root/key": 1}]}]', ["/root/key"]),
        ('{"a": "{\\"b\\": \\"/tmp/c\\"}"}', ["/tmp/c"]),
        ("{'path': '/home/x'}", ["/home/x"]),
        ("//home//x/", ["//home//x/"]),
        ("/srv/../home/x", ["/srv/../home/x"]),
        ("~/x.jinja", ["~/x.jinja"]),
        ("--download-dir=~ops/models", ["~ops/models"]),
        ("$HOME/x", ["$HOME/x"]),
        ("a=${HOME}/x", ["$HOME/x"]),
        ("./x.jinja", ["./x.jinja"]),
        ("../x", ["../x"]),
        ("--chat-template=templates/tool.jinja", ["templates/tool.jinja"]),
        ("tool.jinja", ["tool.jinja"]),
        # Nothing to say about these.
        ("meta-llama/Llama-3.3-70B-Instruct", []),
        ("--tokenizer=org/home", []),
        ("sql=org/tmp", []),
        ("/srv/models/home/x", []),
        ("/homes/x", []),
        ("/tmpfs", []),
        ("https://example.org/home/x", []),
        ("s3://home/bucket/x", []),
        ("http://10.0.0.1:80/tmp/x?y=/root/z", []),
        ("tcp://*:5557", []),
        ("0.9", []),
        ("--enforce-eager", []),
        ('{"architectures": ["Qwen3ForCausalLM"], "rope": {"factor": 4.0}}', []),
        ("{% if x %}/home/{{ y }}{% endif %}", []),
        ("text\nwith /tmp in it", []),
        ("original/**/*.json", []),
        ("", []),
    ],
)
def test_paths_out_of_sight(text: str, paths: list[str]) -> None:
    assert [path for path, _ in sandbox.unseen(text, HIDDEN)] == paths
