"""Errors in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout, TooManyRequests

from ..encoders import ServerError, TextError

_OF_CONNECTION = ("08", "57P")  # of SQLSTATE: connections, and a server that stops or starts


@dataclass(frozen=True)
class Explained:
    """An error as a page shows it. status: that of HTTP."""

    status: int
    title: str
    text: str
    hint: str = ""


NO_ANSWER = (
    502,
    "The encoder does not answer",
    "The server that encodes questions failed, or gave a wrong answer.",
    "Try again in a moment.",
)


class PageError(Exception):
    """An error that a page raises itself."""

    def __init__(self, status: int, title: str, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.explained = Explained(status, title, text, hint)


def explain_error(error: Exception, timeout: float) -> Explained | None:
    """Return an error in plain words, None if it is one of the program.

    timeout: the seconds after which the server cancels a statement.
    """
    if isinstance(error, PageError):
        return error.explained
    if isinstance(error, TextError):
        return Explained(400, "The question cannot be encoded", f"{error.message}.")
    if isinstance(error, ServerError):
        return Explained(*NO_ANSWER)
    if isinstance(error, PoolTimeout | TooManyRequests):
        return Explained(
            503,
            "The database is busy",
            f"No connection became free within {timeout:g} seconds, or the database is down.",
            "Try again in a moment.",
        )
    if isinstance(error, psycopg.Error):
        return _of_server(error, timeout)
    return None


def _of_server(error: psycopg.Error, timeout: float) -> Explained:
    if isinstance(error, errors.QueryCanceled):
        return Explained(
            504,
            "The search took too long",
            f"The database stopped it after {timeout:g} seconds.",
            "An index makes searches fast; --timeout sets the limit.",
        )
    if isinstance(error, errors.InsufficientPrivilege):
        text = f"{error.diag.message_primary}."
        return Explained(500, "The database refuses", text, "Grant SELECT to the role of the page.")
    if isinstance(error, psycopg.OperationalError) and _is_of_connection(error):
        return Explained(
            503,
            "The database does not answer",
            "The connection failed, or was lost.",
            "Try again in a moment.",
        )
    primary = error.diag.message_primary or str(error)
    return Explained(500, "The search failed", f"{primary}.", error.diag.message_hint or "")


def _is_of_connection(error: psycopg.OperationalError) -> bool:
    """Return whether the connection failed: the class has many other errors of the server."""
    return error.sqlstate is None or error.sqlstate.startswith(_OF_CONNECTION)
