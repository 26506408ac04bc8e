"""What a real server does with files and clients that mean harm, or are broken."""

import concurrent.futures
import contextlib
import pathlib
import re
import threading
import time

import cv2
import numpy as np
import pytest
import requests

from serving import predictor, schema
from tests.serving import hostile, servers


@pytest.fixture(scope="module")
def server(exported):
    settings = {"threads": 2, "upload_seconds": 3, "answer_seconds": 120}
    with servers.serve(exported, settings) as one:
        yield one
        assert not [line for line in one.log if line["level"] == "error"]


@pytest.fixture(scope="module")
def files(drawing) -> dict[str, bytes]:
    return hostile.files(drawing)


def is_answer(content) -> None:
    kind = schema.Prediction
    if content["answer"] == "abstention":
        kind = schema.Abstention
    kind.model_validate(content)


def most_megabytes(server) -> float:
    """The most memory that the server's process ever had."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e3


@pytest.fixture(scope="module")
def said(server, files) -> dict[str, dict]:
    """What the server said of each file; sixteen are asked about at once."""
    names = list(files)
    parts = [names[start : start + 16] for start in range(0, len(names), 16)]

    def ask(part):
        some = [files[name] for name in part]
        answer = server.post("/predict/batch?heatmaps=true", *some)
        assert answer.status_code == 200, (part, answer.text)
        return answer.json()["answers"]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = [one for some in pool.map(ask, parts) for one in some]
    return dict(zip(names, answers, strict=True))


def test_every_file_is_answered(server, files, said, drawing):
    assert len(files) >= 2000
    for answer in said.values():
        is_answer(answer)
    assert server.process.poll() is None
    assert server.post("/predict", drawing).json()["answer"] == "prediction"


def test_what_is_a_photograph_is_read_and_nothing_else(said):
    for name in ("JPEG", "progressive JPEG", "PNG", "TIFF", "WebP", "animated WebP"):
        assert said[name]["answer"] == "prediction", name
    turned, upright = said["turned JPEG"], said["JPEG"]
    assert turned["crop"]["width"] == upright["crop"]["height"]
    for name in ("bomb", "largest bomb", "JPEG bomb", "WebP bomb", "TIFF bomb"):
        assert said[name]["reason"] == "too_many_pixels", name
    for name in ("nothing", "zeros", "text", "svg", "zip", "gif", "bmp", "no pixels"):
        assert said[name]["reason"] == "unreadable", name
    for name in hostile.bombs():
        assert said[name]["answer"] == "abstention", name


def test_memory_is_bounded(server, said):
    del said
    assert most_megabytes(server) < 1400


def test_memory_does_not_grow_with_the_threads(exported, drawing):
    # Decoded, each of these takes 300 MB.
    picture = cv2.imdecode(np.frombuffer(drawing, np.uint8), cv2.IMREAD_COLOR)
    large = cv2.resize(picture, (8600, 5712), interpolation=cv2.INTER_NEAREST)
    file = cv2.imencode(".png", large, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    with servers.serve(exported, {"threads": 8, "answer_seconds": 120}) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda _: server.post("/predict", file), range(8)))
        assert [one.json()["answer"] for one in said] == ["prediction"] * 8
        assert most_megabytes(server) < 1200


def test_heat_maps_of_damaged_files_are_drawn_or_refused(server, files, said):
    names = [name for name in files if said[name]["answer"] == "prediction"][::10]
    assert len(names) >= 30
    for name in [*names, *hostile.bombs()]:
        answer = server.post("/explain?longest=64", files[name])
        expected = 200 if name in names else 422
        assert answer.status_code == expected, (name, answer.text)


def test_names_of_files_do_nothing(server, drawing, tmp_path):
    for name in hostile.NAMES:
        for head in (f'filename="{name}"', f"filename*=UTF-8''{name}", f"x={name}"):
            part = f"--abc\r\nContent-Disposition: form-data; name=photograph; {head}"
            body = part.encode() + b"\r\n\r\n" + drawing + b"\r\n--abc--\r\n"
            answer = requests.post(
                f"{server.address}/predict",
                body,
                headers={"Content-Type": "multipart/form-data; boundary=abc"},
                timeout=60,
            )
            assert answer.status_code in (200, 400, 422), (name, answer.text)
    assert not list(servers.ROOT.glob("*hostile*"))
    assert not pathlib.Path("/tmp/hostile.jpg").exists()


def test_clients_that_send_drop_by_drop_block_nobody(server, drawing):
    upload = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=abc\r\n\r\n--abc\r\n"
    )
    heads = [server.connect() for _ in range(60)]
    uploads = [server.connect() for _ in range(60)]
    for one in heads:
        one.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    for one in uploads:
        one.sendall(upload)
    done = threading.Event()

    def drip():
        while not done.wait(0.25):
            for one in heads + uploads:
                with contextlib.suppress(OSError):
                    one.sendall(b"x")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        dripping = pool.submit(drip)
        try:
            for _ in range(20):
                assert server.post("/predict", drawing).status_code == 200
            for one in uploads:
                assert b"408 Request Timeout" in one.recv(1000)
            # Ten seconds after they came.
            for one in heads:
                assert one.recv(1000) == b""
        finally:
            done.set()
        dripping.result()
    for one in heads + uploads:
        one.close()


def test_a_server_that_is_killed_answers_nothing_wrongly(exported, originals):
    loaded = predictor.Predictor(exported, allow_drawings=True)
    drawings = [path.read_bytes() for path in list(originals.values())[:8]]
    expected = [loaded.predict(data).disease_probability for data in drawings]
    answered, gone = [], []

    def ask(server, number):
        while True:
            try:
                answer = server.post("/predict?heatmaps=true", drawings[number])
            except requests.RequestException as error:
                gone.append(error)
                return
            answered.append((number, answer.status_code, answer.json()))

    with (
        servers.serve(exported) as server,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        for number in range(8):
            pool.submit(ask, server, number)
        while len(answered) < 50:
            time.sleep(0.01)
        server.process.kill()
    assert len(gone) == 8 and len(answered) >= 50
    for number, status, content in answered:
        assert status == 200
        is_answer(content)
        assert content["disease_probability"] == pytest.approx(
            expected[number], abs=1e-5
        )
    # Nothing is left that another one would stumble over.
    with servers.serve(exported, {"port": server.port}) as again:
        content = again.post("/predict", drawings[0]).json()
        assert content["disease_probability"] == pytest.approx(expected[0], abs=1e-5)
