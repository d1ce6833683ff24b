"""In which order a submission reads, checks and submits, and what goes first when several things are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.client.transport import SendObserver
from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.contacts.sources import RecordsSource
from airflow_provider_cleanlist.exceptions import CleanlistCreditLimitError, CleanlistRejectsFileError
from airflow_provider_cleanlist.submission.history import OnUnknown
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions
from airflow_provider_cleanlist.submission.report import SubmissionOutcome
from airflow_provider_cleanlist.submission.stored.journal import StoredJournal
from airflow_provider_cleanlist.submission.submit import Submission

UNKNOWN = errors.SubmissionUnknownError(errors.ErrorInfo("submit", "the connection was lost"))


class Recorder:
    """Journal store, API, log and rejects file in one; writes down what happens in which order."""

    parts = ("try1",)
    others: ClassVar[dict[str, int]] = {}
    sees_all_indexes = True

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.steps: list[str] = []
        self.answer: Exception | None = None
        self.unwritable = False

    def read(self, key: str) -> Any:
        text = self.texts.get(key)
        return None if text is None else json.loads(text)

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.texts[key] = json.dumps(value)

    def check_ownership(self) -> None: ...

    def submit(
        self,
        contacts: Sequence[Contact],
        kind: EnrichmentType,
        webhook_url: str | None,
        observer: SendObserver,
    ) -> BulkEnrichment:
        observer.sending()
        self.steps.append(f"submit {len(contacts)}")
        if self.answer is not None:
            raise self.answer
        return BulkEnrichment(workflow_id="wf")

    def balance(self) -> float | None:
        self.steps.append("balance")
        return 100.0

    def info(self, event: str, /, *args: Any) -> None: ...

    error = info

    def warning(self, event: str, /, *args: Any) -> None:
        self.steps.append("warning")

    def add(self, row: int, reason: str, values: object) -> None:
        self.steps.append(f"reject {row}")

    def save(self) -> None:
        self.steps.append("save rejects")
        if self.unwritable:
            raise CleanlistRejectsFileError("rejects_path cannot be written")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def run(recorder: Recorder, rows: list[Any], *, with_rejects: bool = True, **plan: Any) -> SubmissionOutcome:
    made = SubmissionOptions(**{"on_invalid": OnInvalid.SKIP, **plan})
    journal = StoredJournal(recorder)
    journal.load()
    rejects: Any = recorder if with_rejects else None
    submission = Submission(
        made, journal, recorder.submit, recorder, balance=recorder.balance, rejects=rejects
    )
    recorder.steps.clear()
    return submission.run(RecordsSource(rows))


def person(number: int) -> dict[str, str]:
    return {"linkedin_url": f"https://www.linkedin.com/in/person-{number}-example"}


class TellingRows(list[Any]):
    """Rows that write down when they are read."""

    def __init__(self, rows: list[Any], steps: list[str]) -> None:
        super().__init__(rows)
        self._steps = steps

    def __iter__(self) -> Iterator[Any]:
        for number, row in enumerate(super().__iter__(), start=1):
            self._steps.append(f"read {number}")
            yield row


def test_a_refused_row_is_not_held_until_others_are_read(recorder: Recorder) -> None:
    """Its values may be of any size."""
    rows = TellingRows([{"email": "a@b.example"}, {"email": "c@d.example"}, person(3)], recorder.steps)
    run(recorder, rows)
    told = [step for step in recorder.steps if step.startswith(("read", "reject"))]
    assert told[-5:] == ["read 1", "reject 1", "read 2", "reject 2", "read 3"]


EMAIL_ONLY = {"email": "x@harborlight.example"}


def test_everything_is_read_checked_and_saved_before_the_first_request(recorder: Recorder) -> None:
    outcome = run(recorder, [person(1), EMAIL_ONLY, person(2)])
    assert recorder.steps == ["reject 2", "save rejects", "balance", "submit 2", "save rejects"]
    assert (outcome.read.rows, outcome.submitted.contacts_submitted, outcome.balance_before) == (3, 2, 100.0)


@pytest.mark.parametrize("arguments", [{"enrichment_type": EnrichmentType.NONE}, {}])
def test_the_balance_is_not_asked_for_nothing(recorder: Recorder, arguments: dict[str, Any]) -> None:
    rows = [person(1)] if arguments else []
    assert run(recorder, rows, **arguments).balance_before is None
    assert "balance" not in recorder.steps


def test_refused_rows_stop_the_submission_and_are_saved(recorder: Recorder) -> None:
    with pytest.raises(SourceError, match="1 of 2 rows"):
        run(recorder, [person(1), EMAIL_ONLY], on_invalid=OnInvalid.FAIL)
    assert recorder.steps == ["reject 2", "save rejects"]


def test_what_costs_too_much_is_not_sent(recorder: Recorder) -> None:
    with pytest.raises(CleanlistCreditLimitError):
        run(recorder, [person(number) for number in range(10)], enrichment_type=EnrichmentType.FULL)
    assert recorder.steps == ["save rejects", "balance"]


def test_a_rejects_file_that_cannot_be_written_stops_before_the_first_request(recorder: Recorder) -> None:
    recorder.unwritable = True
    with pytest.raises(CleanlistRejectsFileError):
        run(recorder, [person(1)])
    assert recorder.steps == ["save rejects"]


class TestUnknownContacts:
    @pytest.fixture(autouse=True)
    def _unknown(self, recorder: Recorder) -> None:
        """An earlier try has left person 1 unknown."""
        recorder.answer = UNKNOWN
        with pytest.raises(errors.SubmissionUnknownError):
            run(recorder, [person(1)])
        assert recorder.steps[-3:] == ["submit 1", "reject 1", "save rejects"]
        recorder.answer = None

    def test_stop_the_submission_before_anything_is_read(self, recorder: Recorder) -> None:
        with pytest.raises(errors.SubmissionUnknownError):
            run(recorder, ["no contact at all"], with_rejects=False)
        assert recorder.steps == []

    def test_are_saved_first_if_the_user_wants_them(self, recorder: Recorder) -> None:
        with pytest.raises(errors.SubmissionUnknownError):
            run(recorder, [person(2), person(1)])
        assert recorder.steps == ["reject 2", "save rejects"]

    def test_go_before_what_is_wrong_with_the_source(self, recorder: Recorder) -> None:
        with pytest.raises(errors.SubmissionUnknownError):
            run(recorder, ["no contact at all"])
        with pytest.raises(errors.SubmissionUnknownError):
            run(recorder, [EMAIL_ONLY, person(1)], on_invalid=OnInvalid.FAIL)

    def test_are_skipped_at_the_users_word(self, recorder: Recorder) -> None:
        outcome = run(recorder, [person(1), person(2)], on_unknown=OnUnknown.SKIP)
        assert "submit 1" in recorder.steps
        assert (outcome.submitted.tallies.unknown, outcome.submitted.contacts_submitted) == (1, 1)

    def test_an_unwritable_file_does_not_hide_what_happened_to_the_money(self, recorder: Recorder) -> None:
        class Later(Recorder):
            def save(self) -> None:
                super().save()
                self.unwritable = True

        later = Later()
        later.answer = UNKNOWN
        with pytest.raises(errors.SubmissionUnknownError):
            run(later, [person(3)])
        assert later.steps[-1] == "warning"
