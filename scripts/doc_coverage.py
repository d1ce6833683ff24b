"""How much of the package is documented: ``doc_coverage.py`` lists every gap; 100 % is a test.

What users import (``USER_MODULES``) is documented in full: each public module, class, function, method, property and
constant has a summary; each parameter and field is described, with a unit where it is a time; what is returned and
what is raised is said. Of all other modules each public name has a summary. Types are annotations, which mypy checks.
Nothing is imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_cleanlist"
USER_MODULES = re.compile(
    rf"{PACKAGE}(\.(assets|exceptions|get_provider_info|lineage|links|retry_policy|storage|wording|xcom"
    r"|(client|hooks|inbox|operators|sensors|transfers|triggers|webhooks)(\..+)?"
    r"|sandbox(\.(__main__|clock|faults|ledger|people|pytest_plugin|server|settings))?))?"
)
GIVEN_BY_AIRFLOW = {
    "self",
    "cls",
    "context",
    "event",
    "kwargs",
    "next_kwargs",
    "next_method",
    "task_instance",
}
"""Parameters that Airflow fills, and that mean the same in every operator: its own documentation has them."""

INHERITS = re.compile(r"(See|Asynchronous) :(class|meth|func):`")
"""Beginning of a docstring that leaves parameters, answer and errors to the one that it names."""

TIMES = re.compile(r"(_at|_seconds|^deadline|^delay|^poll_interval|^max_wait|timeout|^age|^seconds)$")
UNIT = re.compile(r"\b(seconds?|ISO 8601)\b", re.IGNORECASE)
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Note):$")
ENTRY = re.compile(r"^ {4}(\*{0,2}\w[\w.]*)(?: \([^)]*\))?:(.*)")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Gap:
    """Something public that is not documented.

    Attributes:
        name: Dotted name.
        line: Line in its file.
        what: What is missing.
    """

    name: str
    line: int
    what: str


@dataclass(frozen=True)
class Report:
    """What was looked at, and what is missing.

    Attributes:
        names: Public names.
        gaps: What they lack.
    """

    names: tuple[str, ...]
    gaps: tuple[Gap, ...]

    @property
    def percent(self) -> float:
        """Share of names without a gap, in percent."""
        lacking = {gap.name for gap in self.gaps}
        return 100.0 * sum(name not in lacking for name in self.names) / max(1, len(self.names))


def sections(docstring: str) -> dict[str, dict[str, str]]:
    """Return the entries of each section of a Google-style docstring; free text is the entry ``""``."""
    found: dict[str, dict[str, str]] = {}
    section, entry = "", ""
    for line in docstring.splitlines():
        if match := SECTION.match(line):
            section, entry = match[1], ""
            found[section] = {}
        elif section and line and not line.startswith(" "):
            section = ""
        elif section:
            text = line
            if (match := ENTRY.match(line)) and section not in {"Returns", "Yields", "Example", "Note"}:
                entry, text = match[1].lstrip("*"), match[2]
            found[section][entry] = f"{found[section].get(entry, '')} {text.strip()}".strip()
    return {name: {key: text for key, text in entries.items() if text} for name, entries in found.items()}


def module_name(path: Path, root: Path = ROOT) -> str:
    """Return the dotted name of a module's file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_public(name: str) -> bool:
    """Return whether a name has no underscore in front; ``__main__`` is a command, and so public."""
    return not name.startswith("_") or name == "__main__"


def examine(source: str, module: str) -> Report:
    """Return what the source of one module lacks."""
    tree = ast.parse(source)
    examiner = _Examiner(module, thorough=USER_MODULES.fullmatch(module) is not None)
    examiner.module(tree)
    return Report(tuple(examiner.names), tuple(examiner.gaps))


def examine_package(root: Path = ROOT) -> Report:
    """Return what the whole package lacks."""
    reports = [
        examine(path.read_text(encoding="utf-8"), module_name(path, root))
        for path in sorted((root / PACKAGE).rglob("*.py"))
        if all(is_public(part) or part == "__init__" for part in path.relative_to(root).with_suffix("").parts)
    ]
    names = (name for report in reports for name in report.names)
    gaps = (gap for report in reports for gap in report.gaps)
    return Report(tuple(names), tuple(gaps))


