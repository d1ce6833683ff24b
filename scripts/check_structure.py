"""Check the structure of the package: layers, circles of imports, sizes, class names, docstrings of folders.

Usage: ``check_structure.py [folder of the package]``. A *subject* is a folder or a module right below the package; what
is in a folder's sub-folders belongs to the folder's subject. The rules stand as data in `RULES`; whoever changes them
says why in a comment there. Every import counts: at the top of a module, in a function, under ``TYPE_CHECKING``,
relative, and by ``import_module`` with a literal name.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "airflow_provider_cleanlist"
MAX_FILES = 16
"""Python files right in a folder, ``__init__.py`` included."""
MAX_LINES = 500


@dataclass(frozen=True)
class Rules:
    """What may import what, and which class names may come more than once."""

    layers: tuple[tuple[str, ...], ...] = ()
    """Subjects from top to bottom. A subject imports from the layers below its own, and from itself."""
    sideways: frozenset[tuple[str, str]] = frozenset()
    """Pairs of subjects of one layer: the first may import from the second."""
    not_imported: frozenset[str] = frozenset()
    """Subjects that nothing else of the package imports."""
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Foreign packages that a subject does not import."""
    repeated_classes: Mapping[str, str] = field(default_factory=dict)
    """Class names that are defined more than once, with the reason."""


RULES = Rules(
    layers=(
        ("__init__", "get_provider_info"),  # the package's face: names everything, nothing names it
        ("page", "webhooks"),  # HTTP faces, loaded by Airflow's API server or as a process of their own
        ("operators", "sensors", "transfers"),
        ("triggers",),
        ("waiting",),  # above submission, whose ledger takes how workflows ended
        ("submission",),
        ("results",),  # below submission, which reads delivered results to learn what became of a batch
        ("contacts", "inbox"),
        ("hooks",),
        ("links", "lineage", "retry_policy", "xcom"),  # small modules that several of the above share
        ("arguments",),  # of whatever Airflow calls
        ("assets", "durable_files", "exceptions", "storage", "task_log"),  # smaller ones, on which those rest
        ("client", "sandbox", "warehouse"),  # side by side: none imports another
        ("redaction",),  # for everybody, as is what follows
        ("_version", "input_limits", "records", "wording"),
    ),
    sideways=frozenset({("webhooks", "page")}),  # one plugin of Airflow serves both
    not_imported=frozenset({"sandbox"}),
    without={"client": ("airflow",), "contacts": ("airflow",), "warehouse": ("airflow",)},
)


@dataclass(frozen=True)
class Import:
    """One import: by which file, in which line, of what (a file of the package, or a foreign module's name)."""

    file: str
    line: int
    target: str


@dataclass(frozen=True)
class Package:
    """The package's files by their path below its folder."""

    name: str
    texts: Mapping[str, str]
    trees: Mapping[str, ast.Module]

    @classmethod
    def read(cls, folder: Path) -> Package:
        """Read and parse every Python file of a folder."""
        texts = {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*.py"))
        }
        return cls(folder.name, texts, {file: ast.parse(text, file) for file, text in texts.items()})

    def place(self, file: str, line: int = 1) -> str:
        """Return where something is, as editors and CI understand it."""
        return f"{self.name}/{file}:{line}"

    def file_of(self, dotted: str) -> str | None:
        """Return the file that a dotted name within the package means: a module's, or that of a folder."""
        path = "/".join(dotted.split(".")[1:])
        candidates = (f"{path}.py", f"{path}/__init__.py") if path else ("__init__.py",)
        return next((file for file in candidates if file in self.trees), None)

    def imports(self) -> list[Import]:
        """Return every import of every file."""
        return [
            Import(file, line, self._target(dotted))
            for file, tree in self.trees.items()
            for line, dotted in _imported_names(tree, self._folder_name(file))
        ]

    def inner_imports(self) -> list[Import]:
        """Return the imports of one file of the package by another."""
        return [
            found for found in self.imports() if found.target in self.trees and found.target != found.file
        ]

    def _folder_name(self, file: str) -> list[str]:
        return [self.name, *file.split("/")[:-1]]

    def _target(self, dotted: str) -> str:
        """Return the file that has an imported name; the name itself when it is not of the package."""
        if dotted.partition(".")[0] != self.name:
            return dotted
        while (file := self.file_of(dotted)) is None and "." in dotted:
            dotted = dotted.rpartition(".")[0]
        return file or dotted


def _imported_names(tree: ast.Module, folder: list[str]) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything that is imported; ``from a import b`` imports ``a.b``."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = folder[: len(folder) - node.level + 1] if node.level else []
                start = ".".join([*base, *([node.module] if node.module else [])])
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def subject(file: str) -> str:
    """Return the subject that a file belongs to: its folder right below the package, or the module itself."""
    return file.partition("/")[0].removesuffix(".py")


def layer_problems(package: Package, rules: Rules) -> Iterator[str]:
    """Yield imports that do not run downwards, and subjects without a place."""
    level = {name: number for number, names in enumerate(rules.layers) for name in names}
    for name in sorted({subject(file) for file in package.trees} - level.keys()):
        file = next(file for file in package.trees if subject(file) == name)
        yield f"{package.place(file)}: {name} has no layer; give it one in RULES of scripts/check_structure.py"
    used = set()
    for found in package.inner_imports():
        source, target = subject(found.file), subject(found.target)
        if source == target or not {source, target} <= level.keys():
            continue
        if level[source] == level[target]:
            used.add((source, target))
        if (wrong := _layer_problem(source, target, level, rules)) is not None:
            yield f"{package.place(found.file, found.line)}: {wrong}"
    for source, target in sorted(rules.sideways - used):
        yield (
            f"{package.name}: no file of {source} imports {target}; take the pair out of `sideways` "
            "in scripts/check_structure.py"
        )


