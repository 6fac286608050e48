"""What is given by -e: typed before anything runs, and refused where it is wrong, in every verb."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import catalogue, kinds, options

sys.path.append(str(Path(__file__).parent))
import fleet
from test_preflight import large

CATALOGUE = catalogue.read(fleet.ROOT)
# What is only imported by others, after their own check.
IMPORTED = {"deploy.yml"}
VERBS = sorted(
    str(path.relative_to(fleet.ROOT))
    for path in [fleet.ROOT / "site.yml", *(fleet.ROOT / "playbooks").glob("*.yml")]
    if path.name not in IMPORTED
)


def ansible_playbook(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in the project, as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *arguments],
        cwd=fleet.ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(fleet.ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> fleet.Site:
    return fleet.Site(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("roll_back", word, True) for word in ("true", "True", "TRUE", "yes", "on", "1")),
        *(("roll_back", word, False) for word in ("false", "no", "Off", "0")),
        ("roll_pause", "30", 30),
        ("worker_memory_gib", "-5", -5),
        ("roll_max_failed_percent", "5", 5),
        ("roll_max_failed_percent", "0.5", 0.5),
        ("roll_max_ttft_factor", "3", 3),
        ("roll_max_out", "2", 2),
        ("roll_max_out", "25%", "25%"),
        ("roll_batch", "2", [2]),
        ("roll_batch", "25%", ["25%"]),
        ("roll_batch", '[1, "50%"]', [1, "50%"]),
        ("worker_extra_args", '["--a"]', ["--a"]),
        ("dynamo_ports", '{"nats_client": 4222}', {"nats_client": 4222}),
        ("etcd_client_port", "2379", 2379),
        ("etcd_restore_healthy", "true", True),
    ],
)
def test_text_that_can_be_one_thing_only_is_that(name: str, text: str, value: Any) -> None:
    rule = kinds.rule_of(name, CATALOGUE.defaults)
    assert rule
    typed = options.typed(text, rule)
    assert typed == value
    assert type(typed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("roll_back", word) for word in ("maybe", "", "y", "2", "none", " true")),
        *(("roll_pause", text) for text in ("abc", "", "1.5", "030", "1e3", "0x10", "30s", "1_0")),
        *(("roll_max_failed_percent", text) for text in ("5%", "1,5", ".5", "nan", "inf", "1e1")),
        *(("roll_max_out", text) for text in ("abc", "0", "-1", "0%", "101%", "25 %", "1.5", "")),
        *(("roll_batch", text) for text in ("1,25%", "all", "", "[]", "{}", '["x"]', "0")),
        *(("worker_extra_args", text) for text in ("--a", "{}", "[", '"--a"')),
    ],
)
def test_what_is_ambiguous_or_wrong_is_left_for_the_check_and_refused(name: str, text: str) -> None:
    rule = kinds.rule_of(name, CATALOGUE.defaults)
    assert rule
    value = options.typed(text, rule)
    assert kinds.judge(value, rule)
    assert kinds.mend(name, value, rule, "-e")


@pytest.mark.parametrize("name", ["roll_workers", "dynamo_model_name", "target", "drain_why"])
@pytest.mark.parametrize("text", ["1", "true", "[1]", "1.0"])
def test_text_stays_text(name: str, text: str) -> None:
    rule = kinds.rule_of(name, CATALOGUE.defaults)
    assert rule
    assert options.typed(text, rule) == text
    assert not kinds.judge(text, rule)


def test_every_setting_of_rolls_with_a_default_has_a_rule() -> None:
    names = {name for name in CATALOGUE.defaults if name.startswith("roll_")}
    assert len(names) > 10
    assert [name for name in names if not kinds.rule_of(name, CATALOGUE.defaults)] == []


def test_later_tasks_see_the_typed_value_on_every_host(site: fleet.Site) -> None:
    """In templates and template files, conditions, keywords, and for other hosts."""
    seen = "[roll_pause is integer, roll_pause + 1, roll_back, roll_batch, other_tools, roll_who]"
    play = {
        "hosts": "workers",
        "gather_facts": False,
        "serial": "{{ roll_batch }}",
        "tasks": [
            {
                "assert": {
                    "that": [
                        f"{seen} == [true, 31, false, [1], '7', '8']",
                        "hostvars['c1'].roll_pause == 30 and hostvars['c1'].roll_back is false",
                        "roll_max_ttft_factor * 2 == 5.0",
                        "lookup('ansible.builtin.template', where) == 'False 31'",
                        "ansible_play_batch | length == 1",
                    ]
                },
                "vars": {"where": str(site.directory / "file.j2")},
            },
            {"fail": {"msg": "a truth value was text"}, "when": "roll_back"},
        ],
    }
    (site.directory / "file.j2").write_text("{{ roll_back }} {{ roll_pause + 1 }}")
    (site.directory / "play.yml").write_text(yaml.safe_dump([play]))
    given = ("roll_pause=30", "roll_back=false roll_batch=1", "roll_max_ttft_factor=2.5")
    (site.directory / "more.yml").write_text('other_tools: "7"\nroll_who: "8"\n')
    done = ansible_playbook(
        *("-i", str(site.write("good", {}))),
        *(part for text in given for part in ("-e", text)),
        *("-e", f"@{site.directory}/more.yml"),
        str(site.directory / "play.yml"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("All assertions passed") == 2


WRONG = ("-e", "roll_pause=abc", "-e", "roll_back=maybe", "-e", "rol_back=true", "-e", "tagret=x")


@pytest.mark.parametrize("playbook", VERBS)
def test_every_verb_refuses_before_anything_is_touched(site: fleet.Site, playbook: str) -> None:
    done = ansible_playbook("-i", str(site.write("good", {})), playbook, *WRONG)
    assert done.returncode == 2, done.stdout + done.stderr
    for part in (
        'all hosts: roll_pause = "abc": is text, wanted is a whole number; give at least 0 (sec'
        "onds) (set by -e)",
        'all hosts: roll_back = "maybe": is text, wanted is true or false; give true or false',
        "all hosts: rol_back: no variable of this project; did you mean roll_back?",
        "all hosts: tagret: no variable of this project; did you mean target?",
    ):
        assert part in done.stdout, done.stdout
    recap = done.stdout.split("PLAY RECAP")[1].splitlines()[1:]
    assert sum("ok=" in line for line in recap) == 1, recap
    assert "unreachable=0" in "".join(recap)
    assert done.stdout.count("TASK [") <= 2


def test_what_a_verb_does_not_need_does_not_stop_it(site: fleet.Site) -> None:
    """At 3 a.m. a drain is not refused for a slip elsewhere in the inventory; a roll's own is."""
    slips = {"dynamo_group_sise": 4, "worker_memory_gib": "240"}
    path = site.write("slips", {"vars": slips})
    assert not site.look_at(path, "options").get("failed")
    assert len(fleet.report(site.look_at(path))) == 2
    path = site.write("roll", {"vars": {**slips, "roll_batch": [], "roll_pause": "30"}})
    assert [line.split(":")[1] for line in fleet.report(site.look_at(path, "options"))] == [
        " roll_batch = []",
        ' roll_pause = "30"',
    ]


def test_another_tools_variable_passes(site: fleet.Site) -> None:
    path = site.write("other", {"vars": {"dynamo_foreign_variables": ["roll_number"]}})
    check = fleet.ROOT / "playbooks/tasks/options.yml"
    play = [{"hosts": "workers", "gather_facts": False, "tasks": [{"import_tasks": str(check)}]}]
    (site.directory / "play.yml").write_text(yaml.safe_dump(play))
    given = ("-e", "roll_number=7", "-e", "region=eu", "-e", "ansible_user=root")
    done = ansible_playbook("-i", str(path), str(site.directory / "play.yml"), *given)
    assert done.returncode == 0, done.stdout


def test_time_of_200_hosts(site: fleet.Site) -> None:
    """Processor time, the best of three: what every verb pays."""
    path = site.directory / "large.yml"
    path.write_text(yaml.safe_dump(large(197)))
    times = []
    for _ in range(3):
        start = time.process_time()
        assert not site.look_at(path, "options").get("failed")
        times.append(time.process_time() - start)
    print(f"200 hosts: {min(times):.2f} s with reading the inventory")
    assert min(times) < 3
