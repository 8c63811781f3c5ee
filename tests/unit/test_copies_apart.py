"""Every query that reads embeddings says whether it means scans or augmented copies."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")])
READS = re.compile(r"\b(?:FROM|JOIN)\s+(?:embedding\b|\{(?:vectors\.)?partition\()")

SAYS = re.compile(r"augmentation|WHERE \{where\}")


def texts(source: str) -> Iterator[str]:
    """String literals as they are written, f-strings and adjacent ones whole."""
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
             if part is not node}  # fmt: skip
    literals = [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.Constant))]
    for node in literals:
        if id(node) not in inner and not (isinstance(node, ast.Constant) and not isinstance(node.value, str)):
            yield ast.get_source_segment(source, node) or ""


def careless(source: str) -> list[str]:
    """Queries that name `augmentation`, or are given a condition that does, less often than they read embeddings."""
    return [text for text in texts(source) if len(READS.findall(text)) > len(SAYS.findall(text))]


def test_no_query_reads_scans_and_copies_alike() -> None:
    readers = [path for path in MODULES if READS.search(path.read_text())]
    assert {"vectors.py", "coverage.py", "reconciling.py"} <= {path.name for path in readers}
    assert {str(path.relative_to(ROOT)): careless(path.read_text()) for path in readers} == {
        str(path.relative_to(ROOT)): [] for path in readers
    }


def test_a_careless_query_is_noticed() -> None:
    assert careless('text("SELECT 1 FROM embedding e " "JOIN region r ON TRUE")')
    assert careless('text(f"SELECT count(*) FROM {vectors.partition(i)}")')
    assert not careless('text(f"SELECT count(*) FROM {vectors.partition(i)} WHERE augmentation = 0")')
