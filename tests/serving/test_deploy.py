"""The files of docs/deploy.md, by the programs that read them.

Where nginx, Caddy or systemd are missing, their tests are skipped; with the environment
variable RETINOGRAD_NEEDS_PROXIES, as CI has it, nginx and Caddy must be there.
"""

import base64
import concurrent.futures
import contextlib
import http.server
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
    """nginx or Caddy on loopback, as the guide has it but for its ports.

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
def page(server):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.KEY, KEY)
        with test_app.streamlit(server.address) as address:
            yield address


@pytest.fixture(scope="module")
def nginx(server, page, tmp_path_factory):
    with run_nginx(tmp_path_factory.mktemp("nginx"), page, server.address) as one:
        yield one


@pytest.fixture(scope="module")
def caddy(server, page, tmp_path_factory):
    with run_caddy(tmp_path_factory.mktemp("caddy"), page, server.address) as one:
        yield one


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request):
    return request.getfixturevalue(request.param)


def certify(folder) -> None:
    """Makes the files that a person gets from an authority."""
    output(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", f"/CN={PAGE}", "-keyout", folder / "privkey.pem"),
        *("-addext", f"subjectAltName=DNS:{PAGE},DNS:{API}"),
        *("-out", folder / "fullchain.pem"),
    )


def replaced(content, here) -> str:
    """A file in which some words are those of this machine."""
    for ours, others in here.items():
        assert ours in content, ours
        content = content.replace(ours, others)
    return content


@contextlib.contextmanager
def running(command, folder, secure, plain, **options):
    """A proxy's process, once it listens."""
    with subprocess.Popen(command, **options) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", secure)).close()
                    break
                time.sleep(0.1)
            yield Proxy(folder, process, secure, plain)
        finally:
            process.terminate()


@contextlib.contextmanager
def run_caddy(folder, page, api, **more):
    """Caddy with the guide's file."""
    program("caddy")
    secure, plain = test_main.free_port(), test_main.free_port()
    certify(folder)
    certificate = f"\ttls {folder}/fullchain.pem {folder}/privkey.pem\n"
    here = {
        "{\n\tservers": f"{{\n\tadmin off\n\thttp_port {plain}\n"
        f"\thttps_port {secure}\n\tservers",
        f"\n{PAGE} {{\n": f"\n{PAGE} {{\n{certificate}",
        f"\n{API} {{\n": f"\n{API} {{\n{certificate}",
        "127.0.0.1:8501": page.removeprefix("http://"),
        "127.0.0.1:8000": api.removeprefix("http://"),
    }
    (folder / "Caddyfile").write_text(replaced(text("Caddyfile"), here | more))
    variables = os.environ | caddy_accounts()
    variables |= dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), folder)
    command = [program("caddy"), "run", "--config", folder / "Caddyfile"]
    with (
        (folder / "log").open("w") as log,
        running(command, folder, secure, plain, env=variables, stderr=log) as one,
    ):
        yield one


def caddy_accounts() -> dict[str, str]:
    hashed = output(program("caddy"), "hash-password", "--plaintext", PASSWORD)
    return {"RETINOGRAD_USER": "reader", "RETINOGRAD_PASSWORD_HASH": hashed}


@contextlib.contextmanager
def run_nginx(folder, page, api, **more):
    """nginx with the guide's file."""
    nginx = program("nginx")
    secure, plain = test_main.free_port(), test_main.free_port()
    certify(folder)
    hashed = output("openssl", "passwd", "-6", PASSWORD)
    (folder / "retinograd.htpasswd").write_text(f"reader:{hashed}\n")
    here = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "/etc/ssl/retinograd": str(folder),
        "/etc/nginx": str(folder),
        "http://127.0.0.1:8501": page,
        "http://127.0.0.1:8000": api,
    }
    content = re.sub(r" *listen \[::\].*\n", "", text("nginx.conf"))
    content = replaced(content, here | more)
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
    with running(command, folder, secure, plain) as one:
        yield one


def test_behind_a_proxy_the_page_needs_a_password(proxy):
    plain = f"http://127.0.0.1:{proxy.plain}/x"
    address = output("curl", "--silent", "--head", "--header", f"Host: {PAGE}", plain)
    assert re.match(r"HTTP/1.1 30[18] ", address)
    assert re.search(rf"^Location: https://{PAGE}(:{proxy.secure})?/x", address, re.M)
    assert proxy.ask(PAGE, "/")[0] == 401
    assert proxy.ask(PAGE, "/", "--user", "reader:wrong")[0] == 401
    status, content = proxy.ask(PAGE, "/", "--user", f"reader:{PASSWORD}")
    assert status == 200 and "<title>" in content


def test_behind_a_proxy_the_page_has_its_web_socket(proxy):
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
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            # Of the example in RFC 6455, section 1.3.
            accepted = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
            assert accepted == (status == b"101")


def test_behind_a_proxy_the_api_answers_who_has_the_key(proxy, originals):
    photograph = f"photograph=@{originals['drawn/train/IDRiD_001']}"
    assert proxy.ask(API, "/predict", "--form", photograph)[0] == 401
    named = ("--header", f"Authorization: Bearer {KEY}")
    status, content = proxy.ask(API, "/predict", "--form", photograph, *named)
    assert status == 200 and '"answer":"prediction"' in content
    assert proxy.ask(API, "/metrics", *named)[0] == 404


