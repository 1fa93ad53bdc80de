"""The statements of a table with full text: those of doc/ranking.md.

A search is a chain of queries: docs (the rows that the condition selects; they are not
materialized, so that both indexes serve them), words (the query, prepared once) and, for both sides
together, best (the ids of the best rows of each side). docs comes first and nothing else reads the
table, so a name in a condition cannot mean one of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from .._names import escaped, identifier, quoted, statistics_of, truncated
from .records import FullText, Ranking, StoredRanker
from .statements import Query, Statement, Statements, Where, limited

_WEIGHT = 0.8
_QUERIES = [("docs",), ("query",), ("best",)]  # the names that hide those of tables
_PER_SIDE, _PER_SIDE_WITH_TITLES = 50, 20
_ANALYZE = sql.SQL(
    "SELECT bm25_analyze(%s::regclass, %s::name, sample => %s::bigint, config => %s::regconfig)"
)
_IS_MISSING = sql.SQL(
    "SELECT pg_catalog.to_regclass(%s) IS NOT NULL AND pg_catalog.to_regclass(%s) IS NULL"
)
# bm25_analyze comments its tables: no other table of the name is dropped.
_IS_OURS = sql.SQL("""
    SELECT true FROM pg_catalog.pg_class
    WHERE oid = pg_catalog.to_regclass(%s)
    AND pg_catalog.obj_description(oid, 'pg_class') = 'BM25 statistics of ' || %s
