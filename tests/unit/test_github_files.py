"""Workflows and templates of the repository: read as GitHub reads them, with the rules that keep a release safe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"

pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="an sdist has neither .ci nor .github")

WORKFLOWS = ("ci.yml", "release.yml")
FORMS = ("bug.yml", "feature.yml")
LEAST = ({"contents": "read"}, {"id-token": "write"})


def read(name: str) -> dict[Any, Any]:
    content = yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def workflow(name: str) -> dict[Any, Any]:
    return read(f"workflows/{name}")


def text(name: str) -> str:
    return (GITHUB / "workflows" / name).read_text(encoding="utf-8")


def commands(job: dict[str, Any]) -> list[str]:
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_these_are_all() -> None:
    assert {path.name for path in (GITHUB / "workflows").iterdir()} == set(WORKFLOWS)
    assert {path.name for path in (GITHUB / "ISSUE_TEMPLATE").iterdir()} == {*FORMS, "config.yml"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_has_the_least_permissions_and_an_end(name: str) -> None:
    content = workflow(name)
    assert content["permissions"] == {}
    for job in content["jobs"].values():
        assert job["permissions"] in LEAST
        assert "uses" in job or job["timeout-minutes"] <= 150
        assert "uses" in job or re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-\w+", job.get("container", "python:3.11.0-any"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_to_a_commit_and_says_which_version(name: str) -> None:
    lines = [line.strip().removeprefix("- ") for line in text(name).splitlines()]
    used = [line.removeprefix("uses: ") for line in lines if line.startswith("uses: ")]
    assert len(used) == len(re.findall(r"\buses:", text(name)))
    for action in used:
        assert action == "./.github/workflows/ci.yml" or re.fullmatch(
            r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action
        )


def test_the_same_action_is_of_the_same_version_everywhere() -> None:
    used = set(re.findall(r"uses: ([\w-]+/[\w-]+)@(\S+)", "".join(map(text, WORKFLOWS))))
    assert len(used) == len(dict(used))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_secret_and_nothing_foreign_is_run(name: str) -> None:
    assert not re.search(r"secrets|password|pull_request_target|https?://|pypi\.org", text(name))
    for job in workflow(name)["jobs"].values():
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", ""), "a branch or a title could hold commands"
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_is_one_of_the_project(name: str) -> None:
    sessions = re.findall(
        r"^@nox\.session.*?^def (\w+)", (ROOT / "noxfile.py").read_text(), re.DOTALL | re.MULTILINE
    )
    for job in workflow(name)["jobs"].values():
        lines = commands(job) if "steps" in job else []
        for line in lines:
            assert set(re.findall(r"nox -s (\w+)", line)) <= set(sessions)
            for file in re.findall(r"(?:^| )((?:scripts|requirements|\.ci)/[\w.]+)", line):
                assert (ROOT / file).is_file()


def test_ci_runs_all_there_is_for_branches_and_for_releases() -> None:
    content = workflow("ci.yml")
    assert content[True] == {"push": {"branches": ["main"]}, "pull_request": None, "workflow_call": None}
    (job,) = content["jobs"].values()
    assert commands(job)[-1] == ".ci/run"
    assert "continue-on-error" not in text("ci.yml")


def test_ci_has_the_versions_of_python_that_ci_run_asks_for() -> None:
    wanted = set(re.findall(r"matrix\([\d.]+-py([\d.]+)\)", (ROOT / ".ci" / "run").read_text()))
    (job,) = workflow("ci.yml")["jobs"].values()
    there = {job["container"].removeprefix("python:").rpartition(".")[0]}
    there |= {
        version for line in commands(job) if "uv python install" in line for version in line.split()[3:]
    }
    assert wanted == there


def test_a_release_is_published_by_a_tag_after_all_checks_and_without_a_token() -> None:
    content = workflow("release.yml")
    assert content[True] == {"push": {"tags": ["v*"]}}
    jobs = content["jobs"]
    assert jobs["checks"]["uses"] == "./.github/workflows/ci.yml"
    assert [line for line in commands(jobs["build"]) if "scripts/test.py" not in line] == [
        ".venv/bin/nox -s build",
        ".venv/bin/nox -s install_check",
        '.venv/bin/python scripts/check_release.py "$GITHUB_REF_NAME" dist/*',
    ]
    publish = jobs["publish"]
    assert set(publish["needs"]) == set(jobs) - {"publish"}
    assert "if" not in publish
    assert publish["environment"] == "pypi"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert "with" not in publish["steps"][-1]


def test_only_the_job_that_publishes_can_say_who_it_is() -> None:
    jobs = {(name, key): job for name in WORKFLOWS for key, job in workflow(name)["jobs"].items()}
    assert [key for key, job in jobs.items() if "id-token" in job["permissions"]] == [
        ("release.yml", "publish")
    ]
    assert [key for key, job in jobs.items() if "environment" in job] == [("release.yml", "publish")]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_complete_and_warns_of_private_data(name: str) -> None:
    form = read(f"ISSUE_TEMPLATE/{name}")
    assert all(form[key] for key in ("name", "description", "labels"))
    first, *fields, last = form["body"]
    for word in ("contact data", "API keys", "webhook addresses", "Everybody can read this"):
        assert word in first["attributes"]["value"]
    assert last["type"] == "checkboxes"
    assert [option["required"] for option in last["attributes"]["options"]] == [True]
    ids = [field["id"] for field in [*fields, last]]
    assert len(set(ids)) == len(ids)
    for field in fields:
        assert field["type"] in {"input", "textarea"}
        assert not re.search(r"e-?mail|phone|\bkey\b|contact", field["attributes"]["label"], re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("bug.yml", {"provider", "airflow", "python", "happened", "reproduce"}),
        ("feature.yml", {"job", "versions", "today"}),
    ],
)
def test_what_a_form_asks_for(name: str, wanted: set[str]) -> None:
    fields = read(f"ISSUE_TEMPLATE/{name}")["body"][1:-1]
    assert {field["id"] for field in fields if field.get("validations", {}).get("required")} == wanted


def test_files_that_the_templates_name_exist() -> None:
    templates = [*(GITHUB / "ISSUE_TEMPLATE").iterdir(), GITHUB / "pull_request_template.md"]
    named = {
        file for path in templates for file in re.findall(r"`([\w/]+\.md)`", path.read_text(encoding="utf-8"))
    }
    assert {"SECURITY.md", "CHANGELOG.md", "docs/sandbox.md"} <= named
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []
    assert read("ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_newer_actions_are_proposed() -> None:
    assert [update["package-ecosystem"] for update in read("dependabot.yml")["updates"]] == ["github-actions"]
