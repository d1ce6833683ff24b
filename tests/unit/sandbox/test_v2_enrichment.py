"""Contract sections 4.6 and 5.5: enrichment on the v2 surface, and its status."""

from __future__ import annotations

import base64

import pytest

PERSON = {"first_name": "Teo", "last_name": "Lindqvist", "domain": "found-both.example"}


@pytest.fixture
def list_id(api):
    return api.create_list("Nordics")


def quote(api, tool, **body):
    answer = api.v2("POST", "/credits/estimate", json={"tool": tool, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["quote_id"]


def csv_body(text, **fields):
    return {
        "csv_content_base64": base64.b64encode(text.encode()).decode(),
        "column_mapping": {
            "first_name": "First",
            "last_name": "Last",
            "company_name": "Firm",
            "email": "Mail",
        },
        **fields,
    }


def error_code(answer):
    return answer.status_code, answer.json()["error"]["code"]


class TestPerson:
    @pytest.mark.parametrize(
        ("fields", "reserved"),
        [
            ({}, 1),
            ({"include_phone": True}, 10),
            ({"enrichment_type": "full"}, 11),
            ({"enrichment_type": "partial", "include_phone": True}, 1),
        ],
    )
    def test_answer_and_reservation(self, make_api, fields, reserved):
        api = make_api(seconds_to_complete=10, credits=100)
        list_id = api.create_list("Nordics")
        body = api.v2("POST", "/enrichment/person", json={"lead_list_id": list_id, **PERSON, **fields}).json()
        assert body["workflow_id"].startswith("enrich-")
        assert (body["status"], body["credits_reserved"], body["lead_list_id"]) == (
            "pending",
            reserved,
            list_id,
        )
        assert body["poll_url"].endswith(f"/api/v1/public/enrichment/status/{body['workflow_id']}")
        assert api.balance() == 100 - reserved
        api.clock.advance(10)
        assert api.balance() == 100 - reserved

    @pytest.mark.parametrize(
        "identity",
        [
            {"email": "teo@found-both.example"},
            {"linkedin_url": "https://linkedin.com/in/teo"},
            {"person_id": "1234"},
            {"first_name": "Teo", "last_name": "L", "company_name": "Harborlight"},
        ],
    )
    def test_identities_that_are_enough(self, api, list_id, identity):
        assert (
            api.v2("POST", "/enrichment/person", json={"lead_list_id": list_id, **identity}).status_code
            == 200
        )

    @pytest.mark.parametrize(
        "body",
        [
            {},
            PERSON,
            {"lead_list_id": "{id}"},
            {"lead_list_id": "{id}", "phone": "+12025550143"},
            {"lead_list_id": "{id}", **PERSON, "webhook_url": "https://hooks.example"},
            {"lead_list_id": "{id}", **PERSON, "company_domain": "x.example"},
            {"lead_list_id": "{id}", **PERSON, "enrichment_type": "none"},
        ],
    )
    def test_refused_bodies(self, api, list_id, body):
        filled = {name: list_id if value == "{id}" else value for name, value in body.items()}
        answer = api.v2("POST", "/enrichment/person", json=filled)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], list)

    def test_unknown_list_is_404(self, api):
        answer = api.v2("POST", "/enrichment/person", json={"lead_list_id": "nope", **PERSON})
        assert answer.status_code == 404

    def test_quotes_are_optional_but_honoured(self, api, list_id):
        quote_id = quote(api, "enrich_person", enrichment_type="full")
        body = {"lead_list_id": list_id, **PERSON, "enrichment_type": "full", "quote_id": quote_id}
        assert [api.v2("POST", "/enrichment/person", json=body).status_code for _ in range(2)] == [200, 409]

    def test_unused_reservation_comes_back(self, make_api):
        api = make_api(seconds_to_complete=10, credits=100)
        list_id = api.create_list("Nordics")
        body = {"lead_list_id": list_id, **PERSON, "domain": "email-only.example", "enrichment_type": "full"}
        workflow_id = api.v2("POST", "/enrichment/person", json=body).json()["workflow_id"]
        assert api.balance() == 89
        api.clock.advance(10)
        assert api.balance() == 99
        status = api.v2("GET", f"/enrichment/status/{workflow_id}").json()
        assert (status["credits_charged"], status["credits_refunded"]) == (1, 10)
        assert status["refund_status"] == "not_applicable"

    def test_short_of_credits_is_400_with_figures(self, make_api):
        api = make_api(credits=10)
        list_id = api.create_list("Nordics")
        answer = api.v2(
            "POST", "/enrichment/person", json={"lead_list_id": list_id, **PERSON, "enrichment_type": "full"}
        )
        assert error_code(answer) == (400, "insufficient_credits")
        error = answer.json()["error"]
        assert (error["available_credits"], error["shortfall_credits"]) == (10, 1)

    def test_result_joins_the_list_on_completion(self, make_api):
        api = make_api(seconds_to_complete=10)
        list_id = api.create_list("Nordics")
        workflow_id = api.v2(
            "POST", "/enrichment/person", json={"lead_list_id": list_id, **PERSON, "enrichment_type": "full"}
        ).json()["workflow_id"]
        path = f"/enrichment/status/{workflow_id}"
        running = [api.v2("GET", path).json() for _ in range(2)]
        assert [status["status"] for status in running] == ["pending", "running"]
        assert running[0]["result"] is running[0]["credits_charged"] is None
        assert api.rows(list_id) == []
        api.clock.advance(10)
        done = api.call("GET", f"/api/v1/public{path}").json()
        (row,) = api.rows(list_id)
        assert done["result"] == {
            "lead_id": row["lead_id"],
            "status": "completed",
            "full_name": "Teo Lindqvist",
            "first_name": "Teo",
            "last_name": "Lindqvist",
            "email": "teo.lindqvist@found-both.example",
            "email_status": "verified",
            "phone": row["phone"],
            "linkedin_url": None,
            "title": row["title"],
            "company": "Found Both",
            "enrichment_type": "full",
            "provider": "sandbox",
        }
        assert (done["progress"], done["total"], done["processed"], done["completed"]) == (100, 1, 1, 1)
        assert done["summary"] == {"emails_found": 1, "phones_found": 1}

    def test_nothing_usable_has_an_empty_lead_id(self, api, list_id):
        body = {"lead_list_id": list_id, **PERSON, "domain": "nothing-found.example"}
        workflow_id = api.v2("POST", "/enrichment/person", json=body).json()["workflow_id"]
        result = api.v2("GET", f"/enrichment/status/{workflow_id}").json()["result"]
        assert (result["lead_id"], result["status"]) == ("", "failed")
        assert api.rows(list_id) == []


