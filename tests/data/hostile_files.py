"""Files as people really hand them in, and worse: each with what must come of it.

One list for all doors: reading is tested with it here, and the command line with the same files.
Each ends in used and rejected rows that add up, or in an error of one line.
"""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from file_builders import jsonl, lines, ods, parquet, workbook, zipped
from old_excel import xls


@dataclass(frozen=True)
class HostileFile:
    """One file, and what must come of it.

    `rejected` holds (line, reason) of each rejected record; `error` a part of the message where the
    file as a whole is refused. `texts` are the used texts, where the case is about them.
    """

    name: str
    content: bytes | Callable[[Path], None]
    used: int = 0
    rejected: tuple = ()
    error: str = ""
    texts: tuple = ()
    settings: dict = field(default_factory=dict)
    labelled: bool = True

    def write(self, directory):
        """Puts the file into a directory and returns its path."""
        path = Path(directory) / self.name
        if callable(self.content):
            self.content(path)
        else:
            path.write_bytes(self.content)
        return path

    @property
    def flags(self):
        """The settings as the command line takes them."""
        flags = []
        for name, value in self.settings.items():
            flags += ["--no-header"] if name == "header" else [f"--{name.replace('_', '-')}", value]
        return flags


def plain_rows(count):
    return [f"text number {number},{'pos' if number % 2 else 'neg'}" for number in range(count)]


HEADER = "text,label"
GOOD = lines(HEADER, "good,pos", "bad,neg")
LETTER = '"Dear Ann,\nI am well, and you?\n\nYours,\nBob"'
LONG_CELL = "x" * 200_000
SHEET = [["text", "label"], ["good", "pos"], ["bad", "neg"]]
PARQUET = parquet({"text": ["good", "bad"], "label": ["pos", "neg"]})
INVALID_UTF8 = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])

