"""Byte layouts: the claims L1 to L3, and each with a broken layout that is caught."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfslab.lib.ondisk import (
    FormatError,
    Layout,
    array,
    be16,
    be32,
    be64,
    chars,
    hilo,
    le16,
    le32,
    le64,
    les32,
    nested,
    s8,
    u8,
)


class point(Layout):
    x = le16("across")
    y = les32("down, signed")


class shape(Layout, size=48):
    kind = u8("what it is", enum={1: "circle", 2: "square"})
    flags = u8("how", flags={1: "filled", 4: "dashed"})
    corner = nested(point, "where")
    size_lo = le32("lower half", at=12)
    size_hi = le16("upper half")
    name = chars(5, "label")
    low = s8("signed byte")
    weights = array(le16, 3, "three of them")
    tail = le64("at a place of its own", at=40)
    whole_size = hilo("size_hi", "size_lo", "both halves")


class network(Layout):
    a = be16("first")
    b = be32("second")
    c = be64("third")


# --- L1: where a field lies ------------------------------------------------------------------------------


def test_L1_fields_follow_each_other_without_padding():
    offsets = {field.name: field.offset for field in shape.fields}
    assert offsets == {"kind": 0, "flags": 1, "corner": 2, "size_lo": 12, "size_hi": 16, "name": 18, "low": 23,
                       "weights": 24, "tail": 40}  # fmt: skip
    assert (point.size, shape.size, network.size) == (6, 48, 14)


def test_L1_values_are_those_struct_gives():
    raw = struct.pack("<BBHi4xIH5sb3H10xQ", 2, 5, 7, -9, 0x11223344, 0x55, b"label", -3, 1, 2, 3, 1 << 60)
    view = shape(raw)
    assert (view.kind, view.flags, view.corner.x, view.corner.y) == (2, 5, 7, -9)
    assert (view.name, view.low, view.weights, view.tail) == (b"label", -3, (1, 2, 3), 1 << 60)
    assert view.whole_size == 0x55_1122_3344
    assert network(bytes(range(14))).c == 0x060708090A0B0C0D


def test_L1_declaration_that_goes_back_is_refused():
    with pytest.raises(TypeError, match="before 4"):
        type("bad", (Layout,), {"a": le32(), "b": le16(at=2)})


def test_L1_declaration_that_is_longer_than_its_size_is_refused():
    with pytest.raises(TypeError, match="takes 8 bytes, declared as 6"):
        type(Layout)("bad", (Layout,), {"a": le32(), "b": le32()}, size=6)


def test_L1_gap_that_is_forgotten_is_seen():
    class forgotten(Layout):
        kind = u8()
        size_lo = le32()  # wants at=12

    assert forgotten.field("size_lo").offset != shape.field("size_lo").offset
    assert shape.field("tail").doc == "at a place of its own"
    with pytest.raises(KeyError, match="no member"):
        shape.field("nothing")


# --- L2: the end of the buffer -----------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(48))
def test_L2_reading_past_the_end_names_offset_and_field(length):
    view = shape(bytes(length))
    for field in shape.fields:
        if field.offset + field.size <= length:
            getattr(view, field.name)
        elif field.name == "corner":
            with pytest.raises(FormatError):
                _ = view.corner.y
        else:
            with pytest.raises(FormatError) as raised:
                getattr(view, field.name)
            assert (raised.value.offset, raised.value.field) == (field.offset, field.name)
            assert str(field.offset) in str(raised.value) and field.name in str(raised.value)


def test_L2_offset_of_the_view_counts():
    with pytest.raises(FormatError) as raised:
        _ = point(bytes(10), 6).y
    assert raised.value.offset == 8


def test_L2_offset_before_the_buffer_is_refused():
    """struct takes a negative offset from the end; a structure there is none."""
    with pytest.raises(FormatError):
        _ = point(bytes(20), -6).x


def test_L2_writing_too_much_or_too_far_is_refused():
    view = shape(bytearray(48))
    with pytest.raises(FormatError):
        view.kind = 256
    with pytest.raises(FormatError):
        view.weights = (1, 2)
    with pytest.raises(FormatError):
        shape(bytearray(8)).tail = 1


def test_L2_a_name_too_long_for_its_member_is_refused():
    """struct would cut it without a word."""
    view = shape(bytearray(48))
    view.name = b"abc"
    assert view.name == b"abc\0\0"
    with pytest.raises(FormatError):
        view.name = b"abcdef"


# --- L3: views share their buffer ------------------------------------------------------------------------------


def test_L3_two_views_see_each_others_writes():
    buffer = bytearray(100)
    one, other = shape(buffer, 10), shape(memoryview(buffer), 10)
    one.corner.y = -5
    other.whole_size = 0xAABBCCDDEEFF
    assert other.corner.y == -5 and one.whole_size == 0xAABBCCDDEEFF
    assert (one.size_hi, one.size_lo) == (0xAABB, 0xCCDDEEFF)
    assert bytes(one) == bytes(buffer[10:58])


def test_L3_a_copy_would_be_caught():
    buffer = bytearray(48)
    view = shape(bytes(buffer))  # a copy, and not writable
    with pytest.raises((FormatError, TypeError)):
        view.kind = 1
    assert buffer == bytes(48)


# --- the other uses of a declaration ---------------------------------------------------------------------------


@given(st.binary(min_size=48, max_size=60), st.integers(0, 12))
def test_reader_agrees_with_the_view(raw, offset):
    names = ("kind", "size_lo", "name", "low", "tail")
    read, view = shape.reader(*names), shape(raw, offset)
    if offset + shape.size <= len(raw):
        assert read(raw, offset) == tuple(getattr(view, name) for name in names)
    else:
        with pytest.raises(struct.error):
            read(raw, offset)


def test_each_steps_as_far_as_it_is_told():
    data = bytes(range(40))
    told = list(point.each("x", "y", size=10)(data))
    assert told == [point.reader("x", "y")(data, at) for at in range(0, 40, 10)]


def test_reader_gives_one_value_for_each_member_and_all_of_an_array():
    assert network.reader("a", "c")(bytes(range(14)), 0) == (1, 0x060708090A0B0C0D)
    assert shape.reader("low", "weights")(shape.pack(low=-1, weights=(7, 8, 9)), 0) == (-1, 7, 8, 9)
    with pytest.raises(TypeError, match="out of order"):
        shape.reader("tail", "kind")


def test_reader_of_both_byte_orders_is_refused():
    mixed = type("mixed", (Layout,), {"a": le16(), "b": be16()})
    with pytest.raises(TypeError, match="byte orders"):
        mixed.reader("a", "b")


def test_pack_gives_what_was_set_and_zeros():
    raw = shape.pack(kind=1, whole_size=1 << 33, name=b"ab", weights=(4, 5, 6))
    assert isinstance(raw, bytearray) and len(raw) == 48
    view = shape(raw)
    assert (view.kind, view.size_hi, view.size_lo, view.name, view.weights, view.tail) == (
        1,
        2,
        0,
        b"ab\0\0\0",
        (4, 5, 6),
        0,
    )
    with pytest.raises(KeyError, match="no member"):
        shape.pack(colour=1)


def test_upper_half_that_is_absent_counts_as_zero():
    class old_and_new(Layout, size=8):
        lo = le32()
        hi = le32()
        both = hilo("hi", "lo", "", lambda view: len(view.buffer) >= 8)

    assert old_and_new(struct.pack("<II", 1, 2)).both == (2 << 32) + 1
    short = old_and_new(bytearray(4))
    short.both = 7
    assert short.both == 7


def test_rows_cover_every_member_with_its_place():
    rows = list(shape(struct.pack("<BB", 1, 5).ljust(60, b"\0"), 0).rows())
    assert [row.name for row in rows][:4] == ["kind", "flags", "corner.x", "corner.y"]
    assert (rows[0].shown, rows[1].shown) == ("1 (circle)", "0x5 (filled dashed)")
    assert [(row.offset, row.size) for row in rows[2:4]] == [(2, 2), (4, 4)]
    assert [row.name for row in shape(bytes(20)).rows()][-1] == "size_hi", "what the buffer does not hold is left out"


def test_rows_of_unknown_bits_and_kinds_say_so():
    shown = {row.name: row.shown for row in shape(struct.pack("<BB", 9, 0x82).ljust(48, b"\0")).rows()}
    assert shown["kind"] == "9 (unknown)" and "0x82" in shown["flags"]
