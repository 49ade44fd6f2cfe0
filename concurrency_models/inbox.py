"""Where a talk's bytes are received and its replies are made: memory that is kept, and given back.

Memory asked for anew for each large message costs more than all the rest of it: the kernel maps it
page by page, and takes it back every time. So an inbox keeps what its client needs. It starts
small, doubles as messages fill it, and gives it back when the client has fallen silent or has long
sent small messages only.
"""

import mmap
from typing import Final

Bytes = bytearray | mmap.mmap

RECEIVE_SIZE: Final = 65_536
"""Bytes to ask of one `recv`: as much as a client may make us hold before we look at it, unless its
messages are larger than that."""

FIRST_SIZE: Final = 4096
"""What an inbox with memory of its own starts with, in bytes."""

SPARED_SIZE: Final = 16_384
"""What a silent client may keep, in bytes, where finding out that it is silent costs a call."""

ALIGNMENT: Final = 64
"""Bytes of a cache line. The kernel copies to the beginning of one: a message of 100 KiB that is
received 10 bytes behind it, and answered, takes 40 us in place of 31."""

PATIENCE: Final = 100
"""How often in a row a client may leave three quarters of its memory unused."""


NO_DATA: Final = bytearray()
NO_VIEW: Final = memoryview(NO_DATA)


class Memory:
    """Memory of one size, which never changes: whoever still sends from it can go on.

    headroom: bytes at the front that nothing is received into. size: bytes behind them.
    """

    __slots__ = ("data", "end", "first_room", "size", "view")

    def __init__(self, headroom: int, size: int) -> None:
        self.size = size
        self.end = headroom + size
        self.data: Bytes = bytearray(self.end) if size < RECEIVE_SIZE else map_memory(self.end)
        self.view = memoryview(self.data)
        self.first_room = self.view[headroom:]


