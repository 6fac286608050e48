"""What systemd says, fingerprints, and what to do about a unit."""

from __future__ import annotations

import pytest
from ansible.module_utils.dynfleet import units

TWO_UNITS = """\
Id=dynamo-worker@0.service
LoadState=loaded
ActiveState=active
MainPID=42
ExecMainStartTimestamp=Mon 2026-01-05 10:00:00 UTC

Id=dynamo-worker@1.service
LoadState=loaded
ActiveState=failed
MainPID=0
ExecMainStartTimestamp=
"""
INPUTS = {"/etc/a.env": b"A=1\n", "/etc/b.conf": b"b\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n\n", {}),
        ("ActiveState=active\n", {}),  # no Id: nobody's
        ("Id=\nActiveState=active\n", {}),
        (
            "Id=x.target\nActiveState=active\n",
            {"x.target": {"Id": "x.target", "ActiveState": "active"}},
        ),
        ("Id=x.service\nResult=a=b\n", {"x.service": {"Id": "x.service", "Result": "a=b"}}),
        ("Id=x.service\nno equals sign\n", {"x.service": {"Id": "x.service"}}),
    ],
)
def test_show_is_read_by_unit(text: str, expected: dict[str, dict[str, str]]) -> None:
    assert units.parse_show(text) == expected


def test_show_of_two_units() -> None:
    shown = units.parse_show(TWO_UNITS)
    assert sorted(shown) == ["dynamo-worker@0.service", "dynamo-worker@1.service"]
    assert shown["dynamo-worker@0.service"]["MainPID"] == "42"
    assert shown["dynamo-worker@1.service"]["ActiveState"] == "failed"
    assert shown["dynamo-worker@1.service"]["ExecMainStartTimestamp"] == ""


def test_fingerprint_does_not_change_between_versions() -> None:
    # A change of the algorithm restarts every process of every fleet: it has to be meant.
    assert units.fingerprint(INPUTS, "release-1") == "30ce91e0c6143dfa"
    assert units.fingerprint(dict(reversed(INPUTS.items())), "release-1") == "30ce91e0c6143dfa"


@pytest.mark.parametrize(
    ("parts", "salt"),
    [
        ({**INPUTS, "/etc/a.env": b"A=2\n"}, "release-1"),
        ({**INPUTS, "/etc/a.env": b"A=1"}, "release-1"),
        ({**INPUTS, "/etc/c": b""}, "release-1"),
        ({"/etc/a.env": b"A=1\n"}, "release-1"),
        ({"/etc/a.env": b"b\n", "/etc/b.conf": b"A=1\n"}, "release-1"),  # contents swapped
        ({"/etc/a.envA": b"=1\n", "/etc/b.conf": b"b\n"}, "release-1"),
        (INPUTS, "release-2"),
        (INPUTS, ""),
        ({}, "release-1"),
    ],
)
def test_fingerprint_tells_states_apart(parts: dict[str, bytes], salt: str) -> None:
    assert units.fingerprint(parts, salt) != units.fingerprint(INPUTS, "release-1")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (b"", None),
        (b"PATH=/bin\0", None),
        (b"PATH=/bin\0DYNAMO_FINGERPRINT=aa\0HOME=/\0", "aa"),
        (b"DYNAMO_FINGERPRINT=\0", ""),
        (b"X=DYNAMO_FINGERPRINT=aa\0", None),
        (b"DYNAMO_FINGERPRINTS=aa\0", None),
        # A line of another variable's value.
        (b"X=1\nDYNAMO_FINGERPRINT=aa\0", None),
        (b"DYNAMO_FINGERPRINT=\xff\0", "\ufffd"),
    ],
)
def test_running_fingerprint(environ: bytes, expected: str | None) -> None:
    assert units.running_fingerprint(environ) == expected


@pytest.mark.parametrize(
    ("state", "have", "want", "action"),
    [
        ("active", "aa", "aa", "none"),
        ("active", "aa", "bb", "restart"),
        ("active", None, "bb", "restart"),  # a process of before there were fingerprints
        ("active", None, None, "none"),  # a target
        ("reloading", "aa", "aa", "wait"),
        ("activating", "aa", "aa", "wait"),
        ("activating", "aa", "bb", "start"),  # serves nobody yet
        ("activating", None, "bb", "start"),  # between two attempts
        ("activating", None, None, "wait"),
        ("inactive", None, "bb", "start"),
        ("inactive", None, None, "start"),
        ("failed", None, "bb", "start"),
        ("failed", "bb", "bb", "start"),
        ("deactivating", "bb", "bb", "start"),
        ("maintenance", None, "bb", "start"),
        ("unknown", None, "bb", "start"),
    ],
)
def test_action(state: str, have: str | None, want: str | None, action: str) -> None:
    assert units.action(state, have, want) == action


@pytest.mark.parametrize(
    ("known", "wanted", "stale"),
    [
        ([], [], []),
        (["w@0.service"], ["w@0.service"], []),
        (
            ["w@1.service", "w@0.service", "w@2.service"],
            ["w@0.service"],
            ["w@1.service", "w@2.service"],
        ),
        (["w@1.service", "w@1.service"], [], ["w@1.service"]),  # listed and enabled
        (["w@.service"], [], []),  # the template itself
        (["w@0.socket", "w.service", "other@0.service", "ww@0.service"], [], []),
    ],
)
def test_stale_instances(known: list[str], wanted: list[str], stale: list[str]) -> None:
    assert units.stale_instances(known, wanted, "w@") == stale


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        ({}, {}, False),
        ({"a": ["0", "1"]}, {"a": ["0", "1"]}, False),  # its own
        ({"a": ["0", "1"]}, {"a": ["0", "1"], "b": ["2", "3"]}, False),
        ({"c": ["2"]}, {"a": ["0", "1"], "b": ["2", "3"]}, True),  # a new one in a smaller group
        ({"a": ["0", "2"], "b": ["1", "3"]}, {"a": ["0", "1"], "b": ["2", "3"]}, True),
        ({"a": []}, {"b": []}, False),
    ],
)
def test_units_collide_over_what_another_holds(
    wanted: dict[str, list[str]], held: dict[str, list[str]], expected: bool
) -> None:
    assert units.collide(wanted, held) is expected


def test_environment_is_read_by_whole_names() -> None:
    environ = b"XCUDA_VISIBLE_DEVICES=9\0CUDA_VISIBLE_DEVICES=GPU-a,GPU-b\0"
    assert units.listed(environ, "CUDA_VISIBLE_DEVICES") == ["GPU-a", "GPU-b"]
    assert units.listed(environ, "NONE") == []
