"""What tasks and templates hand over: contacts, ids, optional values and numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cleanlist.arguments.values import (
    given,
    given_word,
    is_absent,
    mapping,
    number,
    seconds,
    whole_number,
)
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.input_limits import WORKFLOW_IDS
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.xcom import (
    ContactsArgument,
    enrichment_types_of,
    task_ids_of,
    workflow_ids_of,
)

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

ADA = {"first_name": "Ada", "last_name": "Park"}
BO = {"first_name": "Bo", "last_name": "Thistle"}
SECRET = "Quillfeather"


@pytest.mark.parametrize("value", [None, "", "  ", "None", " None "])
def test_an_absent_value(value: object) -> None:
    assert is_absent(value)
    assert given(value) is None
    assert whole_number("n", value) is None
    assert number("n", value) is None
    assert seconds("s", value, 3600) == 3600
    assert mapping("m", value) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), ("0", 0), (12.5, 12.5), (" 90 ", 90), (timedelta(minutes=2), 120)]
)
def test_a_duration(value: object, expected: float) -> None:
    assert seconds("timeout", value, 3600) == expected


@pytest.mark.parametrize("value", [-1, "-0.5", timedelta(seconds=-1), "an hour", True, "nan"])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(CleanlistConfigurationError, match="timeout must"):
        seconds("timeout", value, 3600)


@pytest.mark.parametrize("value", [0, False, [], {}, "none of them", "0"])
def test_a_value_that_is_not_absent(value: object) -> None:
    assert not is_absent(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(250, 250), ("250", 250), (" 250 ", 250), (2.0, 2), ("-1", -1)]
)
def test_whole_numbers(value: object, expected: int) -> None:
    assert whole_number("batch_size", value) == expected


@pytest.mark.parametrize("value", ["many", 2.5, True, [1], "nan", "inf", float("nan"), "1_0x"])
def test_what_is_not_a_whole_number_is_named(value: object) -> None:
    with pytest.raises(CleanlistConfigurationError, match="batch_size must be a whole number"):
        whole_number("batch_size", value)


def test_numbers() -> None:
    assert number("timeout", "2.5") == 2.5
    with pytest.raises(CleanlistConfigurationError, match="timeout must be a number, not 'soon'"):
        number("timeout", "soon")


def test_a_mapping_is_a_mapping() -> None:
    assert mapping("column_mapping", {"a": "b"}) == {"a": "b"}
    with pytest.raises(CleanlistConfigurationError, match="column_mapping must be a mapping, not str"):
        mapping("column_mapping", "a: b")


class Context(dict):
    """The context of a task whose upstream tasks returned these values."""

    def __init__(self, **outputs: object) -> None:
        def pull(*, task_ids: str, **_: Any) -> object:
            return outputs[task_ids]

        super().__init__(
            ti=SimpleNamespace(xcom_pull=pull, dag_id="dag", run_id="run", _upstream_map_indexes={})
        )


@pytest.fixture
def dag() -> DAG:
    return DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def output(dag: DAG, name: str) -> Any:
    @task(task_id=name)
    def upstream() -> None:
        """Nothing: its value is in the context."""

    with dag:
        return upstream()


def contacts_of(argument: ContactsArgument, context: Context) -> Any:
    return argument.resolve(context).value  # type: ignore[arg-type]


def test_contacts_without_a_reference_stay_what_they_are() -> None:
    frame = pd.DataFrame([ADA])
    for value in ([ADA, BO], frame, (ADA,), ADA, [[ADA]], []):
        assert contacts_of(ContactsArgument(value), Context()) is value


def test_text_in_contacts_is_no_template(dag: DAG) -> None:
    with dag:
        operator = BulkEnrichOperator(task_id="enrich", contacts=[{"company_domain": "{{ ds }}"}])
    operator.render_template_fields({"ds": "2026-01-01"})  # type: ignore[arg-type]
    assert operator.contacts is not None
    assert operator.contacts.value == [{"company_domain": "{{ ds }}"}]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([ADA, BO], [ADA, BO]),
        ((ADA, BO), [ADA, BO]),
        ([[ADA], [BO]], [ADA, BO]),
        ([[ADA], None, BO], [ADA, BO]),
        ([pd.DataFrame([ADA, BO]), [ADA]], [ADA, BO, ADA]),
        ([pd.DataFrame([[1, 2]], columns=["company", "company"])], [{"company": 1, "company (2)": 2}]),
        ([pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), ADA], [{"a": 1, "b": 2, "a (2)": 3}, ADA]),
        ([(ADA, BO)], [(ADA, BO)]),
        ([1], [1]),
        (ADA, ADA),
        ("text", "text"),
    ],
)
def test_lists_that_an_output_holds_are_joined(dag: DAG, returned: object, expected: object) -> None:
    assert contacts_of(ContactsArgument(output(dag, "a")), Context(a=returned)) == expected


def test_references_are_found_wherever_they_are_nested(dag: DAG) -> None:
    a, b, name = output(dag, "a"), output(dag, "b"), output(dag, "name")
    argument = ContactsArgument([a, [b], {"first_name": name, "last_name": "Park"}, BO])
    assert sorted(op.task_id for op, _ in argument.iter_references()) == ["a", "b", "name"]
    context = Context(a=[BO], b=ADA, name="Ada")
    assert contacts_of(argument, context) == [BO, ADA, ADA, BO]


def test_outputs_that_are_concatenated_and_mapped(dag: DAG) -> None:
    a, b = output(dag, "a"), output(dag, "b")
    context = Context(a=[ADA], b=[[BO], [ADA]])
    assert contacts_of(ContactsArgument(a.concat(b)), context) == [ADA, BO, ADA]
    lowered = a.map(lambda person: {**person, "first_name": "ada"})
    assert contacts_of(ContactsArgument(lowered), context) == [{**ADA, "first_name": "ada"}]


def test_edges_are_made_mapped_or_not(dag: DAG) -> None:
    a, b = output(dag, "a"), output(dag, "b")
    with dag:
        plain = BulkEnrichOperator(task_id="plain", contacts=[{"nested": a}])
        partial = BulkEnrichOperator.partial(task_id="partial", contacts=a).expand(batch_size=[1, 2])
        expanded = BulkEnrichOperator.partial(task_id="expanded").expand(contacts=b)
    assert (plain.upstream_task_ids, partial.upstream_task_ids, expanded.upstream_task_ids) == (
        {"a"},
        {"a"},
        {"b"},
    )


def test_airflow_never_shows_contacts(dag: DAG) -> None:
    person = {"first_name": "Ada", "last_name": SECRET}
    with dag:
        operator = BulkEnrichOperator(task_id="enrich", contacts=[person])
    serialized = json.dumps(DagSerialization.to_dict(dag), default=str)
    assert "not shown: contacts are personal data" in serialized
    assert SECRET not in serialized
    assert SECRET not in repr(operator.contacts) + str(operator.contacts)


def test_a_task_keeps_its_contacts_in_one_wrapper(dag: DAG) -> None:
    with dag:
        operator = BulkEnrichOperator(task_id="enrich", contacts=[ADA])
        assert BulkEnrichOperator(task_id="other", contacts_path="people.csv").contacts is None
    wrapped = operator.contacts
    operator.contacts = wrapped
    assert operator.contacts is wrapped


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("wf_1", ["wf_1"]),
        ({"workflow_ids": ["wf_1", "wf_2"]}, ["wf_1", "wf_2"]),
        ([{"workflow_ids": ["wf_1"]}, {"workflow_ids": ["wf_2", "wf_1"]}], ["wf_1", "wf_2"]),
        ((["wf_1"], [["wf_2"]]), ["wf_1", "wf_2"]),
        ("['wf_1', 'wf_2']", ["wf_1", "wf_2"]),
        ([None, "None", ""], []),
        (None, []),
    ],
)
def test_workflow_ids_in_every_shape(value: object, expected: list[str]) -> None:
    assert workflow_ids_of(value) == expected


FULL = {"workflow_ids": ["wf_1", "wf_2"], "submitted_as": {"full": 300}}
PARTIAL = {"workflow_ids": ["wf_3"], "submitted_as": {"partial": 5}}
BOTH = {"workflow_ids": ["wf_4", "wf_5"], "submitted_as": {"full": 3, "phone_only": 2}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (FULL, {"wf_1": "full", "wf_2": "full"}),
        (str(FULL), {"wf_1": "full", "wf_2": "full"}),
        ([FULL, PARTIAL, None], {"wf_1": "full", "wf_2": "full", "wf_3": "partial"}),
        ([PARTIAL, BOTH, "wf_6"], {"wf_3": "partial"}),
        (["wf_1", "wf_2"], {}),
        ("wf_1", {}),
        ({"workflow_ids": [], "submitted_as": {}}, {}),
        ({"workflow_ids": ["wf_1"], "submitted_as": {"everything": 5}}, {}),
        ({"workflow_ids": ["wf_1"], "submitted_as": "full"}, {}),
        (None, {}),
    ],
)
def test_what_was_asked_for_is_known_of_results_with_one_answer(
    value: object, expected: dict[str, str]
) -> None:
    assert enrichment_types_of(value) == expected


def test_ids_of_outputs_that_are_concatenated_mapped_and_zipped(dag: DAG) -> None:
    a, b = output(dag, "a"), output(dag, "b")
    context: Any = Context(a=[{"workflow_ids": ["wf_1"]}], b=[{"workflow_ids": ["wf_2"]}])
    for reference in (a.concat(b), a.zip(b)):
        assert workflow_ids_of(reference.resolve(context)) == ["wf_1", "wf_2"]
    assert workflow_ids_of(a.map(lambda result: result["workflow_ids"]).resolve(context)) == ["wf_1"]
    ids: Any = Context(a=[{"wf_1": ["t1"]}], b=[{"wf_2": ["t2", "t3"]}])
    for reference in (a.concat(b), a.zip(b)):
        assert task_ids_of(reference.resolve(ids)) == {"wf_1": ["t1"], "wf_2": ["t2", "t3"]}


@pytest.mark.parametrize(
    "value", [["['wf_1']"], {"workflow_ids": ["{'workflow_ids': ['x']}"]}, "[['[1]']]", ["[a"]]
)
def test_what_looks_like_a_list_is_read_as_one_only_where_it_is_the_whole_argument(value: object) -> None:
    with pytest.raises(
        CleanlistConfigurationError, match="workflow_ids holds a text that looks like a list in"
    ):
        workflow_ids_of(value)
    assert enrichment_types_of(value) == {}
    with pytest.raises(CleanlistConfigurationError, match="task_ids must map"):
        task_ids_of(["{'wf_1': ['t1']}"])


@pytest.mark.parametrize("text", ["w" * 513, "w\nERROR forged", "w\x1b[2J"])
def test_an_id_of_no_workflow_is_refused_and_not_quoted(text):
    with pytest.raises(
        CleanlistConfigurationError, match="too long for an id, or has line breaks in it: give"
    ):
        workflow_ids_of(["a", text])
    assert workflow_ids_of(["w" * 512, "wf-\u00e9 1"]) == ["w" * 512, "wf-\u00e9 1"]


def test_lists_without_end_are_refused():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CleanlistConfigurationError, match="nested too deeply"):
        workflow_ids_of(deep)


@pytest.mark.parametrize("value", [5, [object()], {"other": 1}, "[unfinished", "{[]: 1}", "[{[1]}]"])
def test_what_holds_no_workflow_ids_is_named(value: object) -> None:
    with pytest.raises(CleanlistConfigurationError, match="workflow_ids holds"):
        workflow_ids_of(value)


@pytest.mark.parametrize(
    "value", [False, 0, None, "", " ", "False", "false", "NO", "Off ", "0", "null", "none", "None"]
)
def test_a_word_that_says_no_is_none(value: object) -> None:
    assert given_word(value) is None


@pytest.mark.parametrize(
    ("value", "text"), [(True, "True"), ("again", "again"), (" No. 2 ", "No. 2"), (1, "1"), ("00", "00")]
)
def test_any_other_word_counts(value: object, text: str) -> None:
    assert given_word(value) == text
    assert given(value) == text


def test_more_workflows_than_one_task_takes() -> None:
    ids = [f"w{number}" for number in range(WORKFLOW_IDS)]
    assert workflow_ids_of([ids, ids]) == ids
    for several in ([*ids, "x"], [{"workflow_ids": ids}, ["x"]]):
        with pytest.raises(
            CleanlistConfigurationError, match="workflow_ids names more than 20,000 workflows"
        ):
            workflow_ids_of(several)
