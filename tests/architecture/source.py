"""The product's own source files, for tests that read them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

APPS = ("crm", "recovery", "loyalty", "evenhand")


def product_files() -> list[Path]:
    """Every Python file of the product, migrations left out."""
    return sorted(file for app in APPS for file in (ROOT / app).rglob("*.py") if "migrations" not in file.parts)


def name_of(file: Path) -> str:
    """The path as it is written in tables: crm/actions/desk.py."""
    return file.relative_to(ROOT).as_posix()


def calls(file: Path) -> Iterator[tuple[int, str]]:
    """Line and method name of every call of a method in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr


def kept_files() -> list[str]:
    """Every file that belongs to the project: tracked by git, or all but what a run leaves behind where there is no git."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return [name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]
    left_behind = {".venv", ".data", "__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
    return [
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*")
        if file.is_file() and not left_behind & set(file.relative_to(ROOT).parts)
    ]
