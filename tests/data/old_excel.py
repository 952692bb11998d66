"""Writes a minimal .xls workbook (BIFF8 in a compound file), since no library here does.

Sources: [MS-CFB] for the container, [MS-XLS] for the records.
"""

import struct

SECTOR = 512
FREE, END_OF_CHAIN, FAT_SECTOR, NO_STREAM = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


def xls(rows, sheet="Sheet1"):
    """Bytes of a workbook with one sheet; cells are str or float."""
    stream = _workbook_stream(rows, sheet).ljust(4096, b"\0")  # smaller streams lie elsewhere
    stream += b"\0" * (-len(stream) % SECTOR)
    sectors = len(stream) // SECTOR
    chain = [FAT_SECTOR, END_OF_CHAIN, *range(3, sectors + 2), END_OF_CHAIN]
    fat = struct.pack(f"<{SECTOR // 4}I", *chain, *[FREE] * (SECTOR // 4 - len(chain)))
    return _header() + fat + _directory(len(stream)) + stream


def _header():
    fixed = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
    counts = struct.pack("<9I", 0, 1, 1, 0, 4096, END_OF_CHAIN, 0, END_OF_CHAIN, 0)
    return fixed + counts + struct.pack("<109I", 0, *[FREE] * 108)


def _directory(size):
    root = _entry("Root Entry", 5, child=1, start=END_OF_CHAIN, size=0)
    return root + _entry("Workbook", 2, child=NO_STREAM, start=2, size=size) + _entry("", 0, NO_STREAM, 0, 0) * 2


def _entry(name, kind, child, start, size):
    encoded = name.encode("utf-16-le")
    length = len(encoded) + 2 if name else 0
    links = struct.pack("<HBB3I", length, kind, 1, NO_STREAM, NO_STREAM, child)
    return encoded.ljust(64, b"\0") + links + bytes(36) + struct.pack("<IQ", start, size)


def _workbook_stream(rows, sheet):
    beginning = _record(0x0809, struct.pack("<4H2I", 0x0600, 0x0005, 0, 0, 0, 0))
    name = struct.pack("<BB", len(sheet), 0) + sheet.encode("ascii")
    ending = _record(0x000A, b"")
    offset = len(beginning) + 4 + 6 + len(name) + len(ending)
    index = _record(0x0085, struct.pack("<IBB", offset, 0, 0) + name)
    cells = [_cell(row, column, value) for row, cells in enumerate(rows) for column, value in enumerate(cells)]
    start = _record(0x0809, struct.pack("<4H2I", 0x0600, 0x0010, 0, 0, 0, 0))
    return beginning + index + ending + start + b"".join(cells) + ending


def _cell(row, column, value):
    place = struct.pack("<3H", row, column, 0)
    if isinstance(value, float):
        return _record(0x0203, place + struct.pack("<d", value))
    return _record(0x0204, place + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le"))


def _record(kind, data):
    return struct.pack("<2H", kind, len(data)) + data
