"""Leads and the members of lists."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.state.generated import GeneratedLeads
from airflow_provider_cleanlist.sandbox.state.lists import ListStore, Members


def test_generated_rows_have_the_fields_of_real_ones():
    store = ListStore(lambda: "id")
    assert list(json.loads(GeneratedLeads(1, 1).row_json(0))) == list(
        json.loads(store.lead_of("identity", "org").row_json())
    )


@given(st.integers(0, 30), st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_members_behave_as_an_ordered_set(count, removed, added):
    leads, members = GeneratedLeads(7, count), Members()
    members.generate(leads)
    ids = [GeneratedLeads(7, 50).row(index)["lead_id"] for index in range(41)]
    expected = ids[:count]
    assert members.remove(ids[index] for index in removed) == len(
        {index for index in removed if index < count}
    )
    expected = [lead_id for lead_id in expected if lead_id not in {ids[index] for index in removed}]
    for index in added:
        assert members.add(ids[index]) == (ids[index] not in expected)
        if ids[index] not in expected:
            expected.append(ids[index])
    indexes, others = members.page(0, len(members))
    assert [leads.row(index)["lead_id"] for index in indexes] + others == expected
    assert len(members) == len(expected)
    assert all(lead_id in members for lead_id in expected)
