"""From a source to accepted batches: in which order things are read, checked, submitted and reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.contacts.reading import Accepted, ReadReport, Refused, read_contacts
from airflow_provider_cleanlist.contacts.sources import Source
from airflow_provider_cleanlist.contacts.spool import ContactSpool
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions, check_credits
from airflow_provider_cleanlist.submission.rejects import Rejects, RejectsFileError
from airflow_provider_cleanlist.submission.submit import Submission, SubmissionReport
from airflow_provider_cleanlist.task_log import TaskLog


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What a job did.

    Attributes:
        read: What became of the rows of the source.
        submitted: What became of the contacts.
        balance_before: The organisation's credits before the first request; None if unknown, or nothing was to be
            paid.
    """

    read: ReadReport
    submitted: SubmissionReport
    balance_before: float | None


class Job:
    """Reads a source as a whole, checks it, and only then submits what no earlier try has settled.

    Args:
        plan: What the user asked for.
        submission: Submits, with the loaded journal.
        balance: Reads the organisation's credits; None if the key may not.
        log: Receives counts and ids, never contacts.
        rejects: Takes what is not submitted, if the user wants it.
    """

    def __init__(
        self,
        plan: SubmissionOptions,
        submission: Submission,
        balance: Callable[[], float | None],
        log: TaskLog,
        rejects: Rejects | None = None,
    ) -> None:
        self._plan = plan
        self._submission = submission
        self._balance = balance
        self._log = log
        self._rejects = rejects

    def run(
        self,
        source: Source,
        *,
        column_mapping: Mapping[str, str | None] | None = None,
        deduplicate: bool = True,
    ) -> JobOutcome:
        """Do the job.

        Args:
            source: The contacts.
            column_mapping: As of :func:`.reading.read_contacts`.
            deduplicate: As of :func:`.reading.read_contacts`.

        Raises:
            SourceError: The source cannot be used; nothing was sent.
            CreditLimitError: It costs too much; nothing was sent.
            RejectsFileError: The file of rejects cannot be written.
            errors.SubmissionUnknownError: An earlier try left contacts of unknown outcome; nothing was sent.
            Exception: What :meth:`.submission.Submission.run` raises.
        """
        if self._rejects is None:
            self._submission.check_unknown()
        read = ReadReport()
        rows = read_contacts(source, read, column_mapping=column_mapping, deduplicate=deduplicate)
        with ContactSpool() as spool:
            try:
                for row in rows:
                    self._take(row, spool)
            except SourceError:
                self._submission.check_unknown()  # what concerns money goes first
                raise
            for line in read.summary_lines():
                self._log.info("%s", line)
            self._save_rejects()
            self._submission.check_unknown()
            self._check_refused(read)
            balance = self._check_credits(len(spool))
            return JobOutcome(read, self._submit(spool), balance)

    def _take(self, row: Accepted | Refused, spool: ContactSpool) -> None:
        if isinstance(row, Accepted):
            if self._submission.is_pending(row):
                spool.append(row)
        elif self._rejects is not None:
            self._rejects.add(row.number, row.rejection.reason, row.values)

    def _check_refused(self, read: ReadReport) -> None:
        if read.refused and self._plan.on_invalid is OnInvalid.FAIL:
            raise SourceError(
                f"{read.refused_rows} of {read.rows} rows of {read.source} cannot be looked up. "
                + " ".join(f"{line}." for line in read.refusal_lines())
                + " Correct the rows, or set on_invalid_contact='skip' to submit the others."
            )

    def _check_credits(self, pending: int) -> float | None:
        if not self._plan.worst_case(pending):
            return None
        balance = self._balance()
        if balance is not None:
            self._log.info("Credit balance before submitting: %g.", balance)
        check_credits(self._plan, remaining=pending, spent=self._submission.spent, balance=balance)
        return balance

    def _submit(self, spool: ContactSpool) -> SubmissionReport:
        try:
            report = self._submission.run(spool)
        except Exception:
            self._save_rejects_beside_an_error()
            raise
        self._save_rejects()
        return report

    def _save_rejects(self) -> None:
        if self._rejects is not None:
            self._rejects.save()

    def _save_rejects_beside_an_error(self) -> None:
        try:
            self._save_rejects()
        except RejectsFileError as error:
            self._log.warning("%s.", error)
