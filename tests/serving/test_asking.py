import http.server
import json
import threading

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

    def request(session, method, address, **content):
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(CARD).encode()
        if method == "POST":
            asked.append(address)
            answer.status_code, answer.headers["Retry-After"] = 503, "1"
            answer._content = json.dumps({"type": f"/problems/{kind}"}).encode()
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    monkeypatch.setattr(asking.time, "sleep", lambda seconds: None)
    source = asking.connect(settings.Page())
    with pytest.raises(asking.NoAnswer, match="No answer: "):
        source.occlude(b"", "referable")
    assert len(asked) == tries


def test_an_answer_of_another_model_is_not_shown_with_this_ones_card(monkeypatch):
    def request(session, method, address, **content):
        answer = requests.Response()
        said = {"answers": [{"model": {"sha256": "2" * 64}}]}
        content = CARD if method == "GET" else said
        answer.status_code, answer._content = 200, json.dumps(content).encode()
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    source = asking.connect(settings.Page())
    with pytest.raises(asking.NoAnswer, match="another model by now"):
        list(source.ask([b""]))


class Card(http.server.BaseHTTPRequestHandler):
    """An API that knows its card alone."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(CARD).encode())

    def log_message(self, *arguments):
        pass


def test_photographs_go_through_no_proxy_of_the_environment(monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), Card) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")  # Nobody listens there.
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            assert asking.connect(settings.Page(api=address)).card == CARD
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_clinics_own_authority_vouches_for_its_api(monkeypatch, name):
    asked = []

    def request(session, method, address, **content):
        asked.append(session.verify)
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(CARD).encode()
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    for one in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(one, raising=False)
    asking.connect(settings.Page())
    monkeypatch.setenv(name, "/etc/clinic.pem")
    asking.connect(settings.Page())
    assert asked == [True, "/etc/clinic.pem"]
