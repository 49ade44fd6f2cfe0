"""Which handling at the server belongs to which message of a client: both halves, side by side."""

from collections.abc import Iterator

from loadgen.record.trace import ClientTrace, Exchange, Handling, ServerTrace, Stay


def handled(
    client: ClientTrace, trace: ServerTrace, doubt_ns: int = 0
) -> Iterator[tuple[Exchange, Stay, Handling]]:
    """Each message of a client that has its reply, with its handling, in order of time.

    A client has one message under way at a time, so that the handling lies between its sending and
    its reply, or so far outside of that as their clocks are in doubt, of machines that differ. What
    either half has left out is passed over.
    """
    handlings = sorted(
        ((message, stay) for stay in trace.of(client.addresses) for message in stay.messages),
        key=lambda one: one[0][0],
    )
    rest = iter(handlings)
    found = next(rest, None)
    for exchange in client.exchanges:
        _, sent, reply = exchange
        while found is not None and found[0][0] < sent - doubt_ns:
            found = next(rest, None)
        if found is None:
            return
        if reply is not None and found[0][1] <= reply + doubt_ns:
            message, stay = found
            yield exchange, stay, message
            # In doubt, the next message might be taken for handled by the same.
            found = next(rest, None)
