"""Lead lists and the leads on them."""

from __future__ import annotations

import base64

import pytest

DETAIL = {
    "list_id",
    "name",
    "description",
    "lead_count",
    "enriched_count",
    "folder_id",
    "created_at",
    "reused",
}
ROW = {
    "lead_id",
    "first_name",
    "last_name",
    "full_name",
    "email",
    "phone",
    "title",
    "company",
    "location",
    "linkedin_url",
    "provider",
}
ENVELOPE = {"task_id", "timestamp_ms", "agent_instructions", "usage", "message"}


@pytest.fixture
def colleague(api):
    return api.sandbox.accounts.add_key(user=api.sandbox.accounts.add_user("Teo Lindqvist")).secret


class TestCreate:
    def test_new_is_201(self, api):
        answer = api.v2("POST", "/lead-lists", json={"name": "Nordics", "description": "Heads of operations"})
        body = answer.json()
        assert answer.status_code == 201
        assert body.keys() == DETAIL | ENVELOPE
        assert (body["name"], body["description"], body["folder_id"]) == (
            "Nordics",
            "Heads of operations",
            None,
        )
        assert (body["lead_count"], body["enriched_count"], body["reused"]) == (0, 0, False)
        assert body["created_at"] == "2026-06-14T09:20:00Z"

    @pytest.mark.parametrize("name", ["nordics LOGISTICS", " Nordics Logistics ", "NORDICS LOGISTICS"])
    def test_same_name_is_reused_untouched(self, api, name):
        list_id = api.create_list("Nordics Logistics", description="first")
        again = api.v2(
            "POST", "/lead-lists", json={"name": name, "description": "second", "folder_id": "nope"}
        )
        assert again.status_code == 200
        body = again.json()
        assert (body["list_id"], body["reused"]) == (list_id, True)
        assert (body["name"], body["description"]) == ("Nordics Logistics", "first")

    def test_both_prefixes_are_one_store(self, api):
        first = api.v1("POST", "/lead-lists", json={"name": "Nordics"})
        second = api.v2("POST", "/lead-lists", json={"name": "Nordics"})
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["list_id"] == second.json()["list_id"]

    def test_only_exact_names_and_own_lists_are_reused(self, api, colleague):
        list_id = api.create_list("Q3 Leads")
        assert api.create_list("Q3 Leads List") != list_id
        theirs = api.v2("POST", "/lead-lists", json={"name": "Q3 Leads"}, key=colleague)
        assert theirs.status_code == 201
        assert theirs.json()["list_id"] != list_id

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": None},
            {"name": "x" * 201},
            {"name": 5},
            {"name": "ok", "colour": "red"},
            {"name": "ok", "description": 5},
        ],
    )
    def test_refused_bodies(self, api, body):
        assert api.v2("POST", "/lead-lists", json=body).status_code == 422
        assert api.v2("GET", "/lead-lists").json()["total"] == 0

    def test_longest_and_blank_names(self, api):
        assert api.v2("POST", "/lead-lists", json={"name": "x" * 200}).status_code == 201
        assert api.v2("POST", "/lead-lists", json={"name": "  "}).status_code == 201

    def test_folder_must_be_yours(self, api, colleague):
        folder_id = api.sandbox.lists.add_folder(api.sandbox.accounts.user).folder_id
        body = {"name": "Filed", "folder_id": folder_id}
        assert api.v2("POST", "/lead-lists", json=body, key=colleague).status_code == 404
        assert api.v2("POST", "/lead-lists", json={**body, "folder_id": "nope"}).status_code == 404
        assert api.v2("POST", "/lead-lists", json=body).json()["folder_id"] == folder_id

    def test_managed_list_is_returned_as_reused(self, api, person):
        api.submit(person())
        answer = api.v2("POST", "/lead-lists", json={"name": "extension leads"})
        assert (answer.status_code, answer.json()["list_id"]) == (200, api.managed_list()["list_id"])

    def test_cap(self, api):
        api.settings.list_cap = 1
        api.create_list("One")
        answer = api.v2("POST", "/lead-lists", json={"name": "Two"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "list_cap_reached")
        assert api.v2("POST", "/lead-lists", json={"name": "One"}).status_code == 200


class TestIndex:
    def test_newest_first_then_by_id(self, api):
        older = api.create_list("Older")
        api.clock.advance(1)
        same = sorted(api.create_list(name) for name in ("A", "B", "C"))
        lists = api.v2("GET", "/lead-lists").json()
        assert [item["list_id"] for item in lists["lists"]] == [*same, older]
        assert (lists["total"], lists["cursor"]) == (4, None)
        assert lists["lists"][-1] == {
            "list_id": older,
            "name": "Older",
            "lead_count": 0,
            "folder_id": None,
            "created_at": "2026-06-14T09:20:00Z",
            "owner_name": "Mara Okafor",
            "visibility": "private",
        }

    def test_pages_and_folders(self, api):
        folder_id = api.sandbox.lists.add_folder(api.sandbox.accounts.user).folder_id
        filed = api.create_list("Filed", folder_id=folder_id)
        for number in range(51):
            api.create_list(f"List {number}")
        first = api.v2("GET", "/lead-lists").json()
        assert (len(first["lists"]), first["total"], first["cursor"]) == (50, 52, "50")
        rest = api.v2("GET", "/lead-lists", params={"cursor": first["cursor"], "limit": 100}).json()
        ids = [item["list_id"] for item in first["lists"] + rest["lists"]]
        assert len(set(ids)) == 52
        assert rest["cursor"] is None
        in_folder = api.v2("GET", "/lead-lists", params={"folder_id": folder_id}).json()
        assert [item["list_id"] for item in in_folder["lists"]] == [filed]

    @pytest.mark.parametrize("limit", [0, 101, -1, "many"])
    def test_limit_bounds(self, api, limit):
        assert api.v2("GET", "/lead-lists", params={"limit": limit}).status_code == 422

    def test_visibility(self, api, colleague):
        lists = api.sandbox.lists.lists
        private, organization, shared, other = (
            lists[api.create_list(name)] for name in ("Private", "Organization", "Shared", "Other")
        )
        organization.visibility = "organization"
        theirs = next(user for user in api.sandbox.accounts.users.values() if user.name == "Teo Lindqvist")
        shared.visibility, shared.shared_with = "shared", frozenset({theirs.user_id})
        other.visibility = "shared"
        seen = api.v2("GET", "/lead-lists", key=colleague).json()["lists"]
        assert {item["name"]: item["visibility"] for item in seen} == {
            "Organization": "organization",
            "Shared": "shared",
        }
        for item, status in ((private, 404), (organization, 200), (shared, 200), (other, 404)):
            for path in ("", "/leads"):
                answer = api.v2("GET", f"/lead-lists/{item.list_id}{path}", key=colleague)
                assert answer.status_code == status
            assert api.v2("DELETE", f"/lead-lists/{item.list_id}", key=colleague).status_code == 404
            rename = api.v2("PATCH", f"/lead-lists/{item.list_id}", json={"name": "Mine"}, key=colleague)
            assert rename.status_code == 404


class TestGet:
    def test_detail_is_live(self, api, leads):
        list_id = api.create_list("Nordics")
        api.v2("POST", f"/lead-lists/{list_id}/leads", json={"lead_ids": leads[:3]})
        body = api.v2("GET", f"/lead-lists/{list_id}").json()
        assert body.keys() == DETAIL | ENVELOPE
        assert (body["lead_count"], body["enriched_count"], body["reused"]) == (3, 3, False)

    def test_unknown_is_404(self, api):
        for method, path in (("GET", ""), ("GET", "/leads"), ("DELETE", "")):
            answer = api.v2(method, f"/lead-lists/nope{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["retryable"] is False


class TestContents:
    def test_rows(self, api, leads):
        page = api.v1("GET", f"/lead-lists/{api.managed_list()['list_id']}/leads").json()
        assert page.keys() == {"list_id", "leads", "total", "cursor"} | ENVELOPE
        assert (page["total"], page["cursor"]) == (7, None)
        assert [row["lead_id"] for row in page["leads"]] == leads
        assert all(row.keys() == ROW for row in page["leads"])
        newer = api.v2("GET", f"/lead-lists/{api.managed_list()['list_id']}/leads").json()
        assert newer == page

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 500])
    @pytest.mark.parametrize("opaque", [False, True])
    def test_paging_yields_each_lead_once(self, api, leads, limit, opaque):
        api.settings.opaque_cursors = opaque
        path, cursor, seen = f"/lead-lists/{api.managed_list()['list_id']}/leads", "", []
        while cursor is not None:
            page = api.v2("GET", path, params={"limit": limit, "cursor": cursor}).json()
            assert len(page["leads"]) <= limit
            seen += [row["lead_id"] for row in page["leads"]]
            cursor = page["cursor"]
            if cursor is not None:
                assert cursor.isdigit() != opaque
        assert seen == leads

    def test_default_limit_and_bounds(self, api):
        list_id = api.sandbox.add_leads("Big", 600).list_id
        path = f"/lead-lists/{list_id}/leads"
        assert len(api.v2("GET", path).json()["leads"]) == 100
        assert len(api.v2("GET", path, params={"limit": 500}).json()["leads"]) == 500
        for limit in (0, 501):
            assert api.v2("GET", path, params={"limit": limit}).status_code == 422

    @pytest.mark.parametrize(
        "cursor", ["abc", "-1", "1.5", " 1", "\u0661", base64.b64encode(b"row:x").decode()]
    )
    @pytest.mark.parametrize("opaque", [False, True])
    def test_malformed_cursors_are_400(self, api, leads, cursor, opaque):
        api.settings.opaque_cursors = opaque
        list_id = api.managed_list()["list_id"]
        for path in ("/lead-lists", f"/lead-lists/{list_id}/leads", "/export/json"):
            answer = api.v2("GET", path, params={"cursor": cursor, "list_id": list_id})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")

    def test_past_the_end_is_an_empty_last_page(self, api, leads):
        page = api.v2(
            "GET", f"/lead-lists/{api.managed_list()['list_id']}/leads", params={"cursor": "99"}
        ).json()
        assert (page["leads"], page["total"], page["cursor"]) == ([], 7, None)

    def test_total_is_recomputed_on_each_page(self, api, leads):
        path = f"/lead-lists/{api.managed_list()['list_id']}/leads"
        assert api.v2("GET", path, params={"limit": 2}).json()["total"] == 7
        api.client.request("DELETE", f"/api/v2{path}", json={"lead_ids": leads[:1]}, headers=auth(api))
        page = api.v2("GET", path, params={"limit": 2, "cursor": "2"}).json()
        assert page["total"] == 6
        assert page["leads"][0]["lead_id"] == leads[3]


