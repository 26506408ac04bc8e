"""The files of docs/deploy.md, by the programs that read them.

Where nginx, Caddy or systemd are missing, their tests are skipped; with the environment
variable RETINOGRAD_NEEDS_PROXIES, as CI has it, nginx and Caddy must be there.
"""

import base64
import contextlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tomllib

import pytest
import yaml

from serving import settings
from tests.serving import servers, test_app, test_main

DEPLOY = servers.ROOT / "serving" / "deploy"
KEY = "the key"
PASSWORD = "a password"
PAGE, API = "retinograd.example", "api.retinograd.example"


def text(name) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def program(name) -> str:
    """The path of a program that not every machine has."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        reason = f"{name} is not installed: apt-get install {name}"
        if os.environ.get("RETINOGRAD_NEEDS_PROXIES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def output(*command, **options) -> str:
    words = [str(one) for one in command]
    done = subprocess.run(words, capture_output=True, text=True, check=True, **options)
    return done.stdout.strip()


class Proxy:
    """nginx on loopback, as the guide has it but for its ports.

    Attributes:
        folder: Where it puts what it does not keep in memory.
        process: Its only process.
        secure: Its port with TLS.
        plain: Its port without.
    """

    def __init__(self, folder: pathlib.Path, process, secure: int, plain: int):
        self.folder = folder
        self.process = process
        self.secure = secure
        self.plain = plain

    def ask(self, host: str, path: str, *options: str) -> tuple[int, str]:
        """What `curl` is answered: status and content."""
        said = output(
            *("curl", "--silent", "--insecure", "--write-out", "\n%{http_code}"),
            *("--resolve", f"{host}:{self.secure}:127.0.0.1", *options),
            f"https://{host}:{self.secure}{path}",
        )
        content, _, status = said.rpartition("\n")
        return int(status), content

    def connect(self, host: str) -> ssl.SSLSocket:
        """A connection on which anything can be sent."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = socket.create_connection(("127.0.0.1", self.secure), timeout=30)
        return context.wrap_socket(connection, server_hostname=host)


