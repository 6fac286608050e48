"""The way from one membership to another keeps a quorum, or is refused with the reason."""

from __future__ import annotations

import pytest
from ansible.module_utils.dynfleet.etcd_members import (
    Member,
    initial_cluster,
    plan,
    quorum,
    read_members,
)


def peer(name: str) -> str:
    return f"http://{name}:2380"


def member(name: str, healthy: bool = True, learner: bool = False) -> Member:
    return Member(f"id-{name}", name, peer(name), f"http://{name}:2379", learner, healthy)


def wanted(names: str) -> dict[str, str]:
    return {name: peer(name) for name in names}


def cluster(names: str, dead: str = "") -> list[Member]:
    return [member(name, healthy=name not in dead) for name in names]


def test_quorum() -> None:
    assert [quorum(size) for size in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


def test_nothing_to_do() -> None:
    made = plan(cluster("abc"), wanted("abc"))
    assert made.empty
    assert not made.problems


def test_dead_member_goes_before_its_replacement_comes() -> None:
    made = plan(cluster("abc", dead="c"), wanted("abd"))
    assert (made.remove_first, made.join, made.fresh, made.remove_last) == (
        ["id-c"],
        ["d"],
        ["d"],
        [],
    )
    assert not made.problems


def test_living_member_serves_until_its_replacement_does() -> None:
    made = plan(cluster("abc"), wanted("abd"))
    assert (made.remove_first, made.join, made.remove_last) == ([], ["d"], ["id-c"])
    assert not made.problems


def test_growing_and_shrinking() -> None:
    assert plan(cluster("a"), wanted("abc")).join == ["b", "c"]
    made = plan(cluster("abc"), wanted("a"))
    assert made.remove_last == ["id-b", "id-c"]
    assert not made.problems


def test_single_member_moves_to_another_host() -> None:
    made = plan(cluster("a"), wanted("b"))
    assert (made.join, made.remove_last, made.problems) == (["b"], ["id-a"], [])


def test_target_is_made_anew_at_its_own_address() -> None:
    made = plan(cluster("abc", dead="c"), wanted("abc"), target="c")
    assert (made.remove_first, made.join, made.fresh) == (["id-c"], ["c"], ["c"])


def test_healthy_target_is_left_alone_with_a_note() -> None:
    """Also what the same command meets that had done its work."""
    made = plan(cluster("abc"), wanted("abc"), target="c")
    assert made.empty
    assert not made.problems
    assert "c is a healthy member" in made.notes[0]


def test_unknown_target_is_refused() -> None:
    made = plan(cluster("abc"), wanted("abc"), target="x")
    assert made.empty
    assert "target x is not in the group etcd (a, b, c)" in made.problems[0]


@pytest.mark.parametrize("dead", ["bc", "abc"])
def test_removal_that_loses_the_quorum_is_refused(dead: str) -> None:
    made = plan(cluster("abcd", dead=dead), wanted("abce"))
    assert "are needed (not healthy:" in made.problems[0]


def test_only_member_is_not_removed() -> None:
    made = plan([member("a", healthy=False)], wanted("b"))
    assert "only voting member" in made.problems[0]


def test_run_that_died_half_way_is_gone_on_with() -> None:
    """Added but never started; started but without a vote yet."""
    added = Member("id-d", "", peer("d"), "", learner=True, healthy=False)
    made = plan([*cluster("ab"), added], wanted("abd"))
    assert (made.remove_first, made.join, made.fresh) == ([], ["d"], ["d"])
    started = member("d", learner=True)
    made = plan([*cluster("ab"), started], wanted("abd"))
    # Its data is the cluster's by now.
    assert (made.remove_first, made.join, made.fresh) == ([], ["d"], [])


def test_learner_that_is_not_wanted_goes_at_once() -> None:
    made = plan([*cluster("abc"), member("d", learner=True)], wanted("abc"))
    assert (made.remove_first, made.remove_last, made.problems) == (["id-d"], [], [])


def test_members_are_read_as_etcd_lists_them() -> None:
    listed = {
        "members": [
            {"ID": "9", "name": "b", "peerURLs": [peer("b")], "clientURLs": ["http://b:2379"]},
            {"ID": "8", "peerURLs": [peer("a")], "isLearner": True},
        ]
    }
    new, old = read_members(listed, ["http://b:2379"])
    assert (new.id, new.name, new.client, new.learner, new.healthy) == ("8", "", "", True, False)
    assert (old.id, old.name, old.learner, old.healthy) == ("9", "b", False, True)
    assert initial_cluster([new, old], "a", peer("a")) == f"a={peer('a')},b={peer('b')}"
