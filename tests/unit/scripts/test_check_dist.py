import zipfile

import check_dist
import pytest

INFO = "airflow_provider_cleanlist-1.0.dist-info"
HEADERS = "\n".join(["Metadata-Version: 2.4", *check_dist.METADATA_LINES])
METADATA = f"{HEADERS}\n\n# A title\n\nA [link](https://docs.example), and a name: `docs/tutorial.md`.\n"
ENTRY_POINTS = "[apache_airflow_provider]\nx = y\n\n[pytest11]\nx = y\n"
EXPECTED = {"airflow_provider_cleanlist/__init__.py", "airflow_provider_cleanlist/py.typed"}
SDIST = EXPECTED | {
    *check_dist.SDIST_MUST_HOLD,
    "benchmarks/a.py",
    "dags_examples/a.py",
    "docs/a.md",
    "requirements/a.txt",
    "scripts/a.py",
    "tests/a.py",
}


def make_wheel(tmp_path, leave_out="", **changes):
    files = dict.fromkeys(EXPECTED, "") | {
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/entry_points.txt": ENTRY_POINTS,
        f"{INFO}/licenses/LICENSE": "",
        **{name.replace("__", "/"): text for name, text in changes.items()},
    }
    wheel = tmp_path / "airflow_provider_cleanlist-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            if name != leave_out:
                archive.writestr(name, text)
    return wheel


def test_complete_wheel(tmp_path):
    assert check_dist.wheel_problems(make_wheel(tmp_path), EXPECTED) == []


@pytest.mark.parametrize(
    ("leave_out", "problem"),
    [
        ("airflow_provider_cleanlist/py.typed", "missing: airflow_provider_cleanlist/py.typed"),
        (f"{INFO}/licenses/LICENSE", "missing: the licence"),
        (f"{INFO}/entry_points.txt", "entry_points.txt lacks: [apache_airflow_provider]"),
        (f"{INFO}/METADATA", "METADATA lacks: Requires-Python: >=3.11"),
    ],
)
def test_incomplete_wheel(tmp_path, leave_out, problem):
    assert problem in check_dist.wheel_problems(make_wheel(tmp_path, leave_out), EXPECTED)


def test_wheel_with_tests_in_it(tmp_path):
    wheel = make_wheel(tmp_path, tests__test_x="")
    assert check_dist.wheel_problems(wheel, EXPECTED) == ["foreign: tests/test_x"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[a](docs/a.md)", "docs/a.md"),
        ("![a](docs/images/a.svg)", "docs/images/a.svg"),
        ("[a](#a)", "#a"),
        ("[a](/docs)", "/docs"),
        ("[ab]: docs/a.md", "docs/a.md"),
        ('<img alt="a" src="a.png">', "a.png"),
        ('<a href="a.md">a</a>', "a.md"),
    ],
)
def test_links_that_lead_nowhere_on_a_package_index(text, target):
    assert check_dist.description_problems(f"{METADATA}\n{text}\n") == [
        f"the description links to a file: {target}"
    ]


def test_links_to_web_addresses_are_right():
    text = '[a](https://a.example) <img src="https://a.example/a.png">\n\n[a]: http://a.example\n'
    assert check_dist.description_problems(f"{METADATA}\n{text}") == []


def test_wheel_without_a_description(tmp_path):
    wheel = make_wheel(tmp_path, **{f"{INFO}__METADATA": f"{HEADERS}\n\n  \n"})
    assert check_dist.wheel_problems(wheel, EXPECTED) == ["METADATA lacks: a description"]


def test_complete_sdist():
    assert check_dist.sdist_problems(SDIST | {".gitignore", "tests/.gitattributes"}, EXPECTED) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (SDIST - {"README.md"}, "missing: README.md"),
        (SDIST - {"tests/a.py"}, "missing folder: tests"),
        (SDIST - {"scripts/a.py"}, "missing folder: scripts"),
        (SDIST - {"noxfile.py"}, "missing: noxfile.py"),
        (SDIST - {"airflow_provider_cleanlist/py.typed"}, "missing: airflow_provider_cleanlist/py.typed"),
        (SDIST | {".demo/airflow/airflow.db"}, "foreign: .demo/airflow/airflow.db"),
        (SDIST | {"tests/.cache/x"}, "foreign: tests/.cache/x"),
    ],
)
def test_wrong_sdist(names, problem):
    assert check_dist.sdist_problems(names, EXPECTED) == [problem]


def test_package_files_are_those_of_the_checkout_without_bytecode(tmp_path):
    package = tmp_path / check_dist.PACKAGE
    (package / "client" / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "py.typed", "client/a.py", "client/__pycache__/a.cpython-311.pyc"):
        (package / name).touch()
    names = {"__init__.py", "py.typed", "client/a.py"}
    assert check_dist.package_files(tmp_path) == {f"{check_dist.PACKAGE}/{name}" for name in names}
