from __future__ import annotations

import check_release
import pytest
from check_release import problems

FILES = ["airflow_provider_cleanlist-1.2.3.tar.gz", "airflow_provider_cleanlist-1.2.3-py3-none-any.whl"]
CHANGELOG = "# Changelog\n\n## [1.2.4] - unreleased\n\n## [1.2.3] - 2026-11-29\n\n### Added\n"


def test_a_release_whose_tag_files_and_changelog_agree():
    assert problems("v1.2.3", FILES, CHANGELOG) == []


@pytest.mark.parametrize(
    "tag", ["", "1.2.3", "v1.2", "v1.2.3.dev1", "v1.2.3-rc1", "v01.2.3x", "refs/tags/v1.2.3"]
)
def test_tags_that_name_no_release(tag):
    (found,) = problems(tag, FILES, CHANGELOG)
    assert found.startswith(f"the tag is {tag}; ")


def test_a_release_candidate_needs_its_own_files_and_heading():
    names = [name.replace("1.2.3", "1.2.3rc1") for name in FILES]
    assert problems("v1.2.3rc1", names, CHANGELOG) == [
        "CHANGELOG.md has no heading '## [1.2.3rc1] - YYYY-MM-DD'"
    ]
    assert problems("v1.2.3rc1", names, "## [1.2.3rc1] - 2026-11-29") == []


def test_files_of_another_version():
    assert problems("v1.2.4", FILES, "## [1.2.4] - 2026-11-29") == [
        "airflow_provider_cleanlist-1.2.4-py3-none-any.whl is not built",
        "airflow_provider_cleanlist-1.2.4.tar.gz is not built",
        "airflow_provider_cleanlist-1.2.3-py3-none-any.whl is not of version 1.2.4",
        "airflow_provider_cleanlist-1.2.3.tar.gz is not of version 1.2.4",
    ]


@pytest.mark.parametrize(
    "changelog", ["", "## [1.2.3] - unreleased", "## [1.2.30] - 2026-11-29", "## [1x2x3] - 2026-11-29"]
)
def test_a_changelog_without_a_dated_heading(changelog):
    assert problems("v1.2.3", FILES, changelog) == ["CHANGELOG.md has no heading '## [1.2.3] - YYYY-MM-DD'"]


def test_the_command_fails_on_what_is_no_release(capsys):
    assert check_release.main(["v999.0.0"]) == 1
    assert "airflow_provider_cleanlist-999.0.0.tar.gz is not built" in capsys.readouterr().out
    assert check_release.main([]) == 1
