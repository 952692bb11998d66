"""Contents of small files of each format, made for the tests of reading."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from surefit.data.read import read


def read_content(ending, content, settings, *, labelled):
    """What is read of a file with these bytes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"rows{ending}"
        path.write_bytes(content)
        return read(path, settings, labelled=labelled)


def lines(*rows, newline="\n", encoding="utf-8"):
    return (newline.join(rows) + newline).encode(encoding)


def workbook(*sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def ods(rows):
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    body = "".join(f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>" for row in rows)
    names = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
    start = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet><table:table table:name="A">'
    )
    content = f"{start}{body}</table:table></office:spreadsheet></office:body></office:document-content>"
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    kind = ("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return zipped(kind, ("content.xml", content), ("META-INF/manifest.xml", manifest))


def zipped(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def parquet(columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def jsonl(*rows):
    return lines(*(row if isinstance(row, str) else json.dumps(row) for row in rows))
