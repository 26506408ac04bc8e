import json

import pytest
import requests

from serving import asking, settings

CARD = {"accepts": {"most_photographs": 16}}


@pytest.mark.parametrize(("kind", "tries"), [("timeout", 1), ("busy", 5)])
def test_what_took_too_long_is_not_asked_again(monkeypatch, kind, tries):
    asked = []

    def request(method, address, **content):
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(CARD).encode()
        if method == "POST":
            asked.append(address)
            answer.status_code, answer.headers["Retry-After"] = 503, "1"
            answer._content = json.dumps({"type": f"/problems/{kind}"}).encode()
        return answer

    monkeypatch.setattr(requests, "request", request)
    monkeypatch.setattr(asking.time, "sleep", lambda seconds: None)
    source = asking.connect(settings.Page())
    with pytest.raises(asking.NoAnswer, match="The API refused"):
        source.occlude(b"", "referable")
    assert len(asked) == tries