def auth(api):
    return {"Authorization": f"Bearer {api.sandbox.accounts.key.secret}"}


class TestUpdate:
    @pytest.fixture
    def list_id(self, api):
        return api.create_list("Nordics", description="old")

    @pytest.mark.parametrize(
        ("body", "after"),
        [
            ({"name": "Baltics"}, ("Baltics", "old")),
            ({"description": None}, ("Nordics", None)),
            ({"description": "new"}, ("Nordics", "new")),
            ({"name": "Nordics"}, ("Nordics", "old")),
            ({"name": "Baltics", "description": "new"}, ("Baltics", "new")),
        ],
    )
    def test_only_what_is_present_changes(self, api, list_id, body, after):
        answer = api.v2("PATCH", f"/lead-lists/{list_id}", json=body)
        assert answer.status_code == 200
        assert answer.json().keys() == DETAIL | ENVELOPE
        stored = api.v2("GET", f"/lead-lists/{list_id}").json()
        assert (stored["name"], stored["description"]) == after

    def test_filing_and_unfiling(self, api, list_id):
        folder_id = api.sandbox.lists.add_folder(api.sandbox.accounts.user).folder_id
        path = f"/lead-lists/{list_id}"
        assert api.v2("PATCH", path, json={"folder_id": folder_id}).json()["folder_id"] == folder_id
        assert api.v2("PATCH", path, json={"name": "Moved"}).json()["folder_id"] == folder_id
        assert api.v2("PATCH", path, json={"folder_id": None}).json()["folder_id"] is None
        assert api.v2("PATCH", path, json={"folder_id": "nope"}).status_code == 404

    @pytest.mark.parametrize(
        "body", [{}, {"name": None}, {"name": ""}, {"name": "x" * 201}, {"colour": "red"}]
    )
    def test_refused_bodies(self, api, list_id, body):
        assert api.v2("PATCH", f"/lead-lists/{list_id}", json=body).status_code == 422

    def test_another_lists_name_is_allowed(self, api, list_id):
        api.create_list("Taken")
        assert api.v2("PATCH", f"/lead-lists/{list_id}", json={"name": "Taken"}).status_code == 200

    def test_protected(self, api, person):
        api.submit(person())
        path = f"/lead-lists/{api.managed_list()['list_id']}"
        for answer in (api.v2("PATCH", path, json={"name": "Mine"}), api.v2("DELETE", path)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "list_protected")
        assert api.managed_list()["lead_count"] == 1