""")
_WEIGHTED = sql.SQL(
    "{weight} * {maxsim} / num_tokens(query.doc) + "
    "(1 - {weight}) * {bm25f} / bm25_bound(query.words)"
)
_BY_MODEL = sql.SQL(
    "rank_score({model}, maxsim_features(docs.{doc}, query.doc) || "
    "bm25f_features(coalesce(docs.{tsv}, ''), query.words), {names})"
)
_TERMS = sql.SQL(
    "SELECT t.term, t.section::text, t.frequency, t.contribution "
    "FROM {table} AS docs LEFT JOIN LATERAL "
    "bm25f_terms(docs.{tsv}, (SELECT bm25_query({statistics}, %s::text))) AS t ON true "
    "WHERE docs.{id} = %s ORDER BY t.contribution DESC"
)
_TEXT = sql.SQL(
    "WITH docs AS NOT MATERIALIZED ({docs}), "
    "query AS MATERIALIZED (SELECT bm25_query({statistics}, %s::text) AS words) "
    "SELECT {fields}, {bm25f} AS {score}{more} FROM docs, query "
    "WHERE docs.{tsv} @@ bm25_candidates(query.words) ORDER BY {score} DESC, docs.{id}{limit}"
)
_HYBRID = sql.SQL(
    "WITH docs AS NOT MATERIALIZED ({docs}), "
    "query AS MATERIALIZED "
    "(SELECT %s::multivector AS doc, bm25_query({statistics}, %s::text) AS words), "
    "best AS ((SELECT docs.{id} FROM docs, query ORDER BY {maxsim} DESC{per_side}) UNION "
    "(SELECT docs.{id} FROM docs, query WHERE docs.{tsv} @@ bm25_candidates(query.words) "
    "ORDER BY bm25f(docs.{tsv}, query.words) DESC{per_side})) "
    "SELECT {fields}, {ranked} AS {score}, {maxsim} AS maxsim, {bm25f} AS bm25f{more} "
    "FROM best JOIN docs USING ({id}), query ORDER BY {score} DESC, docs.{id}{limit}"
)


class RankedStatements(Statements):
    """The statements on a table with full text."""

    def __init__(self, full_text: FullText, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.full_text = full_text
        if full_text.title is not None:
            self._metadata_column()
        self._tsv = escaped(sql.Identifier(full_text.column))
        self.statistics = quoted(
            statistics_of(self.table, full_text.column)
            if full_text.statistics is None
            else identifier(full_text.statistics)
        )

    def names(self) -> list[str]:
        return [*super().names(), truncated(self.full_text.column)]

    def create(self, dims: int) -> list[Statement]:
        return [*super().create(dims), *self.add_full_text()]

    def add_full_text(self) -> list[Statement]:
        """Return the statements that add the column of tsvector, and its index."""
        config = literal(self.full_text.config)
        text = sql.SQL("to_tsvector({}, coalesce({}, ''))").format(config, self._text)
        if self.full_text.title is not None:
            title = sql.SQL("setweight(to_tsvector({}, coalesce({} ->> {}, '')), 'A') || {}")
            key = literal(self.full_text.title)
            text = title.format(config, self._metadata_column(), key, text)
        add = sql.SQL("ALTER TABLE {} ADD {} tsvector GENERATED ALWAYS AS ({}) STORED")
        keep = sql.SQL("ALTER TABLE {} ALTER {} SET STORAGE MAIN")
        index = sql.SQL("CREATE INDEX ON {} USING gin ({})")
        return [
            Statement(add.format(self._table, self._tsv, text)),
            Statement(keep.format(self._table, self._tsv)),
            Statement(index.format(self._table, self._tsv)),
        ]

    def analyze(self, sample: int | None) -> Statement:
        config = self.full_text.config
        return Statement(_ANALYZE, (self.table_name, self.full_text.column, sample, config))

    def lacks_statistics(self) -> Statement:
        return Statement(_IS_MISSING, (self.table_name, self.statistics))

    def has_statistics(self) -> Statement:
        """Return a row if there is a table of statistics that analyze made."""
        of = f"{truncated(self.table._obj[-1])}.{truncated(self.full_text.column)}"
        return Statement(_IS_OURS, (self.statistics, of))

    def drop_statistics(self) -> Statement:
        statistics = sql.SQL(self.statistics.replace("%", "%%"))
        return Statement(sql.SQL("DROP TABLE {}").format(statistics))

    def terms(self, text: str, id: str) -> Statement:
        """Return the terms of bm25f of a row. One that has none is a row of NULLs."""
        statistics = literal(self.statistics)
        parts = {"table": self._table, "tsv": self._tsv, "id": self._id, "statistics": statistics}
        return Statement(_TERMS.format(**parts), (text, id))

    def search(
        self, limit: int, where: Where | None, *, doc: bool, ranking: Ranking
    ) -> sql.Composed:
        """Return the search. Its parameters are those of search_params."""
        if ranking.mode == "maxsim":
            return super().search(limit, where, doc=doc, ranking=ranking)
        hybrid = ranking.mode == "hybrid"
        parts: dict[str, Any] = {
            "docs": self._docs(where, documents=hybrid),
            "statistics": literal(self.statistics),
            "fields": self._fields("docs."),
            "id": self._id,
            "tsv": self._tsv,
            "maxsim": sql.SQL("{}(docs.{}, query.doc)").format(sql.SQL(self.similarity), self._doc),
            "bm25f": sql.SQL("coalesce(bm25f(docs.{}, query.words), 0)").format(self._tsv),
            "score": self._score(),
            "more": sql.SQL(", docs.{}").format(self._doc) if doc else sql.SQL(""),
            "limit": limited(limit),
        }
        if not hybrid:
            return _TEXT.format(**parts)
        if self.is_distance:
            raise ValueError(f"expected similarity maxsim for mode hybrid, not {self.similarity}")
        return _HYBRID.format(
            **parts,
            ranked=self._ranked(ranking, parts),
            per_side=limited(self._per_side(ranking, limit)),
        )

    def search_params(self, query: Query, where: Where | None, params: Sequence[Any]) -> list[Any]:
        mode, ranker = query.ranking.mode, query.ranking.ranker
        if mode == "maxsim":
            return super().search_params(query, where, params)
        of_query = [query.text] if mode == "text" else [query.doc, query.text]
        model = ranker.name if isinstance(ranker, StoredRanker) else ranker
        of_ranker = [] if model is None else [model]
        return [*self._params(where, params), *of_query, *of_ranker]

    def _docs(self, where: Where | None, *, documents: bool) -> sql.Composed:
        names = [self._id, self._text, self._doc, self._tsv]
        if self._metadata is not None:
            names.append(self._metadata)
        return sql.SQL("SELECT {} FROM {}{}").format(
            sql.SQL(", ").join(names), self._table, self._where(where, documents=documents)
        )

    def _ranked(self, ranking: Ranking, parts: dict[str, Any]) -> sql.Composed:
        if ranking.ranker is None:
            weight = _WEIGHT if ranking.weight is None else float(ranking.weight)
            return _WEIGHTED.format(**parts, weight=sql.Literal(weight))
        from ..rank import FEATURES  # noqa: PLC0415 (it imports collections)

        names = literal("{" + ",".join(FEATURES) + "}")
        model = _model(ranking.ranker)
        return _BY_MODEL.format(model=model, doc=self._doc, tsv=self._tsv, names=names)

    def _per_side(self, ranking: Ranking, limit: int) -> int:
        """Return the candidates of each side: at least as many as hits, unless it is given."""
        if ranking.per_side is not None:
            return ranking.per_side
        return max(_PER_SIDE_WITH_TITLES if self.full_text.title else _PER_SIDE, limit)


def _model(ranker: str | StoredRanker) -> sql.Composable:
    if isinstance(ranker, str):
        return sql.SQL("%s::rank_model")
    names = (sql.Identifier(name) for name in (ranker.model, ranker.key))
    model, key = map(escaped, names)
    table = identifier(ranker.table)
    if table._obj in _QUERIES:
        raise ValueError(f"expected the schema of table {quoted(table)}, too")
    return sql.SQL("(SELECT {} FROM {} WHERE {} = %s)").format(model, escaped(table), key)


def literal(text: str) -> sql.SQL:
    """Return a literal for a statement with parameters: its percent signs are no placeholders."""
    return sql.SQL(sql.Literal(text).as_string(None).replace("%", "%%"))
