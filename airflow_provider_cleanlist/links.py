"""Extra links from Airflow's task page: into the Cleanlist portal, and to the task's numbers in Airflow itself.

Cleanlist publishes the address of its portal but not those of its pages, so the links open the start page. If you know
the address of a page, set ``[cleanlist] portal_list_url`` or ``portal_workflow_url``, with ``{list_id}`` or
``{workflow_id}`` in place of the id. From Airflow 3.1 a second link opens the task's place on the page *Browse >
Cleanlist*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

PORTAL_URL = "https://app.cleanlist.ai"
"""Start page of Cleanlist's portal."""
FIRST_VERSION_WITH_PAGES = (3, 1)
"""The first version of Airflow whose interface shows pages of plugins in every place that this provider needs."""
TASK_ROUTE = "cleanlist-task"
"""Name of the page *Browse > Cleanlist* in the address of a task instance."""


def has_pages(version: str) -> bool:
    """Return whether a version of Airflow shows the page *Browse > Cleanlist*.

    Args:
        version: Such as ``3.1.8``.
    """
    return tuple(int(part) for part in version.split(".")[:2]) >= FIRST_VERSION_WITH_PAGES


def portal_url(template: str, placeholder: str, identifier: str | None) -> str:
    """Return the address of a page of the portal.

    Args:
        template: Address with or without the placeholder; empty means the start page.
        placeholder: Name in braces that stands for the id.
        identifier: The id, or None if it is not known.

    Returns:
        The address with the id, percent-encoded; the start page if it needs an id that is not known.
    """
    template = template.strip() or PORTAL_URL
    mark = f"{{{placeholder}}}"
    if mark not in template:
        return template
    return template.replace(mark, quote(identifier, safe="")) if identifier else PORTAL_URL


class _PortalLink(BaseOperatorLink):
    """A link whose id, if the configured address needs one, is stored in an XCom of the task."""

    name = "Cleanlist portal"
    option: ClassVar[str]
    placeholder: ClassVar[str]

    @classmethod
    def remember(cls, context: Mapping[str, Any], identifier: str) -> None:
        """Store the id for the link, if the configured address needs it.

        Args:
            context: Context of the task.
            identifier: The id.
        """
        if f"{{{cls.placeholder}}}" in cls._template():
            context["ti"].xcom_push(key=cls._xcom_key_of_id(), value=identifier)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the link opens.

        Args:
            operator: The task's operator.
            ti_key: Key of the task instance.
        """
        template = self._template()
        identifier = None
        if f"{{{self.placeholder}}}" in template:
            identifier = XCom.get_value(ti_key=ti_key, key=self._xcom_key_of_id())
        return portal_url(template, self.placeholder, identifier)

    @classmethod
    def _template(cls) -> str:
        return str(conf.get("cleanlist", cls.option, fallback=PORTAL_URL))

    @classmethod
    def _xcom_key_of_id(cls) -> str:
        return f"cleanlist_{cls.placeholder}"


class LeadListLink(_PortalLink):
    """Opens a lead list in the portal."""

    option = "portal_list_url"
    placeholder = "list_id"


class WorkflowLink(_PortalLink):
    """Opens a workflow in the portal: the first one, if there are several."""

    option = "portal_workflow_url"
    placeholder = "workflow_id"


class PageLink(BaseOperatorLink):
    """Opens the task's place on the page *Browse > Cleanlist*: what it submitted, found and spent."""

    name = "Credits and finds"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the link opens: below ``[api] base_url``, else below the root.

        Args:
            operator: The task's operator.
            ti_key: Key of the task instance.
        """
        base_url = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
        dag_id, run_id, task_id = (
            quote(part, safe="") for part in (ti_key.dag_id, ti_key.run_id, ti_key.task_id)
        )
        index = "" if ti_key.map_index is None or ti_key.map_index < 0 else f"/mapped/{ti_key.map_index}"
        return f"{base_url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{index}/plugin/{TASK_ROUTE}"


PAGE_LINKS = (PageLink(),) if has_pages(airflow_version) else ()
"""The links to the page, for operators: none where Airflow shows no pages."""
