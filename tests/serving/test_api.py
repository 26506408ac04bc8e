"""A real server on loopback: what it answers, and what it survives."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import PIL.Image
import pytest
import requests

from serving import (
    asking,
    heatmaps,
    predictor,
    problems,
    schema,
    service,
    settings,
)
from tests.serving import servers

PART = b"--abc\r\nContent-Disposition: form-data; name=photograph; filename=x\r\n\r\n"


@pytest.fixture(scope="module")
def server(exported):
    with servers.serve(exported, {"most_bytes": 3_000_000, "upload_seconds": 2}) as one:
        yield one
        assert not [line for line in one.log if line["level"] == "error"]


@pytest.fixture(scope="module")
def loaded(exported) -> predictor.Predictor:
    return predictor.Predictor(exported, allow_drawings=True)


@pytest.fixture(scope="module")
def drawings(originals) -> list[bytes]:
    return [path.read_bytes() for path in list(originals.values())[:12]]


@pytest.fixture(scope="module")
def slow(drawing) -> bytes:
    """A photograph that takes some tenths of a second to decode."""
    picture = cv2.imdecode(np.frombuffer(drawing, np.uint8), cv2.IMREAD_COLOR)
    large = cv2.resize(picture, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", large)[1].tobytes()


def is_problem(answer, status, name=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == problems.MEDIA_TYPE
    content = answer.json()
    schema.Problem.model_validate(content)
    assert content["type"] == (f"/problems/{name}" if name else "about:blank")
    assert content["status"] == status
    assert content["request_id"] == answer.headers["X-Request-ID"]
    return content


def parallel(function, arguments, threads=16):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, arguments))


def test_parallel_requests_get_what_the_predictor_says(server, loaded, drawings):
    many = drawings * 8
    said = parallel(lambda data: server.post("/predict", data), many)
    for data, answer in zip(many, said, strict=True):
        content = answer.json()
        schema.Prediction.model_validate(content)
        expected = loaded.predict(data)
        assert content["disease_probability"] == pytest.approx(
            expected.disease_probability, abs=1e-5
        )
        assert content["diseased"] == expected.diseased
        assert content["model"]["name"] == loaded.card.name
        assert "heatmaps" not in content


def test_a_batch_is_answered_in_its_order(server, loaded, drawings):
    some = [drawings[0], b"no photograph", drawings[1]]
    answer = server.post("/predict/batch", *some)
    content = answer.json()
    schema.Batch.model_validate(content)
    first, second, third = content["answers"]
    for data, one in ((drawings[0], first), (drawings[1], third)):
        expected = loaded.predict(data).disease_probability
        assert one["disease_probability"] == pytest.approx(expected, abs=1e-5)
    assert (second["answer"], second["reason"]) == ("abstention", "unreadable")


def test_heat_maps_come_with_an_answer_if_asked_for(server, loaded, drawing):
    content = server.post("/predict?heatmaps=true", drawing).json()
    schema.Prediction.model_validate(content)
    expected = loaded.predict(drawing).heatmaps
    for name, cells in zip(loaded.card.class_names, expected, strict=True):
        np.testing.assert_allclose(content["heatmaps"][name], cells, atol=1e-3)


def test_an_explanation_is_a_picture(server, loaded, drawing):
    answer = server.post("/explain?opacity=0.5&longest=300", drawing)
    assert answer.headers["Content-Type"] == "image/png"
    picture = np.asarray(PIL.Image.open(io.BytesIO(answer.content)))
    said = loaded.predict(drawing)
    expected = heatmaps.overlay(drawing, said, opacity=0.5, longest=300)
    assert picture.shape == expected.shape
    np.testing.assert_allclose(picture, expected, atol=2)
    other = server.post("/explain?class=not+referable&longest=300", drawing)
    assert other.content != answer.content


def test_a_heat_map_by_occlusion_is_the_predictors(server, loaded, drawing):
    query = "/explain?method=occlusion&class=not+referable"
    content = server.post(f"{query}&cells=true", drawing).json()
    schema.Heatmap.model_validate(content)
    image, crop = loaded.prepare(drawing)
    expected = loaded.occlude(image, 0)
    np.testing.assert_allclose(content["cells"], expected, atol=2e-3)
    assert (content["method"], content["explained"]) == ("occlusion", "not referable")
    assert content["crop"] == dataclasses.asdict(crop)
    answer = server.post(f"{query}&opacity=0.5&longest=300", drawing)
    picture = np.asarray(PIL.Image.open(io.BytesIO(answer.content)))
    drawn = heatmaps.draw(drawing, expected, crop, opacity=0.5, longest=300)
    np.testing.assert_allclose(picture, drawn, atol=3)
    # Grad-CAM stays what comes unless something else is asked for.
    content = server.post("/explain?cells=true", drawing).json()
    assert content["method"] == "grad_cam"
    np.testing.assert_allclose(
        content["cells"], loaded.predict(drawing).heatmaps[1], atol=2e-3
    )
    is_problem(server.post("/explain?method=lime", drawing), 422, "invalid-request")


def test_a_model_without_heat_maps_is_explained_by_occlusion(damaged_card, drawing):
    with servers.serve(damaged_card(heatmaps=False)) as server:
        said = is_problem(server.post("/explain", drawing), 409, "no-heat-map")
        assert "method=occlusion" in said["detail"]
        answer = server.post("/explain?method=occlusion&cells=true", drawing)
        assert np.max(answer.json()["cells"]) == 1


@pytest.mark.parametrize("has_maps", [True, False])
def test_a_method_that_failed_a_check_is_refused_with_the_reason(
    damaged_card, drawing, has_maps
):
    folder = damaged_card(failed_methods=["occlusion"], heatmaps=has_maps)
    with servers.serve(folder) as server:
        answer = server.post("/explain?method=occlusion", drawing)
        said = is_problem(answer, 409, "method-failed")
        assert "Not offered: Occlusion. A check did not find" in said["detail"]
        way_out = "Take method=grad_cam." if has_maps else "Take another model."
        assert said["detail"].endswith(way_out)
        assert server.get("/model").json()["failed_methods"] == ["occlusion"]
        answer = server.post("/explain", drawing)
        if has_maps:
            assert answer.status_code == 200
        else:
            assert "occlusion" not in is_problem(answer, 409, "no-heat-map")["detail"]


def test_occlusion_leaves_half_of_the_threads_to_others(exported, drawing):
    limits = settings.Api(model=exported, threads=4)
    begun, go_on = threading.Semaphore(0), threading.Event()
    loaded = predictor.Predictor(exported, allow_drawings=True)

    def occlude(image, class_number, wanted):
        begun.release()
        go_on.wait(30)
        return wanted()

    loaded.occlude = occlude
    shared, unwanted = service.Service(loaded, limits), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        two = [pool.submit(shared.occlude, drawing, 0, unwanted) for _ in range(2)]
        for _ in two:
            assert begun.acquire(timeout=30)
        with pytest.raises(problems.Problem, match="Other such heat maps"):
            shared.occlude(drawing, 0, unwanted)
        unwanted.set()
        go_on.set()
        # They are told that nobody waits, and leave room for the next.
        assert [one.result() for one in two] == [False, False]
    assert shared.occlude(drawing, 0, threading.Event()) is True
    shared.line.close()


def test_what_cannot_be_explained_is_a_problem(server, drawing):
    said = is_problem(server.post("/explain", b"GIF89a"), 422, "no-prediction")
    assert said["reason"] == "unreadable"
    said = is_problem(
        server.post("/explain?class=dog", drawing), 422, "invalid-request"
    )
    assert "'not referable' or 'referable'" in said["detail"]
    for query in ("opacity=2", "opacity=x", "longest=1000000"):
        answer = server.post(f"/explain?{query}", drawing)
        said = is_problem(answer, 422, "invalid-request")
        assert said["detail"].startswith(query.partition("=")[0])


def test_the_card_says_what_runs_and_what_is_accepted(server, loaded):
    content = server.get("/model").json()
    assert content["task"]["rule"] == loaded.card.task["rule"]
    assert content["running"] == {"variant": "float32", "precision": "f32"}
    assert content["accepts"]["most_bytes"] == 3_000_000
    assert content["accepts"]["most_megapixels"] == loaded.card.limits.most_megapixels


def test_health(server):
    assert server.get("/healthz").json() == {"status": "alive"}
    assert server.get("/readyz").json() == {"status": "ready"}


def test_what_is_not_there_is_a_problem_document(server):
    assert "/openapi.json" in is_problem(server.get("/nothing"), 404)["detail"]
    answer = server.get("/predict")
    assert is_problem(answer, 405)["detail"].startswith("Ask with POST. GET /openapi")
    assert answer.headers["Allow"] == "POST"
    # No redirect, which would be to wherever the client says that this is.
    is_problem(server.get("/model/"), 404)
    for name, kind in problems.KINDS.items():
        assert server.get(f"/problems/{name}").json() == {
            "title": kind.title,
            "status": kind.status,
            "way_out": kind.way_out,
        }
    is_problem(server.get("/problems/nothing"), 404)


def test_forms_that_are_none(server, drawing):
    post = requests.post
    predict = f"{server.address}/predict"
    is_problem(post(predict, data=drawing), 415, "not-a-form")
    is_problem(post(predict, json={"photograph": "x"}), 415, "not-a-form")
    multipart = {"Content-Type": "multipart/form-data"}
    is_problem(post(predict, b"x", headers=multipart), 400, "damaged-form")
    multipart["Content-Type"] += "; boundary=abc"
    for body in (b"x", b"--abc\r\n\r\n\r\n--abc--", b"--abc\r\nContent-Disp", b""):
        said = post(predict, body, headers=multipart)
        assert said.status_code in (400, 422), body
    said = is_problem(post(predict, files={"photo": drawing}), 422, "invalid-request")
    assert "named 'photograph', and nothing else. Received: 'photo'." in said["detail"]
    said = post(predict, files={"photograph": (None, "x")})
    said = is_problem(said, 422, "invalid-request")
    assert said["detail"].startswith("A part of the form is text, where a file was")
    assert "with the @: --form photograph=@file.jpg" in said["detail"]
    said = is_problem(server.post("/predict", drawing, drawing), 422, "invalid-request")
    assert "at most 1 of 'photograph'" in said["detail"]
    assert "go to /predict/batch, each as photographs" in said["detail"]
    said = server.post("/predict/batch", *[drawing] * 17)
    said = is_problem(said, 422, "invalid-request")
    assert "at most 16 of 'photographs'" in said["detail"]
    said = post(f"{predict}/batch", files={"photograph": drawing})
    said = is_problem(said, 422, "invalid-request")["detail"]
    assert (
        "files named 'photographs', and nothing else. Received: 'photograph'." in said
    )
    assert said.endswith("with the @: --form photographs=@file.jpg.")
    many = [("photograph", (f"{n}.jpg", b"x")) for n in range(5000)]
    is_problem(post(predict, files=many), 422, "invalid-request")


def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(server, drawing):
    for path, known in (
        ("/predict", "the parameters heatmaps"),
        ("/explain", "the parameters class, opacity, longest, method, cells"),
    ):
        said = server.post(f"{path}?heatmap=true&opacity=0.5", drawing)
        said = is_problem(said, 422, "invalid-request")["detail"]
        assert said == f"The query may have {known}. Received: 'heatmap'."
    for path in ("/model", "/metrics"):
        said = is_problem(server.get(f"{path}?x=1"), 422, "invalid-request")
        assert said["detail"] == "The query may have no parameters. Received: 'x'."
    for path in ("/healthz", "/readyz"):  # A probe may add what defeats caches.
        assert server.get(f"{path}?x=1").status_code == 200
    # By what it is called in the query, not in the code.
    said = is_problem(
        server.post("/explain?class_name=x", drawing), 422, "invalid-request"
    )
    assert "Received: 'class_name'." in said["detail"]
    described = server.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/predict/batch", "/explain", "/model", "/metrics"):
        for operation in described[path].values():
            assert "422" in operation["responses"]


def test_file_names_and_contents_are_in_no_log(server, drawing):
    name, secret = "../../etc/Jane_Doe_1950.jpg", b"secret-of-a-patient"
    files = {"photograph": (name, secret)}
    answer = requests.post(f"{server.address}/predict", files=files)
    assert answer.status_code == 200
    answer = requests.post(f"{server.address}/predict?name=Jane_Doe", files=files)
    assert answer.status_code == 422
    requests.get(f"{server.address}/Jane_Doe")
    time.sleep(0.2)
    log = json.dumps(server.log)
    assert (
        "Jane" not in log
        and "secret" not in log
        and "127.0.0.1" not in log.replace(server.address, "")
    )


def test_an_upload_is_refused_by_what_it_announces(server):
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Type: multipart/form-data; boundary=abc\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        # Without `100 Continue`, so that nothing is sent.
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_too_much_hears_that_it_did(server):
    answer = server.post("/predict", bytes(20_000_000))
    assert is_problem(answer, 413, "too-large")["detail"] == (
        "A photograph's file may have at most 3 MB. Save larger ones as JPEG."
    )
    # Within what a batch may have, but one is too large.
    answer = server.post("/predict/batch", bytes(4_000_000), b"")
    said = is_problem(answer, 413, "too-large")["detail"]
    assert re.search(r"at most 3 MB, and a request \d+ such files\.", said)


def form_in_pieces(count, size=100_000):
    yield PART
    for _ in range(count):
        yield bytes(size)
    yield b"\r\n--abc--\r\n"


def test_an_upload_of_unknown_length_is_cut_off_at_the_limit(server, drawing):
    headers = {"Content-Type": "multipart/form-data; boundary=abc"}
    address = f"{server.address}/predict"
    answer = requests.post(address, form_in_pieces(40), headers=headers)
    is_problem(answer, 413, "too-large")
    before = server.metrics()["process_resident_memory_bytes"]
    with contextlib.suppress(requests.ConnectionError):
        requests.post(address, form_in_pieces(5000), headers=headers)
    time.sleep(0.2)
    assert max(line.get("bytes_received", 0) for line in server.log) < 70e6
    assert server.metrics()["process_resident_memory_bytes"] < before + 100e6
    assert server.post("/predict", drawing).status_code == 200


def test_slow_clients_do_not_block_others_and_are_sent_away(server, drawing):
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=abc\r\n\r\n"
    )
    slow_ones = [server.connect() for _ in range(200)]
    for one in slow_ones:
        one.sendall(head + PART)
    assert server.post("/predict", drawing).status_code == 200
    for one in slow_ones:
        assert b"408 Request Timeout" in one.recv(1000)
        one.close()


def test_an_endless_head_is_refused(server):
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 200_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_request_ids_are_kept_or_made_up(server):
    given = {"X-Request-ID": "my-id.1"}
    assert server.get("/healthz", headers=given).headers["X-Request-ID"] == "my-id.1"
    for odd in ("", "a b", "x" * 65, 'a"b', "é"):
        headers = {"X-Request-ID": odd.encode("latin-1")}
        said = server.get("/healthz", headers=headers).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", said)
    time.sleep(0.1)
    (line,) = (one for one in server.log if one.get("request_id") == "my-id.1")
    assert line["endpoint"] == "/healthz" and line["status"] == 200


def test_answers_are_not_cached_nor_guessed_at(server):
    headers = server.get("/model").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers


def test_the_description_is_complete(server):
    content = server.get("/openapi.json").json()
    assert {"/predict", "/predict/batch", "/explain", "/model"} < content[
        "paths"
    ].keys()
    predict = content["paths"]["/predict"]["post"]
    assert "multipart/form-data" in predict["requestBody"]["content"]
    for status in ("400", "408", "413", "415", "422", "503"):
        (media_type,) = predict["responses"][status]["content"]
        assert media_type == problems.MEDIA_TYPE
    assert "securitySchemes" not in content["components"]


def test_a_full_queue_sends_clients_away_until_there_is_room(exported, slow):
    few = {"threads": 1, "most_waiting": 2, "most_photographs": 2}
    with servers.serve(exported, few) as server:
        said = parallel(lambda _: server.post("/predict", slow), range(12), 12)
        codes = collections.Counter(one.status_code for one in said)
        assert codes.keys() == {200, 503} and codes[200] >= 3
        for one in said:
            if one.status_code == 503:
                is_problem(one, 503, "busy")
                assert int(one.headers["Retry-After"]) >= 1
        assert server.post("/predict", slow).status_code == 200
        assert server.metrics()["retinograd_photographs_pending"] == 0


def test_occlusion_has_a_limit_of_its_own(exported, drawing):
    with servers.serve(exported, {"threads": 1, "occlusion_seconds": 0.05}) as server:
        late = server.post("/explain?method=occlusion", drawing)
        is_problem(late, 503, "timeout")
        assert "more than 0.05 seconds" in late.json()["detail"]
        assert server.post("/explain", drawing).status_code == 200


def test_a_photograph_that_is_not_answered_in_time_is_given_up(exported, slow, drawing):
    hasty = {"threads": 1, "answer_seconds": 0.15, "most_waiting": 30}
    with servers.serve(exported, hasty) as server:
        said = parallel(lambda _: server.post("/predict", slow), range(8), 8)
        late = [one for one in said if one.status_code != 200]
        is_problem(late[0], 503, "timeout")
        assert not [line for line in server.log if line["level"] == "error"]
        assert late[0].headers["Retry-After"]
        while server.metrics()["retinograd_photographs_pending"]:
            time.sleep(0.05)
        # On a busy machine even a small one may take that long now and then.
        codes = {server.post("/predict", drawing).status_code for _ in range(20)}
        assert 200 in codes


def test_uploads_in_memory_are_bounded(exported, drawing):
    little = {"most_bytes": 1_000_000, "most_held_bytes": 2_500_000}
    with servers.serve(exported, little) as server:
        head = (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 950000\r\n"
            b"Content-Type: multipart/form-data; boundary=abc\r\n\r\n"
        )
        held = [server.connect() for _ in range(3)]
        for one in held:
            one.sendall(head + PART + bytes(800_000))
        time.sleep(0.5)
        answer = server.post("/predict", bytes(900_000))
        is_problem(answer, 503, "busy")
        for one in held:
            one.close()
        time.sleep(0.5)
        assert server.post("/predict", drawing).status_code == 200


def test_the_server_has_a_limit_of_pixels_of_its_own(exported, drawing):
    with servers.serve(exported, {"most_megapixels": 0.1}) as server:
        content = server.post("/predict", drawing).json()
        assert content["reason"] == "too_many_pixels"
        assert "0.1 megapixels. Received: 536x356" in content["message"]


def test_a_key_is_needed_where_one_is_set(exported, drawing):
    with servers.serve(exported, {"key": "the key"}) as server:
        right = {"Authorization": "Bearer the key"}
        for wrong in (
            {},
            {"Authorization": "Bearer the keys"},
            {"X-API-Key": "the key"},
        ):
            for path in ("/predict", "/predict/batch", "/explain"):
                answer = server.post(path, drawing, headers=wrong)
                is_problem(answer, 401, "key-needed")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            for path in ("/model", "/metrics"):
                is_problem(server.get(path, headers=wrong), 401, "key-needed")
        assert server.post("/predict", drawing, headers=right).status_code == 200
        assert server.get("/metrics", headers=right).status_code == 200
        assert server.get("/healthz").status_code == 200
        content = server.get("/openapi.json").json()
        assert content["components"]["securitySchemes"]
        page = settings.Page(api=server.address, key="the old key")
        with pytest.raises(asking.NoAnswer, match="with the same RETINOGRAD_API_KEY"):
            asking.connect(page)
        assert "the key" not in json.dumps(server.log)


def test_what_is_accepted_is_finished_before_the_end(exported, slow):
    patient = {"threads": 1, "answer_seconds": 300}
    with servers.serve(exported, patient) as server:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(server.post, "/predict", slow) for _ in range(20)]
            for _ in range(500):
                if server.metrics()["retinograd_photographs_pending"] > 4:
                    break
            else:
                pytest.fail("no request ever waited")
            # Those that were sent before have been accepted by now.
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(requests.ConnectionError):
                server.get("/healthz")
            answers = [one.result() for one in asked]
        assert [one.status_code for one in answers] == [200] * 20
        assert server.join() == 0


def test_what_does_not_end_in_time_is_given_up(exported, slow):
    hasty = {"threads": 1, "answer_seconds": 300, "shutdown_seconds": 1}
    with servers.serve(exported, hasty) as server:
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            asked = [pool.submit(server.post, "/predict", slow) for _ in range(60)]
            while server.metrics()["retinograd_photographs_pending"] < 20:
                time.sleep(0.02)
            server.process.send_signal(signal.SIGTERM)
            answers = [one.result() for one in asked if not one.exception()]
        late = [one for one in answers if one.status_code != 200]
        assert is_problem(late[0], 503, "stopping")["detail"] == "Try again."
        assert {one.status_code for one in late} == {503}
        assert server.join() == 0
        assert not [line for line in server.log if "traceback" in line]


def test_who_does_not_read_answers_is_sent_away(exported):
    hurried = (
        "from serving import api, server; server._READ_SECONDS = 1; "
        "server._HEAD_SECONDS = 60; api.main()"
    )
    command = (sys.executable, "-c", hurried)
    with (
        servers.serve(exported, command=command) as server,
        contextlib.ExitStack() as connections,
    ):
        descriptors = f"/proc/{server.process.pid}/fd"
        before = len(os.listdir(descriptors))
        for _ in range(4):
            one = connections.enter_context(server.connect())
            # Far more answers than the system itself keeps for who does not read.
            one.sendall(b"GET /model HTTP/1.1\r\nHost: x\r\n\r\n" * 4000)
        while sum(line.get("endpoint") == "/model" for line in server.log) < 40:
            time.sleep(0.05)
        assert server.get("/healthz").status_code == 200
        for _ in range(200):
            if len(os.listdir(descriptors)) <= before:
                break
            time.sleep(0.1)
        else:
            pytest.fail("answers that nobody reads are kept")


def test_a_model_that_learnt_from_drawings_says_so(exported, drawing):
    with servers.serve(exported, {"allow_drawings": False}) as server:
        content = server.post("/predict", drawing).json()
        assert content["reason"] == "trained_on_drawings"


def test_what_is_counted(exported, loaded, drawings):
    with servers.serve(exported) as server:
        assert "retinograd_score_drift" not in server.metrics()
        expected = [loaded.predict(data) for data in drawings]
        server.post("/predict", drawings[0])
        server.post("/predict/batch", *drawings[1:])
        server.post("/predict", b"")
        server.get("/no/such/place")
        found = server.metrics()
        diseased = sum(one.diseased for one in expected)
        assert found['retinograd_decisions_total{diseased="true"}'] == diseased
        assert found["retinograd_disease_probability_count"] == 12
        assert found['retinograd_abstentions_total{reason="unreadable"}'] == 1
        assert found['retinograd_abstentions_total{reason="too_dark"}'] == 0
        name = 'retinograd_requests_total{endpoint="%s",status="%s"}'
        assert found[name % ("/predict", 200)] == 2
        assert found[name % ("unknown", 404)] == 1
        assert found["retinograd_score_drift_photographs"] == 12
        assert found["retinograd_score_drift"] >= 0
        assert found['retinograd_request_seconds_count{endpoint="/predict"}'] == 2
        (info,) = (one for one in found if one.startswith("retinograd_model_info"))
        assert 'variant="float32"' in info


def test_a_photograph_that_is_explained_too_counts_once(exported, drawing):
    with servers.serve(exported) as server:
        server.post("/predict", drawing)
        for query in ("", "?cells=true", "?method=occlusion&cells=true"):
            assert server.post(f"/explain{query}", drawing).status_code == 200
        is_problem(server.post("/explain", b"GIF89a"), 422, "no-prediction")
        found = server.metrics()
        decisions = [
            found[f'retinograd_decisions_total{{diseased="{one}"}}']
            for one in ("true", "false")
        ]
        assert sum(decisions) == 1
        assert found["retinograd_disease_probability_count"] == 1
        assert found["retinograd_score_drift_photographs"] == 1
        assert found['retinograd_abstentions_total{reason="unreadable"}'] == 0
        name = 'retinograd_requests_total{endpoint="/explain",status="200"}'
        assert found[name] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model": "/no/such/folder"},
            "error: /no/such/folder/card.json does not exist",
        ),
        ({"model": ""}, "error: The environment variable RETINOGRAD_API_MODEL must be"),
        (
            {"prot": "80"},
            "no setting RETINOGRAD_API_PROT. Did you mean RETINOGRAD_API_P",
        ),
        ({"variant": "int4"}, "Received: variant='int4'"),
    ],
)
def test_a_server_that_cannot_start_says_why(exported, settings, message):
    chosen = {"MODEL": str(exported)} | {
        name.upper(): value for name, value in settings.items()
    }
    done = subprocess.run(
        [sys.executable, "-m", "serving.api"],
        cwd=servers.ROOT,
        env=os.environ
        | {f"RETINOGRAD_API_{name}": value for name, value in chosen.items()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr


def test_the_guides_requests_work(server, drawing, tmp_path):
    guide = (servers.ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(curl.*?)```", guide, re.DOTALL)
    (tmp_path / "photograph.jpg").write_bytes(drawing)
    commands = block.replace("http://127.0.0.1:8000", server.address).splitlines()
    assert len(commands) == 6
    for command in commands:
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0 and (done.stdout or "--output" in command)
    assert cv2.imread(str(tmp_path / "heatmap.png")).shape == (356, 536, 3)


def test_the_guide_has_every_setting_and_every_problem():
    guide = (servers.ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(settings.Api):
        assert f"`{field.name.upper()}`" in guide
    for name in problems.KINDS:
        assert f"`{name}`" in guide


def test_who_goes_away_frees_the_place_in_the_queue(exported, slow):
    with servers.serve(exported, {"threads": 1}) as server:
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            for _ in range(40):
                pool.submit(ask_and_go, server, slow)
        while server.metrics()["retinograd_photographs_pending"]:
            time.sleep(0.05)
        found = server.metrics()
        assert found['retinograd_requests_total{endpoint="/predict",status="499"}'] > 5
        done = sum(
            found[f'retinograd_decisions_total{{diseased="{one}"}}']
            for one in ("true", "false")
        )
        assert done < 35
        assert not [line for line in server.log if line["level"] == "error"]


def ask_and_go(server, data):
    with contextlib.suppress(requests.Timeout):
        files = {"photograph": data}
        requests.post(f"{server.address}/predict", files=files, timeout=0.3)