class TestCompany:
    def test_is_synchronous_and_costs_one(self, make_api):
        api = make_api(credits=5)
        answer = api.v2("POST", "/enrichment/company", json={"domain": "harborlight.example"})
        assert answer.json()["credits_charged"] == 1
        company = answer.json()["company"]
        assert (company["domain"], company["name"]) == ("harborlight.example", "Harborlight")
        assert len(company) == 13
        assert api.balance() == 4
        assert [charge.item for charge in api.ledger.charges] == ["company"]

    def test_quotes_are_optional_but_honoured(self, api):
        body = {"domain": "x.example", "quote_id": quote(api, "enrich_company")}
        assert [api.v2("POST", "/enrichment/company", json=body).status_code for _ in range(2)] == [200, 409]

    def test_wants_something_to_go_by(self, api):
        assert api.v2("POST", "/enrichment/company", json={}).status_code == 422
        assert api.v2("POST", "/enrichment/company", json={"name": "Harborlight"}).status_code == 422

    def test_no_credit_no_company(self, make_api):
        api = make_api(credits=0)
        assert error_code(api.v2("POST", "/enrichment/company", json={"domain": "x.example"})) == (
            400,
            "insufficient_credits",
        )


class TestWholeList:
    @pytest.fixture
    def filled(self, api, person):
        api.submit(*[person(f"P{number}", "email-only") for number in range(3)], enrichment_type="none")
        return api.managed_list()["list_id"]

    @pytest.mark.parametrize(("scope", "cost"), [("partial", 3), ("full", 33), ("phone-only", 30)])
    def test_needs_a_quote_and_refunds(self, api, filled, scope, cost):
        before = api.balance()
        quote_id = quote(api, "enrich_list", list_id=filled, scope=scope)
        body = {"list_id": filled, "quote_id": quote_id, "scope": scope}
        answer = api.v2("POST", "/enrichment/bulk", json=body).json()
        assert answer["workflow_id"].startswith("bulk-enrich-")
        assert (answer["status"], answer["total_leads"]) == ("pending", 3)
        assert answer["estimated_cost"] == answer["credits_reserved"] == cost
        status = api.v2("GET", f"/enrichment/status/{answer['workflow_id']}").json()
        emails = 0 if scope == "phone-only" else 3
        assert status["result"] is None
        assert status["summary"] == {"emails_found": emails, "phones_found": 0}
        assert status["credits_refunded"] == cost - emails
        assert api.balance() == before - emails
        assert [row["email"] is not None for row in api.rows(filled)] == [emails == 3] * 3

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"quote_id": "q"},
            {"list_id": "{id}"},
            {"list_id": "{id}", "quote_id": "q", "scope": "phone_only"},
        ],
    )
    def test_refused_bodies(self, api, filled, body):
        body = {name: filled if value == "{id}" else value for name, value in body.items()}
        assert api.v2("POST", "/enrichment/bulk", json=body).status_code == 422

    def test_quotes_are_single_use_bound_and_short_lived(self, api, filled):
        def run(quote_id, scope="partial"):
            return api.v2(
                "POST", "/enrichment/bulk", json={"list_id": filled, "quote_id": quote_id, "scope": scope}
            )

        used = quote(api, "enrich_list", list_id=filled, scope="partial")
        assert run(used).status_code == 200
        other_scope = quote(api, "enrich_list", list_id=filled, scope="full")
        other_tool = quote(api, "enrich_person", list_id=filled, scope="partial")
        stale = quote(api, "enrich_list", list_id=filled, scope="partial")
        api.clock.advance(300)
        for quote_id in (used, other_scope, other_tool, stale, "qte_k1_0_forged"):
            answer = run(quote_id)
            assert answer.status_code == 409
            assert answer.json()["error"]["retryable"] is False
        assert len(api.ledger.accepted_submits) == 2

    def test_a_list_that_grew_exceeds_its_quote(self, api, filled, person):
        quote_id = quote(api, "enrich_list", list_id=filled, scope="partial")
        api.submit(person("Late"), enrichment_type="none")
        answer = api.v2("POST", "/enrichment/bulk", json={"list_id": filled, "quote_id": quote_id})
        assert error_code(answer) == (400, "spend_cap_exceeded")

    def test_empty_list(self, api, list_id):
        quote_id = quote(api, "enrich_list", list_id=list_id, scope="partial")
        answer = api.v2("POST", "/enrichment/bulk", json={"list_id": list_id, "quote_id": quote_id})
        assert answer.status_code == 400


