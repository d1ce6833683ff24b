import importlib.util
from pathlib import Path

import _bootstrap
import pytest

# The script's name is that of a standard package, so it is loaded by its path.
spec = importlib.util.spec_from_file_location("scripts_test", Path(_bootstrap.__file__).with_name("test.py"))
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [*script.IN_PARALLEL, "tests/e2e", "tests/integration", "tests/unit"]),
        (["--fast"], [*script.SLOW, *script.IN_PARALLEL, "tests/unit"]),
        (["-k", "limiter", "--fast"], [*script.SLOW, "-k", "limiter"]),
        (["tests/e2e", "-x"], ["tests/e2e", "-x"]),
    ],
)
def test_arguments_for_pytest(given, expected):
    assert script.pytest_arguments(given) == expected
