"""python -m drills [--inventory DIR] [NAME...]: drills on a lab, under load.

Without names all of them, in order. The lab has to be up and deployed (playbooks/lab_up.yml,
site.yml). Prints a table, writes reports/drills.json, and exits 1 where the fleet did not heal by
itself or a request was lost that nothing explains.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drills import PROJECT, run
from drills.faults import DRILLS
from drills.fleet import Fleet

INVENTORY = Path(__file__).parent / "inventory"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="drills", description=__doc__)
    parser.add_argument("--inventory", type=Path, default=INVENTORY)
    parser.add_argument("--streams", type=int, default=24, help="clients at a time (24)")
    parser.add_argument(
        "--tokens", type=int, nargs=2, default=(50, 200), help="length of an answer (50 200)"
    )
    parser.add_argument(
        "--settle", type=float, default=22, help="seconds of the longest answer (22)"
    )
    parser.add_argument("--report", type=Path, default=PROJECT / "reports" / "drills.json")
    names = [drill.name for drill in DRILLS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"no drill is called {', '.join(unknown)}; there are: {', '.join(names)}")
    chosen = [drill for drill in DRILLS if not options.names or drill.name in options.names]
    results = run.run(
        Fleet(options.inventory.resolve()),
        chosen,
        options.streams,
        tuple(options.tokens),
        options.settle,
    )
    print("\n" + run.table(results))
    run.write(results, options.report)
    return 0 if len(results) == len(chosen) and all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
