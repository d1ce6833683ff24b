"""Asking a person in Airflow's *Required Actions*, and waiting for the answer without a worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistStateError,
    CleanlistSubmissionUnknownError,
    to_airflow,
)
from airflow_provider_cleanlist.input_limits import WAIT_SECONDS
from airflow_provider_cleanlist.redaction import shown

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_cleanlist.client.errors import SubmissionUnknownError
    from airflow_provider_cleanlist.submission.errors import UndecidedError
    from airflow_provider_cleanlist.submission.journal import Batch
    from airflow_provider_cleanlist.task_log import TaskLog

RESUME = "execute_decided"
"""The operator's method that resumes with the answer."""
SHORTEST_TIMEOUT = timedelta(seconds=10)
"""Schedulers fail some tasks that resume sooner."""
LONGEST_TIMEOUT = timedelta(seconds=WAIT_SECONDS)
"""As for every wait."""
_NO_QUESTIONS = (
    "on_unknown_submission='ask' needs Airflow 3.1 or later: this one cannot ask a person. Nothing was sent. "
    "Use on_unknown_submission='fail' instead: the task stops, and whoever decides clears it with 'skip' or 'resubmit'."
)
_NO_TRIGGER = (
    "on_unknown_submission='ask' needs apache-airflow-providers-standard 1.8.0 or later on this version of Airflow "
    "({problem}). Nothing was sent. Install it on workers and triggerers, or use on_unknown_submission='fail'."
)
_NOBODY_TO_ASK = (
    "on_unknown_submission='ask' cannot ask anybody in dag.test() or `airflow tasks test`, which do not wait for an "
    "answer, so the task fails as with 'fail'."
)
_NO_USERS = (
    "decision_users must be ids of users, or mappings with 'id' and 'name', as Airflow's auth manager has them: one of "
    "these, or a list of at least one. Leave the argument out to let everybody decide whom Airflow allows to."
)
_NOBODY_DECIDED = "Nobody has decided within decision_timeout: clear the task as it is to be asked again."


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Whom to ask, and for how long.

    Attributes:
        timeout: How long to wait for the answer; None for as long as it takes.
        notifiers: Called with Airflow's context before the wait; ``exception`` in it is the error to decide about.
        users: Who may answer, as mappings with ``id`` and ``name``; None for everybody whom Airflow allows to.
    """

    timeout: timedelta | None
    notifiers: tuple[Callable[[Any], Any], ...]
    users: list[dict[str, str]] | None

    @property
    def user_ids(self) -> frozenset[str] | None:
        """Ids of those who may answer; None for everybody whom Airflow allows to."""
        return None if self.users is None else frozenset(user["id"] for user in self.users)

    @classmethod
    def of(cls, timeout: Any, notifiers: Any, users: Any) -> DecisionRequest:
        """Return the request for the operator's arguments, checked, if this version of Airflow can ask.

        Args:
            timeout: ``decision_timeout``, a ``timedelta`` of 10 seconds to 10 years; None for no limit.
            notifiers: ``decision_notifiers``: one or several; no iterator, which a first check would use up.
            users: ``decision_users``, likewise.

        Raises:
            CleanlistConfigurationError: An argument is invalid, or Airflow cannot ask.
        """
        check_can_ask()
        if timeout is not None and not (
            isinstance(timeout, timedelta) and SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT
        ):
            raise CleanlistConfigurationError(
                f"decision_timeout must be a timedelta of 10 seconds to 10 years, such as timedelta(hours=8), not "
                f"{shown(timeout)}."
            )
        return cls(timeout, _notifiers(notifiers), _users(users))

    def ask(
        self,
        operator: BaseOperator,
        context: Context,
        undecided: UndecidedError,
        *,
        batches: Sequence[Batch],
        balance: float | None,
    ) -> NoReturn:
        """Write the question and park the task until ``execute_decided`` of its operator resumes with the answer.

        Args:
            operator: The operator of the task.
            context: Airflow's context of the running task.
            undecided: What to decide about.
            batches: The batches to decide about.
            balance: The organisation's credits at present; None if they are not known.

        Raises:
            CleanlistSubmissionUnknownError: The task runs in ``dag.test()``.
            CleanlistStateError: Airflow did not take the question.
        """
        from airflow_provider_cleanlist.submission.decision import question_lines
        from airflow_provider_cleanlist.submission.errors import open_question
        from airflow_provider_cleanlist.triggers.workflow import is_in_process

        error, log = undecided.error, operator.log
        if is_in_process():
            hint = f"{_NOBODY_TO_ASK} {error.info.hint or ''}".rstrip()
            raise CleanlistSubmissionUnknownError(replace(error.info, hint=hint)) from None
        lines = question_lines(
            undecided.contacts, error.info.message, batches, balance, undecided.credits_to_resubmit
        )
        for line in lines:
            log.warning("%s", line)
        self._notify(context, open_question(undecided.contacts, error.info), log)
        ti: Any = context["ti"]
        _write_question(ti.id, self.users)
        limit = f"at most {self.timeout}" if self.timeout else "as long as it takes"
        log.info("Waiting %s for a decision: Browse > Required Actions.", limit)
        self._park(operator, ti.id)

    def _notify(self, context: Context, asked: SubmissionUnknownError, log: TaskLog) -> None:
        error = to_airflow(asked)
        for notifier in self.notifiers:
            try:
                # a copy: Airflow's notifiers keep what their templates rendered, and render that at the next call
                copy(notifier)({**context, "exception": error})
            except Exception as failure:  # noqa: BLE001  # a notifier is the user's, and the question matters more
                log.warning(
                    "%s failed (%s: %s). The question is asked all the same.",
                    type(notifier).__name__,
                    type(failure).__name__,
                    failure,
                )

    def _park(self, operator: BaseOperator, ti_id: Any) -> NoReturn:
        awaiting = _awaiting_input()
        if awaiting is not None:
            raise awaiting(method_name=RESUME, kwargs={}, timeout=self.timeout)
        from airflow_provider_cleanlist.submission.decision import OPTIONS
        from airflow_provider_cleanlist.triggers.workflow import EARLIEST_EVENT_SECONDS

        operator.defer(
            trigger=_hitl_trigger()(
                ti_id=ti_id,
                options=list(OPTIONS),
                params={},
                defaults=None,
                multiple=False,
                timeout_datetime=datetime.now(UTC) + self.timeout if self.timeout else None,
                poke_interval=EARLIEST_EVENT_SECONDS,
            ),
            method_name=RESUME,
        )


@contextmanager
def unanswered() -> Iterator[None]:
    """Add to the error about contacts of unknown outcome that nobody has decided in time, and what that means.

    Raises:
        CleanlistSubmissionUnknownError: That error, with the addition.
    """
    try:
        yield
    except CleanlistSubmissionUnknownError as error:
        hint = f"{_NOBODY_DECIDED} {error.info.hint or ''}".rstrip()
        raise CleanlistSubmissionUnknownError(replace(error.info, hint=hint)) from None


def check_can_ask() -> None:
    """Make sure that this version of Airflow can ask a person.

    Raises:
        CleanlistConfigurationError: It cannot; the text says what is missing.
    """
    try:
        import airflow.sdk.execution_time.hitl  # noqa: F401  # since Airflow 3.1
    except ImportError:
        raise CleanlistConfigurationError(_NO_QUESTIONS) from None
    if _awaiting_input() is None:
        _hitl_trigger()


def _awaiting_input() -> Any:
    """Return the exception that parks a task until it gets an answer, or None below Airflow 3.3."""
    from airflow.sdk import exceptions

    return getattr(exceptions, "TaskAwaitingInput", None)


def _hitl_trigger() -> Any:
    """Return the standard provider's trigger, which waits for an answer on Airflow 3.1 and 3.2."""
    try:
        from airflow.providers.standard.triggers.hitl import HITLTrigger
    except Exception as error:  # noqa: BLE001  # the provider raises its own error on an Airflow that is too old
        raise CleanlistConfigurationError(_NO_TRIGGER.format(problem=type(error).__name__)) from None
    return HITLTrigger


