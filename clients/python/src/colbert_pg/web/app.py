"""The application: its routes, what it refuses, and the headers of every answer."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg_pool import ConnectionPool
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..encoders import Encoder
from ..psycopg import register_multivector
from . import indexes, searcher
from .errors import NO_ANSWER, Explained, PageError, explain_error
from .indexes import Index, Measured
from .pages import Pages, choices
from .queries import WAYS, Way, limits
from .settings import MAX_QUESTION, Settings

_LOG = logging.getLogger("colbert_pg.web")
_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Headers:
    """Add headers to every answer: browsers then run no script and load no style of a passage."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


class Site:
    """The pages on one table."""

    def __init__(self, encoder: Encoder, settings: Settings) -> None:
        self.encoder, self.settings = encoder, settings
        self.pages = Pages(settings)
        self.pool = ConnectionPool(
            settings.dsn,
            min_size=1,
            max_size=settings.connections,
            timeout=settings.timeout,
            max_waiting=10 * settings.connections,
            open=False,
            configure=self._configure,
            check=_check,
            kwargs={
                "autocommit": True,
                "client_encoding": "utf8",  # a question has any characters
                "fallback_application_name": "colbert-pg web",
            },
        )
        self._encoding = threading.Lock()
        self._measuring = threading.Lock()
        self._measured: dict[str, Measured] = {}

    def _configure(self, conn: psycopg.Connection[Any]) -> None:
        """Have all transactions of a connection read only, in one snapshot each."""
        register_multivector(conn)
        conn.execute("SET default_transaction_read_only = on")
        conn.execute(
            "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
            (f"{self.settings.tune_timeout:.3f}s",),
        )
        conn.read_only = True
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    @contextmanager
    def encoding(self) -> Iterator[Encoder]:
        """Return the encoder, which does one question at a time."""
        if not self._encoding.acquire(timeout=self.settings.timeout):
            text = "The encoder still works on other questions."
            raise PageError(503, "The encoder is busy", text, "Try again in a moment.")
        try:
            yield self.encoder
        except (OSError, http.client.HTTPException) as e:  # of a server that is down
            _LOG.warning("the encoder failed: %r", e)
            raise PageError(*NO_ANSWER) from e
        finally:
            self._encoding.release()

    def search(self, request: Request) -> Response:
        """Show the answers to a question, or the form alone."""
        text = question_of(request)
        ways = ways_of(request)
        if not text:
            with self.pool.connection() as conn, self._transaction(conn):
                target = searcher.target_of(conn, self.settings)
            return self._search_page(request, target.ways, ways, None)
        with self.encoding() as encoder:
            question = searcher.encode(encoder, text)
        with self.pool.connection() as conn:
            answer = searcher.answer(conn, self.settings, question, ways)
        with self.encoding() as encoder:
            searcher.shade(answer, encoder)
        chosen = [column.search.way for column in answer.columns]
        return self._search_page(request, answer.ways, chosen, answer)

    def image(self, request: Request) -> Response:
        """Serve the page image of a row, as the kind that its first bytes tell."""
        key = request.query_params.get("id", "")
        try:
            with self.pool.connection() as conn, self._transaction(conn):
                found = searcher.image(conn, self.settings, key)
        except (psycopg.DataError, psycopg.errors.CheckViolation):  # the id is no value of its type
            found = None
        if found is None:
            text = "The row does not exist, or has no PNG, JPEG or WebP of an accepted size."
            raise PageError(404, "There is no such image", text)
        data, kind = found
        return Response(data, media_type=kind, headers={"Cache-Control": "no-store"})

    def _search_page(
        self,
        request: Request,
        possible: tuple[Way, ...],
        chosen: list[Way],
        answer: searcher.Answer | None,
    ) -> Response:
        return self.pages.response(
            "search",
            question=request.query_params.get("q", ""),
            choices=choices(possible, chosen or list(possible[:1])),
            answer=answer,
            examples=self.settings.queries[:3],
        )

    def indexes(self, _request: Request) -> Response:
        """List the indexes of the table."""
        with self.pool.connection() as conn, self._transaction(conn):
            found = indexes.indexes_of(conn, self.settings)
        return self.pages.response("indexes", indexes=found)

    def index(self, request: Request) -> Response:
        """Show an index."""
        with self.pool.connection() as conn, self._transaction(conn):
            index, _ = self._find(conn, request)
            info = indexes.info_of(conn, index) if index.is_valid else None
            settings = indexes.settings_of(conn, index)
        return self.pages.response(
            "index",
            index=index,
            info=info,
            settings=settings,
            in_effect={setting.name: setting.in_effect for setting in settings},
            measured=self._measured.get(index.name),
            target=self.settings.recall,
            limit=self.settings.limit,
            questions=len(self.settings.queries),
        )

    def measure(self, request: Request) -> Response:
        """Measure an index, and show it."""
        check_origin(request)
        if not self.settings.queries:
            text = "Start the page with --queries FILE, a file with a question per line."
            raise PageError(400, "There are no questions to measure by", text)
        if not self._measuring.acquire(blocking=False):
            text = "An index is being measured already."
            raise PageError(503, "One measurement at a time", text, "Try again in a moment.")
        try:
            with self.encoding() as encoder:
                asked = encoder.encode_query(list(self.settings.queries))
            with self.pool.connection() as conn:
                with self._transaction(conn):
                    index, is_only = self._find(conn, request)
                try:
                    found = indexes.measure(conn, self.settings, index, asked, is_only=is_only)
                except psycopg.errors.QueryCanceled:
                    raise measurement_took_too_long(self.settings.tune_timeout) from None
            self._measured[index.name] = found
        finally:
            self._measuring.release()
        return RedirectResponse(f"/indexes/{quote(index.name)}#recall", 303)

    def _find(self, conn: psycopg.Connection[Any], request: Request) -> tuple[Index, bool]:
        """Return the index that a path names, and whether it is the only one."""
        name = request.path_params["name"]
        found = indexes.indexes_of(conn, self.settings)
        for index in found:
            if index.name == name:
                return index, len(found) == 1
        text = f"The table has no index {name[:100]} of colbert_pg."
        raise PageError(404, "There is no such index", text)

    @contextmanager
    def _transaction(self, conn: psycopg.Connection[Any]) -> Iterator[None]:
        """Open a transaction whose statements have the time of a search."""
        with conn.transaction():
            searcher.fetch(conn, limits(self.settings.timeout))
            yield

    def error(self, request: Request, error: Exception) -> Response:
        """Return the page of an error."""
        explained = explain_error(error, self.settings.timeout)
        if explained is None:
            _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
            explained = Explained(
                500, "Something went wrong", "The log of the page has the details."
            )
        return self.pages.response("error", explained.status, error=explained)


