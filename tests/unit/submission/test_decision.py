"""What counts as an answer to the question about contacts of unknown outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.credits import credits_to_resubmit
from airflow_provider_cleanlist.submission.decision import (
    BODY,
    DECISIONS,
    OPTIONS,
    Answer,
    InvalidAnswerError,
    answer_of,
    question_lines,
    stopped_by,
    take_answer,
)
from airflow_provider_cleanlist.submission.errors import JournalMissingError
from airflow_provider_cleanlist.submission.history import BatchState, PersonDecision
from airflow_provider_cleanlist.submission.journal import Batch

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
AT = datetime(2026, 11, 30, 2, 30, tzinfo=UTC)


def event(**changes: Any) -> dict[str, Any]:
    return {
        "chosen_options": ["Skip these contacts"],
        "params_input": {},
        "responded_by_user": {"id": "7", "name": "ann"},
        "responded_at": AT,
        "timedout": False,
    } | changes


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_is_a_decision_with_name_and_time(option: str) -> None:
    assert answer_of(event(chosen_options=[option]), NOW) == Answer(DECISIONS[option], "ann", AT)


def test_a_time_may_come_as_text_or_not_at_all() -> None:
    assert answer_of(event(responded_at="2026-11-30T02:30:00+00:00"), NOW).decided_at == AT
    assert answer_of(event(responded_at=None), NOW).decided_at == NOW
    for impossible in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday"):
        assert answer_of(event(responded_at=impossible), NOW).decided_at == NOW


@pytest.mark.parametrize("future", [NOW + timedelta(seconds=30), datetime.max.replace(tzinfo=UTC)])
def test_no_answer_comes_from_the_future(future: datetime) -> None:
    """A clock that is ahead, and the last moment that there is, which rounds to one that there is not."""
    assert answer_of(event(responded_at=future), NOW).decided_at == NOW


@pytest.mark.parametrize(
    ("responded_at", "is_taken"),
    [
        (AT, True),
        (AT - timedelta(seconds=59), True),  # clocks differ
        (None, True),
        (AT - timedelta(seconds=61), False),
        (datetime.min.replace(tzinfo=UTC), False),
    ],
)
def test_an_answer_to_an_earlier_question_decides_nothing(responded_at: Any, is_taken: bool) -> None:
    journal, log = FakeJournal(batch(), batch(changed_at=0.0)), Log()
    assert take_answer(journal, event(responded_at=responded_at), NOW, log)  # type: ignore[arg-type]
    assert bool(journal.recorded) is is_taken
    assert ("older than what it is about" in log.lines[0]) is not is_taken


def test_what_is_decided_already_makes_no_answer_old() -> None:
    later = batch(changed_at=NOW.timestamp()).decided(PersonDecision.SKIP, "ben", NOW.timestamp())
    journal = FakeJournal(batch(), later)
    assert take_answer(journal, event(), NOW, Log())  # type: ignore[arg-type]
    assert journal.recorded


@pytest.mark.parametrize(
    ("users", "user", "is_taken"),
    [
        (None, {"id": "mallory", "name": "mallory"}, True),
        ({"7"}, {"id": "7", "name": "ann"}, True),
        ({"7"}, {"id": 7, "name": "ann"}, True),
        ({"7"}, {"id": "8", "name": "7"}, False),
        ({"ann"}, {"id": "7", "name": "ann"}, False),
        ({"7"}, {"name": "7"}, False),
    ],
)
def test_only_those_who_may_decide_by_their_id(
    users: set[str] | None, user: dict[str, Any], is_taken: bool
) -> None:
    journal, log = FakeJournal(batch()), Log()
    assert take_answer(journal, event(responded_by_user=user), NOW, log, users)  # type: ignore[arg-type]
    assert bool(journal.recorded) is is_taken
    assert (f"the id '{user.get('id')}'" in log.lines[0]) is not is_taken


def test_nobody_answered_in_time() -> None:
    assert answer_of({"error": "late", "error_type": "timeout"}, NOW) == Answer(None, "", NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "Stop",
        {},
        {"status": "finished", "passthrough": {}},
        {"error": "bad", "error_type": "validation"},
        event(chosen_options=["Pay for everybody"]),
        event(chosen_options=[]),
        event(chosen_options=["Stop", "Skip these contacts"]),
        event(params_input={"credits": 1}),
        event(responded_by_user=None),
        event(timedout=True),
    ],
)
def test_anything_else_is_no_answer(wrong: Any) -> None:
    with pytest.raises(InvalidAnswerError):
        answer_of(wrong, NOW)


class FakeJournal:
    """A journal with one unknown batch, or none, that keeps what is recorded."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches
        self.recorded: list[tuple[PersonDecision, str, float]] = []

    def record_decision(self, decision: PersonDecision, decided_by: str, decided_at: float) -> int:
        self.recorded.append((decision, decided_by, decided_at))
        return len(self.batches)


