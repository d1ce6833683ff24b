"""Every method of the client against the sandbox: both surfaces, every error, every shape of an answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_cleanlist.client import errors, responses, results
from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

TEO = Contact(first_name="Teo", last_name="Lindqvist", company_domain="found-both.example")
INES = Contact(first_name="Ines", last_name="Vauban", company_name="Nothing Found")
NOBODY = Contact(first_name="Nobody")


@pytest.fixture(params=["v1", "v2"])
def surface(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def sandbox(cleanlist_sandbox: SandboxServer) -> SandboxServer:
    return cleanlist_sandbox


@pytest.fixture
def client(sandbox: SandboxServer, connect: Any, surface: str) -> CleanlistClient:
    made: CleanlistClient = connect(sandbox.url, api_key=sandbox.api_key, lead_lists_api=surface)
    return made


@pytest.fixture
def plain(sandbox: SandboxServer, connect: Any) -> CleanlistClient:
    made: CleanlistClient = connect(sandbox.url, api_key=sandbox.api_key)
    return made


def managed_list(client: CleanlistClient) -> responses.LeadList:
    (found,) = (item for item in client.iter_lead_lists() if item.name == "Extension Leads")
    return found


def leads_of(client: CleanlistClient, list_id: str, page_size: int = 500) -> list[dict[str, Any]]:
    return [lead for page in client.iter_lead_pages(list_id, page_size) for lead in page.leads]


# Account and enrichment


def test_the_account(client: CleanlistClient, sandbox: SandboxServer, surface: str) -> None:
    validation = client.validate_key()
    whoami = client.whoami()
    assert validation.valid
    assert validation.organization_id == whoami.organization_id
    assert whoami.organization_name == "Northfold Analytics"
    assert "lists:write" in whoami.scopes
    assert client.get_credit_balance().credits == 100_000
    prefix = "/api/v1/public" if surface == "v1" else "/api/v2"
    assert [entry.path for entry in sandbox.ledger.requests()] == [
        "/api/v1/public/auth/validate-key",
        f"{prefix}/whoami",
        "/api/v1/public/credits/balance",
    ]


def test_a_fractional_balance(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    sandbox.state.accounts.organization.credits = 12.7
    assert str(plain.get_credit_balance().credits) == "12.7"


@pytest.mark.parametrize("variant", ["summary", "flat", "results", "sparse"])
def test_an_enrichment_from_end_to_end(
    plain: CleanlistClient, sandbox: SandboxServer, variant: str, subtests: pytest.Subtests
) -> None:
    charged = 0
    for answers, id_style in itertools.product(["plain", "sparse", "noisy"], ["uuid", "awkward"]):
        with subtests.test(answers=answers, id_style=id_style):
            sandbox.settings.change(
                status_variant=variant,
                answers=answers,
                id_style=id_style,
                nested_task_result=variant == "flat",
                utc_suffix="Z" if answers == "plain" else "+00:00",
            )
            charged += 11
            submitted = plain.submit_bulk_enrichment([TEO, INES], EnrichmentType.FULL)
            status = plain.get_workflow_status(submitted.workflow_id)
            assert status.state is results.WorkflowState.COMPLETED
            if variant != "sparse":
                assert (status.total, status.successful, status.failed, status.progress) == (2, 1, 1, 1.0)
                assert (status.emails_found, status.phones_found) == (1, 1)
            assert len(status.results) == (2 if variant == "results" else 0)
            found, missing = (plain.get_task_result(task_id) for task_id in submitted.task_ids)
            assert found.task_id == submitted.task_ids[0]
            assert found.email
            assert found.email.endswith(".example")
            assert found.email_status == "verified"
            assert len(found.phones) == 1
            assert found.prospect["first_name"] == "Teo"
            assert (missing.state, missing.email, missing.phones) == (results.WorkflowState.FAILED, None, [])
            assert plain.get_credit_balance().credits == 100_000 - charged
            assert len(leads_of(plain, managed_list(plain).list_id)) == 2


def test_task_ids_of_every_number(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    for shape, count in {"missing": 0, "empty": 0, "short": 1, "long": 3, "all": 2}.items():
        sandbox.settings.change(task_ids=shape)
        assert len(plain.submit_bulk_enrichment([TEO, INES]).task_ids) == count


def test_a_running_and_an_oddly_ending_workflow(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    sandbox.settings.change(polls_to_complete=1, running_status="PONDERING")
    sandbox.faults.end_workflows("Cancelled")
    workflow_id = plain.submit_bulk_enrichment([TEO]).workflow_id
    assert plain.get_workflow_status(workflow_id).state is results.WorkflowState.RUNNING
    assert plain.get_workflow_status(workflow_id).state is results.WorkflowState.FAILED


def test_deliveries_of_a_webhook(plain: CleanlistClient, sandbox: SandboxServer, serve: Any) -> None:
    sandbox.settings.change(allow_http_webhooks=True)
    receiver = serve()
    workflow_id = plain.submit_bulk_enrichment([TEO], webhook_url=f"{receiver.url}/hook").workflow_id
    plain.get_workflow_status(workflow_id)
    receiver.wait_for(1)
    end = time.monotonic() + 30  # the sandbox notes a delivery after it has the receiver's answer
    while not (deliveries := plain.list_webhook_deliveries(workflow_id)) and time.monotonic() < end:
        time.sleep(0.05)
    (delivery,) = deliveries
    assert (delivery.attempt, delivery.response_status_code) == (1, 200)
    assert b"found-both" in receiver.requests[0].body


def test_any_success_accepts_a_submission(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    for status in (200, 201, 202):
        sandbox.settings.change(success_status={"enrich_bulk": status})
        assert plain.submit_bulk_enrichment([TEO]).workflow_id


def test_refused_contacts_are_named_by_index(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        plain.submit_bulk_enrichment([TEO, NOBODY, INES, NOBODY])
    assert [error.index for error in caught.value.info.field_errors] == [1, 3]
    assert "Nobody" not in f"{caught.value} {caught.value!r}"
    assert sandbox.ledger.accepted_submits == []


def test_a_short_balance(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    sandbox.state.accounts.organization.credits = 10
    with pytest.raises(errors.InsufficientCreditsError, match="Top up"):
        plain.submit_bulk_enrichment([TEO], EnrichmentType.FULL)


# Lead lists


def test_the_life_of_a_list(client: CleanlistClient, sandbox: SandboxServer) -> None:
    folder = sandbox.state.lists.add_folder(sandbox.state.accounts.user)
    made = client.create_lead_list("Nordics", "Heads of operations", folder.folder_id)
    assert (made.name, made.description, made.folder_id) == (
        "Nordics",
        "Heads of operations",
        folder.folder_id,
    )
    assert (made.reused, made.lead_count) == (False, 0)
    again = client.create_lead_list("NORDICS ")
    assert (again.list_id, again.reused) == (made.list_id, True)
    assert [item.list_id for item in client.iter_lead_lists(folder.folder_id)] == [made.list_id]

    renamed = client.update_lead_list(made.list_id, name="North")
    assert (renamed.name, renamed.description) == ("North", "Heads of operations")
    cleared = client.update_lead_list(made.list_id, description=None, folder_id=None)
    assert (cleared.name, cleared.description, cleared.folder_id) == ("North", None, None)

    client.submit_bulk_enrichment([TEO, INES])
    ids = [lead["lead_id"] for lead in leads_of(client, managed_list(client).list_id)]
    assert client.add_leads(made.list_id, ids) == 2
    assert client.add_leads(made.list_id, ids) == 0
    assert client.get_lead_list(made.list_id).lead_count == 2
    assert client.remove_leads(made.list_id, [ids[0], "unknown"]) == 1
    assert [lead["lead_id"] for lead in leads_of(client, made.list_id)] == [ids[1]]

    client.delete_lead_list(made.list_id)
    with pytest.raises(errors.NotFoundError):
        client.get_lead_list(made.list_id)
    with pytest.raises(errors.NotFoundError):
        client.delete_lead_list(made.list_id)


def test_leads_travel_in_requests_of_the_size_allowed(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    source, target = (plain.create_lead_list(name).list_id for name in "ab")
    sandbox.state.add_leads("a", 2_300)
    ids = [lead["lead_id"] for lead in leads_of(plain, source)]
    assert len(set(ids)) == 2_300
    assert plain.add_leads(target, ids) == 2_300
    assert plain.remove_leads(target, ids[:250]) == 250
    assert plain.get_lead_list(target).lead_count == 2_050
    calls = [entry.endpoint for entry in sandbox.ledger.requests()]
    assert (calls.count("lead_list_add_leads"), calls.count("lead_list_remove_leads")) == (3, 3)
    assert calls.count("lead_list_contents") == 5


def test_the_managed_list_is_protected(client: CleanlistClient) -> None:
    client.submit_bulk_enrichment([TEO])
    list_id = managed_list(client).list_id
    with pytest.raises(errors.PermissionDeniedError, match="use another one"):
        client.delete_lead_list(list_id)
    with pytest.raises(errors.PermissionDeniedError):
        client.update_lead_list(list_id, name="x")


def test_many_lists_come_page_by_page(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    names = {f"list {number}" for number in range(230)}
    for name in names:
        sandbox.state.lists.add_list(name, sandbox.state.accounts.user, 0.0)
    assert {item.name for item in plain.iter_lead_lists()} == names
    assert len(sandbox.ledger.requests(endpoint="lead_list_index")) == 3


def test_pages_end_however_the_end_is_said(
    client: CleanlistClient, sandbox: SandboxServer, subtests: pytest.Subtests
) -> None:
    list_id = client.create_lead_list("l").list_id
    sandbox.state.add_leads("l", 7)
    for opaque, last in itertools.product([False, True], ["null", "missing", "empty"]):
        with subtests.test(opaque=opaque, last=last):
            sandbox.settings.change(opaque_cursors=opaque, last_cursor=last)
            pages = list(client.iter_lead_pages(list_id, 3))
            assert [len(page.leads) for page in pages] == [3, 3, 1]
            assert {page.total for page in pages} == {7}
            assert pages[-1].cursor is None
            later = list(client.iter_lead_pages(list_id, 3, cursor=pages[0].cursor))
            assert [page.leads for page in later] == [page.leads for page in pages[1:]]
            exported = list(client.iter_export_pages(list_id, page_size=3))
            assert [[lead["lead_id"] for lead in page.leads] for page in exported] == [
                [lead["lead_id"] for lead in page.leads] for page in pages
            ]
            assert "domain" in exported[0].leads[0]
            (page,) = client.iter_export_pages(list_id, ["email", "domain"])
            assert [set(lead) for lead in page.leads] == [{"email", "domain"}] * 7


def counted(pages: Iterator[responses.LeadPage]) -> list[int]:
    """Read pages until the reader is stopped, and return their sizes."""
    sizes = []

    def read() -> None:
        for page in pages:
            sizes.append(len(page.leads))

    with pytest.raises(errors.UnexpectedResponseError, match="reading would never end"):
        read()
    return sizes


def test_a_cursor_that_repeats_stops_the_reader(client: CleanlistClient, sandbox: SandboxServer) -> None:
    list_id = client.create_lead_list("l").list_id
    sandbox.state.add_leads("l", 7)
    sandbox.settings.change(repeat_cursor=True)
    assert counted(client.iter_lead_pages(list_id, 3)) == [3]
    assert counted(client.iter_export_pages(list_id, page_size=3)) == [3]


def test_empty_pages_without_end_stop_the_reader(client: CleanlistClient, sandbox: SandboxServer) -> None:
    list_id = client.create_lead_list("l").list_id
    sandbox.state.add_leads("l", 5)
    sandbox.settings.change(empty_pages=True)
    assert counted(client.iter_lead_pages(list_id, 3)) == [3, 2, 0]


def test_a_malformed_cursor_is_refused(client: CleanlistClient) -> None:
    list_id = client.create_lead_list("l").list_id
    with pytest.raises(errors.InvalidRequestError, match="Malformed cursor"):
        next(client.iter_lead_pages(list_id, cursor="?"))


def test_a_delete_may_answer_with_nothing(client: CleanlistClient, sandbox: SandboxServer) -> None:
    for status in (200, 204):
        sandbox.settings.change(success_status={"lead_list_delete": status})
        client.delete_lead_list(client.create_lead_list("l").list_id)


# Errors, in both envelopes

STATUSES: dict[int, type[errors.ApiError] | tuple[type[errors.ApiError], ...]] = {
    400: (errors.BadRequestError, errors.InvalidRequestError),  # the latter by its code
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.BadRequestError,
    413: errors.BadRequestError,
    500: errors.ServerError,
    503: errors.ServerError,
}


def test_every_status_in_every_envelope(client: CleanlistClient, sandbox: SandboxServer) -> None:
    asks = (client.get_credit_balance, lambda: next(client.iter_lead_lists()), client.whoami)
    bodies: list[Any] = ["json", "html", "empty"]
    for envelope, body in itertools.product(["contract", "newer", "legacy"], bodies):
        sandbox.settings.change(envelope=envelope)
        for (status, kind), ask in itertools.product(STATUSES.items(), asks):
            sandbox.faults.fail(None, status, body=body)
            with pytest.raises(kind) as caught:
                ask()
            assert caught.value.info.status == status, (envelope, body)
    assert sandbox.faults.pending == []


def test_keys_that_do_not_open(sandbox: SandboxServer, connect: Any) -> None:
    accounts = sandbox.state.accounts
    dead = [
        accounts.add_key(revoked=True),
        accounts.add_key(expires_at=1.0),
        accounts.add_key("clext_extension"),
    ]
    for secret in ["clapi_unknown", *(key.secret for key in dead)]:
        with pytest.raises(errors.AuthenticationError, match="Check the API key") as caught:
            connect(sandbox.url, api_key=secret).validate_key()
        assert secret not in str(caught.value)


def test_a_key_called_invalid_with_success_is_no_better(serve: Any, always: Any, connect: Any) -> None:
    for body in ({"valid": False}, {"valid": None}):
        with pytest.raises(errors.AuthenticationError, match="the key is not valid"):
            connect(serve(always(body)).url).validate_key()


def test_a_response_that_does_not_speak_of_the_key_calls_none_invalid(
    serve: Any, always: Any, connect: Any
) -> None:
    for body in ({}, {"status": "error"}):
        with pytest.raises(errors.UnexpectedResponseError, match="lacks required fields"):
            connect(serve(always(body)).url).validate_key()


def test_a_missing_scope_is_named(sandbox: SandboxServer, connect: Any, surface: str) -> None:
    key = sandbox.state.accounts.add_key(scopes=("lists:read",))
    client = connect(sandbox.url, api_key=key.secret, lead_lists_api=surface)
    with pytest.raises(errors.PermissionDeniedError) as caught:
        client.create_lead_list("l")
    assert caught.value.info.code == "insufficient_scope"
    assert "Required: lists:write. Granted: lists:read." in str(caught.value)


def test_a_plan_without_the_api(plain: CleanlistClient, sandbox: SandboxServer) -> None:
    sandbox.state.accounts.organization.has_api_access = False
    with pytest.raises(errors.PermissionDeniedError, match="plan"):
        plain.validate_key()


def test_a_429_is_waited_out(sandbox: SandboxServer, connect: Any, subtests: pytest.Subtests) -> None:
    """The budget here is out of the way, so that the server has to say no."""
    sandbox.settings.change(requests_per_minute=2, window_seconds=4)
    client = connect(sandbox.url, api_key=sandbox.api_key)
    forms: list[Any] = ["negative", "date"]
    for form in forms:
        with subtests.test(form=form):
            sandbox.settings.change(retry_after=form)
            sandbox.ledger.clear()
            for _ in range(3):
                assert client.get_credit_balance().credits == 100_000
            statuses = [entry.status for entry in sandbox.ledger.requests()]
            assert statuses.count(200) == 3
            assert set(statuses) == {200, 429}


def test_arguments_that_make_no_sense_send_nothing(client: CleanlistClient, sandbox: SandboxServer) -> None:
    for ask in (
        lambda: client.submit_bulk_enrichment([]),
        lambda: client.submit_bulk_enrichment([TEO] * 251),
        lambda: client.get_lead_list(""),
        lambda: client.delete_lead_list(".."),
        lambda: client.update_lead_list("l"),
        lambda: next(client.iter_lead_pages("l", 0)),
        lambda: next(client.iter_export_pages("", None)),
        lambda: client.get_workflow_status(" "),
    ):
        with pytest.raises(errors.ConfigurationError):
            ask()
    assert sandbox.ledger.requests() == []


# Submissions and faults: what the ledger says


def test_an_accepted_submission_whose_answer_was_lost_is_never_repeated(
    sandbox: SandboxServer, connect: Any
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, max_retries=5, timeout_seconds=0.5)
    faults = [
        lambda: sandbox.faults.drop("enrich_bulk", after=True),
        lambda: sandbox.faults.truncate("enrich_bulk"),
        lambda: sandbox.faults.delay("enrich_bulk", 1.0),
        *(
            lambda status=status: sandbox.faults.fail("enrich_bulk", status, after=True)
            for status in (500, 502, 504)
        ),
    ]
    for times, befall in enumerate(faults, 1):
        befall()
        with pytest.raises(errors.SubmissionUnknownError):
            client.submit_bulk_enrichment([TEO])
        assert len(sandbox.ledger.accepted_submits) == times
    assert sandbox.faults.pending == []


def test_a_list_deleted_by_a_lost_request_counts_as_deleted(sandbox: SandboxServer, connect: Any) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, max_retries=1)
    list_id = client.create_lead_list("l").list_id
    sandbox.faults.drop("lead_list_delete", after=True)
    client.delete_lead_list(list_id)
    assert [entry.status for entry in sandbox.ledger.requests(endpoint="lead_list_delete")] == [None, 404]