class TestByTask:
    def test_enriches_the_leads_of_a_page(self, api, person):
        api.submit(*[person(f"P{number}") for number in range(4)], enrichment_type="none")
        path = f"/lead-lists/{api.managed_list()['list_id']}/leads"
        page = api.v2("GET", path, params={"limit": 2, "cursor": "1"}).json()
        entities = [row["lead_id"] for row in page["leads"]]
        points = {"task_id": page["task_id"], "data_points": ["Email", "Phone"]}
        missing = api.v2("POST", "/enrichment/by-task", json=points)
        assert error_code(missing) == (400, "quote_required")
        quote_id = quote(api, "add_person_enrichments", **points)
        answer = api.v2("POST", "/enrichment/by-task", json={**points, "quote_id": quote_id}).json()
        assert (answer["entity_kind"], answer["status"], answer["total_entities"]) == ("person", "pending", 2)
        assert answer["credits_reserved"] == 22
        assert [result["entity_id"] for result in answer["results"]] == entities
        by_handle = api.v2("GET", f"/enrichment/status/{page['task_id']}").json()
        assert (by_handle["status"], by_handle["total"]) == ("completed", 2)
        assert [row["email"] is not None for row in api.v2("GET", path).json()["leads"]] == [
            False,
            True,
            True,
            False,
        ]

    def test_some_of_the_page_and_a_list_of_ones_own(self, api, person):
        api.submit(person("A"), person("B"), enrichment_type="none")
        page = api.v2("GET", f"/lead-lists/{api.managed_list()['list_id']}/leads").json()
        target = api.create_list("Target")
        points = {
            "task_id": page["task_id"],
            "data_points": ["Phone"],
            "entity_ids": [page["leads"][1]["lead_id"], "unknown"],
        }
        body = {**points, "quote_id": quote(api, "add_person_enrichments", **points), "lead_list_id": target}
        answer = api.v2("POST", "/enrichment/by-task", json=body).json()
        assert (answer["total_entities"], answer["credits_reserved"]) == (1, 10)
        assert [row["first_name"] for row in api.rows(target)] == ["B"]

    def test_handles_and_data_points_must_exist(self, api):
        body = {"task_id": "cl-task_nope", "data_points": ["Email"], "quote_id": "q"}
        assert api.v2("POST", "/enrichment/by-task", json=body).status_code == 404
        assert (
            api.v2("POST", "/enrichment/by-task", json={**body, "data_points": ["Revenue"]}).status_code
            == 400
        )
        assert api.v2("POST", "/enrichment/by-task", json={**body, "data_points": []}).status_code == 422
        page = api.v2("GET", f"/lead-lists/{api.create_list('Empty')}/leads").json()
        assert (
            api.v2("POST", "/enrichment/by-task", json={**body, "task_id": page["task_id"]}).status_code
            == 400
        )
        assert api.v2("GET", "/enrichment/status/cl-task_nope").status_code == 404


