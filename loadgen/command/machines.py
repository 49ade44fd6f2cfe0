"""What the options say of a cluster: which one is wanted, and what does not go together with it."""

from argparse import Namespace

from loadgen.cluster.cluster import Wanted
from loadgen.plan.validation import PlanError


def check_cluster(asked: Namespace) -> None:
    """Refuse options that a cluster has no use for, or that need one. Raises PlanError."""
    if asked.cluster is None:
        for name in ("serve_on", "load_from", "cluster_tls"):
            if getattr(asked, name):
                raise PlanError(
                    f"--{name.replace('_', '-')} is about a cluster; say which: --cluster"
                )
        return
    if asked.pin:
        raise PlanError("--pin keeps cores of this machine apart; leave it out with --cluster")
    if asked.family == "unix":
        raise PlanError("a socket file is one machine's own; leave out --family unix")
    if asked.serve_on and not (asked.model or asked.python):
        raise PlanError("--serve-on starts servers; say which with --model, such as --model core")
    if asked.serve_on and asked.connect:
        raise PlanError(
            "--serve-on starts servers on a machine of the cluster, and --connect drives one that "
            "runs already; give one of them"
        )


def wanted_of(asked: Namespace) -> Wanted | None:
    """The cluster that was asked for; None where this machine puts the load on."""
    if asked.cluster is None:
        return None
    return Wanted(
        where=asked.cluster,
        serving=asked.serve_on,
        loading=tuple(asked.load_from),
        tls=asked.cluster_tls,
        allowed=asked.i_may_load_this_host,
    )
