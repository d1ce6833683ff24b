"""Cursors and pages, in every form that a setting can give them."""

from __future__ import annotations

import pytest


class TestPagingOnDemand:
    @pytest.fixture
    def page(self, api, leads):
        path = f"/lead-lists/{api.managed_list()['list_id']}/leads"
        return lambda cursor=None, limit=3: api.v2(
            "GET", path, params={"limit": limit, "cursor": cursor or ""}
        ).json()

    def test_small_pages(self, api, page):
        api.settings.max_page_size = 2
        assert (len(page(limit=500)["leads"]), page(limit=500)["cursor"]) == (2, "2")

    def test_repeating_cursor(self, api, page):
        api.settings.repeat_cursor = True
        assert page()["cursor"] == "3"
        assert page("3")["cursor"] == "3"
        assert page("6")["cursor"] == "6"

    @pytest.mark.parametrize(
        ("form", "fields"), [("null", {"cursor": None}), ("empty", {"cursor": ""}), ("missing", {})]
    )
    def test_last_cursor(self, api, page, form, fields):
        api.settings.last_cursor = form
        assert {name: value for name, value in page("6").items() if name == "cursor"} == fields
        assert page("3")["cursor"] == "6"

    def test_empty_pages_with_new_cursors(self, api, page):
        api.settings.empty_pages = True
        cursors, cursor = [], "6"
        for _ in range(3):
            answer = page(cursor)
            cursor = answer["cursor"]
            cursors.append((len(answer["leads"]), cursor))
        assert cursors == [(1, "10"), (0, "13"), (0, "16")]

    @pytest.mark.parametrize("duplicates", [1, 2, 5])
    def test_rows_repeated_across_pages(self, api, page, leads, duplicates):
        api.settings.duplicate_rows = duplicates
        cursor, seen = None, []
        for _ in range(100):
            answer = page(cursor)
            seen += [row["lead_id"] for row in answer["leads"]]
            cursor = answer["cursor"]
            if cursor is None:
                break
        assert cursor is None
        assert list(dict.fromkeys(seen)) == leads
        assert len(seen) > 7
