"""The vendor's own SDK against the sandbox: the proof that the sandbox answers as Cleanlist does.

The SDK validates every answer with strict models generated from the vendor's OpenAPI, so a missing field or a
wrong type fails here.
"""

from __future__ import annotations

import asyncio
import urllib.request

import pytest
from cleanlist_ai import Cleanlist
from cleanlist_ai import models as m
from cleanlist_ai.exceptions import (
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
    UnprocessableEntityException,
)

from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration


@pytest.fixture
def server():
    with SandboxServer(requests_per_minute=10_000) as running:
        yield running


@pytest.fixture
def sdk(server):
    with Cleanlist(access_token=server.api_key, host=server.url) as client:
        yield client


@pytest.fixture
def filled(server):
    """A list of 1,234 leads."""
    return server.state.add_leads("Filled", 1234).list_id


class TestWorkspace:
    def test_whoami(self, sdk, server):
        me = sdk.workspace.whoami()
        assert me.organization_id == server.state.accounts.organization.organization_id
        assert (me.auth_type, me.tier, me.user_email) == ("api_key", "pro", "m***@northfold.example")
        assert "lists:write" in me.scopes

    def test_credits(self, sdk):
        assert sdk.workspace.credits_balance().credits == 100_000


class TestLeadLists:
    def test_create_get_update_delete(self, sdk):
        created = sdk.lead_lists.create_list(m.CreateListRequest(name="Q3", description="first"))
        assert (created.name, created.description, created.reused) == ("Q3", "first", False)
        got = sdk.lead_lists.get_list(created.list_id)
        assert (got.list_id, got.lead_count, got.enriched_count) == (created.list_id, 0, 0)
        renamed = sdk.lead_lists.update_list(created.list_id, m.PublicLeadListUpdate(name="Q4"))
        assert (renamed.name, renamed.description) == ("Q4", "first")
        cleared = sdk.lead_lists.update_list(created.list_id, m.PublicLeadListUpdate(description=None))
        assert cleared.description is None
        gone = sdk.lead_lists.delete_list(created.list_id)
        assert (gone.list_id, gone.deleted) == (created.list_id, True)
        with pytest.raises(NotFoundException):
            sdk.lead_lists.get_list(created.list_id)

    def test_reuse_answers_200_which_the_sdk_cannot_decode(self, sdk):
        created = sdk.lead_lists.create_list(m.CreateListRequest(name="Q3"))
        assert sdk.lead_lists.create_list(m.CreateListRequest(name="q3")) is None
        raw = sdk.lead_lists.create_list_without_preload_content(m.CreateListRequest(name="q3"))
        assert raw.status == 200
        body = m.ListDetailResponse.from_json(raw.read().decode())
        assert (body.list_id, body.reused) == (created.list_id, True)

    def test_paging_the_lists(self, sdk):
        ids = {sdk.lead_lists.create_list(m.CreateListRequest(name=f"L{n}")).list_id for n in range(7)}
        seen, cursor = [], None
        while True:
            page = sdk.lead_lists.list_lists(limit=3, cursor=cursor)
            assert page.total == 7
            seen += [item.list_id for item in page.lists]
            cursor = page.cursor
            if cursor is None:
                break
        assert len(seen) == 7
        assert set(seen) == ids

    @pytest.mark.parametrize("opaque", [False, True])
    def test_paging_the_contents(self, sdk, server, filled, opaque):
        server.settings.opaque_cursors = opaque
        seen, cursor, pages = set(), None, 0
        while pages == 0 or cursor is not None:
            page = sdk.lead_lists.list_leads_in_list(filled, limit=500, cursor=cursor)
            seen |= {lead.lead_id for lead in page.leads}
            cursor, pages = page.cursor, pages + 1
        assert (len(seen), pages, page.total) == (1234, 3, 1234)

    def test_add_and_remove_leads(self, sdk, filled):
        page = sdk.lead_lists.list_leads_in_list(filled, limit=10)
        lead_ids = [lead.lead_id for lead in page.leads]
        target = sdk.lead_lists.create_list(m.CreateListRequest(name="Target")).list_id
        by_ids = m.Body(m.AddByLeadIds(lead_ids=lead_ids[:4], idempotency_key="k"))
        added = sdk.lead_lists.add_leads_to_list(target, by_ids)
        assert (added.added, added.skipped_duplicates, added.credits_charged) == (4, 0, 0)
        assert sdk.lead_lists.add_leads_to_list(target, by_ids).added == 4
        again = sdk.lead_lists.add_leads_to_list(target, m.Body(m.AddByLeadIds(lead_ids=lead_ids[3:6])))
        assert (again.added, again.skipped_duplicates, again.created) == (2, 1, None)
        removed = sdk.lead_lists.remove_leads_from_list(target, m.RemoveLeadsRequest(lead_ids=lead_ids[:2]))
        assert removed.removed == 2
        assert sdk.lead_lists.get_list(target).lead_count == 4


class TestExport:
    def test_json(self, sdk, filled):
        page = sdk.export.export_json(list_id=filled, limit=500, columns=["lead_id", "company_domain"])
        assert (len(page.leads), page.total, page.cursor) == (500, 1234, "500")
        assert set(page.leads[0]) == {"lead_id", "company_domain"}
        assert len(sdk.export.export_json(list_id=filled, cursor="1200", limit=500).leads) == 34

    def test_csv_by_signed_url(self, sdk, filled):
        export = sdk.export.export_csv(m.ExportCsvRequest(list_id=filled, columns=["lead_id", "email"]))
        with urllib.request.urlopen(export.download_url, timeout=5) as answer:
            content = answer.read()
        assert len(content) == export.file_size_bytes
        assert len(content.splitlines()) == export.row_count + 1 == 1235


class TestRefusals:
    def test_statuses_reach_the_sdks_exceptions(self, sdk, server):
        with pytest.raises(NotFoundException) as unknown:
            sdk.lead_lists.get_list("nope")
        assert '"code":"list_not_found"' in unknown.value.body
        with pytest.raises(UnprocessableEntityException) as invalid:
            sdk.lead_lists.remove_leads_from_list("x", m.RemoveLeadsRequest.model_construct(lead_ids=[]))
        details = invalid.value.data.detail
        assert [part.actual_instance for part in details[0].loc] == ["body", "lead_ids"]
        with (
            Cleanlist(access_token="clapi_wrong", host=server.url) as stranger,
            pytest.raises(UnauthorizedException),
        ):
            stranger.workspace.whoami()
        reader = server.state.accounts.add_key(scopes=("lists:read",)).secret
        with Cleanlist(access_token=reader, host=server.url) as limited, pytest.raises(ForbiddenException):
            limited.lead_lists.create_list(m.CreateListRequest(name="No"))

    def test_rate_limit_and_its_header_are_obeyed(self, sdk, server):
        server.settings.change(requests_per_minute=1, window_seconds=1.0, window="first_request")
        sdk.workspace.whoami()
        sdk.workspace.whoami()
        first, refused, second = server.ledger.requests(endpoint="whoami")
        assert [first.status, refused.status, second.status] == [200, 429, 200]
        assert second.time - refused.time >= 1


def test_async_sdk_agrees(server, filled):
    from cleanlist_ai.aio import Cleanlist as AsyncCleanlist

    async def read():
        async with AsyncCleanlist(access_token=server.api_key, host=server.url) as client:
            page = await client.lead_lists.list_leads_in_list(filled, limit=500)
            return (await client.workspace.whoami()).tier, len(page.leads)

    assert asyncio.run(read()) == ("pro", 500)
