"""What is looked at before a snapshot may be given away, and what of it is put into the file."""

import struct
from pathlib import Path

import pytest

from aws_lambda_post_runner.layer.snapshot import (
    Mapping,
    Memory,
    SnapshotError,
    changes,
    compare,
    look_through,
    parsed,
    runs,
    secrets,
)

PAGE = 4096
LIBC = Mapping(0x7F00_0000_0000, 0x7F00_0010_0000, "/lib/libc.so.6")
MOVED = Mapping(0x7F00_1000_0000, 0x7F00_1010_0000, "/lib/libc.so.6")


def words(*each: int) -> Memory:
    return Memory(0x1000, struct.pack(f"<{len(each)}Q", *each))


def test_two_snapshots_that_are_the_same_and_point_nowhere_else_may_be_given_away() -> None:
    compare(words(1, 0, 0x1000), words(1, 0, 0x1000), [LIBC], [MOVED])


def test_a_word_that_points_outside_the_executable_and_its_heap_fails_the_build() -> None:
    """It follows what it points to."""
    with pytest.raises(SnapshotError, match=r"0x1008 is 0x7f0000000010 \(in /lib/libc.so.6\)"):
        compare(words(1, LIBC.start + 16), words(1, MOVED.start + 16), [LIBC], [MOVED])


def test_a_word_that_points_to_what_is_always_mapped_in_the_same_place_fails_the_build() -> None:
    with pytest.raises(SnapshotError, match=r"0x1008 is 0x7f0000000010 \(in /lib/libc.so.6\)"):
        compare(words(1, LIBC.start + 16), words(1, LIBC.start + 16), [LIBC], [LIBC])


def test_bytecode_that_looks_like_an_address_does_not_fail_the_build() -> None:
    """It stays the same where that which it seems to point to has moved."""
    compare(words(1, LIBC.start + 16), words(1, LIBC.start + 16), [LIBC], [MOVED])


def test_time_process_id_and_random_numbers_fail_the_build_for_no_two_snapshots_have_the_same() -> None:
    with pytest.raises(SnapshotError, match=r"0x1010 is 0x7 in one snapshot, 0x8 in another"):
        compare(words(1, 2, 7), words(1, 2, 8), [LIBC], [MOVED])


def test_snapshots_of_different_lengths_fail_the_build() -> None:
    with pytest.raises(SnapshotError, match="length"):
        compare(words(1, 2), words(1), [LIBC], [MOVED])


def test_a_text_that_the_building_machine_knows_fails_the_build(tmp_path: Path) -> None:
    unwanted = secrets(tmp_path, {"TOKEN": "correct horse battery", "SHORT": "1234567"})
    memory = b"... correct horse battery ..."
    with pytest.raises(SnapshotError, match="the variable TOKEN"):
        look_through([b"", memory], unwanted, b"the program")
    with pytest.raises(SnapshotError, match="the build's folder"):
        look_through([str(tmp_path).encode()], unwanted, b"the program")


def test_what_the_program_has_itself_and_what_is_there_by_chance_does_not_fail_the_build(
    tmp_path: Path,
) -> None:
    unwanted = secrets(tmp_path, {"TOKEN": "correct horse battery", "SHORT": "1234567"})
    look_through([b"correct horse battery 1234567"], unwanted, b"with correct horse battery")


def test_a_snapshot_that_was_not_written_whole_fails_the_build() -> None:
    with pytest.raises(SnapshotError, match="not written whole"):
        parsed(struct.pack("<5Q", 0x1000, 8, 0x2000, 8, 4) + b"too short", b"")


def test_no_page_of_zeros_is_stored() -> None:
    full, empty = b"x".ljust(PAGE, b"\0"), bytes(PAGE)
    content = full + full + empty + full + empty + empty + b"end"
    stored = list(runs(Memory(0x10000, content), PAGE))
    assert stored == [
        Memory(0x10000, full + full),
        Memory(0x10000 + 3 * PAGE, full),
        Memory(0x10000 + 6 * PAGE, b"end"),
    ]
    assert list(runs(Memory(0x10000, empty + empty), PAGE)) == []


def test_of_the_variables_what_has_changed_is_stored() -> None:
    assert list(changes(words(1, 2, 3, 4, 5), words(1, 7, 0, 4, 6))) == [
        Memory(0x1008, struct.pack("<2Q", 7, 0)),
        Memory(0x1020, struct.pack("<Q", 6)),
    ]
    assert list(changes(words(1, 2), words(1, 2))) == []