class TestStatus:
    def test_accepts_legacy_ids_in_the_sandbox(self, api, person):
        workflow_id = api.submit(person())["workflow_id"]
        status = api.v2("GET", f"/enrichment/status/{workflow_id}").json()
        assert (status["workflow_id"], status["status"], status["credits_charged"]) == (
            workflow_id,
            "completed",
            11,
        )

    def test_failure_of_a_reserved_run_is_under_review(self, api, list_id):
        api.faults.end_workflows("failed")
        body = {"lead_list_id": list_id, **PERSON}
        workflow_id = api.v2("POST", "/enrichment/person", json=body).json()["workflow_id"]
        status = api.v2("GET", f"/enrichment/status/{workflow_id}").json()
        assert (status["status"], status["refund_status"]) == ("failed", "pending_review")
        assert status["result"]["status"] == "failed"


class TestCsvImport:
    TEXT = (
        "\ufeffFirst,Last,Firm,Mail\r\n"
        "Teo,Lindqvist,Found Both,teo@h.example\r\n"
        "Mara,,,\r\n"
        'Ines,Vauban,"Quill, and Sextant",ines@q.example\r\n'
        "Other,Name,Firm,TEO@h.example\r\n"
    )

    def post(self, api, list_id, body):
        return api.v2("POST", f"/lead-lists/{list_id}/csv-import", json=body)

    def test_import_without_enrichment(self, api, list_id):
        answer = self.post(api, list_id, csv_body(self.TEXT, dispatch_enrichment=False))
        assert answer.status_code == 201
        body = answer.json()
        assert (body["rows_parsed"], body["rows_imported"], body["rows_skipped"]) == (4, 2, 2)
        assert body["skip_reasons"] == {"missing_required": 1, "duplicate_email": 1}
        assert body["sample_skip_rows"] == [3, 5]
        assert body["workflow_id"] is body["enrichment_status_url"] is None
        assert body["idempotency_replayed"] is False
        assert [row["company"] for row in api.rows(list_id)] == ["Found Both", "Quill, and Sextant"]
        assert api.v2("GET", f"/lead-lists/{list_id}").json()["enriched_count"] == 0

    def test_import_dispatches_by_default(self, api, list_id):
        body = self.post(api, list_id, csv_body(self.TEXT, enrichment_type="full")).json()
        assert body["enrichment_status_url"] == f"/api/v2/enrichment/status/{body['workflow_id']}"
        assert api.v2("GET", body["enrichment_status_url"][7:]).json()["total"] == 2
        assert len(api.ledger.accepted_submits) == 1

    def test_enrichment_type_is_required_to_dispatch(self, api, list_id):
        answer = self.post(api, list_id, csv_body(self.TEXT))
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "enrichment_type"]

    def test_dispatch_needs_enrich_write(self, api, list_id):
        key = api.sandbox.accounts.add_key(scopes=("lists:write",)).secret
        path = f"/lead-lists/{list_id}/csv-import"
        dispatching = api.v2("POST", path, json=csv_body(self.TEXT, enrichment_type="full"), key=key)
        assert error_code(dispatching) == (403, "insufficient_scope")
        plain = api.v2("POST", path, json=csv_body(self.TEXT, dispatch_enrichment=False), key=key)
        assert plain.status_code == 201

    def test_idempotency_key_holds_a_day(self, api, list_id):
        body = csv_body(self.TEXT, enrichment_type="full", idempotency_key="k1")
        first = self.post(api, list_id, body).json()
        again = self.post(api, list_id, {**body, **csv_body("First,Last,Firm,Mail\nX,Y,Z,\n")})
        assert again.status_code == 201
        assert again.json() == {**first, "idempotency_replayed": True}
        assert len(api.ledger.accepted_submits) == 1
        api.clock.advance(86_400)
        assert self.post(api, list_id, body).json()["idempotency_replayed"] is False
        assert len(api.ledger.accepted_submits) == 2

    def test_too_large_and_too_many(self, api, list_id):
        large = csv_body("First,Last,Firm,Mail\n" + "x" * 153_600, dispatch_enrichment=False)
        assert self.post(api, list_id, large).status_code == 413
        rows = "".join(f"F{number},L,C,\n" for number in range(612))
        body = self.post(
            api, list_id, csv_body("First,Last,Firm,Mail\n" + rows, dispatch_enrichment=False)
        ).json()
        assert (body["rows_imported"], body["skip_reasons"]) == (600, {"row_cap_exceeded": 12})
        assert body["sample_skip_rows"] == list(range(602, 612))

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"column_mapping": {"email": "E-Mail"}}, 400, "missing_column"),
            ({"column_mapping": {"nickname": "First"}}, 400, "validation_error"),
            ({"csv_content_base64": "no base64!"}, 400, "validation_error"),
            ({"csv_content_base64": base64.b64encode(b"\xff\xfe\xfa").decode()}, 400, "validation_error"),
        ],
    )
    def test_refusals(self, api, list_id, change, status, code):
        body = {**csv_body(self.TEXT, dispatch_enrichment=False), **change}
        assert error_code(self.post(api, list_id, body)) == (status, code)
        assert api.rows(list_id) == []

    def test_linkedin_duplicates_and_full_names(self, api, list_id):
        text = "Name,Url,City,Land\nTeo Lindqvist,https://linkedin.com/in/Teo,Lund,SE\n,https://se.linkedin.com/in/teo/,,\n"
        mapping = {
            "full_name": "Name",
            "linkedin_url": "Url",
            "city": "City",
            "country": "Land",
            "state": None,
        }
        body = self.post(
            api, list_id, csv_body(text, column_mapping=mapping, dispatch_enrichment=False)
        ).json()
        assert body["skip_reasons"] == {"duplicate_linkedin": 1}
        (row,) = api.rows(list_id)
        assert (row["first_name"], row["last_name"], row["location"]) == ("Teo", "Lindqvist", "Lund, SE")

    def test_kill_switch(self, api, list_id):
        api.settings.csv_import_enabled = False
        answer = self.post(api, list_id, csv_body(self.TEXT, dispatch_enrichment=False))
        assert answer.status_code == 503
        assert answer.json()["error"]["retryable"] is False

    def test_quote_is_redeemed(self, api, list_id):
        quote_id = quote(api, "bulk_import_csv", row_count=2, enrichment_type="full")
        body = csv_body(self.TEXT, enrichment_type="full", quote_id=quote_id)
        assert self.post(api, list_id, body).status_code == 201
        assert self.post(api, list_id, body).status_code == 409

    def test_short_of_credits(self, make_api):
        api = make_api(credits=21)
        list_id = api.create_list("Nordics")
        answer = self.post(api, list_id, csv_body(self.TEXT, enrichment_type="full"))
        assert error_code(answer) == (400, "insufficient_credits")
        assert api.rows(list_id) == []
