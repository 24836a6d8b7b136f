"""docs/mapping.md has a row for each field that a declarant sends, and for no other; and no column that does not exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
HEAD = "SubmitBatchRequest"


def fields(name, only=None):
    """Message.field of all messages of a file of the contract, none of which is nested."""
    text = (ROOT / "proto/waag/v1" / name).read_text()
    for message, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        if only in (None, message):
            for field in re.findall(r"^  (?:repeated |optional )?[\w.]+ (\w+) = \d+;", body, re.MULTILINE):
                yield f"{message}.{field}"


contract = [*fields("declaration.proto"), *fields("lodgement.proto", only=HEAD)]
rows = re.findall(r"^\| `(\w+\.\w+)` \|(.*)\|$", (ROOT / "docs/mapping.md").read_text(), re.MULTILINE)
told = [field for field, _ in rows]
assert len(contract) > 40 and f"{HEAD}.common" in contract, contract
assert sorted(told) == sorted(contract), set(told) ^ set(contract) or "a field stands twice"

columns = set(re.findall(r'^    (?:Declaration|GoodsItem) "(\w+)"', (ROOT / "src/rows/columns.rs").read_text(), re.MULTILINE))
assert {"lrn", "fallback_lodged_at", "hs6"} <= columns, columns
for field, row in rows:
    cells = [cell.strip() for cell in row.split("|")]
    assert len(cells) == 6, (field, cells)
    for name in re.findall(r"`([\w.]+)`", cells[3]):
        shown = re.escape(name).replace(r"\.\.\.", r"\w*")
        assert any(re.fullmatch(shown, column) for column in columns), (field, name)
print(f"docs/mapping.md: {len(rows)} fields, all those of the contract")