DELIMITED = [
    # Nothing, or nearly nothing
    HostileFile("empty.csv", b"", error="empty"),
    HostileFile("newlines-only.csv", b"\n\r\n\r\n\n", error="empty"),
    HostileFile("mark-only.csv", b"\xef\xbb\xbf", error="empty"),
    HostileFile("header-only.csv", b"text,label\n", error="no rows"),
    HostileFile("header-without-newline.csv", b"text,label", error="no rows"),
    HostileFile("one-column.csv", lines("text", "good", "bad"), error="--label"),
    HostileFile("missing.csv", lambda path: None, error="no such file"),
    HostileFile("directory.csv", lambda path: path.mkdir(), error="directory"),
    HostileFile("loop.csv", lambda path: path.symlink_to(path.name), error="cannot be read"),
    HostileFile("directory", lambda path: path.mkdir(), error="it is a directory, not a file"),
    HostileFile("pipe.csv", lambda path: os.mkfifo(path), error="no regular file; save its content"),
    HostileFile("no-ending", GOOD, error="ending"),
    HostileFile("unknown.docx", GOOD, error="ending"),
    # Newlines
    HostileFile("windows.csv", lines(HEADER, "good,pos", "bad,neg", newline="\r\n"), 2, texts=("good", "bad")),
    HostileFile("old-mac.csv", lines(HEADER, "good,pos", "bad,neg", newline="\r"), 2, texts=("good", "bad")),
    HostileFile("mixed-newlines.csv", b"text,label\r\ngood,pos\nbad,neg\rso so,pos\r\n", 3, texts=("good", "bad", "so so")),
    HostileFile("no-last-newline.csv", b"text,label\ngood,pos\nbad,neg", 2),
    HostileFile("blank-lines.csv", b"\n\ntext,label\n\ngood,pos\n\n\nbad\n\n", 1, ((8, "too few cells"),)),
    HostileFile("space-line.csv", lines(HEADER, "good,pos", "   "), 1, ((3, "too few cells"),)),
    HostileFile(
        "unicode-newlines.csv",
        lines(HEADER, "a\u2028b\u2029c,pos", "d\x0be\x0cf\x1cg,neg", "h\x85i,pos"),
        3,
        texts=("a\u2028b\u2029c", "d\x0be\x0cf\x1cg", "h\x85i"),
    ),
    HostileFile("quoted-newlines.csv", b'text,label\r\n"a\r\nb\nc\rd",pos\r\nbad,neg\r\n', 2, texts=("a\r\nb\nc\rd", "bad")),
    # Quotes
    HostileFile("doubled-quotes.csv", lines(HEADER, '"he said ""no""",neg', '"""",pos'), 2, texts=('he said "no"', '"')),
    HostileFile("quote-is-delimiter.csv", GOOD, error="between cells too", settings={"quote": ","}),
    HostileFile("quote-is-delimiter.tsv", GOOD, error="between cells too", settings={"quote": "\t"}),
    HostileFile("plain-quotes.csv", lines(HEADER, 'a 5" pipe,pos', 'x "y" z,neg'), 2, texts=('a 5" pipe', 'x "y" z')),
    HostileFile("quote-after-space.csv", lines(HEADER, ' "good",pos', ' "a, b",neg'), 1, ((3, "too many cells"),)),
    HostileFile("text-after-quote.csv", lines(HEADER, '"good" movie,pos', "bad,neg"), 1, ((2, "unclosed quote"),)),
    HostileFile("space-after-quote.csv", lines(HEADER, '"good" ,pos', "bad,neg"), 1, ((2, "unclosed quote"),)),
    HostileFile("unclosed-to-the-end.csv", lines(HEADER, '"good,pos', "bad,neg", "so so,pos"), 2, ((2, "unclosed quote"),)),
    HostileFile("unclosed-in-last-row.csv", lines(HEADER, "bad,neg", '"good,pos'), 1, ((3, "unclosed quote"),)),
    HostileFile("unclosed-before-a-quoted-row.csv", lines(HEADER, '"good,pos', '"bad, so",neg'), 1, ((2, "unclosed quote"),)),
    HostileFile("unclosed-header.csv", lines('"text,label', "good,pos"), error="unclosed quote"),
    HostileFile(
        "unclosed-everywhere.csv",
        lines(HEADER, *['"good,pos'] * 300, "bad,neg"),
        1,
        tuple((line, "unclosed quote") for line in range(2, 302)),
    ),
    HostileFile(
        "closed-by-accident.csv",
        lines(HEADER, "good,pos", '"broken,neg', *plain_rows(300), 'a 5",neg', "end,pos"),
        303,
        ((3, "unclosed quote"),),
    ),
    HostileFile(
        "closed-by-accident-in-first-row.csv",
        lines(HEADER, '"broken,neg', *plain_rows(50), 'a 5",neg'),
        51,
        ((2, "unclosed quote"),),
    ),
    HostileFile(
        "closed-by-accident-at-once.csv", lines(HEADER, "a,pos", "b,neg", '"c,neg', 'd",pos'), 3, ((4, "unclosed quote"),)
    ),
    HostileFile(
        "broken-off-and-closed-by-accident.csv",
        lines(HEADER, "good,pos", '"broken', *plain_rows(300), 'a 5",neg', "end,pos"),
        303,
        ((3, "unclosed quote"),),
    ),
    HostileFile(
        "letter-with-rows.csv",
        lines(HEADER, "good,pos", "bad,neg", '"I wrote\ngood,pos\nbad,neg\nso so,pos\n\nand meant it.\nBob",neg', "bad,neg"),
        4,
    ),
    HostileFile("letter.csv", lines(HEADER, "good,pos", LETTER + ",neg", "bad,neg"), 3),
    HostileFile("letter-last.csv", lines("label,text", "pos,good", "neg," + LETTER, "neg,bad"), 3),
    HostileFile("table-in-a-cell.csv", lines(HEADER, "a,pos", "b,neg", '"x,pos\ny,neg\nv,pos\nw,neg\nz,pos",neg', "c,pos"), 4),
    HostileFile(
        "closed-by-accident-in-the-middle.csv",
        lines("label,text", "pos,a", "neg,b", 'neg,"broken', *["pos,fine"] * 9, 'neg,it is 5", he said'),
        11,
        ((4, "unclosed quote"), (14, "too many cells")),
    ),
    HostileFile(
        "apostrophes.csv", lines(HEADER, "'a, b',pos", "'it''s',neg"), 2, texts=("a, b", "it's"), settings={"quote": "'"}
    ),
    HostileFile("no-quotes.tsv", lines("text\tlabel", '"good\tpos', 'b"ad"\tneg'), 2, settings={"quote": "none"}),
    HostileFile("only-quotes.csv", lines(HEADER, '"""""",pos', '""",""",neg', '""",neg'), 2, ((4, "unclosed quote"),)),
    # Cells
    HostileFile("ragged.csv", lines(HEADER, "good,pos", "bad", "so,so,neg"), 1, ((3, "too few cells"), (4, "too many cells"))),
    HostileFile("trailing-delimiter.csv", lines("text,label,", "good,pos,", "bad,neg,"), 2),
    HostileFile(
        "trailing-delimiter-in-rows.csv", lines(HEADER, "good,pos,", "bad,neg,"), error="the header has 2 columns: check"
    ),
    HostileFile("null-words.csv", lines(HEADER, "null,pos", "NA,neg", "1.0,pos", "007,neg", "None,pos", "nan,neg"), 6),
    HostileFile(
        "empty-cells.csv",
        lines(HEADER, ",pos", "good,", ",", '"",pos', "ok,pos"),
        1,
        texts=("ok",),
        rejected=(
            (2, "empty text"),
            (3, "missing label"),
            (4, "empty text"),
            (5, "empty text"),
        ),
    ),
    HostileFile(
        "invisible-text.csv",
        lines(HEADER, "\u200b\u00a0\ufeff,pos", "good,\u200b", "ok,pos"),
        1,
        rejected=(
            (2, "empty text"),
            (3, "missing label"),
        ),
    ),
    HostileFile("nul-bytes.csv", lines(HEADER, "go\0od,pos", "\0,neg"), 1, ((3, "empty text"),)),
    HostileFile("control-characters.csv", lines(HEADER, "\x1b[31mred\x07,pos", "bad,neg"), 2),
    HostileFile("formula.csv", lines(HEADER, "=cmd|' /C calc'!A0,pos", "@SUM(1),neg"), 2),
    HostileFile("long-cell.csv", lines(HEADER, LONG_CELL + ",pos", f'"{LONG_CELL}",neg'), 2),
    HostileFile("many-columns.csv", lines(",".join([*map(str, range(5000)), "text", "label"]), "x," * 5000 + "good,pos"), 1),
    HostileFile("emoji.csv", lines(HEADER, "👩‍👩‍👧 ok 👍🏽,pos", "ক্ষ می‌خواهم,neg"), 2),
    # Delimiters
    HostileFile("semicolons.csv", lines("text;label", "one, two, three;pos", "four, five;neg"), 2),
    HostileFile("pipes.txt", lines("text|label", "one, two;|pos", "bad|neg"), 2, texts=("one, two;", "bad")),
    HostileFile("tabs.csv", lines("text\tlabel", "one, two\tpos", '"a\tb"\tneg'), 2, texts=("one, two", "a\tb")),
    HostileFile("commas.tsv", lines(HEADER, "good,pos"), error="--delimiter"),
    HostileFile("named-delimiter.csv", lines("text#label", "a,b#pos", "c;d#neg"), 2, settings={"delimiter": "#"}),
    HostileFile("wrong-delimiter.csv", lines(HEADER, "good,pos"), error="no column", settings={"delimiter": ";"}),
    HostileFile("decimal-commas.csv", lines("id;text;label", "1,5;good;pos", "2,5;bad;neg"), 2),
    # Headers and columns
    HostileFile("spaced-header.csv", lines(" Text , LABEL ", "good,pos"), 1),
    HostileFile("quoted-header.csv", lines('"text","label"', "good,pos"), 1),
    HostileFile("header-over-two-lines.csv", lines('"my\ntext",label', "good,pos"), 1, settings={"text": "my text"}),
    HostileFile("no-header.csv", lines("I really liked this film a lot,pos", "bad,neg"), error="--no-header"),
    HostileFile("no-header-said.csv", lines("good,pos", "bad,neg"), 2, settings={"header": False, "text": "1", "label": "2"}),
    HostileFile("no-header-unsaid.csv", lines("good,pos", "bad,neg"), error="--text", settings={"header": False}),
    HostileFile("two-texts.csv", lines("text,review,label", "a,b,pos"), error="more than one"),
    HostileFile("twice-the-same.csv", lines("text,text,label", "a,b,pos"), error="more than one"),
    HostileFile("twice-the-same-named.csv", lines("text,text,label", "a,b,pos"), error="2 columns", settings={"text": "text"}),
    HostileFile("misspelt-flag.csv", lines("review,stars", "a,5"), error='did you mean "stars"', settings={"label": "starz"}),
    HostileFile("same-column.csv", lines(HEADER, "a,pos"), error="same column", settings={"text": "text", "label": "text"}),
    HostileFile(
        "repeated-ids.csv", lines("id,text,label", "a,x,pos", "b,y,neg", "a,z,pos"), error="--id", settings={"id": "id"}
    ),
    HostileFile("missing-id.csv", lines("id,text,label", "a,x,pos", ",y,neg"), 1, ((3, "missing id"),), settings={"id": "id"}),
    # Encodings
    HostileFile("utf8-mark.csv", b"\xef\xbb\xbf" + GOOD, 2, texts=("good", "bad")),
    HostileFile("utf16-mark.csv", lines(HEADER, "gut ä 漢,pos", "bad,neg", encoding="utf-16"), 2, texts=("gut ä 漢", "bad")),
    HostileFile("utf16-be-mark.csv", b"\xfe\xff" + lines(HEADER, "gut,pos", encoding="utf-16-be"), 1, texts=("gut",)),
    HostileFile("utf32-mark.csv", lines(HEADER, "gut 😀,pos", "bad,neg", encoding="utf-32"), 2, texts=("gut 😀", "bad")),
    HostileFile("utf16-no-mark.csv", lines(HEADER, "good,pos", encoding="utf-16-le"), error="--encoding utf-16-le"),
    HostileFile("utf16-named.csv", lines(HEADER, "gut,pos", encoding="utf-16-be"), 1, settings={"encoding": "utf-16-be"}),
    HostileFile("utf16-odd-length.csv", lines(HEADER, "gut,pos", "bad,neg", encoding="utf-16") + b"x", error="file is damaged"),
    HostileFile("latin1.csv", lines(HEADER, "schön,pos", "bad,neg", encoding="cp1252"), error="--encoding cp1252"),
    HostileFile("latin1-header.csv", lines("text,größe,label", "a,b,c", encoding="cp1252"), error="--encoding cp1252"),
    HostileFile(
        "latin1-named.csv", lines(HEADER, "schön,pos", encoding="cp1252"), 1, texts=("schön",), settings={"encoding": "cp1252"}
    ),
    HostileFile(
        "shift-jis-named.csv",
        lines(HEADER, "表|示,pos", encoding="shift_jis"),
        1,
        texts=("表|示",),
        settings={"encoding": "shift_jis"},
    ),
    HostileFile(
        "few-undecodable.csv",
        lines(HEADER, *plain_rows(200)) + b"sch\xf6n,pos\n",
        200,
        ((202, "undecodable bytes"),),
    ),
    HostileFile("wrong-encoding-named.csv", lines(HEADER, "schön,pos"), error="ASCII", settings={"encoding": "ascii"}),
    HostileFile("unknown-encoding.csv", GOOD, error="--encoding", settings={"encoding": "utf-9"}),
    HostileFile("no-text-encoding.csv", GOOD, error="--encoding", settings={"encoding": "hex"}),
    HostileFile("escapes-named.csv", GOOD, error="--encoding", settings={"encoding": "unicode_escape"}),
    HostileFile("overlong-utf8.csv", lines(HEADER, *plain_rows(120)) + b"\xc0\xaf,pos\n", 120, ((122, "undecodable bytes"),)),
    HostileFile("half-a-pair.csv", lines(HEADER, *plain_rows(120)) + b"\xed\xa0\x80,pos\n", 120, ((122, "undecodable bytes"),)),
    # Not what the ending says
    HostileFile("workbook.csv", workbook(("A", SHEET)), error=".xlsx"),
    HostileFile("parquet.csv", PARQUET, error=".parquet"),
    HostileFile("page.csv", b"\n<!DOCTYPE html><html><body>404</body></html>", error="HTML"),
    HostileFile("gzipped.csv", gzip.compress(GOOD), error="gzip"),
    HostileFile("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), error="picture"),
    HostileFile("all-nul.csv", bytes(5000), error="NUL"),
    HostileFile("parquet-word.csv", lines("PAR1,text,label", "1,good,pos"), 1),
]

PREDICTION = [
    HostileFile("unlabelled.csv", lines("text", "good", "bad, very bad", "", "ok"), 3, ((4, "empty text"),), labelled=False),
    HostileFile("plain-texts.txt", lines("good", "bad, very; bad"), 2, settings={"header": False}, labelled=False),
    HostileFile("header-or-text.txt", lines("I liked it very much", "bad"), error="--no-header", labelled=False),
    HostileFile("labels-partly.csv", lines(HEADER, "good,pos", "bad,"), 2, labelled=False),
    HostileFile("unlabelled-letter.csv", lines("id,text", f"1,{LETTER}", "2,good"), 2, labelled=False),
    HostileFile(
        "unlabelled-closed-by-accident.csv",
        lines("id,text", "1,good", '2,"broken', *[f"{number},fine" for number in range(3, 9)], '9,a 5"', "10,good"),
        9,
        ((3, "unclosed quote"),),
        labelled=False,
    ),
    HostileFile("nothing-usable.csv", lines("text,x", ",1", ",2"), 0, ((2, "empty text"), (3, "empty text")), labelled=False),
]

JSON_LINES = [
    HostileFile("empty.jsonl", b"\n \n", error="empty"),
    HostileFile("array.json", b'[{"text": "a", "label": "b"}]', error="one object a line"),
    HostileFile("pretty.jsonl", json.dumps({"text": "a", "label": "b"}, indent=2).encode(), error="one object a line"),
    HostileFile("good.ndjson", jsonl({"text": "a\nb", "label": "x"}, "", {"label": "y", "text": "c"}), 2, texts=("a\nb", "c")),
    HostileFile(
        "broken.jsonl",
        jsonl({"text": "a", "label": "x"}, '{"text": "b", ', '"c"', "null", "[1]"),
        1,
        rejected=(
            (2, "not JSON"),
            (3, "not an object"),
            (4, "not an object"),
            (5, "not an object"),
        ),
    ),
    HostileFile(
        "values.jsonl",
        jsonl({"text": 7, "label": True}, {"text": 1.0, "label": 0.5}, {"text": 10**400, "label": 1e22}),
        3,
        texts=("7", "1", str(10**400)),
    ),
    HostileFile(
        "missing.jsonl",
        jsonl({"text": "a", "label": "x"}, {"text": "b"}, {"label": "x"}, {"text": None}),
        1,
        rejected=(
            (2, "missing label"),
            (3, "empty text"),
            (4, "empty text"),
        ),
    ),
    HostileFile(
        "nested.jsonl",
        jsonl({"text": "a", "label": "x"}, {"text": ["b"], "label": "x"}, {"text": "c", "label": ["x"]}),
        1,
        (
            (2, "nested value"),
            (3, "several labels"),
        ),
    ),
    HostileFile("deep.jsonl", jsonl({"text": "a", "label": "x"}, '{"text": ' + "[" * 200_000), 1, ((2, "nested value"),)),
    HostileFile(
        "not-finite.jsonl",
        jsonl({"text": "a", "label": "x"}, '{"text": NaN, "label": "x"}', '{"text": 1e400}'),
        1,
        (
            (2, "not JSON"),
            (3, "number not finite"),
        ),
    ),
    HostileFile(
        "twice-a-key.jsonl",
        jsonl({"text": "a", "label": "x"}, '{"text": "b", "text": "c", "label": "x"}'),
        1,
        ((2, "duplicate key"),),
    ),
    HostileFile(
        "half-a-pair.jsonl",
        jsonl({"text": "a", "label": "x"}, '{"text": "\\ud83d", "label": "x"}'),
        1,
        ((2, "undecodable bytes"),),
    ),
    HostileFile("half-a-pair-key.jsonl", jsonl('{"\\ud83d": 1}'), error="no column"),
    HostileFile("latin1.jsonl", '{"text": "schön", "label": "x"}\n'.encode("cp1252"), error="--encoding"),
    HostileFile("utf16.jsonl", '{"text": "schön", "label": "x"}\n'.encode("utf-16"), 1, texts=("schön",)),
    HostileFile("huge-number.jsonl", jsonl({"text": "a", "label": "x"}, '{"text": ' + "9" * 10_000 + ', "label": "x"}'), 2),
]

BINARY = [
    HostileFile("good.parquet", PARQUET, 2),
    HostileFile("text.parquet", GOOD, error="no Parquet"),
    HostileFile("cut.parquet", PARQUET[:-20], error="damaged"),
    HostileFile("scratched.parquet", PARQUET[:4] + bytes(40) + PARQUET[44:], error="damaged"),
    HostileFile(
        "no-rows.parquet", parquet({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), error="no rows"
    ),
    HostileFile(
        "kinds.parquet",
        parquet({"text": pa.array([0.1, None, 2.0], pa.float32()), "label": pa.array([1, 2, None], pa.int64())}),
        1,
        ((2, "empty text"), (3, "missing label")),
        texts=("0.1",),
    ),
    HostileFile("lists.parquet", parquet({"text": ["a", "b"], "label": [["x"], ["y", "z"]]}), error="2 several labels"),
    HostileFile("invalid-utf8.parquet", parquet({"text": INVALID_UTF8, "label": ["x", "y"]}), 1, ((2, "undecodable bytes"),)),
    HostileFile(
        "far-date.parquet", parquet({"text": pa.array([5_000_000], pa.date32()), "label": ["x"]}), 1, texts=("15659-07-15",)
    ),
    HostileFile("good.xlsx", workbook(("A", SHEET)), 2),
    HostileFile("xlsx-inside.xls", workbook(("A", SHEET)), 2),
    HostileFile(
        "old.xls",
        xls([["text", "label"], ["schön", 1.0], ["bad", 2.5], ["", 3.0]]),
        2,
        ((4, "empty text"),),
        texts=("schön", "bad"),
    ),
    HostileFile("good.ods", ods(SHEET), 2, texts=("good", "bad")),
    HostileFile("text.xlsx", GOOD, error="no Excel workbook"),
    HostileFile("page.xls", b"<html><table><tr><td>text</td></tr></table></html>", error="no Excel workbook"),
    HostileFile("other-zip.xlsx", zipped(("a.txt", "hello")), error="workbook"),
    HostileFile("cut.xlsx", workbook(("A", SHEET))[:1500], error="workbook"),
    HostileFile("bare.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), error="workbook"),
    HostileFile("cut.xls", xls([["text", "label"], ["good", "pos"]])[:1200], error="workbook"),
    HostileFile("two-sheets.xlsx", workbook(("A", SHEET), ("B", SHEET)), error="--sheet"),
    HostileFile("second-sheet.xlsx", workbook(("A", [["x"]]), ("B", SHEET)), 2, settings={"sheet": "2"}),
    HostileFile("no-such-sheet.xlsx", workbook(("A", SHEET)), error="--sheet", settings={"sheet": "Z"}),
    HostileFile("spare-sheets.xlsx", workbook(("A", []), ("B", SHEET), ("C", [])), 2),
    HostileFile("empty.xlsx", workbook(("A", [])), error="empty"),
    HostileFile("header-only.xlsx", workbook(("A", [["text", "label"]])), error="no rows"),
    HostileFile(
        "gaps.xlsx",
        workbook(("A", [[], [None, "text", "label"], [], [None, "a", 1], [None, "b", None]])),
        1,
        ((5, "missing label"),),
        texts=("a",),
    ),
]

HOSTILE_FILES = [*DELIMITED, *PREDICTION, *JSON_LINES, *BINARY]
