"""What ``--tags`` and ``--skip-tags`` may select: whole parts of a deploy, never half of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

# Tag: what a run with it does, besides the checks of the inventory, which always run. The plays of
# playbooks/deploy.yml and rolling_restart.yml carry them.
DEPLOY: Mapping[str, str] = {
    "preflight": "look at the inventory and the hosts, change nothing",
    "host": "the service user, helpers and the target",
    "etcd": "etcd members, and their rolling restart",
    "nats": "NATS servers, and their rolling restart",
    "wheelhouse": "collect and serve the release on the builder",
    "release": "collect the release and install it beside the running one; restarts nothing",
    "model": "bring the model to the worker hosts; restarts nothing",
    "frontend": "release and frontends, and their rolling restart",
    "worker": "all that a worker needs (plan, release, engine, model), and the rolling restart",
    "roll": "only the rolling restart of what differs from the desired configuration",
}
# A play of several parts has the tags of them all: leaving out one part would leave out the play.
SKIPPABLE = frozenset(("roll",))
WHOLE = frozenset(("all", "always"))
ROLL = {
    "etcd": "etcd members",
    "nats": "NATS servers",
    "frontend": "frontends",
    "worker": "workers",
    "roll": "all of them",
}
# By playbook. The others run as a whole.
PLAYBOOKS: Mapping[str, Mapping[str, str]] = {
    "site.yml": DEPLOY,
    "playbooks/deploy.yml": DEPLOY,
    "playbooks/rolling_restart.yml": ROLL,
}


def problems(run: Sequence[str], skip: Sequence[str], known: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the tags of a run.

    run, skip: values of --tags and --skip-tags. known: the playbook's tags; empty where it runs
    as a whole.
    """
    unknown = sorted(set(run) - set(known) - WHOLE)
    skippable = SKIPPABLE & set(known)
    barred = sorted(set(skip) - skippable)
    if not known and (unknown or barred):
        yield "this playbook runs as a whole: leave out --tags and --skip-tags"
    elif unknown:
        choice = "; ".join(f"{tag}: {does}" for tag, does in known.items())
        yield f"--tags {','.join(unknown)} selects nothing here. Tags are: {choice}"
    elif barred:
        allowed = f"; only {' and '.join(sorted(skippable))} can be skipped" if skippable else ""
        yield (
            f"--skip-tags {','.join(barred)} would leave out half of other parts{allowed}. Choose "
            "what runs with --tags"
        )
