"""What tools that show the variables of each frame of a traceback learn from a submission that crashes."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import urllib3.connection

import airflow_provider_cleanlist
from airflow_provider_cleanlist.submission.webhook_addresses import WebhookAddresses

from .conftest import SECRET

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]
PACKAGE = str(Path(airflow_provider_cleanlist.__file__).parent)


def test_no_frame_of_ours_shows_contacts_keys_or_addresses(sandbox, task, monkeypatch) -> None:
    urls: list[str] = []
    url, request = WebhookAddresses.url, urllib3.connection.HTTPConnection.request

    def noted(*given: object) -> str:
        urls.append(str.__str__(url(*given)))  # type: ignore[arg-type]
        return url(*given)  # type: ignore[arg-type]

    def crash(self, method: str, path: str, *given: object, **named: object) -> None:
        if method == "POST":
            raise LookupError("boom")
        request(self, method, path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(WebhookAddresses, "url", noted)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "request", crash)
    with pytest.raises(LookupError, match="boom") as caught:
        task.run(5)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame in frames if frame.f_code.co_filename.startswith(PACKAGE)]
    assert {"execute", "_send", "run", "_exchange"} <= {frame.f_code.co_name for frame in ours}
    (address,) = urls
    for secret in ("found-both", "Ines", sandbox.api_key, SECRET, address.rpartition("/")[2]):
        leaks = [
            f"{frame.f_code.co_qualname}: {name}"
            for frame in ours
            for name, value in frame.f_locals.items()
            if secret in repr(value)
        ]
        assert leaks == [], secret
