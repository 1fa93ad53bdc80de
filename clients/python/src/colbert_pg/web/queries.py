"""The SQL of the pages. Nothing here talks to a server."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from psycopg import sql

from .._names import escaped, quoted, truncated
from ..collection.ranking import RankedStatements, literal
from ..collection.records import Ranking, StoredRanker, ranking_of
from ..collection.statements import Query, Statement
from ..multivector import MultiVector

Way: TypeAlias = Literal["maxsim", "text", "hybrid", "ranker"]
WAYS: tuple[Way, ...] = get_args(Way)
NAMES: Mapping[Way, str] = {
    "maxsim": "MaxSim",
    "text": "BM25F",
    "hybrid": "Hybrid",
    "ranker": "Two stages",
}
METHODS = ("colbert_hnsw", "colbert_ivf")
SETTINGS = ("recall", "probes", "ef_search", "candidates", "rerank")
MAX_SHADED = 2048  # tokens of a document

_HAS_TABLE = sql.SQL("SELECT pg_catalog.to_regclass(%s) IS NOT NULL")
_LIMITS = sql.SQL("SELECT pg_catalog.set_config('statement_timeout', %s, true)")
_MATCHES = sql.SQL(
    "WITH query AS MATERIALIZED (SELECT %s::multivector AS doc), "
    "docs AS MATERIALIZED (SELECT ids.number, docs.{doc} AS doc "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS ids(id, number) "
    "JOIN {table} AS docs ON docs.{id} = ids.id::{type} WHERE num_tokens(docs.{doc}) <= {most}) "
    "SELECT docs.number, true, m.query_token, m.doc_token, m.similarity "
    "FROM docs, query, maxsim_tokens(docs.doc, query.doc) AS m "
    "UNION ALL SELECT docs.number, false, m.doc_token, m.query_token, m.similarity "
    "FROM docs, query, maxsim_tokens(query.doc, docs.doc) AS m"
)
_TERMS = sql.SQL(
    "WITH query AS MATERIALIZED (SELECT bm25_query({statistics}, %s::text) AS words) "
    "SELECT ids.number, t.term, t.section::text, t.frequency, t.contribution "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS ids(id, number) "
    "JOIN {table} AS docs ON docs.{id} = ids.id::{type} CROSS JOIN query "
    "CROSS JOIN LATERAL bm25f_terms(docs.{tsv}, query.words) AS t "
    "ORDER BY ids.number, t.contribution DESC, t.term"
)
_IMAGES = sql.SQL(
    "SELECT ids.number, pg_catalog.octet_length(docs.{image}), "
    "pg_catalog.substr(docs.{image}, 1, %s) "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS ids(id, number) "
    "JOIN {table} AS docs ON docs.{id} = ids.id::{type}"
)
_IMAGE = sql.SQL(
    "SELECT docs.{image} FROM {table} AS docs WHERE docs.{id} = %s::text::{type} "
    "AND pg_catalog.octet_length(docs.{image}) <= %s LIMIT 1"
)
_INDEXES = sql.SQL("""
    SELECT i.indexrelid::pg_catalog.regclass::text, a.amname::text,
        pg_catalog.pg_get_indexdef(i.indexrelid), coalesce(c.reloptions, '{}'), i.indisvalid
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_am a ON a.oid = c.relam
    WHERE i.indrelid = pg_catalog.to_regclass(%s) AND a.amname = ANY (%s) ORDER BY 1
""")
_SESSION = sql.SQL(
    "SELECT name, coalesce(pg_catalog.current_setting('colbert.' || name, true), '0') "
    "FROM pg_catalog.unnest(%s::text[]) AS name"
)
_PART = re.compile(
    r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|%(.)| (FROM|WHERE|ORDER BY|LIMIT|UNION|JOIN)\b"""
    r"|(?<=[,)]) (\w+ AS (?:NOT )?(?:MATERIALIZED )?\(|SELECT\b)"
)


@dataclass(frozen=True)
class Search:
    """A search by one ranking: its statement, and its parameters in words."""

    way: Way
    statement: Statement
    parameters: tuple[str, ...]


def limits(seconds: float) -> Statement:
    """Return the statement that limits the time of those that follow in its transaction."""
    return Statement(_LIMITS, (str(max(round(seconds * 1000), 1)),))


def has_statistics(statements: RankedStatements) -> Statement:
    return Statement(_HAS_TABLE, (statements.statistics,))