@pytest.fixture(scope="module")
def server(exported):
    with servers.serve(exported, {"key": KEY}) as one:
        yield one


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    nginx, folder = program("nginx"), tmp_path_factory.mktemp("nginx")
    secure, plain = test_main.free_port(), test_main.free_port()
    output(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", f"/CN={PAGE}", "-keyout", folder / "privkey.pem"),
        *("-out", folder / "fullchain.pem"),
    )
    hashed = output("openssl", "passwd", "-6", PASSWORD)
    (folder / "retinograd.htpasswd").write_text(f"reader:{hashed}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.KEY, KEY)
        with test_app.streamlit(server.address) as page:
            here = {
                "listen 80;": f"listen 127.0.0.1:{plain};",
                "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
                "/etc/ssl/retinograd": str(folder),
                "/etc/nginx": str(folder),
                "http://127.0.0.1:8501": page,
                "http://127.0.0.1:8000": server.address,
            }
            with run_nginx(nginx, folder, here, secure) as process:
                yield Proxy(folder, process, secure, plain)


@contextlib.contextmanager
def run_nginx(nginx, folder, here, port):
    """nginx with the guide's file, in which some words are those of this machine."""
    content = re.sub(r" *listen \[::\].*\n", "", text("nginx.conf"))
    for ours, others in here.items():
        assert ours in content
        content = content.replace(ours, others)
    kept = "".join(
        f"{one}_temp_path {folder}/kept/{one};\n"
        for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "kept").mkdir()
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nerror_log {folder}/errors;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/access;\n{kept}{content}}}\n"
    )
    command = [nginx, "-c", str(folder / "nginx.conf"), "-e", f"{folder}/errors"]
    command += ["-g", "daemon off; master_process off;"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr
    with subprocess.Popen(command) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()


def test_behind_nginx_the_page_needs_a_password(proxy):
    plain = f"http://127.0.0.1:{proxy.plain}/x"
    address = output("curl", "--silent", "--head", "--header", f"Host: {PAGE}", plain)
    assert "301 Moved" in address and f"Location: https://{PAGE}/x" in address
    assert proxy.ask(PAGE, "/")[0] == 401
    assert proxy.ask(PAGE, "/", "--user", "reader:wrong")[0] == 401
    status, content = proxy.ask(PAGE, "/", "--user", f"reader:{PASSWORD}")
    assert status == 200 and "<title>" in content


def test_behind_nginx_the_page_has_its_web_socket(proxy):
    named = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    for password, status in ((named, b"101"), ("cmVhZGVyOng=", b"401")):
        with proxy.connect(PAGE) as connection:
            connection.sendall(
                f"GET /_stcore/stream HTTP/1.1\r\nHost: {PAGE}:{proxy.secure}\r\n"
                f"Origin: https://{PAGE}:{proxy.secure}\r\nUpgrade: websocket\r\n"
                f"Authorization: Basic {password}\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            # Of the example in RFC 6455, section 1.3.
            accepted = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
            assert accepted == (status == b"101")


def test_behind_nginx_the_api_answers_who_has_the_key(proxy, originals):
    photograph = f"photograph=@{originals['drawn/train/IDRiD_001']}"
    assert proxy.ask(API, "/predict", "--form", photograph)[0] == 401
    named = ("--header", f"Authorization: Bearer {KEY}")
    status, content = proxy.ask(API, "/predict", "--form", photograph, *named)
    assert status == 200 and '"answer":"prediction"' in content
    assert proxy.ask(API, "/metrics", *named)[0] == 404


def test_nginx_keeps_no_photograph_on_its_disk(proxy):
    size = 5_000_000
    with proxy.connect(API) as connection:
        connection.sendall(
            f"POST /predict HTTP/1.1\r\nHost: {API}\r\nContent-Length: {size}\r\n"
            f"Authorization: Bearer {KEY}\r\n"
            "Content-Type: multipart/form-data; boundary=abc\r\n\r\n".encode()
        )
        connection.sendall(bytes(size // 2))
        time.sleep(0.5)
        # Its files have no name any longer while they are open.
        opened = pathlib.Path(f"/proc/{proxy.process.pid}/fd").iterdir()
        targets = [os.readlink(one) for one in opened]
        assert len(targets) > 5
        kept = str(proxy.folder / "kept")
        assert [one for one in targets if one.startswith(kept)] == []


def test_the_proxies_let_through_what_api_and_page_accept():
    defaults = settings.Api(model=pathlib.Path("x"))
    page, api = (
        int(one) * 2**20
        for one in re.findall(r"client_max_body_size (\d+)m;", text("nginx.conf"))
    )
    assert api > defaults.most_photographs * defaults.most_bytes + 10_000
    streamlit = tomllib.loads(
        (servers.ROOT / "serving/.streamlit/config.toml").read_text()
    )
    assert page > streamlit["server"]["maxUploadSize"] * 2**20 + 10_000
    sizes = [int(one) * 10**6 for one in re.findall(r"(\d+)MB", text("Caddyfile"))]
    assert sizes[0] > streamlit["server"]["maxUploadSize"] * 2**20
    assert sizes[1] > defaults.most_photographs * defaults.most_bytes + 10_000
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", text("nginx.conf"))
    assert int(seconds) > defaults.upload_seconds + defaults.occlusion_seconds
    assert (
        settings.Page().seconds > defaults.occlusion_seconds > defaults.answer_seconds
    )


def test_caddy_understands_its_file(tmp_path):
    caddy = program("caddy")
    hashed = output(caddy, "hash-password", "--plaintext", PASSWORD)
    done = subprocess.run(
        [caddy, "validate", "--adapter=caddyfile", f"--config={DEPLOY / 'Caddyfile'}"],
        env=os.environ
        | {"RETINOGRAD_USER": "reader", "RETINOGRAD_PASSWORD_HASH": hashed}
        | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_systemd_understands_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    content = text("retinograd.service")
    interpreter = "/opt/retinograd/venv/bin/python"
    # Without braces: not set, it is no argument rather than an empty one.
    assert f"ExecStart={interpreter} -m serving $RETINOGRAD_MODEL\n" in content
    here = content.replace(interpreter, sys.executable)
    here = here.replace("/opt/retinograd/source", str(servers.ROOT))
    (tmp_path / "retinograd.service").write_text(here)
    done = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / "retinograd.service"],
        capture_output=True,
        text=True,
    )
    ours = [one for one in done.stderr.splitlines() if "retinograd" in one]
    assert done.returncode == 0 and not ours, done.stderr


def test_alarms_are_about_what_the_api_counts(server):
    named = {"Authorization": f"Bearer {KEY}"}
    server.post("/predict", b"", headers=named)
    for _ in range(2):  # A request is counted once it was answered.
        counted = server.get("/metrics", headers=named).text
    # Drift is told once there are scores.
    described = set(re.findall(r"^# TYPE (\S+)", counted, re.MULTILINE))
    described |= {"retinograd_score_drift", "retinograd_score_drift_limit"}
    described |= {"up"}
    alarms = yaml.safe_load(text("alerts.yml"))["groups"][0]["rules"]
    assert len(alarms) == 6
    for alarm in alarms:
        names = re.findall(r"\b(?:retinograd|process)_\w+|\bup\b", alarm["expr"])
        assert names and set(names) <= described, alarm["alert"]
        assert alarm["annotations"]["summary"]
    scraped = yaml.safe_load(text("prometheus.yml"))
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"127.0.0.1:{settings.Api(model=pathlib.Path('x')).port}"


def test_the_guide_names_every_file():
    guide = (servers.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for path in DEPLOY.iterdir():
        assert f"serving/deploy/{path.name}" in guide
