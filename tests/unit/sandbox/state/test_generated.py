"""Invented leads without number."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.state.generated import GeneratedLeads, parse_lead_id


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_generated_ids_can_be_read_back(seed, index):
    leads = GeneratedLeads(seed, index + 1)
    row = leads.row(index)
    assert parse_lead_id(row["lead_id"]) == (seed, index)
    assert row == leads.row(index)
    assert (row["provider"] is not None) == GeneratedLeads.enriched(index)


def test_generated_leads_differ_and_hold_awkward_text():
    leads = GeneratedLeads(1, 20_000)
    rows = [json.loads(leads.row_json(index)) for index in range(len(leads))]
    assert len({row["lead_id"] for row in rows}) == len({row["linkedin_url"] for row in rows}) == 20_000
    text = "".join(leads.row_json(index) for index in range(200))
    for awkward in ("田中", "Наталья", '\\"Q\\"', "\\n", "🚚"):
        assert awkward in text
    emails = [row["email"] for row in rows if row["email"]]
    assert len(set(emails)) == len(emails) == 18_000
    assert all(email.endswith(".example") for email in emails)
    assert {row["title"] for row in rows} > {None, "VP Sales"}
