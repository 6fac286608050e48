"""The drills in their short form: on the service's lab, with fewer and shorter requests.

The whole of them is `make drills`.
"""

from __future__ import annotations

import pytest
import service
from drills import faults, run, sweep
from drills.fleet import Fleet

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("deployed")]
SHORT = ("kill -9 worker", "kill -9 frontend", "kill -9 NATS")


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """The service's lab."""
    return Fleet(service.INVENTORY)


def test_faults_under_load_heal_and_lose_nothing_unexplained(fleet: Fleet) -> None:
    drills = [drill for drill in faults.DRILLS if drill.name in SHORT]
    # At the mocker's own speed an answer lasts 2 to 5 s.
    results = run.run(fleet, drills, streams=8, tokens=(300, 800), settle=7)
    assert [result.drill for result in results] == list(SHORT), run.table(results)
    assert all(result.passed for result in results), run.table(results)
    worker, frontend, nats = results
    # The faults were felt where they have to be, so the counts can be believed.
    assert worker.migrations > 0, run.table(results)
    assert frontend.figures["truncated"] > 0, run.table(results)
    assert nats.figures["whole"] == nats.figures["requests"] > 0, run.table(results)


@pytest.mark.parametrize(("victim", "count"), [("controller", 3), ("modules", 2)])
def test_killed_roll_is_completed_by_the_next_and_restarts_nothing_twice(
    fleet: Fleet, victim: str, count: int
) -> None:
    points = sweep.sweep(fleet, points=count, seed=1, workers="new:0,new:1", victim=victim)
    assert len(points) == count
    assert [point for point in points if not point.passed] == []
    assert victim == "controller" or all(point.killed for point in points)