class Log:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, /, *args: Any) -> None:
        self.lines.append(event % args)

    warning = error = info


def batch(**changes: Any) -> Batch:
    fields = {"number": 0, "state": BatchState.UNKNOWN, "identities": bytes(2 * IDENTITY_BYTES)}
    return Batch(**fields | {"enrichment_type": "full", "changed_at": AT.timestamp()} | changes)


class TestTakingAnAnswer:
    @pytest.mark.parametrize(("option", "decision"), DECISIONS.items())
    def test_answer_name_and_time_are_recorded_and_logged(
        self, option: str, decision: PersonDecision
    ) -> None:
        journal, log = FakeJournal(batch()), Log()
        assert take_answer(journal, event(chosen_options=[option]), NOW, log)  # type: ignore[arg-type]
        assert journal.recorded == [(decision, "ann", AT.timestamp())]
        assert log.lines == [f"ann has decided at 2026-11-30 02:30:00 UTC: {decision.value} (1 batch)."]

    def test_nobody_in_time_is_no_decision_and_nobody_is_asked_again(self) -> None:
        journal = FakeJournal(batch())
        assert not take_answer(journal, {"error": "late", "error_type": "timeout"}, NOW, Log())  # type: ignore[arg-type]
        assert journal.recorded == []

    def test_an_answer_that_cannot_be_used_decides_nothing(self) -> None:
        journal, log = FakeJournal(batch()), Log()
        assert take_answer(journal, event(chosen_options=["Pay for everybody"]), NOW, log)  # type: ignore[arg-type]
        assert journal.recorded == []
        assert "asked again" in log.lines[0]
        assert "Pay for" not in log.lines[0]

    @pytest.mark.parametrize("arrived", [event(), {"error_type": "timeout"}, None])
    def test_a_journal_that_vanished_during_the_wait_allows_nothing(self, arrived: Any) -> None:
        with pytest.raises(JournalMissingError, match="Nothing was submitted in this attempt"):
            take_answer(FakeJournal(), arrived, NOW, Log())  # type: ignore[arg-type]


class TestWhatTheLogSays:
    def test_contacts_credits_batches_and_balance(self) -> None:
        lines = question_lines({EnrichmentType.FULL: 2}, "HTTP 502", [batch()], 36.0)
        assert lines == [
            "It is not known whether Cleanlist accepted 2 contacts (HTTP 502). If it did, the cost is up to 22 "
            "credits. Nothing was submitted again.",
            "To decide: 2 contacts for 'full', sent at 2026-11-30 02:30:00 UTC.",
            "Credit balance at present: 36. Cleanlist charges only for what it finds, minutes later, so an unchanged "
            "balance does not show that nothing was accepted.",
        ]

    def test_what_submitting_them_again_needs_is_said_before_the_question(self) -> None:
        batches = [batch(), batch(state=BatchState.ACCEPTED), batch(state=BatchState.REJECTED)]
        again = {EnrichmentType.FULL: 3}
        assert [credits_to_resubmit(again, batches, limit) for limit in (None, 77, 76)] == [None, None, 77]
        lines = question_lines({EnrichmentType.FULL: 2}, "HTTP 502", [batch()], 36.0, 77)
        assert lines[-1].startswith("To submit them again, max_credits must be at least 77.")

    def test_many_batches_and_no_balance(self) -> None:
        lines = question_lines({EnrichmentType.FULL: 46}, "HTTP 502", [batch()] * 23, None)
        assert len(lines) == 22
        assert lines[-1] == "To decide: 3 more batches."

    def test_the_question_itself_holds_no_number(self) -> None:
        assert not any(character.isdigit() for character in BODY)

    def test_who_has_stopped_it(self) -> None:
        stopped = batch().decided(PersonDecision.STOP, "ann", AT.timestamp())
        assert stopped_by([stopped, batch()]) == "ann has decided to stop, at 2026-11-30 02:30:00 UTC"
        assert "another map index" in stopped_by([batch()])


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("Zoë O'Brien-Quay (ann@quill.example)", "Zoë O'Brien-Quay (ann@quill.example)"),
        ("ann\nERROR forged\x1b[31m", "ann ERROR forged[31m"),
        ("x" * 100_000, "x" * 200),
    ],
)
def test_a_name_is_one_line(name: str, logged: str) -> None:
    """Users may choose theirs, and it is logged."""
    assert answer_of(event(responded_by_user={"id": "7", "name": name}), NOW).decided_by == logged