class _Reader(http.server.BaseHTTPRequestHandler):
    """Reads all that it is sent, as a page with a session does."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


# Debian's Caddy finds out on the way to the page, and blames that.
@pytest.mark.parametrize(
    ("run", "refused"), [(run_nginx, [413]), (run_caddy, [413, 502])]
)
def test_what_is_too_large_for_the_page_is_refused(run, refused, tmp_path):
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Reader) as reader,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(reader.serve_forever)
        address = f"http://127.0.0.1:{reader.server_port}"
        try:
            with run(tmp_path, address, "http://127.0.0.1:9") as proxy:
                for megabytes, expected in ((25, [200]), (27, refused)):
                    (tmp_path / "file").write_bytes(bytes(megabytes * 2**20))
                    sent = ("--user", f"reader:{PASSWORD}", "--upload-file")
                    sent += (f"{tmp_path}/file", "--http1.1")
                    assert proxy.ask(PAGE, "/", *sent)[0] in expected
        finally:
            reader.shutdown()


def test_what_is_too_large_for_a_photograph_the_api_refuses(proxy, tmp_path):
    (tmp_path / "file").write_bytes(bytes(27 * 2**20))
    named = ("--header", f"Authorization: Bearer {KEY}", "--header", "Expect:")
    form = ("--form", f"photograph=@{tmp_path}/file")
    status, content = proxy.ask(API, "/predict", *named, *form)
    assert status == 413 and '"type":"/problems/too-large"' in content


def test_nginx_sends_away_who_asks_too_often(nginx):
    codes = output(
        *("curl", "--silent", "--insecure", "--output", "/dev/null"),
        *("--write-out", "%{http_code}\n"),
        *("--resolve", f"{API}:{nginx.secure}:127.0.0.1"),
        f"https://{API}:{nginx.secure}/problems/[1-300]",
    ).split()
    assert set(codes) == {"404", "429"} and codes[:20] == ["404"] * 20


@pytest.mark.parametrize("run", [run_nginx, run_caddy])
def test_a_proxy_gives_up_an_answer_that_does_not_come(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with run(tmp_path, "http://127.0.0.1:9", address, **{" 90s": " 1s"}) as proxy:
            assert proxy.ask(API, "/model", "--max-time", "30")[0] == 504


@pytest.mark.parametrize("run", [run_nginx, run_caddy])
def test_who_sends_too_slowly_hears_it_from_the_api(run, exported, tmp_path):
    with (
        servers.serve(exported, {"upload_seconds": 1, "key": KEY}) as server,
        run(tmp_path, "http://127.0.0.1:9", server.address) as proxy,
        proxy.connect(API) as connection,
    ):
        connection.sendall(
            f"POST /predict HTTP/1.1\r\nHost: {API}\r\nContent-Length: 999999\r\n"
            f"Authorization: Bearer {KEY}\r\n"
            "Content-Type: multipart/form-data; boundary=abc\r\n\r\n--abc\r\n"
            "Content-Disposition: form-data; name=photograph; filename=x\r\n"
            "\r\n".encode()
        )
        # Who sends nothing more is told by nginx alone: Caddy waits for one byte.
        connection.settimeout(0.5)
        answer = b""
        for _ in range(60):
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
                break
            connection.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_nginx_keeps_no_photograph_on_its_disk(nginx):
    proxy, size = nginx, 5_000_000
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
    sizes = [int(one) * 2**20 for one in re.findall(r"(\d+)MiB", text("Caddyfile"))]
    assert sizes == [page, api]
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", text("nginx.conf"))
    assert f"response_header_timeout {seconds}s" in text("Caddyfile")
    assert int(seconds) > defaults.upload_seconds + defaults.occlusion_seconds
    guide = (servers.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    limits = f"{page // 2**20} MiB for the page, {api // 2**20} MiB for the API"
    assert limits in guide and f"{seconds} seconds for an answer" in guide
    assert (
        settings.Page().seconds > defaults.occlusion_seconds > defaults.answer_seconds
    )


def test_caddy_understands_its_file(tmp_path):
    caddy = program("caddy")
    done = subprocess.run(
        [caddy, "validate", "--adapter=caddyfile", f"--config={DEPLOY / 'Caddyfile'}"],
        env=os.environ | caddy_accounts() | {"HOME": str(tmp_path)},
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


def test_an_alarm_reaches_somebody():
    (manager,) = yaml.safe_load(text("prometheus.yml"))["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["127.0.0.1:9093"]}]
    mail = yaml.safe_load(text("alertmanager.yml"))
    (receiver,) = mail["receivers"]
    assert mail["route"]["receiver"] == receiver["name"]
    assert receiver["email_configs"][0]["to"]
    guide = (servers.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    secret = mail["global"]["smtp_auth_password_file"]
    assert f"/dev/stdin {secret}\n" in guide


def test_the_guides_requests_notice_errors():
    for name in ("deploy.md", "serving.md"):
        guide = (servers.ROOT / "docs" / name).read_text(encoding="utf-8")
        commands = re.findall(r"^curl .*$", guide, re.MULTILINE)
        assert commands
        assert all("--fail-with-body" in one for one in commands), name
        assert "sudo git" not in guide
