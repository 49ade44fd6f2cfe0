"""Whether a model is as its row says: one sentence, in place of a time-out in each scenario."""

from functools import cache

from concurrency_models.backends import Model, RegistryError
from tests.clients import Client, answer, crowd, readable
from tests.servers import serving

MANY = 30
"""More clients at a time than any pool of ours serves."""

PATIENCE_SECONDS = 3.0
"""How long no further client may be answered before the rest count as left to wait."""


@cache
def registry_mismatch(model: Model) -> str | None:
    """Return what is wrong with a model's row, or None.

    The model is started, and has to serve as many clients at a time as its row says.
    """
    try:
        if not model.unavailable():  # else another interpreter than ours runs its servers
            model.import_serve()
    except RegistryError as error:
        return str(error)
    wanted = model.at_once or MANY
    with serving("--model", model.name) as server, crowd(server.address, wanted) as clients:
        waiting: set[Client] = set(clients)
        for client in clients:
            client.send(b"here I am")
        while waiting and (arrived := readable(waiting, PATIENCE_SECONDS)):
            for client in arrived:
                assert client.receive() == answer(b"here I am")
            waiting.difference_update(arrived)
    if not waiting:
        return None
    served = wanted - len(waiting)
    says = f"at_once={model.at_once}" if model.at_once else "no at_once, so as many as come"
    return (
        f"{model.name!r} serves {served} of {wanted} clients at a time, and its row in the registry"
        f" says {says}; give it at_once={served}"
    )
