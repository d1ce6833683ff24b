"""Forms of a response that a client has to tolerate."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("answers", ["plain", "sparse", "noisy"])
def test_answers_may_lack_nulls_or_hold_unknown_fields(api, answers):
    list_id = api.create_list("Tolerance")
    api.settings.answers = answers
    page = api.v2("GET", "/lead-lists").json()
    row = page["lists"][0]
    assert row["list_id"] == list_id
    assert ("cursor" in page) == (answers != "sparse")
    assert ("folder_id" in row) == (answers != "sparse")
    assert ("x_unheard_of" in row) == ("x_unheard_of" in page) == (answers == "noisy")
    error = api.v2("GET", "/lead-lists/none").json()["error"]
    assert ("cause" in error) == (answers != "sparse")
    assert ("x_unheard_of" in error) == (answers == "noisy")


def test_success_status_can_be_any_2xx(api, person):
    list_id = api.create_list("Short-lived")
    api.settings.success_status = {"enrich_bulk": 202, "lead_list_delete": 204}
    assert api.v1("POST", "/enrich/bulk", json={"contacts": [person()]}).status_code == 202
    gone = api.v2("DELETE", f"/lead-lists/{list_id}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert api.v2("GET", f"/lead-lists/{list_id}").status_code == 404
