"""Starts an agent: what a Dask worker does for us, once, before it is left alone.

The agent is a process of its own, with nothing of Dask's worker in it: neither its threads and its
event loop, nor what its nanny sets in the environment for the sake of libraries that compute.
"""

import os
import pickle
import subprocess
import sys
import threading

AGENT_PROGRAM = "from loadgen.cluster.agent import main; main()"
# distributed.yaml, nanny.pre-spawn-environ: malloc that gives memory back at once makes large
# messages slow, and our servers are to have as many threads as they would have anywhere.
SET_BY_NANNIES = (
    "MALLOC_TRIM_THRESHOLD_",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def launch(host: str, key: bytes) -> int:
    """Start an agent that listens at an address of this machine; return its port.

    It lives for as long as somebody who knows the key keeps in touch with it. Raises OSError with
    what it said where it does not start.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if name not in SET_BY_NANNIES},
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", AGENT_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdin, process.stdout, process.stderr:
        # Not on its command line, where everybody on the machine could read the key.
        process.stdin.write(pickle.dumps((host, key)))
        process.stdin.close()
        said = process.stdout.readline()
        if not said:
            complaint = process.stderr.read().decode(errors="replace").strip().splitlines()
            process.wait()
            raise OSError(complaint[-1] if complaint else "the agent ended at once")
    # Reaps it.
    threading.Thread(target=process.wait, name="agent", daemon=True).start()
    return int(said)
