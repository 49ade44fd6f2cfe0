"""Where results are saved: folders named by time, files written whole or not at all, read back.

What is no file, such as a device or a pipe, is written to and never replaced.

Every function here raises RecordError, with a sentence for whoever named the place.
"""

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loadgen.plan.octets import to_text
from loadgen.record.result import RecordError, Result

RESULT_FILE = "run.json"
TABLES_FILE = "tables.md"
TRACE_FILE = "trace.json"


def read_result(path: Path) -> Result:
    """The result saved at `path`: a run.json, or the folder that holds one. Raises RecordError."""
    file = path
    try:
        if path.is_dir():
            file = path / RESULT_FILE
        return Result.from_json(msgspec.json.decode(file.read_bytes()))
    except FileNotFoundError:
        raise RecordError(f"there is no saved result at {file}") from None
    except OSError as error:
        raise RecordError(f"cannot read {file}: {error.strerror}") from None
    except RecordError as error:
        raise RecordError(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{file} is not a saved result: it is not JSON ({error})") from None


def check_folder(results: Path) -> None:
    """Raise RecordError unless results can be saved under `results`, which is made if need be."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise RecordError(
            f"cannot save results in {results}: {error.strerror}; "
            "name another folder, or use --no-save"
        ) from None


def check_file(file: Path) -> None:
    """Raise RecordError unless `file` can be written. Leaves no file behind that was not there.

    A device or a pipe is not opened: whoever reads a pipe would take its close for the end.
    """
    try:
        there = file.exists()
        if _is_special(file):
            if not os.access(file, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        with file.open("a"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise RecordError(f"cannot write {file}: {error.strerror}; name another file") from None


def new_folder(results: Path, began: str, what: str) -> Path:
    """A new folder under `results`, named by time and `what`; numbered when that name is taken."""
    stamp = began[:19].replace(":", "").replace("T", "-")
    for number in range(1, 1000):
        folder = results / (f"{stamp}-{what}" if number == 1 else f"{stamp}-{what}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RecordError(f"cannot make {folder}: {error.strerror}") from None
        return folder
    raise RecordError(f"{results} has too many results named {stamp}-{what}; name another folder")


def fixed_folder(folder: Path) -> Path:
    """The folder itself, made if need be: what is written there replaces an earlier run's files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot make {folder}: {error.strerror}") from None
    return folder


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, or to the device or pipe that is there.

    A link stays: what it points to is written. Raises RecordError, also for a pipe that nobody
    reads.
    """
    try:
        if _is_special(path):
            _write_through(path, text)
        else:
            _replace(Path(os.path.realpath(path)), text)
    except OSError as error:
        # open(2) says so of a pipe that nobody has open for reading; waiting might last for ever.
        unread = error.errno == errno.ENXIO
        why = "nobody reads from it" if unread else error.strerror
        raise RecordError(f"cannot write {path}: {why}") from None


def _is_special(file: Path) -> bool:
    """Whether a device, a pipe or a socket is there, or a link to one."""
    return file.exists() and not file.is_file() and not file.is_dir()


def _write_through(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.set_blocking(descriptor, True)
        file.write(text)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except BaseException:  # Ctrl-C too leaves no part behind
        part.unlink(missing_ok=True)
        raise


def dumps(document: Mapping[str, Any]) -> str:
    """A document as JSON text: indented for people, with a line for each record of plain values."""
    return _dump(document, "") + "\n"


def _dump(value: Any, indent: str) -> str:
    flat = _flat(value)
    if not isinstance(value, dict | list | tuple) or len(indent) + len(flat) <= 100:
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{_flat(str(key))}: {_dump(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}}}"
    if not any(isinstance(item, dict) for item in value):
        return flat
    rows = [_flat(item) if _is_row(item) else _dump(item, deeper) for item in value]
    return "[\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}]"


def _flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=to_text)


def _is_row(item: Any) -> bool:
    """Whether this is one of a list's records without anything further in it."""
    return isinstance(item, dict) and not any(
        isinstance(value, dict | list | tuple) for value in item.values()
    )