class _Examiner:
    def __init__(self, module: str, *, thorough: bool) -> None:
        self._module = module
        self._thorough = thorough
        self.names: list[str] = []
        self.gaps: list[Gap] = []

    def module(self, tree: ast.Module) -> None:
        self._summary(self._module, tree, 1)
        self._body(self._module, tree.body)

    def _body(self, owner: str, body: list[ast.stmt]) -> None:
        for position, node in enumerate(body):
            if isinstance(node, ast.ClassDef) and is_public(node.name):
                self._class(f"{owner}.{node.name}", node)
            elif isinstance(node, Function) and is_public(node.name):
                self._function(f"{owner}.{node.name}", node)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and owner == self._module and self._thorough:
                self._constant(owner, node, body[position + 1 : position + 2])

    def _summary(self, name: str, node: ast.Module | ast.ClassDef | Function, line: int) -> str:
        self.names.append(name)
        text = ast.get_docstring(node) or ""
        first = text.partition("\n\n")[0].strip()
        if not first:
            self._lacks(name, line, "a docstring")
        elif not first.endswith((".", ":")):
            self._lacks(name, line, "a full stop behind its summary")
        return text

    def _lacks(self, name: str, line: int, what: str) -> None:
        self.gaps.append(Gap(name, line, what))

    def _constant(self, owner: str, node: ast.Assign | ast.AnnAssign, following: list[ast.stmt]) -> None:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name) or not is_public(target.id) or target.id in {"__all__", "log"}:
            return
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in {"TypeVar", "ParamSpec"}:
            return
        name = f"{owner}.{target.id}"
        self.names.append(name)
        if not _is_text(following):
            self._lacks(name, node.lineno, "a text below it that says what it is")

    def _class(self, name: str, node: ast.ClassDef) -> None:
        found = sections(self._summary(name, node, node.lineno))
        declared = {item for item in node.body if isinstance(item, Function) and _is_bare(item)}
        self._body(name, [item for item in node.body if item not in declared])
        if not self._thorough:
            return
        described = found.get("Args", {}) | found.get("Attributes", {})
        init = next(
            (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"),
            None,
        )
        wanted = _parameters(init) if init else _fields(node)
        if init or wanted:
            self._described(name, node.lineno, wanted, described)
            self._no_others(name, node.lineno, set(wanted) | GIVEN_BY_AIRFLOW, found.get("Args", {}))

    def _function(self, name: str, node: Function) -> None:
        if any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list):
            return
        text = self._summary(name, node, node.lineno)
        if not self._thorough or INHERITS.match(text):
            return
        found = sections(text)
        parameters = _parameters(node)
        self._described(name, node.lineno, parameters, found.get("Args", {}))
        self._no_others(name, node.lineno, set(parameters) | GIVEN_BY_AIRFLOW, found.get("Args", {}))
        if _returns(node) and not (
            {"Returns", "Yields"} & set(found) or re.search(r"\b([Rr]eturn|[Yy]ield)s?\b", text)
        ):
            self._lacks(name, node.lineno, "what it returns")
        missing = sorted(_raised(node) - {entry.rpartition(".")[2] for entry in found.get("Raises", {})})
        if missing:
            self._lacks(name, node.lineno, f"what it raises: {', '.join(missing)}")

    def _described(self, name: str, line: int, wanted: dict[str, str], described: dict[str, str]) -> None:
        for parameter, kind in wanted.items():
            text = described.get(parameter, "")
            if not text:
                self._lacks(name, line, f"{parameter}: a description")
            elif TIMES.search(parameter) and "timedelta" not in kind and not UNIT.search(text):
                self._lacks(name, line, f"{parameter}: a unit")

    def _no_others(self, name: str, line: int, known: set[str], described: dict[str, str]) -> None:
        for parameter in sorted(set(described) - known - {""}):
            self._lacks(name, line, f"{parameter}: it is described and does not exist")


def _is_bare(node: Function) -> bool:
    """Return whether a method only declares an attribute of a protocol, which its class describes."""
    only = node.body[0]
    return isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant) and only.value.value is ...


def _is_text(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


def _kind(annotation: ast.expr | None) -> str:
    return "" if annotation is None else ast.unparse(annotation)


def _parameters(node: Function) -> dict[str, str]:
    """Return the parameters that the caller chooses, with their types."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    chosen = (item for item in every if item.arg not in GIVEN_BY_AIRFLOW and is_public(item.arg))
    return {item.arg: _kind(item.annotation) for item in chosen}


def _fields(node: ast.ClassDef) -> dict[str, str]:
    """Return the annotated fields of a data class or model, and the members of an enumeration, with their types.

    Fields that are described where they stand are left out: by a text below, or by what is said of a setting.
    """
    enumeration = any(ast.unparse(base).endswith(("Enum", "Flag")) for base in node.bases)
    fields = {}
    for position, item in enumerate(node.body):
        if _is_text(node.body[position + 1 : position + 2]) or _is_setting(item):
            continue
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            fields[item.target.id] = _kind(item.annotation)
        elif enumeration and isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            fields[item.targets[0].id] = ""
    return {name: kind for name, kind in fields.items() if is_public(name)}


def _is_setting(item: ast.stmt) -> bool:
    """Return whether a field of a data class is declared with a label and a description."""
    value = item.value if isinstance(item, ast.AnnAssign) else None
    return isinstance(value, ast.Call) and (
        ast.unparse(value.func) == "_setting" or any(word.arg == "metadata" for word in value.keywords)
    )


def _returns(node: Function) -> bool:
    """Return whether a function gives something back; a property's summary says what it is."""
    if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
        return False
    return _kind(node.returns) not in {"", "None", "NoReturn", "Iterator[None]"}


def _raised(node: Function) -> set[str]:
    """Return the names of the exceptions that leave a function out of its own body."""
    names = set()
    for item, caught in _own(node):
        if isinstance(item, ast.Raise) and isinstance(item.exc, ast.Call):
            name = ast.unparse(item.exc.func).rpartition(".")[2]
            if re.fullmatch(r"[A-Z]\w+", name) and name not in caught:
                names.add(name)
    return names


def _own(node: ast.AST, caught: frozenset[str] = frozenset()) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Yield what is in a function without the functions inside it, and what is caught there."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.Lambda):
            continue
        here = caught
        if isinstance(node, ast.Try) and child in node.body:
            here |= {_kind(handler.type) for handler in node.handlers}
        yield child, here
        yield from _own(child, here)


def main() -> int:
    """Print every gap and the coverage."""
    report = examine_package()
    for gap in report.gaps:
        print(f"{gap.name} (line {gap.line}) lacks {gap.what}")
    covered = len(report.names) - len({gap.name for gap in report.gaps})
    print(f"{covered} of {len(report.names)} public names are documented: {report.percent:.1f} %")
    return 1 if report.gaps else 0


if __name__ == "__main__":
    sys.exit(main())
