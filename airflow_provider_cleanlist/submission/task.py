"""What a task instance needs for its submission: its journal, its webhook addresses, the balance."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistError,
    CleanlistPermissionError,
)
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError, submission_errors
from airflow_provider_cleanlist.submission.history import OnUnknown
from airflow_provider_cleanlist.submission.journal import Journal
from airflow_provider_cleanlist.submission.organisation import HostKeyMemory, organisation_of
from airflow_provider_cleanlist.submission.stored.journal import NO_LEDGER, StoredJournal
from airflow_provider_cleanlist.submission.stored.places import JournalPlace, PlaceTrace, directory_location
from airflow_provider_cleanlist.submission.stored.stores import (
    ASK_NEEDS_STORE,
    TaskStateJournalStore,
    open_store,
    was_cleared,
)
from airflow_provider_cleanlist.submission.submit import Submission
from airflow_provider_cleanlist.submission.webhook_addresses import (
    BatchAddresses,
    WebhookAddresses,
    open_webhook_addresses,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
    from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
    from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask
    from airflow_provider_cleanlist.submission.options import SubmissionOptions
    from airflow_provider_cleanlist.submission.rejects import Rejects
    from airflow_provider_cleanlist.task_log import TaskLog


def leave_trace(context: Context, token: str) -> None:
    """Leave a trace of this attempt where Airflow keeps the state of tasks, before anything can fail.

    So whoever clears a task that failed because of its arguments need not wonder what it has submitted.

    Args:
        context: Airflow's context of the running task.
        token: The ``force_resubmit`` value; empty for none.

    Raises:
        CleanlistStateError: The state cannot be read or written.
    """
    if (state := _task_state(context)) is not None:
        with submission_errors():
            state.begin_attempt(was_cleared=was_cleared(context), token=token)


def open_submission(
    context: Context,
    hook: CleanlistHook,
    options: SubmissionOptions,
    *,
    ledger_conn_id: str | None,
    token: str,
    webhook: bool,
    keep_task_ids: bool,
    rejects: Rejects | None,
    log: TaskLog,
) -> Submission:
    """Return the submission of the running task instance, with its journal loaded.

    Args:
        context: Airflow's context of the running task.
        hook: Access to the API.
        options: What the user asked for.
        ledger_conn_id: Connection of the ledger; None takes the configured one, if there is one.
        token: The ``force_resubmit`` value; empty for none.
        webhook: Whether results come to the provider's receiver.
        keep_task_ids: Whether the report names task ids.
        rejects: Takes contacts that are not submitted, if the user wants it.
        log: Receives counts and ids.

    Raises:
        CleanlistConfigurationError: Webhooks are not configured.
        JournalMissingError: An earlier attempt kept its journal in another place.
        JournalError: The journal cannot be opened or read.
    """
    database = ledger_database(ledger_conn_id)
    if database is not None and context["ti"].try_number <= 1:
        _register_first_attempt(context, database)
    addresses = _webhook_addresses(context, hook, options, token) if webhook else None
    trace = _place_trace(context, database, token)
    must_know = _must_know(context, token) if trace is None else trace.must_know
    if database is not None:
        journal: Journal = _open_ledger(
            context, hook, options, database, token, must_know=must_know, keep_task_ids=keep_task_ids
        )
    elif options.skip_submitted_within is not None:
        raise JournalConfigurationError(NO_LEDGER.format(argument="skip_submitted_within"))
    else:
        journal = _open_stored_journal(
            context, hook, options, token, must_know=must_know, keep_task_ids=keep_task_ids
        )
    if addresses is not None:
        addresses.settle_from_inbox(journal, log)
    return Submission(
        options,
        journal,
        hook.get_conn().submit_bulk_enrichment,
        log,
        balance=lambda: balance(hook, log),
        rejects=rejects,
        addresses=None if addresses is None else BatchAddresses(addresses, journal),
        before_sending=(lambda: None) if trace is None else trace.keep,
    )


def ledger_database(conn_id: str | None = None) -> LedgerDatabase | None:
    """Return the organisation's ledger, or None where none is configured.

    Args:
        conn_id: Airflow connection of its database; None takes ``[cleanlist] ledger_conn_id``.

    Raises:
        JournalConfigurationError: The connection is missing, or its database cannot hold a ledger.
        JournalUnavailableError: The database does not answer.
    """
    configured, schema = configured_ledger()
    conn_id = conn_id or configured
    if not conn_id:
        return None
    from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase

    return LedgerDatabase.of_connection(conn_id, schema)


def configured_ledger() -> tuple[str, str | None]:
    """Return connection and schema of the ledger: empty where none is configured, None for the connection's own."""
    conn_id, schema = (
        conf.get("cleanlist", option, fallback="").strip() for option in ("ledger_conn_id", "ledger_schema")
    )
    return conn_id, schema or None