class TestDelete:
    def test_has_a_body_and_leads_survive(self, api, leads):
        list_id = api.create_list("Nordics")
        api.v2("POST", f"/lead-lists/{list_id}/leads", json={"lead_ids": leads})
        answer = api.v2("DELETE", f"/lead-lists/{list_id}")
        assert answer.status_code == 200
        assert answer.json().items() >= {"list_id": list_id, "deleted": True}.items()
        assert api.v2("DELETE", f"/lead-lists/{list_id}").status_code == 404
        assert len(api.rows(api.managed_list()["list_id"])) == 7


class TestLeads:
    @pytest.fixture
    def path(self, api):
        return f"/lead-lists/{api.create_list('Target')}/leads"

    def test_add(self, api, path, leads):
        first = api.v2("POST", path, json={"lead_ids": leads[:3]})
        assert first.status_code == 200
        assert first.json() == {
            "list_id": path.split("/")[2],
            "added": 3,
            "skipped_duplicates": 0,
            "created": None,
            "credits_charged": 0,
        }
        second = api.v2("POST", path, json={"lead_ids": [*leads[2:4], "unknown", leads[3]]}).json()
        assert (second["added"], second["skipped_duplicates"]) == (1, 2)

    def test_leads_of_other_organizations_are_skipped(self, api, path, leads):
        stranger = api.sandbox.accounts.add_key(
            user=api.sandbox.accounts.add_user(
                "Ines Vauban", organization=api.sandbox.accounts.add_organization("Other", credits=1)
            )
        ).secret
        theirs = api.v2("POST", "/lead-lists", json={"name": "Theirs"}, key=stranger).json()["list_id"]
        api.sandbox.lists.lists[theirs].visibility = "organization"
        assert api.v2("GET", f"/lead-lists/{theirs}").status_code == 404
        generated = f"{1:08x}-5eed-4000-8000-{0:012x}"
        api.sandbox.add_leads("Generated", 5)
        answer = api.v2(
            "POST", f"/lead-lists/{theirs}/leads", json={"lead_ids": [leads[0], generated]}, key=stranger
        ).json()
        assert (answer["added"], answer["skipped_duplicates"]) == (0, 0)
        assert api.v2("POST", path, json={"lead_ids": [generated]}).json()["added"] == 1

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"lead_ids": ["a"], "task_id": "t"},
            {"lead_ids": []},
            {"lead_ids": ["a"] * 1001},
            {"lead_ids": [5]},
            {"lead_ids": ["a"], "idempotency_key": "k" * 129},
            {"filter": {}},
        ],
    )
    def test_refused_bodies(self, api, path, body):
        assert api.v2("POST", path, json=body).status_code == 422

    def test_a_repeated_key_gets_the_first_answer(self, api, path, leads):
        first = api.v2("POST", path, json={"lead_ids": leads[:2], "idempotency_key": "k" * 128}).json()
        again = api.v2("POST", path, json={"lead_ids": leads[2:], "idempotency_key": "k" * 128}).json()
        assert first == again
        assert api.v2("GET", path).json()["total"] == 2

    def test_remove_with_a_body(self, api, path, leads):
        api.v2("POST", path, json={"lead_ids": leads})
        answer = api.v2("DELETE", path, json={"lead_ids": [leads[0], leads[1], leads[0], "unknown"]})
        assert (answer.status_code, answer.json()) == (200, {"list_id": path.split("/")[2], "removed": 2})
        assert [row["lead_id"] for row in api.v2("GET", path).json()["leads"]] == leads[2:]
        assert api.v2("DELETE", path, json={"lead_ids": leads[:2]}).json()["removed"] == 0

    @pytest.mark.parametrize("body", [{}, {"lead_ids": []}, {"lead_ids": ["a"] * 101}])
    def test_refused_removals(self, api, path, body):
        assert api.v2("DELETE", path, json=body).status_code == 422

    def test_remove_generated_leads(self, api):
        lead_list = api.sandbox.add_leads("Big", 1000)
        path = f"/lead-lists/{lead_list.list_id}/leads"
        rows = api.rows(lead_list.list_id, limit=500)
        gone = [row["lead_id"] for row in rows[10:20]]
        assert api.v2("DELETE", path, json={"lead_ids": gone}).json()["removed"] == 10
        assert api.v2("DELETE", path, json={"lead_ids": gone}).json()["removed"] == 0
        after = api.rows(lead_list.list_id, limit=500)
        assert after[:490] == rows[:10] + rows[20:]
        assert api.v2("POST", path, json={"lead_ids": gone[:1]}).json()["added"] == 1
        page = api.v2("GET", path, params={"cursor": "990"}).json()
        assert (page["total"], page["leads"][0]["lead_id"]) == (991, gone[0])
        assert api.v2("GET", f"/lead-lists/{lead_list.list_id}").json()["enriched_count"] == 892
