"""The kernel's counters, from text as Linux prints it."""

from loadgen.record import kernel

TEXT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts
TcpExt: 0 12 13 4
IpExt: InNoRoutes InOctets
IpExt: 0 99
Tcp: RtoAlgorithm ActiveOpens RetransSegs
Tcp: 1 500 7
Udp: InDatagrams RcvbufErrors
Udp: 10 3
UdpLite: InDatagrams RcvbufErrors
UdpLite: 1 2
"""


def test_counters_are_found_by_name_and_protocol() -> None:
    assert kernel.parse(TEXT) == {
        "ListenOverflows": 12,
        "ListenDrops": 13,
        "TCPTimeouts": 4,
        "RetransSegs": 7,
        "UdpRcvbufErrors": 3,
    }


def test_every_counter_has_words_for_people() -> None:
    assert set(kernel.parse(TEXT)) <= set(kernel.MEANINGS)


def test_a_difference_is_what_moved_between_two_readings() -> None:
    before = {"ListenDrops": 1, "RetransSegs": 5}
    assert kernel.difference(before, {"ListenDrops": 4, "RetransSegs": 5}) == {
        "ListenDrops": 3,
        "RetransSegs": 0,
    }


def test_what_was_not_read_has_no_difference() -> None:
    assert kernel.difference(None, {"ListenDrops": 4}) is None
    assert kernel.difference({"ListenDrops": 4}, None) is None


def test_strange_text_has_no_counters() -> None:
    assert kernel.parse("") == {}
    assert kernel.parse("nonsense\n") == {}
