"""The REST API: photographs in, decisions out.

    RETINOGRAD_API_MODEL=runs/idrid_resnet_v2/export/default python -m serving.api

`serving.settings.Api` has all settings; docs/serving.md shows requests.
"""

import contextlib
import dataclasses
import secrets
import sys
import threading
from typing import Annotated, Any, Literal

import fastapi
from fastapi import exceptions, responses, security
from starlette import exceptions as http_exceptions
from starlette import requests, types

from serving import (
    answers,
    heatmaps,
    logs,
    monitoring,
    observing,
    predictor,
    problems,
    schema,
    server,
    service,
    settings,
    wording,
)

Key = Annotated[
    security.HTTPAuthorizationCredentials | None,
    fastapi.Depends(security.HTTPBearer(auto_error=False)),
]
Opacity = Annotated[float, fastapi.Query(ge=0, le=1)]
Longest = Annotated[int, fastapi.Query(ge=64, le=4096)]


def build(predicting: predictor.Predictor, limits: settings.Api) -> types.ASGIApp:
    """Builds the application.

    Args:
        predicting: The model that answers.
        limits: The settings.

    Returns:
        An ASGI application.
    """
    shared = service.Service(predicting, limits)

    @contextlib.asynccontextmanager
    async def until_closed(app: fastapi.FastAPI):
        yield
        shared.line.close()

    # Its own pages would load their scripts from elsewhere.
    app = fastapi.FastAPI(
        title="Retinograd",
        summary="Grades diabetic retinopathy from fundus photographs.",
        description=predicting.card.intended_use,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=until_closed,
    )
    _answer_errors(app)
    _add_operation(app, shared)
    app.include_router(_photographs(shared))
    app.openapi = schema.with_problem_documents(app.openapi)
    return observing.Observed(app, shared.monitor)


async def _check_query(request: fastapi.Request) -> None:
    """Refuses what would be passed over: a misspelt parameter had no effect."""
    known = [one.alias for one in request.scope["route"].dependant.query_params]
    unknown = [one for one in request.query_params if one not in known]
    if unknown:
        names = f"the parameters {', '.join(known)}" if known else "no parameters"
        raise problems.Problem(
            "invalid-request",
            f"The query may have {names}. Received: {unknown[0][:40]!r}.",
        )


def _photographs(shared: service.Service) -> fastapi.APIRouter:
    """The endpoints that need the key."""
    limits, card = shared.limits, shared.predicting.card

    async def check_key(given: Key) -> None:
        sent = given.credentials if given else ""
        if not secrets.compare_digest(sent.encode(), limits.key.encode()):
            raise problems.Problem(
                "key-needed",
                "Send the header Authorization: Bearer <key>.",
                {"WWW-Authenticate": "Bearer"},
            )

    # Not of health: who probes may add what defeats caches.
    needed = [fastapi.Depends(_check_query)]
    if limits.key is not None:
        needed.append(fastapi.Depends(check_key))
    router = fastapi.APIRouter(dependencies=needed, responses=schema.problems(422))
    of_card = card.description() | {
        "running": {
            "variant": shared.predicting.variant,
            "precision": shared.predicting.precision,
        },
        "accepts": {
            "most_photographs": limits.most_photographs,
            "most_bytes": limits.most_bytes,
            "most_megapixels": shared.of_files.most_megapixels,
        },
    }

    @router.get("/model", responses=schema.problems(401))
    async def model() -> dict[str, Any]:
        """The model's card: what it is for, how good it is, how it decides."""
        return responses.JSONResponse(of_card)

    @router.get(
        "/metrics",
        response_class=responses.PlainTextResponse,
        responses=schema.problems(401),
    )
    async def metrics():
        """Counts for Prometheus."""
        return fastapi.Response(
            shared.monitor.exposition(), media_type=monitoring.CONTENT_TYPE
        )

    def describe(said: service.Said, with_heatmaps: bool) -> dict[str, Any]:
        shared.monitor.answer(said)
        return answers.describe(shared.predicting, said, with_heatmaps)

    @router.post(
        "/predict",
        response_model=schema.Answer,
        responses=schema.UPLOAD_PROBLEMS,
        openapi_extra=schema.form("photograph"),
    )
    async def predict(request: fastapi.Request, heatmaps: bool = False):
        """Decides on one photograph."""
        (said,) = await shared.answer(request, shared.predict)
        return responses.JSONResponse(describe(said, heatmaps))

    @router.post(
        "/predict/batch",
        response_model=schema.Batch,
        responses=schema.UPLOAD_PROBLEMS,
        openapi_extra=schema.form("photographs", limits.most_photographs),
    )
    async def predict_batch(request: fastapi.Request, heatmaps: bool = False):
        """Decides on several photographs; the answers are in their order."""
        said = await shared.answer(
            request, shared.predict, "photographs", limits.most_photographs
        )
        content = [describe(one, heatmaps) for one in said]
        return responses.JSONResponse({"answers": content})

    @router.post(
        "/explain",
        response_class=fastapi.Response,
        responses=schema.PICTURE | schema.UPLOAD_PROBLEMS | schema.problems(409),
        openapi_extra=schema.form("photograph"),
    )
    async def explain(
        request: fastapi.Request,
        class_name: Annotated[
            Literal[*card.class_names] | None, fastapi.Query(alias="class")
        ] = None,
        opacity: Opacity = 0.6,
        longest: Longest = heatmaps.LONGEST,
        method: schema.Method = "grad_cam",
        cells: bool = False,
    ):
        """Draws the heat map of a class on the photograph, as a PNG file.

        Or gives its `cells` as JSON. `grad_cam` comes with the prediction; `occlusion`
        asks the model about 300 times what it says without a part of the photograph.
        """
        offered = wording.offered(of_card)
        if method not in offered:
            others = " or ".join(f"method={one}" for one in offered)
            way_out = f"Take {others or 'another model'}."
            if method in card.failed_methods:
                text = f"{wording.not_offered(of_card)} {way_out}"
                raise problems.Problem("method-failed", text)
            raise problems.Problem("no-heat-map", way_out)
        unwanted = threading.Event()

        def draw(data: bytes) -> tuple[service.Said, fastapi.Response | None]:
            said = shared.predict(data)
            if isinstance(said, predictor.Abstention):
                return said, None
            name = class_name or card.class_names[said.explained]
            number = card.class_names.index(name)
            if method == "grad_cam":
                found = heatmaps.cells(said, number)
            else:
                found = shared.occlude(data, number, unwanted)
            if cells:
                return said, responses.JSONResponse(
                    {
                        "method": method,
                        "explained": name,
                        "cells": answers.rounded(found),
                        "crop": dataclasses.asdict(said.crop),
                    }
                )
            picture = shared.draw(data, found, said.crop, longest, opacity)
            return said, fastapi.Response(picture, media_type="image/png")

        seconds = shared.limits.occlusion_seconds if method == "occlusion" else None
        try:
            ((said, drawn),) = await shared.answer(request, draw, seconds=seconds)
        finally:
            unwanted.set()
        # Not counted: that photograph has, or will have, its decision by `/predict`.
        if isinstance(said, predictor.Abstention):
            raise problems.Problem("no-prediction", said.message, reason=said.reason)
        return drawn

    return router