def _write_question(ti_id: Any, users: list[dict[str, str]] | None) -> None:
    """Write the question, or open it again; that removes an earlier answer."""
    from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

    from airflow_provider_cleanlist.submission.decision import BODY, OPTIONS, SUBJECT

    assigned = None if users is None else [HITLUser(id=user["id"], name=user["name"]) for user in users]
    try:
        upsert_hitl_detail(
            ti_id=ti_id,
            options=list(OPTIONS),
            subject=SUBJECT,
            body=BODY,
            defaults=None,
            multiple=False,
            params={},
            assigned_users=assigned,
        )
    except Exception as error:
        raise CleanlistStateError(
            f"Airflow did not take the question about contacts of unknown outcome ({type(error).__name__}). Nothing "
            "was submitted again; another attempt of the task asks once more."
        ) from error


def _notifiers(notifiers: Any) -> tuple[Callable[[Any], Any], ...]:
    """Return notifiers that can be called, each for itself."""
    several = (notifiers,) if callable(notifiers) else () if notifiers is None else notifiers
    if not _is_several(several) or not all(map(callable, several)):
        raise CleanlistConfigurationError(
            "decision_notifiers must be a notifier of Airflow or another callable, or a list of these, not "
            f"{type(notifiers).__name__}."
        )
    for notifier in several:
        if isinstance(notifier, type):
            raise CleanlistConfigurationError(
                f"decision_notifiers holds the class {notifier.__name__}: give an instance of it, with its arguments."
            )
        if iscoroutinefunction(notifier) or iscoroutinefunction(type(notifier).__call__):
            name = getattr(notifier, "__name__", type(notifier).__name__)
            raise CleanlistConfigurationError(
                f"decision_notifiers holds the async function {name}, which a call does not run: give a plain one."
            )
    return tuple(several)


def _users(users: Any) -> list[dict[str, str]] | None:
    """Return users as Airflow takes them; a text is id and name in one."""
    if users is None:
        return None
    several = [users] if isinstance(users, str | Mapping) else users
    if not _is_several(several) or not several:
        raise CleanlistConfigurationError(_NO_USERS)
    found = [{"id": user, "name": user} if isinstance(user, str) else user for user in several]
    if not all(isinstance(user, Mapping) and user.get("id") and user.get("name") for user in found):
        raise CleanlistConfigurationError(_NO_USERS)
    return [{"id": str(user["id"]), "name": str(user["name"])} for user in found]


def _is_several(value: Any) -> bool:
    """Return whether a value can be gone through more than once, and holds no text's characters."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
