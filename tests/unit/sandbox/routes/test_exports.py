"""Exports: pages of JSON, and CSV files by signed URL."""

from __future__ import annotations

import csv
import io

import pytest

DEFAULT = [
    "lead_id",
    "first_name",
    "last_name",
    "email",
    "title",
    "company",
    "domain",
    "linkedin_url",
    "phone",
    "location",
]


@pytest.fixture
def list_id(api, person):
    api.submit(*[person(f"P{number}") for number in range(3)])
    return api.managed_list()["list_id"]


def export(api, list_id, **params):
    return api.v2("GET", "/export/json", params={"list_id": list_id, **params})


def test_json_has_the_default_columns_with_the_domain(api, list_id):
    body = export(api, list_id).json()
    assert (body["list_id"], body["total"], body["cursor"]) == (list_id, 3, None)
    assert [list(row) for row in body["leads"]] == [DEFAULT] * 3
    assert {row["domain"] for row in body["leads"]} == {"found-both.example"}
    assert "timestamp_ms" in body


def test_chosen_columns_keep_their_order(api, list_id):
    body = export(api, list_id, columns=["email", "company_domain"]).json()
    assert [list(row) for row in body["leads"]] == [["email", "company_domain"]] * 3
    assert body["leads"][0]["company_domain"] == "found-both.example"


def test_unknown_columns_are_400(api, list_id):
    assert export(api, list_id, columns=["email", "shoe_size"]).status_code == 400
    body = {"list_id": list_id, "columns": ["shoe_size"]}
    assert api.v2("POST", "/export/csv/signed-url", json=body).status_code == 400


def test_pages(api, list_id):
    first = export(api, list_id, limit=2).json()
    second = export(api, list_id, limit=2, cursor=first["cursor"]).json()
    assert [len(first["leads"]), len(second["leads"]), second["cursor"]] == [2, 1, None]
    for limit in (0, 501):
        assert export(api, list_id, limit=limit).status_code == 422


def test_list_is_required_and_must_exist(api):
    assert api.v2("GET", "/export/json").status_code == 422
    assert export(api, "nope").status_code == 404
    assert api.v2("POST", "/export/csv/signed-url", json={"list_id": "nope"}).status_code == 404
    assert api.v2("POST", "/export/csv/signed-url", json={}).status_code == 422


def signed(api, list_id, **fields):
    body = api.v2("POST", "/export/csv/signed-url", json={"list_id": list_id, **fields}).json()
    return body, body["download_url"].removeprefix("http://testserver")


def test_csv_by_signed_url(api):
    list_id = api.sandbox.add_leads("Big", 12_345).list_id
    body, path = signed(api, list_id)
    assert body.keys() == {"list_id", "download_url", "expires_at", "row_count", "file_size_bytes"}
    assert (body["row_count"], body["expires_at"]) == (12_345, "2026-06-15T09:20:00Z")
    file = api.client.get(path)
    assert file.headers["content-type"].startswith("text/csv")
    assert len(file.content) == body["file_size_bytes"]
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert list(rows[0]) == DEFAULT
    assert len(rows) == 12_345
    assert rows[4]["title"] == "Leiter Einkauf\nund Lager"
    assert len(api.ledger.requests(endpoint="export_download", status=200)) == 1


def test_csv_columns(api, list_id):
    _, path = signed(api, list_id, columns=["phone", "lead_id"], include_smart_agents=False)
    assert api.client.get(path).text.splitlines()[0] == "phone,lead_id"


def test_download_wants_its_signature_and_no_key(api, list_id):
    _, path = signed(api, list_id)
    assert api.call("GET", path).status_code == 400
    assert api.client.get(path.replace("sig=", "sig=x")).status_code == 403
    assert api.client.get(path.partition("?")[0]).status_code == 403
    assert api.client.get("/exports/unknown.csv?sig=x").status_code == 403
    api.clock.advance(86_399)
    assert api.client.get(path).status_code == 200
    api.clock.advance(1)
    assert api.client.get(path).status_code == 403


def test_exports_are_free(api, list_id):
    before = api.balance()
    export(api, list_id)
    signed(api, list_id)
    assert api.balance() == before