def _layer_problem(source: str, target: str, level: Mapping[str, int], rules: Rules) -> str | None:
    """Return what is wrong with an import of one subject by another, or None."""
    if target in rules.not_imported:
        return f"{source} imports {target}, which nothing else may import; do without it"
    if level[source] > level[target]:
        return f"{source} imports {target}, a layer above it; move what both need below them, or pass it in"
    if level[source] == level[target] and (source, target) not in rules.sideways:
        return f"{source} imports {target}, which is in the same layer; move what both need below them"
    return None


def foreign_problems(package: Package, rules: Rules) -> Iterator[str]:
    """Yield imports of foreign packages that a subject must do without."""
    for found in package.imports():
        source, foreign = subject(found.file), found.target.partition(".")[0]
        if found.target not in package.trees and foreign in rules.without.get(source, ()):
            yield (
                f"{package.place(found.file, found.line)}: {source} imports {foreign}, which it must do without; "
                "import it in a layer above and pass in what is needed"
            )


def circle_problems(package: Package) -> Iterator[str]:
    """Yield circles of files, then circles of subjects."""
    inner = package.inner_imports()
    files = {(found.file, found.target): found for found in reversed(inner)}
    subjects = {(subject(found.file), subject(found.target)): found for found in reversed(inner)}
    for what, edges in (("files", files), ("subjects", subjects)):
        for circle in circles(edges):
            steps = [edges[pair] for pair in _pairs(circle)]
            shown = ", ".join(f"{step.file}:{step.line} imports {step.target}" for step in steps)
            yield (
                f"{package.place(steps[0].file, steps[0].line)}: circle of {what}: {shown}; "
                "move what is needed on both sides into a module below them"
            )


def circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return circles of a graph, short ones first; no two of them share an edge, so there may be more."""
    following = defaultdict(set)
    for first, second in edges:
        if first != second:
            following[first].add(second)
    found: list[list[str]] = []
    seen: set[tuple[str, str]] = set()
    for circle in sorted((_way_back(start, following) for start in sorted(following)), key=len):
        if seen.isdisjoint(_pairs(circle)):
            found += [circle] if circle else []
            seen.update(_pairs(circle))
    return found


def _pairs(circle: list[str]) -> list[tuple[str, str]]:
    """Return the edges of a circle."""
    return list(zip(circle, circle[1:] + circle[:1], strict=True))


def _way_back(start: str, following: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of the shortest way from a node to itself, or nothing."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for after in sorted(following.get(node, ())):
            if after == start:
                way = [node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if after not in came_from:
                came_from[after] = node
                waiting.append(after)
    return []


def size_problems(package: Package) -> Iterator[str]:
    """Yield folders with too many files and files with too many lines."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for file, text in package.texts.items():
        folders[file.rpartition("/")[0]].append(file)
        if (lines := len(text.splitlines())) > MAX_LINES:
            yield f"{package.place(file, MAX_LINES + 1)}: {lines} lines, at most {MAX_LINES}; split it by subject"
    for folder, files in folders.items():
        if len(files) > MAX_FILES:
            where = f"{package.name}/{folder}".rstrip("/")
            yield (
                f"{where}: {len(files)} Python files, at most {MAX_FILES}; move a subject into a folder of its own, "
                "or merge files that belong together"
            )


def class_problems(package: Package, rules: Rules) -> Iterator[str]:
    """Yield classes whose name another class of the package has, and names allowed for nothing."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for file, tree in package.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(package.place(file, node.lineno))
    for name, (first, *others) in places.items():
        if name not in rules.repeated_classes:
            yield from (
                f"{other}: class {name} is also defined at {first}; rename one of them" for other in others
            )
    for name in rules.repeated_classes:
        if len(places.get(name, ())) < 2:
            yield (
                f"{package.name}: class {name} is not defined twice; take it out of `repeated_classes` "
                "in scripts/check_structure.py"
            )


def docstring_problems(package: Package) -> Iterator[str]:
    """Yield folders whose ``__init__.py`` is missing or does not say what the folder is for."""
    for folder in sorted({file.rpartition("/")[0] for file in package.trees}):
        file = f"{folder}/__init__.py".lstrip("/")
        if file not in package.trees:
            yield f"{package.place(file)}: missing; add it with a docstring that says what the folder offers"
        elif not ast.get_docstring(package.trees[file]):
            yield f"{package.place(file)}: no docstring; say in one what the folder offers"


def problems(folder: Path, rules: Rules = RULES) -> list[str]:
    """Return everything that is wrong with the package in a folder, one line each."""
    package = Package.read(folder)
    if not package.trees:
        return [f"{folder}: no Python files"]
    found = chain(
        layer_problems(package, rules),
        foreign_problems(package, rules),
        circle_problems(package),
        size_problems(package),
        class_problems(package, rules),
        docstring_problems(package),
    )
    return list(dict.fromkeys(found))  # `from a import b, c` is one import to a reader


def main(arguments: list[str]) -> int:
    """Print what is wrong, and return 1, or 0 when nothing is."""
    found = problems(Path(arguments[0]).resolve() if arguments else PACKAGE)
    print(*found, f"structure: {len(found) or 'no'} problem{'' if len(found) == 1 else 's'}", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