def _add_operation(app: fastapi.FastAPI, shared: service.Service) -> None:
    """The endpoints for who runs the server; they need no key."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @app.get("/readyz", responses=schema.problems(503))
    async def readyz() -> dict[str, str]:
        """Whether there is room for one more photograph."""
        shared.check_room()
        return {"status": "ready"}

    @app.get("/problems/{name}", responses=schema.problems(404))
    async def problem(name: str) -> dict[str, Any]:
        """What the `type` of a problem means, and what to do."""
        if name not in problems.KINDS:
            raise http_exceptions.HTTPException(404)
        kind = problems.KINDS[name]
        return dataclasses.asdict(kind)


def _answer_errors(app: fastapi.FastAPI) -> None:
    """Every error is a problem document."""

    @app.exception_handler(problems.Problem)
    async def problem(request: fastapi.Request, error: problems.Problem):
        return error.response()

    @app.exception_handler(http_exceptions.HTTPException)
    async def http_error(
        request: fastapi.Request, error: http_exceptions.HTTPException
    ):
        detail = None
        if error.status_code == 404:
            detail = "GET /openapi.json tells what there is."
        elif error.status_code == 405:
            detail = f"Ask with {error.headers['Allow']}. GET /openapi.json tells more."
        return problems.document(
            error.status_code, detail=detail, headers=error.headers
        )

    @app.exception_handler(exceptions.RequestValidationError)
    async def invalid(
        request: fastapi.Request, error: exceptions.RequestValidationError
    ):
        # Without what was received, which may be anything.
        found = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        return problems.Problem("invalid-request", "; ".join(found)).response()

    @app.exception_handler(requests.ClientDisconnect)
    async def gone(request: fastapi.Request, error: requests.ClientDisconnect):
        return fastapi.Response(status_code=499)  # For the log; nobody hears it.

    @app.exception_handler(Exception)
    async def failed(request: fastapi.Request, error: Exception):
        return problems.document(500)


def main() -> None:
    """Serves the model that the environment names."""
    try:
        limits = settings.Api.from_environment()
        predicting = predictor.Predictor(
            limits.model,
            variant=limits.variant,
            throughput=True,
            allow_drawings=limits.allow_drawings,
        )
        logs.start()
        app = build(predicting, limits)
        server.run(app, limits.host, limits.port, limits.shutdown_seconds)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