def _place_trace(context: Context, database: LedgerDatabase | None, token: str) -> PlaceTrace | None:
    """Return the trace of where this task's journals were; None where Airflow keeps no state of tasks."""
    state = _task_state(context)
    if state is None:
        return None
    journal_path = _journal_path()
    if database is not None:
        place = JournalPlace.at("ledger", database.location)
    elif journal_path:
        place = JournalPlace.at("directory", directory_location(journal_path))
    else:
        place = JournalPlace("task state")
    return PlaceTrace(state, place, token)


def _task_state(context: Context) -> TaskStateJournalStore | None:
    """Return what Airflow keeps of the task; None below Airflow 3.3."""
    accessor = context.get("task_state_store")
    return None if accessor is None else TaskStateJournalStore(accessor, max(1, context["ti"].try_number))


def _journal_path() -> str:
    return str(conf.get("cleanlist", "journal_path", fallback="")).strip()


def _must_know(context: Context, token: str) -> bool:
    """Return whether a journal must know an earlier attempt, where Airflow keeps no state that could tell it.

    An automatic retry may follow an attempt that never came as far as its journal. A task that was cleared has had one
    that ended, and below Airflow 3.3 only the journal itself knows whether that attempt used it.
    """
    is_later = context["ti"].try_number > 1
    return is_later and not token and was_cleared(context)


def configured_window() -> timedelta | None:
    """Return ``[cleanlist] skip_submitted_within_days`` as a time, or None where it is not set.

    Raises:
        CleanlistConfigurationError: It is not a positive number.
    """
    text = conf.get("cleanlist", "skip_submitted_within_days", fallback="").strip()
    if not text:
        return None
    try:
        window = timedelta(days=float(text))
    except (ValueError, OverflowError):
        window = timedelta(0)
    if window <= timedelta(0):
        raise CleanlistConfigurationError(
            f"[cleanlist] skip_submitted_within_days must be a positive number of days, not {text!r}."
        )
    return window


def _register_first_attempt(context: Context, database: LedgerDatabase) -> None:
    from airflow_provider_cleanlist.submission.ledger.tasks import register_first_attempt

    register_first_attempt(database, _ledger_task(context), time.time())


def _ledger_task(context: Context) -> LedgerTask:
    from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask

    ti = context["ti"]
    return LedgerTask(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)


def _open_ledger(
    context: Context,
    hook: CleanlistHook,
    options: SubmissionOptions,
    database: LedgerDatabase,
    token: str,
    *,
    must_know: bool,
    keep_task_ids: bool,
) -> LedgerJournal:
    from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal

    return LedgerJournal(
        database,
        _ledger_task(context),
        try_number=max(1, context["ti"].try_number),
        organisation=organisation_of(hook, database, time.time()),
        token=token,
        window=options.skip_submitted_within,
        must_know=must_know,
        keep_task_ids=keep_task_ids,
    )


def _open_stored_journal(
    context: Context,
    hook: CleanlistHook,
    options: SubmissionOptions,
    token: str,
    *,
    must_know: bool,
    keep_task_ids: bool,
) -> StoredJournal:
    store = open_store(context, journal_path=_journal_path(), must_know=must_know, token=token)
    if options.on_unknown is OnUnknown.ASK and not store.is_durable:
        raise JournalConfigurationError(ASK_NEEDS_STORE)
    organisation = organisation_of(hook, HostKeyMemory(), time.time())
    journal = StoredJournal(store, token, organisation=organisation, keep_task_ids=keep_task_ids)
    journal.load()
    return journal


def _webhook_addresses(
    context: Context, hook: CleanlistHook, options: SubmissionOptions, token: str
) -> WebhookAddresses:
    if options.webhook_url:
        raise CleanlistConfigurationError("Give webhook=True or webhook_url, not both.")
    ti = context["ti"]
    return open_webhook_addresses(hook.settings, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, token))


def balance(hook: CleanlistHook, log: TaskLog) -> float | None:
    """Return the organisation's credits; None if the key may not read them.

    Args:
        hook: Access to the API.
        log: Receives a warning in that case.

    Raises:
        CleanlistError: The balance cannot be read.
    """
    try:
        return float(hook.get_credit_balance().credits)
    except CleanlistPermissionError as error:
        if error.info.is_foreign:
            raise
        log.warning("The API key may not read the credit balance, so it is not checked.")
        return None


def balance_or_none(hook: CleanlistHook, log: TaskLog) -> float | None:
    """Return the organisation's credits for a message; None if they cannot be read.

    Args:
        hook: Access to the API.
        log: Receives a warning in that case.
    """
    try:
        return balance(hook, log)
    except CleanlistError as error:
        log.warning("The credit balance cannot be read: %s", error)
        return None
