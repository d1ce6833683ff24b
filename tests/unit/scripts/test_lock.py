import lock
import pytest

GOOD = "requests==2.34.2 ; python_full_version >= '3.11' \\\n    --hash=sha256:00\nuv==1 \\\n    --hash=sha256:11\n"


@pytest.mark.parametrize("name", [entry.name for entry in lock.LOCKS])
def test_committed_lock_files_are_fit(name):
    assert lock.problems((lock.ROOT / "requirements" / name).read_text()) == []


def test_fit_text_has_no_problems():
    assert lock.problems(GOOD) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--index-url https://mirror.example/simple\n" + GOOD, "an address"),
        ("--find-links /opt/wheels\n" + GOOD, "an address"),
        ("requests @ https://files.example/requests.whl \\\n    --hash=sha256:00\n", "an address"),
        ("requests>=2 \\\n    --hash=sha256:00\n", "no exact version"),
        ("requests==2\n", "no hash"),
        ("# only a comment\n", "no packages"),
    ],
)
def test_unfit_text_is_named(text, problem):
    assert any(problem in found for found in lock.problems(text))


def test_all_options_that_could_write_an_address_are_off():
    assert {"--no-emit-index-url", "--no-emit-find-links", "--no-header"} <= set(lock.OPTIONS)
