"""The lab as data: what is refused, what is taken over from the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.dynfleet import lab

LAB = lab.Lab("dynlab0", "10.77.0.0/24", "/var/lib/dynamo-lab", "/var/cache/dynamo-lab")
GOOD = lab.Host("gpu1", "10.77.0.12", "trixie")
CORPORATE = "-----BEGIN CERTIFICATE-----\nQ09SUE9SQVRF\n-----END CERTIFICATE-----\n"
MOZILLA = "-----BEGIN CERTIFICATE-----\nTU9aSUxMQQ==\n-----END CERTIFICATE-----\n"


def test_a_lab_has_its_first_address_itself() -> None:
    assert LAB.gateway == "10.77.0.1"
    assert lab.lab_problems(LAB.bridge, LAB.subnet) == []
    assert lab.host_problems(LAB, [GOOD]) == []


@pytest.mark.parametrize(
    ("bridge", "subnet", "said"),
    [
        ("a-name-too-long-for-it", "10.77.0.0/24", "1 to 15"),
        ("0lab", "10.77.0.0/24", "a letter first"),
        ("lab/..", "10.77.0.0/24", "1 to 15"),
        ("lab0", "10.77.0.5/24", "host bits"),
        ("lab0", "10.77.0.0/30", "/29 or larger"),
        ("lab0", "8.8.8.0/24", "private"),
        ("lab0", "no network", "10.77.0.0/24"),
    ],
)
def test_a_bad_lab_is_refused(bridge: str, subnet: str, said: str) -> None:
    (problem,) = lab.lab_problems(bridge, subnet)
    assert said in problem
    assert (bridge if bridge != "lab0" else subnet) in problem


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (lab.Host("gpu_1", "10.77.0.12", "trixie"), "gpu_1: a host name"),
        (lab.Host("../up", "10.77.0.12", "trixie"), "a host name"),
        (lab.Host("gpu1", "10.78.0.12", "trixie"), "is not in 10.77.0.0/24"),
        (lab.Host("gpu1", "10.77.0.255", "trixie"), "is not in"),
        (lab.Host("gpu1", "10.77.0.1", "trixie"), "the bridge's own"),
        (lab.Host("gpu1", "10.77.0.12", "sid"), "none of bookworm, trixie"),
        (
            lab.Host("gpu1", "10.77.0.12", "trixie", binds=(lab.Bind("srv", "/srv", False),)),
            "absolute paths",
        ),
    ],
)
def test_a_bad_host_is_refused(host: lab.Host, said: str) -> None:
    (problem,) = lab.host_problems(LAB, [host])
    assert said in problem


def test_all_problems_are_said_at_once() -> None:
    twice = [GOOD, lab.Host("gpu1", "10.77.0.12", "sid")]
    found = lab.host_problems(LAB, twice)
    assert len(found) == 5
    assert sum("named twice" in problem for problem in found) == 2
    assert sum("used twice" in problem for problem in found) == 2


@pytest.mark.parametrize("count", [0, 17])
def test_a_lab_has_one_to_sixteen_hosts(count: int) -> None:
    hosts = [lab.Host(f"h{i}", f"10.77.0.{i + 10}", "trixie") for i in range(count)]
    assert lab.host_problems(LAB, hosts) == [f"{count} hosts in group lab: a lab has 1 to 16"]


def test_only_certificates_beyond_the_distributions_are_taken() -> None:
    bundle = "# a comment\n" + MOZILLA.replace("\n", "\r\n") + CORPORATE
    found = lab.extra_certificates([CORPORATE, bundle], [MOZILLA])
    assert list(found.values()) == [CORPORATE]
    assert lab.extra_certificates([MOZILLA], [MOZILLA]) == {}


def test_another_authority_or_suite_makes_another_root() -> None:
    extra = lab.certificates(CORPORATE)
    names = {lab.root_name("bookworm", {}), lab.root_name("trixie", {})}
    names.add(lab.root_name("bookworm", extra))
    assert len(names) == 3
    assert lab.root_name("bookworm", extra) == lab.root_name("bookworm", dict(extra))


def test_no_package_host_is_named() -> None:
    command = lab.build_command("trixie", "/somewhere")
    assert command[-2:] == ["trixie", "/somewhere"]
    assert not any("://" in part for part in command)


@pytest.mark.parametrize(
    ("texts", "taken"),
    [
        (["nameserver 10.0.0.2\n"], 0),
        (["nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.0.2\n"], 1),
        (["# nothing\n", "nameserver fd00::53\n"], 1),
        (["nameserver 127.0.0.1\n"], None),
        (["nameserver ::1\nnameserver 10.0.0.2\n"], None),
        ([], None),
    ],
)
def test_a_resolver_on_loopback_is_not_passed_on(texts: list[str], taken: int | None) -> None:
    assert lab.usable_resolver(texts) == (None if taken is None else texts[taken])


def test_proxies_reach_the_hosts_and_spare_the_lab() -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "intra,localhost"}
    found = lab.proxy_environment(environ, LAB, ["gpu1"])
    assert found["https_proxy"] == "http://proxy:3128"
    assert found["no_proxy"] == "intra,localhost,127.0.0.1,10.77.0.0/24,gpu1"
    assert lab.proxy_environment({"no_proxy": "intra"}, LAB, []) == {}


def test_a_proxy_on_loopback_is_found() -> None:
    proxies = {"http_proxy": "http://localhost:3128", "https_proxy": "http://u:p@127.0.0.1:1"}
    assert len(lab.loopback_proxies(proxies)) == 2
    assert not lab.loopback_proxies({"http_proxy": "http://proxy:1", "no_proxy": "localhost"})


def ruleset() -> dict[str, list[dict[str, dict[str, object]]]]:
    """A machine with Docker's and another forward chain, and a rule of ours in the first."""
    chain = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"}
    rule = {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 7}
    return {
        "nftables": [
            {"metainfo": {}},
            {"table": {"family": "ip", "name": "filter"}},
            {"chain": {**chain, "policy": "drop"}},
            {"chain": {**chain, "table": "open", "policy": "accept"}},
            {"chain": {**chain, "family": "bridge", "policy": "drop"}},
            {"chain": {**chain, "hook": "input", "policy": "drop"}},
            {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
            {"rule": {**rule, "comment": "lab dynlab0", "expr": []}},
            {"rule": {**rule, "comment": "lab other", "handle": 8, "expr": []}},
        ]
    }


def test_forward_chains_that_drop_are_found_and_own_rules_known_again() -> None:
    assert lab.blocking_chains(ruleset()) == [("ip", "filter", "FORWARD")]
    assert lab.own_rules(ruleset(), LAB) == {("ip", "filter", "FORWARD"): [7]}
    assert not lab.has_table(ruleset(), LAB)


def test_an_emptied_table_is_not_taken_for_a_whole_one() -> None:
    table = {"table": {"family": "ip", "name": "dynlab0"}}
    expr = [{"match": {"right": {"prefix": {"addr": "10.77.0.0"}}}}, {"masquerade": None}]
    rule = {"rule": {"family": "ip", "table": "dynlab0", "expr": expr}}
    assert lab.has_table({"nftables": [table]}, LAB)
    assert not lab.has_table_rules({"nftables": [table]}, LAB)
    assert lab.has_table_rules({"nftables": [table, rule]}, LAB)


def test_a_lab_without_a_way_out_is_told_from_one_with() -> None:
    cut = replace(LAB, internet=False)
    table = {"table": {"family": "ip", "name": "dynlab0"}}
    drop = {"family": "ip", "table": "dynlab0", "expr": [{"right": "dynlab0"}, {"drop": None}]}
    assert "masquerade" in lab.table_rules(LAB)
    assert "masquerade" not in lab.table_rules(cut)
    assert lab.table_rules(cut).count("drop") == 3
    assert lab.has_table_rules({"nftables": [table, *[{"rule": drop}] * 3]}, cut)
    assert not lab.has_table_rules({"nftables": [table, *[{"rule": drop}] * 2]}, cut)
    assert not lab.has_table_rules({"nftables": [table, *[{"rule": drop}] * 3]}, LAB)


def test_a_network_in_use_is_named_with_its_interface() -> None:
    held = [("eth0", "10.77.0.9/16"), ("lo", "127.0.0.1/8"), ("dynlab0", "10.77.0.1/24")]
    assert lab.overlaps(LAB, held) == ["eth0 has 10.77.0.9/16"]
