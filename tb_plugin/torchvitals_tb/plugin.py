"""The TensorBoard plugin: routes that parse a request, ask `query`, and pack the answer. See ``http_api.md``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tensorboard import plugin_util
from tensorboard.backend import http_util, json_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from torchvitals_tb import query
from torchvitals_tb.cache import Cache
from torchvitals_tb.errors import TorchvitalsError, UnknownNameError, quoted
from torchvitals_tb.freed import free_at_once
from torchvitals_tb.packing import pack
from torchvitals_tb.provider import Reader
from torchvitals_tb.reader import Run
from torchvitals_tb.schema import PLUGIN_NAME
from torchvitals_tb.static_files import ENTRY, StaticFile, find

logger = logging.getLogger("torchvitals")

STATIC: Final = Path(__file__).parent / "static"

_DIAGNOSES: Final = 32 << 20  # bytes of diagnoses to keep; most take some 10 kB

Request = wrappers.Request
Response = wrappers.Response


class BadRequestError(TorchvitalsError):
    """A parameter is missing or malformed."""


class TorchvitalsPlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # TensorBoard is not annotated
    """Serves the page and what it asks for."""

    plugin_name = PLUGIN_NAME

    def __init__(self, context: Any) -> None:
        self._reader = Reader(context.data_provider)
        self._samples_kept = int((context.sampling_hints or {}).get(PLUGIN_NAME) or 0)
        self._diagnoses = Cache(_DIAGNOSES)
        self._files = find(STATIC)
        free_at_once()

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        routes = {
            "/runs": self._runs_route,
            "/manifest": self._manifest_route,
            "/diagnosis": self._diagnosis_route,
            "/statistic": self._statistic_route,
            "/scalars": self._scalars_route,
            "/dead": self._dead_route,
            "/units": self._units_route,
            "/histograms": self._histograms_route,
        }
        apps = {path: _app(route) for path, route in routes.items()}
        files = {f"/static/{name}": _app(partial(_static_route, file)) for name, file in self._files.items()}
        return apps | files

    def is_active(self) -> bool:
        # TensorBoard knows from data_plugin_names() which plugins have data; it waits for this answer on every load.
        return False

    def data_plugin_names(self) -> tuple[str, ...]:
        return (PLUGIN_NAME,)

    def frontend_metadata(self) -> Any:
        return base_plugin.FrontendMetadata(es_module_path=f"/static/{ENTRY}", tab_name="Vitals", disable_reload=True)

    # Each pair: what a request asks for, and the answer without HTTP ----------------------------------------------

    def runs_impl(self, ctx: Any, experiment: str) -> query.Header:
        tags = self._reader.runs(ctx, experiment)
        return query.runs(tags, samples_kept=self._samples_kept, experiment=experiment)

    def _runs_route(self, request: Request) -> Response:
        return _json(request, _json_text(self.runs_impl(*_where(request))))

    def manifest_impl(self, ctx: Any, experiment: str, run: str) -> query.Header:
        return query.manifest(self._run(ctx, experiment, run))

    def _manifest_route(self, request: Request) -> Response:
        return _json(request, _json_text(self.manifest_impl(*_where(request), _text(request, "run"))))

    def diagnosis_impl(self, ctx: Any, experiment: str, run: str) -> str:
        found = self._run(ctx, experiment, run)
        # Of seconds of work only one at a time: the other routes share the interpreter with it.
        text: str = self._diagnoses.get_once(
            (experiment, run, found.version), lambda: _json_text(query.diagnosis(found))
        )
        return text

    def _diagnosis_route(self, request: Request) -> Response:
        return _json(request, self.diagnosis_impl(*_where(request), _text(request, "run")))

    def statistic_impl(self, ctx: Any, experiment: str, run: str, name: str, since: int | None) -> bytes:
        return pack(*query.statistic(self._run(ctx, experiment, run), name, since))

    def _statistic_route(self, request: Request) -> Response:
        run, name, since = _text(request, "run"), _text(request, "name"), _step(request, "since")
        return _container(request, self.statistic_impl(*_where(request), run, name, since))

    def scalars_impl(self, ctx: Any, experiment: str, run: str, name: str | None) -> bytes:
        return pack(*query.scalars(self._run(ctx, experiment, run), name))

    def _scalars_route(self, request: Request) -> Response:
        run, name = _text(request, "run"), request.args.get("name")
        return _container(request, self.scalars_impl(*_where(request), run, name))

    def dead_impl(self, ctx: Any, experiment: str, run: str) -> bytes:
        return pack(*query.dead(self._run(ctx, experiment, run)))

    def _dead_route(self, request: Request) -> Response:
        return _container(request, self.dead_impl(*_where(request), _text(request, "run")))

    def units_impl(self, ctx: Any, experiment: str, run: str, layer: str) -> bytes:
        return pack(*query.units(self._run(ctx, experiment, run), layer))

    def _units_route(self, request: Request) -> Response:
        run, layer = _text(request, "run"), _text(request, "layer")
        return _container(request, self.units_impl(*_where(request), run, layer))

    def histograms_impl(
        self, ctx: Any, experiment: str, run: str, kind: str, row: str | None, step: int | None, most: int | None
    ) -> bytes:
        found = self._run(ctx, experiment, run)
        if row is None:
            return pack(*query.histograms_at_step(found, kind, step))
        return pack(*query.histograms_of_row(found, kind, row, most))

    def _histograms_route(self, request: Request) -> Response:
        run, kind, row = _text(request, "run"), _text(request, "kind"), request.args.get("row")
        step, most = _step(request, "step"), _whole(request, "most", "a number of records")
        if most is not None and most < 1:
            raise BadRequestError(f"the parameter 'most' is {most}, expected at least 1")
        return _container(request, self.histograms_impl(*_where(request), run, kind, row, step, most))

    def _run(self, ctx: Any, experiment: str, name: str) -> Run:
        return self._reader.run(name, ctx, experiment)


def _app(route: Callable[[Request], Response]) -> Callable[..., Any]:
    """A WSGI application around a route: GET and HEAD alone, and every failure as one sentence."""

    def answer(request: Request) -> Response:
        try:
            if request.method not in ("GET", "HEAD"):
                return _error(request, 405, f"{request.method} is not allowed here", headers=[("Allow", "GET, HEAD")])
            return route(request)
        except BadRequestError as error:
            return _error(request, 400, str(error))
        except UnknownNameError as error:
            return _error(request, 404, str(error))
        except TorchvitalsError as error:
            logger.warning("%s", error)
            return _error(request, 500, str(error))
        except Exception:
            logger.exception("torchvitals failed to answer %s", request.path)
            return _error(request, 500, "torchvitals failed to answer; TensorBoard's log says more")

    app: Callable[..., Any] = Request.application(answer)
    return app


def _static_route(file: StaticFile, request: Request) -> Response:
    try:
        content = file.read()
    except OSError:
        return _error(request, 404, "this file of the page is gone; start TensorBoard again")
    response: Response = http_util.Respond(request, content, file.content_type, expires=file.expires)
    return response


def _where(request: Request) -> tuple[Any, str]:
    return plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)


def _text(request: Request, name: str) -> str:
    value = request.args.get(name)
    if value is None:
        raise BadRequestError(f"the parameter {quoted(name)} is missing")
    return value


def _step(request: Request, name: str) -> int | None:
    return _whole(request, name, "a step")


def _whole(request: Request, name: str, expected: str) -> int | None:
    value = request.args.get(name)
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise BadRequestError(f"the parameter {quoted(name)} is {quoted(value)}, expected {expected}")
    return number


def _json_text(payload: query.Header) -> str:
    try:
        return json.dumps(payload, allow_nan=False)
    except ValueError:  # an option that is not finite: rare, and the other way takes ten times as long
        return json.dumps(json_util.Cleanse(payload))


def _json(request: Request, text: str) -> Response:
    response: Response = http_util.Respond(request, text, "application/json")
    return response


def _container(request: Request, payload: bytes) -> Response:
    response: Response = http_util.Respond(request, payload, "application/octet-stream")
    return response


def _error(request: Request, code: int, sentence: str, headers: list[tuple[str, str]] | None = None) -> Response:
    response: Response = http_util.Respond(
        request, json.dumps({"error": sentence}), "application/json", code=code, headers=headers
    )
    return response