def _check(conn: psycopg.Connection[Any]) -> None:
    """Have the pool replace a connection that is lost, or knows a type that was created anew."""
    cursor = conn.execute("SELECT pg_catalog.to_regtype('multivector')::pg_catalog.oid")
    [oid] = cursor.fetchone() or [None]
    known = conn.adapters.types.get_oid("multivector")
    if oid is not None and oid != known:
        conn.close()  # the pool would keep one that works
        raise psycopg.OperationalError("the type multivector was created anew")


def question_of(request: Request) -> str:
    """Return the question. One that is too long is an error."""
    text = request.query_params.get("q", "").strip()
    if len(text) > MAX_QUESTION:
        raise PageError(
            400,
            "The question is too long",
            f"It has {len(text)} characters, and a question has at most {MAX_QUESTION}.",
        )
    if "\0" in text:
        raise PageError(400, "The question is no text", "It has a character NUL.")
    return text


def ways_of(request: Request) -> list[Way]:
    """Return the rankings that a request asks for. Unknown ones are an error."""
    asked = request.query_params.getlist("by")
    unknown = [name for name in asked if name not in WAYS]
    if unknown:
        text = f"There are {', '.join(WAYS)}, and not {unknown[0][:40]}."
        raise PageError(400, "There is no such ranking", text)
    return [way for way in WAYS if way in asked]


def measurement_took_too_long(seconds: float) -> PageError:
    return PageError(
        504,
        "The measurement took too long",
        f"The database stopped it after {seconds:g} seconds.",
        "Fewer questions take less time; --tune-timeout sets the limit.",
    )


def check_origin(request: Request) -> None:
    """Refuse a request that a page of others makes.

    Browsers say so by Sec-Fetch-Site, which also holds behind a proxy that has another name. Those
    that do not send it, as without TLS, name the origin.
    """
    origin = request.headers.get("Origin")
    own = f"{request.url.scheme}://{request.headers.get('Host')}"
    site = request.headers.get("Sec-Fetch-Site")
    is_own = origin in (None, own) if site is None else site in ("same-origin", "none")
    if not is_own:
        text = "The request came from another page."
        raise PageError(403, "This is not allowed", text)


def create_app(encoder: Encoder, settings: Settings) -> Starlette:
    """Return the search page as an ASGI application.

    encoder: the one that made the multivectors of the table. It is called from several threads, one
    question at a time.
    """
    site = Site(encoder, settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        site.pool.open()
        try:
            yield
        finally:
            site.pool.close()

    return Starlette(
        routes=[
            Route("/", _caught(site, site.search)),
            Route("/image", _caught(site, site.image)),
            Route("/indexes", _caught(site, site.indexes)),
            Route("/indexes/{name:path}", _caught(site, site.index)),
            Route("/indexes/{name:path}", _caught(site, site.measure), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(Headers)],
        exception_handlers={HTTPException: _not_found(site)},
        lifespan=lifespan,
    )


def _caught(site: Site, page: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Return a page that shows its errors as pages."""

    def shown(request: Request) -> Response:
        try:
            return page(request)
        except Exception as e:  # encoders raise errors of any class
            return site.error(request, e)

    return shown


def _not_found(site: Site) -> Callable[[Request, Exception], Response]:
    def shown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = f"{request.url.path[:100]} cannot be shown."
        return site.error(request, PageError(status, "There is no such page", text))

    return shown
