"""What MySQL's queries answer, by a fake connection."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cleanlist.warehouse.dialects.mysql import MARIADB, MYSQL


class Catalog:
    """Answers each query with the same names, and keeps what it was asked."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def execute(self, query: Any, parameters: dict[str, Any]) -> Any:
        self.asked.append((str(query), parameters))
        return self

    def scalars(self) -> list[str]:
        return list(self.names)


@pytest.mark.parametrize("database", [MYSQL, MARIADB])
def test_views_in_place_of_our_tables_are_named(database: Any) -> None:
    catalog: Any = Catalog("stage._cleanlist_loads")
    found = database.foreign_tables(catalog, "stage", ("_cleanlist_loads", "other"))
    assert found == ["stage._cleanlist_loads (no table)"]
    ((query, parameters),) = catalog.asked
    assert "information_schema.tables" in query
    assert parameters == {"place": "stage", "names": ["_cleanlist_loads", "other"]}
    empty: Any = Catalog()
    assert database.foreign_tables(empty, None, ("other",)) == []
