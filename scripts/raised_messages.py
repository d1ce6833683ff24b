"""Every message that the package can raise, read from its source; run it for those without an entry.

``docs/troubleshooting.md`` lists them all, with ``…`` where a value stands; a test keeps the two equal. Messages are
the texts of exceptions, followed through variables, constants and functions, and every other sentence in the source
that is neither documentation nor in a call of a logger: hints, and what is put together step by step. Nothing is
imported.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "airflow_provider_cleanlist"
PAGE = ROOT / "docs" / "troubleshooting.md"
VALUE = "…"
RAISED = re.compile(r"(Error|Exception|Refusal|ErrorInfo|TransportFailure|_unreadable|^explain|^_Unread\w*)$")
"""Calls that make an exception, or a part of its text."""

ENDS = {"parser.error", "pytest.fail"}
"""Calls that end a command or a test with a text."""

LOGS = {"debug", "info", "warning", "error", "exception", "log"}
SILENT_MODULES = {
    "client/settings.py",
    "contacts/__main__.py",
    "get_provider_info.py",
    "hooks/connection_form.py",
    "sandbox/__main__.py",
    "webhooks/__main__.py",
}
"""Modules whose sentences are shown in forms, configuration and help texts."""

LISTED = re.compile(r"^ *- (`+) ?(.+?) ?\1$", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef

SANDBOX_MODULES = {f"sandbox/{name}.py" for name in ("__main__", "clock", "pytest_plugin", "server")}
"""Modules of the sandbox that users meet; what the others say is what Cleanlist would say."""

TABLES = re.compile(r"_(REASONS|PROBLEMS)$")
"""Constants that hold parts of messages."""

MOST_SPELLED_OUT = 2
"""A part of a message that can be more texts than these is a value, and the texts are messages of their own."""

NEVER_SEEN = {
    "a batch was accepted without a recorded intent": "an assertion",
    "a lead without an id": "becomes 'the response lacks required fields'",
    "no address in the response": "becomes 'the response lacks required fields'",
    "no leads in the response": "becomes 'the response lacks required fields'",
    "not a JSON object": "becomes 'the response lacks required fields'",
    "a request budget needs at least 1 request and a window longer than 0 s": "the settings are checked before",
    "too many chunks": "becomes a 400 of the receiver's HTTP server",
    "record too large": "becomes 'The record at line … is longer than …'",
    "written by another machine a short time ago": "the budget moves on to its next directory",
    "module … has no attribute …": "Python's own wording",
    "and … more": "the end of a list of row numbers",
    "… and … more": "the end of a list of ids",
}
"""Texts that no user meets, and why."""


@dataclass(frozen=True, order=True)
class Message:
    """A message and where it comes from.

    Attributes:
        text: The message, with ``…`` for values.
        module: File, relative to the package.
        line: Line of the exception.
    """

    text: str
    module: str
    line: int


@dataclass(frozen=True)
class _Module:
    """What the texts of a module may refer to."""

    name: str
    tree: ast.Module
    functions: Mapping[str, list[Function]] = field(default_factory=dict)
    constants: Mapping[str, ast.expr] = field(default_factory=dict)


def sources(root: Path = PACKAGE) -> dict[str, str]:
    """Return the modules of the package by their paths; of the sandbox those that say something for themselves."""
    names = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py"))}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in names.items()
        if not name.startswith("sandbox/") or name in SANDBOX_MODULES
    }


def collect(texts: Mapping[str, str]) -> list[Message]:
    """Return every message in the given modules, once each."""
    modules = [_module(name, source) for name, source in texts.items()]
    found: dict[str, Message] = {}
    for module in modules:
        resolver = _Resolver(module, modules)
        for call, function in _calls(module.tree):
            if RAISED.search(_last_name(call.func)) or ast.unparse(call.func) in ENDS:
                is_info = (
                    _last_name(call.func) == "ErrorInfo"
                )  # begins with what was done, a part of a sentence
                for item in [*call.args[is_info:], *(keyword.value for keyword in call.keywords)]:
                    for text in resolver.texts(item, function):
                        _add(found, text, module.name, call.lineno)
        for name, value in module.constants.items():
            for part in ast.walk(value) if TABLES.search(name) else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    _add(found, part.value, module.name, part.lineno)
    for module in modules:
        if module.name not in SILENT_MODULES:
            for text, line in _sentences(module.tree):
                if not any(text in known for known in found):
                    _add(found, text, module.name, line)
    parts = {
        text
        for text, part in found.items()
        for whole, message in found.items()
        if text != whole and part.module == message.module and text.strip(VALUE) in whole
    }
    return sorted(message for text, message in found.items() if text not in parts)


def _add(found: dict[str, Message], text: str, module: str, line: int) -> None:
    shown = " ".join(text.split())
    if is_message(shown) and shown not in NEVER_SEEN:
        found.setdefault(shown, Message(shown, module, line))


def _sentences(node: ast.AST, *, parts_too: bool = False) -> Iterator[tuple[str, int]]:
    """Yield every literal that is a whole sentence, but no documentation and nothing that is logged.

    Of what makes an exception's text, ``__str__``, parts of sentences count, too.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.Call) and _last_name(child.func) in LOGS:
            continue
        if isinstance(child, ast.Constant | ast.JoinedStr):
            text = " ".join(_literal(child).split())
            if (parts_too or text.endswith((".", "?"))) and is_message(text):
                yield text, child.lineno
            continue
        is_str = isinstance(child, ast.FunctionDef) and child.name == "__str__"
        yield from _sentences(child, parts_too=parts_too or is_str)


