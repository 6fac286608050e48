"""What a probe counts of frontends that go away, over real connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import roll_probe
from ansible.module_utils.dynfleet.day2 import probe
from ansible.module_utils.dynfleet.etcd import Etcd as Client
from stand_in_service import Etcd, Frontend


def until(*steps: tuple[float, Callable[[], Any]]) -> Callable[[], str]:
    """A roll that makes each step after so many seconds, and ends after the last."""
    began, left = time.monotonic(), list(steps)

    def ended() -> str:
        while left and time.monotonic() - began >= left[0][0]:
            left.pop(0)[1]()
        return "" if left else "done"

    return ended


def test_an_outage_lasts_from_the_first_failure_to_the_next_answer() -> None:
    tally = probe.Tally()
    for began, why in [(1, ""), (2, "404"), (3, "refused"), (5.5, ""), (6, "404"), (7, "")]:
        tally.note(began, why)
    tally.note(8, "refused")
    tally.close(8.5)
    assert tally.report() == {
        "asked": 7,
        "failures": 4,
        "kinds": {"404": 2, "refused": 2},
        "longest_gap": 3.5,
        "outages": [[2, 5.5], [6, 7], [8, 8.5]],
    }


def test_the_only_frontend_goes_away() -> None:
    one = Frontend()
    watch = probe.Probe([one.url], "lab")
    assert watch.run(until((1.5, one.stop), (3.5, lambda: None)), 60) == "done"
    report = watch.report()
    for seen in (report["service"], report["frontends"][one.url]):
        # The server cuts what it had not accepted when it ended.
        assert "refused" in seen["kinds"]
        assert 0 < seen["failures"] < seen["asked"]
        assert 1 < seen["longest_gap"] < 5
        assert len(seen["outages"]) == 1
    # What it asked for and got is what the frontend counted.
    assert report["own"] == one.completions > 0


def test_of_two_frontends_one_goes_away_and_clients_notice_nothing() -> None:
    stays, goes = Frontend(), Frontend()

    def drain() -> None:
        goes.status = 503

    watch = probe.Probe([stays.url, goes.url], "lab")
    watch.run(until((1.5, drain), (3, goes.stop), (4.5, lambda: None)), 60)
    report = watch.report()
    assert report["service"]["failures"] == 0
    assert report["service"]["asked"] >= 4
    assert report["frontends"][stays.url]["failures"] == 0
    assert {"503", "refused"} <= set(report["frontends"][goes.url]["kinds"])
    stays.stop()


@pytest.mark.parametrize(
    ("attribute", "value", "looked", "asked"),
    [("models", [], {"no model"}, {"404", "no model"}), ("status", 503, {"503"}, {"503"})],
)
def test_kinds_of_failure(attribute: str, value: Any, looked: set[str], asked: set[str]) -> None:
    one = Frontend()
    setattr(one, attribute, value)
    watch = probe.Probe([one.url], "lab")
    watch.run(until((2, lambda: None)), 60)
    report = watch.report()
    assert set(report["frontends"][one.url]["kinds"]) == looked
    assert set(report["service"]["kinds"]) == asked
    assert report["own"] == 0
    one.stop()


def test_it_ends_by_itself() -> None:
    one = Frontend()
    assert probe.Probe([one.url], "lab").run(lambda: "", 1) == "it had run for 1 s"
    one.stop()


def test_it_ends_with_its_roll() -> None:
    etcd = Etcd()
    holder = {"run": "r1", "who": "anna@c1", "pid": 7, "token": "t1", "ended": ""}
    etcd.lock = dict(holder)
    watch = roll_probe.Watch(Client([etcd.url]), "r1")
    assert watch.ended() == ""
    etcd.lock["ended"] = "worker 0 did not start"
    assert watch.ended() == "the roll has ended: worker 0 did not start"
    # The run that goes on with it has its id another token, and a probe of its own.
    etcd.lock = {**holder, "token": "t2"}
    assert "the lock is another's: run r1" in watch.ended()
    etcd.lock = {**holder, "run": "r2"}
    assert "run r2" in watch.ended()
    etcd.lock = None
    assert watch.ended() == "the lock was given back"
    etcd.stop()
    assert watch.ended() == ""
    watch.heard -= roll_probe.SILENT_SECONDS
    assert "no etcd member answers" in watch.ended()
