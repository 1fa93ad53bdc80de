"""Run a question by several rankings on one connection."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from .._names import truncated
from ..admin import LastScan, last_scans
from ..collection.ranking import RankedStatements
from ..collection.records import Term
from ..collection.statements import Statement
from ..encoders import Encoder, Span, SpansUnknownError, TextError
from ..explain.words import Words
from ..multivector import MultiVector
from . import heat, images, queries
from .errors import PageError
from .queries import WAYS, Search, Way
from .settings import Settings

STAGES = ("find", "gather", "narrow", "rerank", "exact")
_NO_ID = "The row has no id, by which its matches are found."


@dataclass(frozen=True)
class Target:
    """What the table has. types: those of its columns. ways: the rankings it can be searched by."""

    types: Mapping[str, str]
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Question:
    """A question as the encoder sees it. words: None if it cannot tell."""

    text: str
    doc: MultiVector
    words: Words | None


@dataclass
class Hit:
    """A row that a ranking found, with its passage in pieces.

    id: as the server writes it, None if it is NULL. note: why it has no shades. terms: those of
    bm25f, if the ranking has them. sheet: its page image, if the table has images and this one can
    be shown.
    """

    id: str | None
    score: float
    text: str
    maxsim: float | None = None
    bm25f: float | None = None
    shaded: heat.Shaded = field(default_factory=lambda: heat.Shaded(()))
    note: str = ""
    sheet: images.Sheet | None = None
    places: dict[Way, int] = field(default_factory=dict)
    terms: list[Term] = field(default_factory=list)


@dataclass
class Column:
    """The hits of a ranking, the statement that ran, and its time.

    stages: milliseconds of each stage of its index scans, empty if it had none.
    """

    search: Search
    hits: list[Hit]
    ms: float
    stages: dict[str, float]
    scans: list[LastScan]


@dataclass
class Answer:
    """The answers to a question. ways: the rankings that the table has.

    matches: those of the rows, by id. top: the best similarity of two tokens.
    grid: that of page images, None if the answers are texts. facts: of the images, by id.
    """

    ways: tuple[Way, ...]
    question: Question
    columns: list[Column]
    matches: dict[str, heat.Matches]
    top: float
    grid: images.Grid | None = None
    facts: dict[str, images.Facts] = field(default_factory=dict)


def encode(encoder: Encoder, text: str) -> Question:
    doc = encoder.encode_query(text)
    try:
        words = Words(text, encoder.spans(text, query=True), len(doc))
    except SpansUnknownError:
        words = None
    return Question(text, doc, words)


def target_of(conn: psycopg.Connection[Any], settings: Settings) -> Target:
    """Return what the table has. A table that cannot be searched is an error."""
    statements = settings.statements()
    types = dict(fetch(conn, statements.existing_columns()))
    if not types:
        raise PageError(
            500,
            "There is no such table",
            f"The database has no table {statements.table_name}, or the role may not see it.",
        )
    missing = queries.missing(statements, types)
    if missing:
        text = f"Table {statements.table_name} has no column {', '.join(missing)}."
        raise PageError(500, "A column is missing", text)
    _check_images(statements, settings, types)
    by_words = truncated(settings.tsv_column) in types
    by_words = by_words and fetch(conn, queries.has_statistics(statements))[0][0]
    ways: tuple[Way, ...] = WAYS if settings.ranker is not None else WAYS[:-1]
    return Target(types, ways if by_words else WAYS[:1])


def _check_images(
    statements: RankedStatements, settings: Settings, types: Mapping[str, str]
) -> None:
    if settings.images is None:
        return
    column = settings.images.column
    found = types.get(truncated(column))
    if found != "bytea":
        text = f"Column {column} of table {statements.table_name} "
        text += "does not exist." if found is None else f"has the type {found}, expected bytea."
        raise PageError(500, "The table has no images", text)


def answer(
    conn: psycopg.Connection[Any], settings: Settings, question: Question, ways: Sequence[Way]
) -> Answer:
    """Return the answers by each ranking that the table has, in one snapshot."""
    statements = settings.statements()
    with conn.transaction():
        fetch(conn, queries.limits(settings.timeout))
        target = target_of(conn, settings)
        chosen = [way for way in target.ways if way in ways] or list(target.ways[:1])
        columns = [_column(conn, statements, settings, question, way) for way in chosen]
        matches = _matches(conn, statements, target, question, columns)
        _set_terms(conn, statements, target, question, columns)
        facts = _facts(conn, statements, settings, target, columns)
    _set_places(columns)
    top = heat.top_similarity(matches.values())
    grid = settings.images.grid if settings.images else None
    return Answer(target.ways, question, columns, matches, top, grid, facts)


def image(conn: psycopg.Connection[Any], settings: Settings, key: str) -> tuple[bytes, str] | None:
    """Return the page image of a row and its media type, None if there is none to show.

    key: the id as the server writes it.
    """
    if settings.images is None:
        return None
    statements = settings.statements()
    id_type = target_of(conn, settings).types[truncated(statements.columns.id)]
    column = settings.images.column
    found = fetch(conn, queries.image(statements, id_type, column, images.MAX_BYTES, key))
    if not found:
        return None
    data: bytes = found[0][0]
    kind = images.kind_of(data[: images.MAGIC_BYTES])
    return None if kind is None else (data, kind)


def shade(answer: Answer, encoder: Encoder) -> None:
    """Shade the passages of an answer, or the patches of its page images."""
    done: dict[tuple[str | None, str], tuple[heat.Shaded, str, images.Sheet | None]] = {}
    for column in answer.columns:
        for hit in column.hits:
            key = (hit.id, hit.text)  # an id may belong to several rows
            if key not in done:
                done[key] = (
                    (*_shaded(hit, answer, encoder), None)
                    if answer.grid is None
                    else _sheet(hit, answer, answer.grid)
                )
            hit.shaded, hit.note, hit.sheet = done[key]


def _column(
    conn: psycopg.Connection[Any],
    statements: RankedStatements,
    settings: Settings,
    question: Question,
    way: Way,
) -> Column:
    found = queries.search(
        way,
        statements,
        question.text,
        question.doc,
        limit=settings.limit,
        ranker=settings.ranker,
    )
    before = last_scans(conn)
    begin = time.perf_counter()
    rows = _fetch_texts(conn, found.statement)
    ms = (time.perf_counter() - begin) * 1000
    scans = last_scans(conn)
    scans = [] if scans == before else scans  # those of an earlier statement
    return Column(found, [_hit(row) for row in rows], ms, _stages(scans), scans)


def _hit(row: Sequence[str | None]) -> Hit:
    key, text, _, score, *both = row
    if score is None:
        raise PageError(500, "The ranker is missing", "The table of rankers has no such model.")
    maxsim, bm25f = (None if value is None else float(value) for value in both or (None, None))
    return Hit(key, float(score), text or "", maxsim, bm25f)


def _stages(scans: Sequence[LastScan]) -> dict[str, float]:
    if not scans:
        return {}
    return {stage: sum(getattr(scan, f"{stage}_ms") for scan in scans) for stage in STAGES}


def _matches(
    conn: psycopg.Connection[Any],
    statements: RankedStatements,
    target: Target,
    question: Question,
    columns: Sequence[Column],
) -> dict[str, heat.Matches]:
    ids = _ids(columns)
    if question.words is None or not ids:
        return {}
    id_type = target.types[truncated(statements.columns.id)]
    statement = queries.matches(statements, id_type, question.doc, ids)
    found = heat.collect(fetch(conn, statement))
    return {ids[number - 1]: matches for number, matches in found.items()}


def _set_terms(
    conn: psycopg.Connection[Any],
    statements: RankedStatements,
    target: Target,
    question: Question,
    columns: Sequence[Column],
) -> None:
    """Let the hits that full text ranks know the terms of their score."""
    ranked = [column for column in columns if column.search.way != "maxsim"]
    ids = _ids(ranked)
    if not ids:
        return
    id_type = target.types[truncated(statements.columns.id)]
    statement = queries.terms(statements, id_type, question.text, ids)
    found: dict[str, list[Term]] = {}
    for number, *term in fetch(conn, statement):
        found.setdefault(ids[number - 1], []).append(Term(*term))
    for column in ranked:
        for hit in column.hits:
            hit.terms = found.get(hit.id, []) if hit.id is not None else []


def _facts(
    conn: psycopg.Connection[Any],
    statements: RankedStatements,
    settings: Settings,
    target: Target,
    columns: Sequence[Column],
) -> dict[str, images.Facts]:
    """Return the size and the first bytes of the image of each row, by id."""
    ids = _ids(columns)
    if settings.images is None or not ids:
        return {}
    id_type = target.types[truncated(statements.columns.id)]
    column = settings.images.column
    statement = queries.images(statements, id_type, column, images.MAGIC_BYTES, ids)
    return {
        ids[number - 1]: images.Facts(size, start or b"")
        for number, size, start in fetch(conn, statement)
    }


def _ids(columns: Sequence[Column]) -> list[str]:
    """Return the ids of all hits, each once, without NULL."""
    ids = (hit.id for column in columns for hit in column.hits if hit.id is not None)
    return list(dict.fromkeys(ids))


def _shaded(hit: Hit, answer: Answer, encoder: Encoder) -> tuple[heat.Shaded, str]:
    """Return a passage in pieces, or as it is and why."""
    if hit.id is None:
        return heat.plain(hit.text), _NO_ID
    words, matches = answer.question.words, answer.matches.get(hit.id)
    if words is None:
        return heat.plain(hit.text), ""  # the page says so, once
    if matches is None:
        return heat.plain(hit.text), "The row has no multivector, or too many tokens to shade."
    try:
        spans: list[Span] = encoder.spans(hit.text)
        return heat.shade(hit.text, spans, words, matches, answer.top), ""
    except SpansUnknownError:
        return heat.plain(hit.text), "The encoder cannot tell which word a token stands for."
    except (heat.MismatchError, TextError) as e:
        return heat.plain(hit.text), str(e)


def _sheet(
    hit: Hit, answer: Answer, grid: images.Grid
) -> tuple[heat.Shaded, str, images.Sheet | None]:
    """Return a caption, why something is missing, and the page image with its patches."""
    caption = heat.plain(hit.text)
    if hit.id is None:
        return caption, _NO_ID, None
    refusal = images.refusal(answer.facts.get(hit.id))
    if refusal:
        return caption, refusal, None
    words, matches = answer.question.words, answer.matches.get(hit.id)
    if words is None:
        return caption, "", images.Sheet()  # the page says so, once
    if matches is None:
        note = "The row has no multivector, or too many tokens to shade."
        return caption, note, images.Sheet()
    try:
        sheet = images.shade(grid, words, matches, answer.top)
    except heat.MismatchError as e:
        return caption, str(e), images.Sheet()
    return replace(caption, pairs=sheet.pairs), "", sheet


def _set_places(columns: Sequence[Column]) -> None:
    """Let each hit know its place in the other rankings."""
    places: dict[str, dict[Way, int]] = {}
    for column in columns:
        for place, hit in enumerate(column.hits, 1):
            if hit.id is not None:
                places.setdefault(hit.id, {})[column.search.way] = place
    for column in columns:
        for hit in column.hits:
            if hit.id is not None:
                hit.places = {w: p for w, p in places[hit.id].items() if w != column.search.way}


def fetch(conn: psycopg.Connection[Any], statement: Statement) -> list[Any]:
    with conn.cursor(binary=True) as cursor:
        return cursor.execute(statement.sql, statement.params).fetchall()


def _fetch_texts(conn: psycopg.Connection[Any], statement: Statement) -> list[list[str | None]]:
    """Return rows whose values are as the server writes them: the type of an id may be any."""
    with conn.cursor(binary=False) as cursor:
        result = cursor.execute(statement.sql, statement.params).pgresult
        assert result is not None
        values = [
            [result.get_value(row, column) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]
    encoding = conn.info.encoding
    return [
        [value if value is None else value.decode(encoding, "replace") for value in row]
        for row in values
    ]