def _literal(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return re.sub(r"\{\w+\}", VALUE, node.value) if isinstance(node.value, str) else ""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else _value(part) for part in node.values
    )


def _value(part: ast.expr) -> str:
    """Return what stands for a value: with its noun, in the plural, where ``counted`` puts one behind it."""
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Call):
        nouns = [str(word.value) for word in part.value.args[1:] if isinstance(word, ast.Constant)]
        if _last_name(part.value.func) == "counted" and nouns:
            return f"{VALUE} {nouns[1] if len(nouns) > 1 else f'{nouns[0]}s'}"
    return VALUE


def is_message(text: str) -> bool:
    """Return whether a text says something without its values: two words."""
    return len(re.findall(r"[A-Za-z_']{2,}", text)) >= 2 and "(?:" not in text


def listed(page: str) -> list[str]:
    """Return the messages that a page lists, as items of code."""
    return [text for _, text in LISTED.findall(page)]


def as_item(text: str) -> str:
    """Return the item that lists a message."""
    ticks = "``" if "`" in text else "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"- {ticks}{space}{text}{space}{ticks}"


def _module(name: str, source: str) -> _Module:
    tree = ast.parse(source)
    functions: dict[str, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            functions.setdefault(node.name, []).append(node)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return _Module(name, tree, functions, constants)


def _calls(node: ast.AST, function: Function | None = None) -> Iterator[tuple[ast.Call, Function | None]]:
    """Yield every call, with the function that it is in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from _calls(child, child if isinstance(child, Function) else function)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):  # type(error)(text)
        return "Error"
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Resolver:
    """Follows an expression to the texts that it can be."""

    def __init__(self, module: _Module, modules: Iterable[_Module]) -> None:
        self._module = module
        self._others = [other for other in modules if other is not module]
        self._busy: set[int] = set()

    def texts(self, node: ast.expr, function: Function | None) -> list[str]:
        if id(node) in self._busy:
            return []
        self._busy.add(id(node))
        try:
            return self._texts(node, function)
        finally:
            self._busy.discard(id(node))

    def _texts(self, node: ast.expr, function: Function | None) -> list[str]:
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            parts = [self._part(value, function) for value in node.values]
            many = [text for part in parts if len(part) > MOST_SPELLED_OUT for text in part]
            parts = [[VALUE] if len(part) > MOST_SPELLED_OUT else part for part in parts]
            return ["".join(choice) for choice in itertools.product(*parts)] + many
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.texts(node.left, function), self.texts(node.right, function)
            return [a + b for a in left or [VALUE] for b in right or [VALUE]] if left or right else []
        if isinstance(node, ast.IfExp):
            return [*self.texts(node.body, function), *self.texts(node.orelse, function)]
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in self.texts(value, function)]
        if isinstance(node, ast.Name):
            return self._named(node.id, function)
        if isinstance(node, ast.Attribute):
            return self._constant(node.attr)
        if isinstance(node, ast.Call):
            return self._called(node, function)
        return []

    def _called(self, node: ast.Call, function: Function | None) -> list[str]:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return [re.sub(r"\{\w+\}", VALUE, text) for text in self.texts(node.func.value, function)]
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"strip", "rstrip"}:
            return self.texts(node.func.value, function)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            return []
        name = _last_name(node.func)
        for module in (self._module, *self._others):
            if name in module.functions:
                resolver = _Resolver(module, self._others_of(module))
                returned = [(item, found) for found in module.functions[name] for item in _returned(found)]
                texts = [text for item, found in returned for text in resolver.texts(item, found)]
                return texts or [text for item in node.args for text in self.texts(item, function)]
        return []

    def _others_of(self, module: _Module) -> list[_Module]:
        return [other for other in (self._module, *self._others) if other is not module]

    def _named(self, name: str, function: Function | None) -> list[str]:
        if function is not None:
            values = [
                item.value
                for item in ast.walk(function)
                if isinstance(item, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == name for target in item.targets)
            ]
            if values:
                return [text for value in values for text in self.texts(value, function)]
        return self._constant(name)

    def _part(self, node: ast.expr, function: Function | None) -> list[str]:
        """Return what a part of an f-string can be; texts that are short words stay values."""
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.conversion < 0:
            texts = self.texts(node.value, function)
            if any(len(text.split()) > 4 for text in texts):
                return texts
        return [_value(node)]

    def _constant(self, name: str) -> list[str]:
        for module in (self._module, *self._others):
            if name in module.constants and name.lstrip("_").isupper():
                return self.texts(module.constants[name], None)
        return []


def _returned(function: Function) -> list[ast.expr]:
    returns = (node for node in ast.walk(function) if isinstance(node, ast.Return))
    return [node.value for node in returns if node.value is not None]


def main() -> int:
    """Print the messages that the page lacks, ready to be put there, and those that it has too many."""
    messages = collect(sources())
    known = listed(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
    for message in messages:
        if message.text not in known:
            print(f"{as_item(message.text)}    <- {message.module}:{message.line}")
    stale = sorted(set(known) - {message.text for message in messages})
    print(*(f"no longer raised: {text}" for text in stale), sep="\n")
    return 1 if stale or {message.text for message in messages} - set(known) else 0


if __name__ == "__main__":
    sys.exit(main())