def search(
    way: Way,
    statements: RankedStatements,
    text: str,
    doc: MultiVector,
    *,
    limit: int,
    ranker: str | StoredRanker | None,
) -> Search:
    """Return the search of a question. doc: its multivector."""
    ranking = ranking_of("hybrid", ranker=ranker) if way == "ranker" else ranking_of(way)
    params = statements.search_params(Query(ranking, doc, text), None, ())
    statement = statements.search(limit, None, doc=False, ranking=ranking)
    return Search(way, Statement(statement, params), _in_words(ranking, doc))


def _in_words(ranking: Ranking, doc: MultiVector) -> tuple[str, ...]:
    tokens, dims = doc.shape
    vector, text = f"the question as {tokens} tokens of {dims} dims", "the question as text"
    if ranking.mode == "maxsim":
        return (vector,)
    if ranking.mode == "text":
        return (text,)
    if ranking.ranker is None:
        return vector, text
    stored = isinstance(ranking.ranker, StoredRanker)
    return vector, text, "the name of the ranker" if stored else "the ranker, a rank_model"


def matches(
    statements: RankedStatements, id_type: str, doc: MultiVector, ids: Sequence[str]
) -> Statement:
    """Return the matches of documents and a query, by the number of each id, from 1.

    The columns are number, of_query, the numbers of two tokens, from 1, and their similarity.
    of_query: the best token of the document for each query token; otherwise the best query token
    for each token of the document. ids: as the server writes them, of any type. id_type: as
    format_type writes it.
    """
    names = _names(statements, id_type)
    return Statement(_MATCHES.format(**names, most=sql.Literal(MAX_SHADED)), (doc, list(ids)))


def terms(statements: RankedStatements, id_type: str, text: str, ids: Sequence[str]) -> Statement:
    """Return the terms of bm25f, by the number of each id, from 1: number, and those of a Term."""
    names = _names(statements, id_type)
    return Statement(_TERMS.format(**names), (text, list(ids)))


def images(
    statements: RankedStatements, id_type: str, column: str, start: int, ids: Sequence[str]
) -> Statement:
    """Return number, size and first bytes of the image of each id, by its number, from 1."""
    names = {**_names(statements, id_type), "image": escaped(sql.Identifier(column))}
    return Statement(_IMAGES.format(**names), (start, list(ids)))


def image(
    statements: RankedStatements, id_type: str, column: str, most: int, key: str
) -> Statement:
    """Return the image of an id, or no row if it has more than a number of bytes, most."""
    names = {**_names(statements, id_type), "image": escaped(sql.Identifier(column))}
    return Statement(_IMAGE.format(**names), (key, most))


def _names(statements: RankedStatements, id_type: str) -> dict[str, sql.Composable]:
    columns = statements.columns
    return {
        "id": escaped(sql.Identifier(columns.id)),
        "doc": escaped(sql.Identifier(columns.doc)),
        "tsv": escaped(sql.Identifier(statements.full_text.column)),
        "table": escaped(statements.table),
        "type": sql.SQL(id_type.replace("%", "%%")),
        "statistics": literal(statements.statistics),
    }


def indexes(statements: RankedStatements) -> Statement:
    """Return name, access method, definition, options and validity of each index."""
    return Statement(_INDEXES, (statements.table_name, list(METHODS)))


def session_settings() -> Statement:
    """Return name and value of the settings of a search, 0 if the index chooses."""
    return Statement(_SESSION, (list(SETTINGS),))


def create_index(statements: RankedStatements) -> str:
    """Return the text of the statement that makes an index of the table."""
    column = quoted(sql.Identifier(statements.columns.doc))
    return f"CREATE INDEX ON {statements.table_name} USING colbert_hnsw ({column});"


def missing(statements: RankedStatements, types: Mapping[str, str]) -> list[str]:
    """Return the columns that the page needs, and the table lacks."""
    columns = statements.columns
    needed = [truncated(name) for name in (columns.id, columns.text, columns.doc)]
    return [name for name in needed if name not in types]


def readable(statement: Any) -> str:
    """Return a statement in lines, its parameters as $1, $2 and so on."""
    numbers = itertools.count(1)

    def part(found: re.Match[str]) -> str:
        quoted, placeholder, clause, query = found.groups()
        if quoted is not None:
            return quoted.replace("%%", "%")
        if placeholder is not None:
            return f"${next(numbers)}" if placeholder == "s" else placeholder
        return f"\n  {clause}" if clause is not None else f"\n{query}"

    return _PART.sub(part, statement.as_string(None))