def aligned(headroom: int) -> int:
    """Return the headroom that ends where a cache line begins, in bytes."""
    return -(-headroom // ALIGNMENT) * ALIGNMENT


def map_memory(size: int) -> mmap.mmap:
    """Return `size` bytes that the kernel gives page by page, as they are written to.

    It has them back the moment they are dropped; what malloc is given back, it may keep. Raises
    MemoryError, as `bytearray` does.
    """
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(error.strerror) from None


class Scratch:
    """Memory that the talks of one event loop share.

    Each receives and makes its reply there before the next one does. So a connection that is
    silent, or has nothing but small messages, holds no memory; what a talk has to keep until it
    receives again lies in memory of its own.
    """

    def __init__(self, headroom: int, *, shared: bool = True) -> None:
        self.memory = Memory(aligned(headroom), RECEIVE_SIZE) if shared else None
        """None where one talk may receive before another has made its reply."""
        self.owners: set[Inbox] = set()
        """The inboxes that have memory of their own."""

    def look(self) -> None:
        """Take back the memory of those who have been silent since the last look."""
        for inbox in list(self.owners):
            inbox.give_back_if_silent()


class Inbox:
    """The bytes of one client that are still to be answered: `data[start:end]`.

    There are at least `headroom` bytes before them. What a reply has in front of its message is
    written there, and the message is sent from where it was received. `room` may let replies be
    overwritten: have them sent, or copied, before.

    first_size: bytes of memory to start with. scratch: memory to share, where talks do.
    """

    __slots__ = (
        "_first_room", "_first_size", "_headroom", "_memory", "_scratch", "_silent",
        "_unused", "brim", "data", "end", "in_use", "roomy", "start", "view",
    )  # fmt: skip

    data: Bytes
    view: memoryview
    """The same as `data`: a slice of it is not a copy."""
    brim: int
    """A turn that leaves nothing held need not be told to `hold`, if it ends before here."""
    roomy: bool
    """Whether it has more memory than a silent client should."""
    _memory: Memory | None
    _first_room: memoryview | None
    """What `room` returns while it need not think: nothing is held, nothing has to change."""
    _unused: int
    """How often in a row three quarters of the memory were not needed."""
    _silent: bool

    def __init__(self, headroom: int, first_size: int, scratch: Scratch | None) -> None:
        self._headroom = aligned(headroom)
        self._first_size = first_size
        self._scratch = scratch
        self.in_use = False
        """Whether its owner is at it at the moment, in another thread than the one that looks."""
        self._silent = False
        self._use(self._smallest())

    def give_back(self) -> None:
        """Have no memory until there is `room` for more; not while something is held."""
        if self.start == self.end:
            self._memory = self._first_room = None
            self.data, self.view, self.brim = NO_DATA, NO_VIEW, 0
            self.roomy = False
            if self._scratch:
                self._scratch.owners.discard(self)

    def give_back_if_silent(self) -> None:
        """Give back the memory, unless there was `room` since this was called before."""
        if self._silent and not self.in_use:
            self.give_back()
        self._silent = True
        self._first_room = None

    @property
    def _is_shared(self) -> bool:
        return self._scratch is not None and self._memory is self._scratch.memory

    def begins_anew(self, scratch: Scratch | None) -> bool:
        """Hold nothing any more; return whether it is as one that is made with that scratch."""
        memory = self._memory
        if memory is None or scratch is not self._scratch:
            return False
        if not (self._is_shared if scratch else memory.size == self._first_size):
            return False
        self.start = self.end = self._headroom
        self._unused = 0
        self._first_room = memory.first_room
        return True

    def detached(self, reply: memoryview) -> memoryview:
        """Return a reply in memory that others do not receive into."""
        shared = self._scratch and self._scratch.memory
        return memoryview(bytes(reply)) if shared and reply.obj is shared.data else reply

    def hold(self, start: int, end: int) -> None:
        """Say that all that came up to `end` is answered, but for what came from `start` on."""
        self.start, self.end = start, end
        self._first_room = None
        if self._is_shared and start < end:
            self._move_to(self._of_its_own(2 * (end - start)))

    def room(self) -> memoryview:
        """Return where to receive, a byte at the least; what comes there continues `data`."""
        return self._first_room or self._make_room()

    def _make_room(self) -> memoryview:
        self._silent = False
        memory = self._fitting()
        if memory is not self._memory or self.start > self._headroom:
            self._move_to(memory)
        if self.start < self.end:
            return memory.view[self.end :]
        if self.brim:
            self._first_room = memory.first_room
        return memory.first_room

    def _fitting(self) -> Memory:
        """Return the memory to receive into next, by what is held and what came of late."""
        memory, held = self._memory, self.end - self.start
        if memory is None:
            return self._smallest()
        if self._is_shared:
            return memory
        # Full of a single message, of which there is more to come?
        if held == memory.size or (self.end == memory.end and memory.size < RECEIVE_SIZE):
            return self._of_its_own(2 * memory.size)
        if held:
            return memory
        if memory.size <= RECEIVE_SIZE and self._scratch and self._scratch.memory:
            return self._scratch.memory
        self._unused = self._unused + 1 if self.end <= memory.end // 4 else 0
        return self._smallest() if self._unused > PATIENCE else memory

    def _smallest(self) -> Memory:
        return (self._scratch and self._scratch.memory) or self._of_its_own(0)

    def _of_its_own(self, size: int) -> Memory:
        return Memory(self._headroom, max(size, self._first_size))

    def _move_to(self, memory: Memory) -> None:
        """Have what is held lie at the beginning of this memory."""
        held = self.view[self.start : self.end]
        if held:
            memory.view[self._headroom : self._headroom + len(held)] = held
        if memory is not self._memory:
            self._use(memory)
        self.start, self.end = self._headroom, self._headroom + len(held)
        if held:
            self._first_room = None

    def _use(self, memory: Memory) -> None:
        """Have this memory, in which nothing is held."""
        self._memory, self.data, self.view = memory, memory.data, memory.view
        self.start = self.end = self._headroom
        self._unused = 0
        self.brim, self._first_room = memory.end, memory.first_room
        self.roomy = False
        scratch = self._scratch
        if scratch and memory is scratch.memory:
            return
        if memory.size > self._first_size:  # from now on, every turn counts
            self.brim, self._first_room = 0, None
            self.roomy = memory.size > SPARED_SIZE
        if scratch:
            scratch.owners.add(self)
