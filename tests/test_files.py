"""Saved files: found, read, written whole or not at all, and troubles told in a sentence."""

import json
import os
import pty
import threading
import tty
from pathlib import Path

import pytest

from loadgen.judge.analysis import analyse
from loadgen.judge.document import document
from loadgen.record.files import (
    RESULT_FILE,
    check_file,
    check_folder,
    dumps,
    new_folder,
    read_result,
    write,
)
from loadgen.record.result import SCHEMA, RecordError
from tests.runs import result, run


def test_a_name_that_no_file_can_have_is_told() -> None:
    for action in (read_result, check_file):
        with pytest.raises(RecordError, match="File name too long"):
            action(Path("a" * 300))


def test_a_result_is_read_by_its_file_or_its_folder(tmp_path: Path) -> None:
    made = result(run())
    write(tmp_path / RESULT_FILE, dumps(document(analyse(made))))
    assert read_result(tmp_path / RESULT_FILE) == made
    assert read_result(tmp_path) == made


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'{"schema": NaN}', "not JSON"),
        (b'{"schema": 1e999}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a result"),
        (b"1" * 5000, "not"),
        (json.dumps({"schema": SCHEMA, "schema_version": 99}).encode(), "newer"),
        (json.dumps({"schema": SCHEMA, "schema_version": 1}).encode(), "damaged"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_result_is_refused_in_a_sentence_that_names_the_file(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / RESULT_FILE
    file.write_bytes(content)
    with pytest.raises(RecordError, match=said) as refusal:
        read_result(file)
    assert str(refusal.value).startswith(str(file))


def test_a_result_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no saved result at"):
        read_result(tmp_path / "nowhere")


def test_folders_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    names = [new_folder(tmp_path, "2026-01-02T03:04:05+00:00", "compare").name for _ in range(3)]
    assert names == [
        "2026-01-02-030405-compare",
        "2026-01-02-030405-compare-2",
        "2026-01-02-030405-compare-3",
    ]


def test_a_place_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(RecordError, match="cannot save results in"):
        check_folder(file / "results")
    with pytest.raises(RecordError, match="cannot write"):
        check_file(tmp_path)


def test_finding_that_out_leaves_nothing_behind(tmp_path: Path) -> None:
    check_folder(tmp_path / "results")
    check_file(tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert list((tmp_path / "results").iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        write(tmp_path / "missing" / "run.json", "text")
    write(tmp_path / "run.json", "one")
    write(tmp_path / "run.json", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "two"


def test_dumps_has_a_line_for_a_long_list_and_for_each_record_of_plain_values() -> None:
    rows = [{"place": place, "text": "x" * 50} for place in range(10)]
    value = {"a": list(range(200)), "b": {"c": None, "d": ["x" * 80, "y" * 80]}, "rows": rows}
    text = dumps(value)
    assert json.loads(text) == value
    assert len(text.splitlines()) == 2 + 1 + 4 + 12
    assert json.loads(dumps({"pairs": ((1, 2), (3, 4))})) == {"pairs": [[1, 2], [3, 4]]}


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe", "x" * 200_000  # more than a pipe holds
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    came: list[str] = []

    def read() -> None:
        with os.fdopen(reading) as file:
            came.append(file.read())

    check_file(pipe)
    reader = threading.Thread(target=read)
    # Without a writer the reader would see the end before the beginning.
    holding = os.open(pipe, os.O_WRONLY)
    reader.start()
    write(pipe, text)
    os.close(holding)
    reader.join()
    assert came == [text]
    assert pipe.is_fifo()


def test_a_pipe_that_nobody_reads_is_a_sentence_and_no_wait(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file(pipe)
    with pytest.raises(RecordError, match="nobody reads from it"):
        write(pipe, "text")
    assert pipe.is_fifo()


def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    device = tmp_path / "device"
    device.symlink_to(os.ttyname(theirs))
    try:
        check_file(device)
        write(device, "text")
        assert device.is_symlink()
        assert device.is_char_device()
        assert os.read(ours, 100) == b"text"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("file")
    write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_device_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write to everything")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o400)
    with pytest.raises(RecordError, match="Permission denied"):
        check_file(pipe)
