import json

import pytest
import requests

from serving import asking, settings

CARD = {
    "accepts": {"most_photographs": 16},
    "fingerprints": {"model_sha256": "1" * 64},
}


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
    with pytest.raises(asking.NoAnswer, match="No answer: "):
        source.occlude(b"", "referable")
    assert len(asked) == tries


def test_an_answer_of_another_model_is_not_shown_with_this_ones_card(monkeypatch):
    def request(method, address, **content):
        answer = requests.Response()
        said = {"answers": [{"model": {"sha256": "2" * 64}}]}
        content = CARD if method == "GET" else said
        answer.status_code, answer._content = 200, json.dumps(content).encode()
        return answer

    monkeypatch.setattr(requests, "request", request)
    source = asking.connect(settings.Page())
    with pytest.raises(asking.NoAnswer, match="another model by now"):
        list(source.ask([b""]))
