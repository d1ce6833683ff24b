"""Each rule of the structure, on small made-up packages: one that keeps it and one that does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import check_structure
import pytest
from check_structure import Rules, circles, problems

RULES = Rules(
    layers=(("__init__",), ("faces",), ("left", "right"), ("shared",), ("core", "alone")),
    sideways=frozenset({("left", "right")}),
    not_imported=frozenset({"alone"}),
    without={"core": ("airflow",)},
)


@pytest.fixture
def made(tmp_path):
    """Return a function that writes a package and returns what is wrong with it; folders get a docstring."""

    def make(files: dict[str, str], rules: Rules = RULES) -> list[str]:
        folder = tmp_path / "pack"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            if not (path / "__init__.py").exists():
                (path / "__init__.py").write_text('"""What it offers."""\n')
        return problems(folder, rules)

    return make


SIDEWAYS = {"left/a.py": "import pack.right.b", "right/b.py": ""}
"""What keeps the one allowed pair of RULES in use."""


def test_imports_that_run_downwards_are_right(made):
    files = {
        "__init__.py": '"""All of it."""\nfrom pack.faces.web import Web',
        "faces/web.py": "from pack import shared\nfrom pack.core import deep\n\nclass Web: ...",
        "shared.py": "from .core.deep import depth",
        "core/deep.py": "from pack.core.sub import deeper\nimport packs, airflows\ndepth = 1",
        "core/sub/deeper.py": "",
        "alone/a.py": "from . import b",
        "alone/b.py": "import airflow",
    }
    assert made(SIDEWAYS | files) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pack.faces.web",
        "import pack.faces.web as web",
        "from pack.faces.web import serve",
        "from pack.faces import web",
        "from ..faces import web",
        "from ..faces.web import serve",
        "def f():\n    from pack.faces.web import serve",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.faces import web",
        "import importlib\nimportlib.import_module('pack.faces.web')",
        "from importlib import import_module\nimport_module('pack.faces.web')",
        "__import__('pack.faces.web')",
    ],
)
def test_an_import_upwards_is_found_however_it_is_written(made, source):
    files = SIDEWAYS | {"core/deep.py": source, "faces/web.py": ""}
    line = len(source.splitlines())
    assert made(files) == [
        f"pack/core/deep.py:{line}: core imports faces, a layer above it; move what both need below them, or pass it in"
    ]


def test_the_package_itself_is_the_face(made):
    files = SIDEWAYS | {"core/deep.py": "from pack import __version__"}
    assert [found.partition(";")[0] for found in made(files)] == [
        "pack/core/deep.py:1: core imports __init__, a layer above it"
    ]


def test_imports_within_a_layer_need_a_pair(made):
    files = SIDEWAYS | {"right/c.py": "import pack.left.d", "left/d.py": ""}
    assert [found.partition(":1: ")[2].partition(";")[0] for found in made(files)] == [
        "right imports left, which is in the same layer",
        "circle of subjects: left/a.py:1 imports right/b.py, right/c.py:1 imports left/d.py",
    ]


def test_a_pair_that_is_not_needed_goes(made):
    assert made({"left/a.py": "", "right/b.py": ""}) == [
        "pack: no file of left imports right; take the pair out of `sideways` in scripts/check_structure.py"
    ]


def test_what_stands_for_itself_is_not_imported(made):
    files = SIDEWAYS | {"faces/web.py": "def f():\n    import pack.alone.a", "alone/a.py": ""}
    assert made(files) == [
        "pack/faces/web.py:2: faces imports alone, which nothing else may import; do without it"
    ]


@pytest.mark.parametrize("file", ["new/a.py", "new.py"])
def test_a_subject_without_a_layer(made, file):
    (found,) = made(SIDEWAYS | {file: ""})
    assert re.fullmatch(r"pack/new(/__init__)?\.py:1: new has no layer; give it one in .*", found)


@pytest.mark.parametrize(
    "source",
    [
        "import airflow",
        "from airflow.sdk import DAG",
        "def f():\n    import airflow.models",
        "import json, airflow",
    ],
)
def test_a_foreign_package_that_a_subject_does_without(made, source):
    (found,) = made(SIDEWAYS | {"core/deep.py": source, "shared.py": source})
    line = len(source.splitlines())
    assert found.startswith(f"pack/core/deep.py:{line}: core imports airflow, which it must do without; ")


def test_a_circle_of_files_within_a_folder(made):
    files = {
        "core/a.py": "\nfrom pack.core.b import f",
        "core/b.py": "def f():\n    from pack.core.sub import c",
        "core/sub/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pack.core.a",
    }
    assert made(SIDEWAYS | files) == [
        "pack/core/a.py:2: circle of files: core/a.py:2 imports core/b.py, core/b.py:2 imports core/sub/c.py, "
        "core/sub/c.py:3 imports core/a.py; move what is needed on both sides into a module below them"
    ]


def test_a_folder_may_name_its_files_but_they_do_not_import_from_it(made):
    files = SIDEWAYS | {
        "core/__init__.py": '"""Core."""\nfrom pack.core.a import one',
        "core/a.py": "from pack.core import b\none = 1",
        "core/b.py": "",
    }
    assert made(files) == []
    (found,) = made(files | {"core/b.py": "from pack.core import one"})
    assert ": circle of files: core/__init__.py:2 imports core/a.py, " in found


def test_circles_are_short_and_share_no_edge():
    assert circles([("a", "b"), ("b", "c"), ("c", "d")]) == []
    assert circles([("a", "a")]) == []
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("x", "y"), ("y", "x"), ("x", "a")]
    assert circles(edges) == [["a", "b"], ["x", "y"]]
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("z", "a")]) == [["a", "b", "c"]]


@pytest.mark.parametrize(("more", "fine"), [(15, True), (16, False)])
@pytest.mark.parametrize("folder", ["core", "core/sub"])
def test_number_of_files_in_a_folder(made, folder, more, fine):
    files = SIDEWAYS | {f"{folder}/m{number}.py": "" for number in range(more)}
    found = made(files)
    assert [text.partition(";")[0] for text in found] == (
        [] if fine else [f"pack/{folder}: 17 Python files, at most 16"]
    )


def test_number_of_files_of_the_package_itself(made):
    files = {f"m{number}.py": "" for number in range(16)}
    rules = Rules(layers=(("__init__", *(f"m{number}" for number in range(16))),))
    assert [text.partition(";")[0] for text in made(files, rules)] == ["pack: 17 Python files, at most 16"]


@pytest.mark.parametrize(("lines", "fine"), [(500, True), (501, False)])
def test_number_of_lines_of_a_file(made, lines, fine):
    found = made(SIDEWAYS | {"core/long.py": "x = 1\n" * lines})
    assert found == ([] if fine else ["pack/core/long.py:501: 501 lines, at most 500; split it by subject"])


def test_a_class_name_is_defined_once(made):
    files = SIDEWAYS | {"core/a.py": "\nclass _Page: ...", "shared.py": "class Outer:\n    class _Page: ..."}
    assert made(files) == [
        "pack/shared.py:2: class _Page is also defined at pack/core/a.py:2; rename one of them"
    ]
    assert made(files | {"shared.py": "class Outer:\n    class _Sheet: ..."}) == []


def test_a_class_name_that_may_come_again_has_to(made):
    rules = Rules(layers=RULES.layers, repeated_classes={"Page": "made up"})
    assert made({"core/a.py": "class Page: ...", "shared.py": "class Page: ..."}, rules) == []
    assert made({"shared.py": "class Sheet: ..."}, rules) == [
        "pack: class Page is not defined twice; take it out of `repeated_classes` in scripts/check_structure.py"
    ]


@pytest.mark.parametrize("text", ["", "# a comment\n", "x = 1\n'''not the first'''\n", '"""  """'])
@pytest.mark.parametrize("folder", ["core", "core/sub"])
def test_a_folder_that_does_not_say_what_it_offers(made, folder, text):
    files = SIDEWAYS | {f"{folder}/a.py": "", f"{folder}/__init__.py": text}
    assert made(files) == [f"pack/{folder}/__init__.py:1: no docstring; say in one what the folder offers"]


def test_a_folder_without_init(tmp_path):
    (tmp_path / "pack" / "core").mkdir(parents=True)
    (tmp_path / "pack" / "__init__.py").write_text('"""All of it."""')
    (tmp_path / "pack" / "core" / "a.py").write_text("")
    assert problems(tmp_path / "pack", Rules(layers=(("__init__",), ("core",)))) == [
        "pack/core/__init__.py:1: missing; add it with a docstring that says what the folder offers"
    ]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    script = Path(check_structure.__file__)
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_command_tells_what_is_wrong_and_fails(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("class A: ...\nclass A: ...\n")
    wrong = run(tmp_path / "pack")
    assert wrong.returncode == 1
    *found, last = wrong.stdout.splitlines()
    assert found[-2:] == [
        "pack/__init__.py:2: class A is also defined at pack/__init__.py:1; rename one of them",
        "pack/__init__.py:1: no docstring; say in one what the folder offers",
    ]
    assert last == f"structure: {len(found)} problems"


def test_the_command_on_nothing_fails(tmp_path):
    nothing = run(tmp_path)
    assert nothing.returncode == 1
    assert "no Python files" in nothing.stdout


def test_the_package_keeps_its_rules():
    assert problems(check_structure.PACKAGE) == []


def test_every_layer_is_named_once():
    names = [name for layer in check_structure.RULES.layers for name in layer]
    assert len(names) == len(set(names))
    assert check_structure.RULES.not_imported | check_structure.RULES.without.keys() <= set(names)
