"""Dask's part: which machines there are, and an agent started on each of those that are chosen.

Dask carries no word of a measurement. Once the agents run, nothing of this command is left with it;
the workers of Dask stay idle beside them.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.cluster.address import ClusterAddress
from loadgen.cluster.launch import launch
from loadgen.servers.problem import TargetError

if TYPE_CHECKING:
    from distributed import Client

# For the scheduler to answer; then for Dask's workers to be there, and for them to start an agent.
CONNECT_SECONDS = 10.0
LAUNCH_SECONDS = 30.0
CLOSE_SECONDS = 5.0
# All that Dask says while it works, beyond errors, is of no use to a person who wants a table.
LOGGER = "distributed"


@dataclass(frozen=True)
class Tls:
    """Files with the certificate of whoever signed, with ours, and with its key."""

    ca: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Place:
    """A machine that Dask has a worker on: what it is called, and an address of its own.

    `also` are other names that people may call it by, `worker` is the address of Dask's worker.
    """

    name: str
    host: str
    worker: str
    also: tuple[str, ...] = ()


class Placement:
    """A connection to Dask, while the agents are started."""

    def __init__(self, client: Client, places: Sequence[Place]) -> None:
        self._client = client
        self.places = places

    def launch(self, places: Sequence[Place], key: bytes) -> dict[str, int]:
        """Start an agent at each place; return their ports by the places' names.

        Raises TargetError with the name of a machine where none starts.
        """
        # Run where it is to run or not at all, and anew each time. Were it to run twice, since
        # Dask's worker died of it and was started again, the first agent ends for want of a word.
        futures = {
            place.name: self._client.submit(
                launch,
                place.host,
                key,
                workers=[place.worker],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            for place in places
        }
        ports = {}
        for name, future in futures.items():
            try:
                ports[name] = int(future.result(timeout=LAUNCH_SECONDS))
            except Exception as error:  # noqa: BLE001 - whatever happened there, or on the way
                raise TargetError(
                    f"no agent starts on {name}: {_in_a_line(error)}; this kit has to be installed "
                    "there, and where the scheduler runs, in the Python that Dask runs under"
                ) from None
        return ports


@contextmanager
def placement(where: ClusterAddress, tls: Tls | None = None) -> Iterator[Placement]:
    """Connect to a cluster, or start one here, for the length of a block. Raises TargetError."""
    try:
        import distributed  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise TargetError(
            "--cluster needs Dask's distributed: pip install -e '.[cluster]' in the kit's folder"
        ) from None
    logging.getLogger(LOGGER).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address = stack.enter_context(_local(where.local)) if where.local else where.url
        try:
            # At once, and not after all of Dask's patience, where nobody listens.
            if not where.local:
                socket.create_connection((where.host, where.port), CONNECT_SECONDS).close()
            client = stack.enter_context(
                distributed.Client(
                    address,
                    timeout=CONNECT_SECONDS,
                    set_as_default=False,
                    **({"security": _security(tls)} if tls is not None else {}),
                )
            )
            workers = client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise TargetError(
                f"no Dask scheduler is to be had at {where} ({_in_a_line(error)}); start one with "
                "`dask scheduler`, and say how it encrypts with tls:// and --cluster-tls"
            ) from None
        places = _local_places(workers) if where.local else places_of(workers)
        if not places:
            raise TargetError(
                f"the scheduler at {where} has no workers; start one on each machine: "
                f"dask worker {where}"
            )
        yield Placement(client, places)


LOCAL_PROGRAM = "import sys; from loadgen.cluster.placement import local; local(int(sys.argv[1]))"


@contextmanager
def _local(workers: int) -> Iterator[str]:
    """The address of a cluster that runs here for the length of a block. Raises TargetError."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", LOCAL_PROGRAM, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        # Ctrl-C is ours to act on: Dask's processes would each say what it did to them.
        start_new_session=True,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise TargetError(f"Dask could not start {workers} workers here")
        yield address
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def local(workers: int) -> None:
    """Be a cluster of so many workers: say where, and end with standard input."""
    import distributed  # noqa: PLC0415 - as above

    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


def places_of(workers: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    """The machines, by what Dask says of its workers by their addresses: one for each host."""
    found: dict[str, Place] = {}
    for address, worker in sorted(workers.items()):
        host = _host(address)
        name = str(worker.get("name", address))
        # Dask calls a worker by its address unless it was given a name.
        also = () if "://" in name else (name,)
        if host not in found:
            found[host] = Place(host, host, address, also)
        else:
            one = found[host]
            found[host] = Place(one.name, host, one.worker, (*one.also, *also))
    return list(found.values())


def _local_places(workers: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    """Each worker that was started here stands for a machine."""
    by_number = sorted(workers.items(), key=lambda item: int(item[1]["name"]))
    return [
        Place(f"local-{number}", _host(address), address)
        for number, (address, _) in enumerate(by_number, 1)
    ]


def _host(address: str) -> str:
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def _security(tls: Tls) -> Any:
    from distributed import Security  # noqa: PLC0415 - as above

    return Security(
        require_encryption=True,
        tls_ca_file=tls.ca,
        tls_client_cert=tls.certificate,
        tls_client_key=tls.key,
    )


def _in_a_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
