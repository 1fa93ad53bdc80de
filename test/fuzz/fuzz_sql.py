#!/usr/bin/python3
"""Call everything of the extension that SQL can call, with invalid and extreme arguments.

    fuzz_sql.py [--seconds N] [--seed N] [--round N]

Functions, operators, casts and aggregates are read from the catalog, index options from src/access/options.c, and settings from pg_settings,
so that new ones are included. A call may return a result or an error. It fails if the server dies, if the error is an internal one (class
XX, or 58 for the file system), or if a statement ignores its timeout. Some rounds run as a user without rights, some in parallel workers.
TAP output; each round has its own seed, so that --seed N --round N repeats it.
"""
import argparse, collections, os, random, re, signal, sys, time
import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CALLS = 60              # per round
TIMEOUT = 2             # statement_timeout, in seconds
PATIENCE = 60           # seconds after which a statement has ignored its timeout
MEMBERS = """SELECT objid FROM pg_depend WHERE classid = '%s'::regclass AND refclassid = 'pg_extension'::regclass AND deptype = 'e'
    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'colbert_pg')"""

SETUP = """
SET client_min_messages = warning;
DROP TABLE IF EXISTS few, none, parts, fleeting, secret, gone, texts, texts_tsv_bm25 CASCADE; DROP SEQUENCE IF EXISTS numbers; DROP ROLE IF EXISTS fuzz_nobody;
CREATE EXTENSION IF NOT EXISTS colbert_pg;
CREATE ROLE fuzz_nobody;
CREATE TABLE few (id int PRIMARY KEY, doc multivector(4));
INSERT INTO few SELECT i, CASE WHEN i % 9 > 0 THEN (SELECT multivector_agg(ARRAY[sin(i), cos(i * t), sin(t), i % 3]::real[]) FROM generate_series(1, 1 + i % 7) t) END
    FROM generate_series(1, 80) i;
CREATE INDEX few_hnsw ON few USING colbert_hnsw (doc);
CREATE INDEX few_ivf ON few USING colbert_ivf (doc) WITH (lists = 4);
CREATE INDEX few_cosine ON few USING colbert_hnsw (doc multivector_cosine_ops) WITH (quantizer = flat);
CREATE INDEX few_l2 ON few USING colbert_ivf (doc multivector_l2_ops) WITH (quantizer = bit);
CREATE INDEX few_invalid ON few USING colbert_hnsw (doc) WITH (quantizer = pq, pq_m = 2);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'few_invalid'::regclass;
INSERT INTO few SELECT i, '[[1,2,3,4],[0,0,0,0]]' FROM generate_series(81, 120) i;
CREATE TABLE none (id int, doc multivector(4));
CREATE INDEX none_hnsw ON none USING colbert_hnsw (doc);
CREATE INDEX none_ivf ON none USING colbert_ivf (doc);
CREATE TABLE parts (id int, doc multivector(4)) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT * FROM few;
CREATE INDEX parts_hnsw ON parts USING colbert_hnsw (doc);
CREATE UNLOGGED TABLE fleeting AS TABLE few;
CREATE INDEX fleeting_ivf ON fleeting USING colbert_ivf ((doc::multivector(4))) WHERE id > 3;
CREATE TABLE secret AS TABLE few;
CREATE INDEX secret_hnsw ON secret USING colbert_hnsw (doc);
CREATE VIEW few_view AS TABLE few;
CREATE TABLE texts (id int, tsv tsvector);
INSERT INTO texts SELECT i, format('w%s:1,2A w%s:3B,4C all:5', i % 7, i % 3)::tsvector FROM generate_series(1, 300) i;
SELECT bm25_analyze('texts', 'tsv', config => 'simple');
CREATE SEQUENCE numbers;
GRANT SELECT ON few, none, parts, parts_0, parts_1, fleeting, few_view, texts TO fuzz_nobody;
GRANT CREATE ON SCHEMA public TO fuzz_nobody;
ANALYZE;
"""


def quote(text):
    return "'" + text.replace('\x00', '').replace("'", "''") + "'"


class Values:
    """Random SQL expressions of a type, including hostile ones."""

    def __init__(self, seeded, relations):
        self.random, self.relations = seeded, relations
        self.tame = seeded.choice((.6, .95))     # fraction of plausible values, so that calls get past their first argument
        self.dims = seeded.choice((4, 4, 4, 1, 2, 3, 17))   # dims of most values; the tables have 4

    def of(self, type):
        if self.random.random() < .2 * (1 - self.tame):
            return f'NULL::{type}'
        make = getattr(self, 'make_' + re.sub(r'\W+', '_', type.replace('[]', ' array')).strip('_'), None)
        return make() if make else f'{quote(self.junk())}::{type}'

    def junk(self):
        return ''.join(self.random.choice('[]{}(),.-+e0123456789 "\\<>NaNinfä\t') for _ in range(self.random.choice((0, 1, 3, 20))))

    def whole(self, extremes):
        r = self.random
        return r.choice((0, 1, -1, 2, 3, 4, 7, 127, 128, 255, 16000, 16001, 65535, 65536, r.randint(-5, 20), r.choice(extremes)))

    def make_integer(self):
        return f'({self.whole((2147483647, -2147483648, 1 << 16 | 4, 2 << 16 | 4, 255 << 16))})'

    def make_bigint(self):
        return f"'{self.whole((2**63 - 1, -2**63, 2**32, 2**31))}'::bigint"

    def make_boolean(self):
        return self.random.choice(('true', 'false'))

    def number(self):
        r = self.random
        return r.choice(('NaN', 'Infinity', '-Infinity', '0', '-0', '1', '-1', '0.95', '1e308', '5e-324', '-1e300', '3.5e38', '65520', '1e-45', repr(r.gauss(0, 1))))

    def make_double_precision(self):
        return f"'{self.number()}'::float8"

    def make_text(self):
        r = self.random
        return r.choice((quote(self.junk()), quote(r.choice(('float4', 'float2', 'int8', 'FLOAT4', '<', '<=', '>', '>=', '=', '<>', ' < ', 'auto'))),
                         f"repeat('x', {r.choice((63, 64, 65, 100000))})")) + '::text'

    def make_cstring(self):
        return f'{self.tokens_text()}::cstring'

    def make_cstring_array(self):
        items = [self.random.choice(('4', '1', '0', '-1', '16001', '99999999999', 'float2', 'int8', '', 'NULL', self.junk())) for _ in range(self.random.choice((0, 1, 1, 2, 2, 3, 50)))]
        return quote(self.random.choice(('{%s}', '{%s}', '{{%s}}', '[3:3]={%s}')) % ','.join('NULL' if i == 'NULL' else '"%s"' % i.replace('\\', '\\\\').replace('"', '\\"') for i in items)) + '::cstring[]'

    def make_oid(self):
        return self.make_regclass() + '::oid'

    def make_regclass(self):
        r = self.random
        return r.choice((f'{r.choice(self.relations)}::regclass',) * 9 + (f'{r.choice((0, 1, 2**32 - 1, 16384, r.randint(0, 30000)))}::oid::regclass',))

    def rows(self):
        """Return rows of numbers as text: a rectangle, mostly with self.dims columns."""
        r = self.random
        dims = self.dims if r.random() < self.tame else r.choice((4, 4, 1, 2, 3, 0, 17, 64))
        count = r.choice((1, 1, 2, 5, 40) if r.random() < .95 else (0,))
        number = (lambda: r.choice((repr(round(r.gauss(0, 1), 3)), '0', '1'))) if r.random() < max(self.tame, .7) else self.number
        return [[number() for _ in range(dims)] for _ in range(count)]

    def tokens_text(self):
        r = self.random
        rows = self.rows()
        if r.random() < .05 and rows:
            rows[-1] = rows[-1][:-1]
        text = '[' + ','.join('[' + ','.join(row) + ']' for row in rows) + ']'
        if r.random() < .1:
            at = r.randint(0, len(text))
            text = text[:at] + self.junk() + text[at + r.choice((0, 0, 1, 5)):]
        return quote(text)

    def make_multivector(self):
        r = self.random
        kind = r.random()
        if kind < .5:
            return f'{self.tokens_text()}::multivector'
        if kind < .65:
            return f'(SELECT doc FROM few WHERE id = {r.randint(0, 121)})'
        if kind < .75:
            return f"{self.tokens_text()}::multivector({r.choice((4, 4, 4, 1, 16000))}, {r.choice(('float4', 'float2', 'int8'))})"
        if kind < .85:      # many tokens, or many dims
            dims = r.choice((1, 4, 4, 128, 16000))
            return f"multivector(decode(repeat({r.choice((quote('0000803f'), quote('00000000'), quote('000080bf00000040')))}, {dims * r.choice((1, 3, 200))}), 'hex'), {dims})"
        if kind < .9:
            return f'multivector({self.make_bytea()}, {self.make_integer()}, {self.make_text()})'
        return r.choice((f'l2_normalize({self.of("multivector")})', f'({self.of("multivector")} || {self.of("multivector")})', f'pool_tokens({self.of("multivector")}, {self.make_integer()})'))

    def array(self, type):
        r = self.random
        kind = r.random()
        if kind < .2 * (1 - self.tame):
            return f"'{{}}'::{type}[]"
        if kind < (1 - self.tame):
            return f"array_fill({r.choice(('NULL', '0', '1'))}::{type}, ARRAY[{r.choice(('3', '0', '2, 4', '1, 16001', '100, 4', '1, 1, 4', '1, 1, 1, 1, 1, 1'))}])"
        rows = self.rows()
        if r.random() < .1:
            rows = [[r.choice((x, 'NULL')) for x in row] for row in rows]
        text = '{' + ','.join('{' + ','.join(row) + '}' for row in rows) + '}'
        if r.random() < .5:
            text = '{' + ','.join(rows[0] if rows else []) + '}'
        elif r.random() < .1 and rows and rows[0]:
            text = f'[-3:{len(rows) - 4}][2147483000:{2147482999 + len(rows[0])}]=' + text
        return f'{quote(text)}::{type}[]'

    def make_real_array(self):
        return self.array('real')

    def make_double_precision_array(self):
        return self.array('double precision')

    def make_numeric_array(self):
        return self.array('numeric')

    def make_integer_array(self):
        return f"(SELECT array_agg(a) FROM (SELECT ARRAY[{self.make_integer()}, {self.make_integer()}] FROM generate_series(1, {self.random.choice((0, 1, 3))})) AS t(a))" if self.random.random() < .5 \
            else quote('{{%s}}' % self.whole((2147483647, -2147483648))) + '::int[]'

    def make_multivector_array(self):
        return self.random.choice(("'{}'", f"ARRAY[{', '.join(self.of('multivector') for _ in range(self.random.choice((1, 1, 2, 5))))}]", 'ARRAY[NULL]',
                                   f"ARRAY[[{self.of('multivector')}], [{self.of('multivector')}]]", 'ARRAY(SELECT doc FROM few)', 'ARRAY(SELECT doc FROM few WHERE doc IS NOT NULL LIMIT 5)')) + '::multivector[]'

    def make_anyarray(self):
        r = self.random
        return r.choice((self.make_real_array, self.make_double_precision_array, self.make_numeric_array, self.make_integer_array, self.make_multivector_array,
                         lambda: "ARRAY['a', NULL]::text[]", lambda: "'{{1},{2}}'::smallint[]", lambda: "'{{t}}'::bool[]", lambda: "ARRAY[ROW(1)::few]", lambda: "'{pg_class}'::regclass[]",
                         lambda: '(SELECT stavalues1 FROM pg_statistic LIMIT 1)', lambda: "'{{1}}'::money[]", lambda: "'1 2'::int2vector"))()

    def make_json(self):
        r = self.random
        rows = [[x if x not in ('NaN', 'Infinity', '-Infinity') else r.choice(('null', '"NaN"', 'true', '{}')) for x in row] for row in self.rows()]
        text = '[' + ','.join('[' + ','.join(row) + ']' for row in rows) + ']'
        return quote(r.choice((text, text, text, 'null', '1', '{}', '{"a": [[1]]}', '[[[1]]]', '[1]', '"[[1]]"', '[' * 5000 + ']' * 5000, self.junk()))) + '::json'

    def make_jsonb(self):
        return self.make_json() + 'b'

    def make_bytea(self):
        r = self.random
        return f"'\\x{bytes(r.choice((0, 0, 1, 63, 127, 128, 255, r.randint(0, 255))) for _ in range(r.choice((0, 1, 3, 4, 8, 16, 16, 32, 400)))).hex()}'::bytea"

    def make_multivector_threshold(self):
        r = self.random
        return r.choice((f"multivector_threshold({self.of('multivector')}, {self.of('text')}, {self.of('double precision')})",
                         f"ROW({self.of('multivector')}, {self.of('text')}, {self.of('double precision')})::multivector_threshold",
                         f"ROW({self.of('multivector')}, '{r.choice(('<', '<=', '>', '>='))}', {self.of('double precision')})::multivector_threshold"))

    def make_name(self):
        return self.random.choice(("'tsv'", "'tsv'", "'doc'", "'id'", "'ctid'", "''", quote(self.junk()))) + '::name'

    def make_regconfig(self):
        return self.random.choice(("'simple'", "'english'", '0', '4294967295', '16384')) + '::regconfig'

    def words(self, separator):
        return separator.join(self.random.choice(('w1', 'w2', 'all', 'none', 'ünï', 'x' * 2000)) for _ in range(self.random.choice((0, 1, 2, 3, 50))))

    def make_tsvector(self):
        r = self.random
        return r.choice((f"'{' '.join(f'{w}:{r.randint(1, 16383)}{r.choice(chr(65) + chr(66) + chr(67) + chr(68))}' for w in self.words(' ').split())}'::tsvector", f"strip('{self.words(' ')}'::tsvector)",
                         f'(SELECT tsv FROM texts WHERE id = {r.randint(0, 400)})', "to_tsvector('simple', repeat('w1 ', 30000))"))

    def make_tsquery(self):
        r = self.random
        return r.choice((f"replace('{self.words(' ')}', ' ', '{r.choice(('&', '|', '<->', '&!', ':AB|'))}')::tsquery", "'w:*'::tsquery", "'!(w1 & !w2:A)'::tsquery", "''::tsquery",
                         "(SELECT string_agg('w' || i, '|')::tsquery FROM generate_series(1, 30000) i)"))

    def make_rank_model(self):
        r = self.random
        number = lambda: r.choice(('0', '1', '0.75', '-1', '1e300', '1e-300', 'null', '"x"', '2147483648', '99999'))
        numbers = lambda: ', '.join(number() for _ in range(r.choice((1, 2, 3, 3, 3))))
        linear = '{"weights": [' + numbers() + f'], "intercept": {number()}, "features": ["a", "b"]}}'
        tree = ', '.join(f'"{key}": [{r.choice((good, good, numbers()))}]' for key, good in (
            ('left_children', '1, -1, -1'), ('right_children', '2, -1, -1'), ('split_indices', '1, 0, 0'), ('split_conditions', '0.1, 0.3, 7'), ('default_left', '1, 0, 0')))
        xgboost = (f'{{"learner": {{"objective": {{"name": "rank:ndcg"}}, "learner_model_param": {{"base_score": "{number()}", "num_feature": "{r.choice(("2", number()))}"}}, '
                   f'"gradient_booster": {{"name": "gbtree", "model": {{"trees": [{{"tree_param": {{}}, {tree}}}]}}}}}}}}')
        lines = '\n'.join(f'{key}={r.choice((good, good, good, numbers().replace(",", "")))}' for key, good in (
            ('num_leaves', '3'), ('num_cat', '0'), ('split_feature', '0 1'), ('threshold', '1 2'), ('decision_type', '8 2'), ('left_child', '1 -1'), ('right_child', '-3 -2'),
            ('leaf_value', '1 2 3')))
        lightgbm = f'tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nfeature_names=a b\nTree=0\n{lines}\nend of trees'
        text = r.choice((linear, xgboost, lightgbm, '\\x01000000' + '00' * r.randint(0, 60)))
        return quote(text[:r.choice((50, 100000, 100000, 100000))]) + '::rank_model'

    def make_bm25_query(self):
        r = self.random
        if r.random() < self.tame:
            return f"bm25_query('texts_tsv_bm25', {r.choice((self.of('tsquery'), quote(self.words(' '))))})"
        number = lambda: r.choice(('0', '1', '0.75', '-1', '1e400', '1e-300', 'null', '"x"', '5'))
        four = lambda: f"[{', '.join(number() for _ in range(r.choice((4, 4, 4, 3, 5))))}]"
        uses = ('true', 'false', '1', '"required"', '"beside"')
        words = ', '.join(f'{{"word": "{w}", "idf": {number()}, "sections": "{r.choice(("A", "DCBA", "", "E", "AA"))}", "candidate": {r.choice(uses)}}}' for w in self.words(' ').split())
        return quote(f'{{"k1": {number()}, "b": {number()}, "weights": {four()}, "lengths": {four()}, "words": [{words}]}}'[:r.choice((50, 100000, 100000, 100000))]) + '::bm25_query'

    def make_bm25_frozen(self):
        r = self.random
        if r.random() < self.tame:
            return f"bm25f_freeze({self.of('tsvector')}, {r.choice((self.make_bm25_query(), 'bm25_query(' + quote('texts_tsv_bm25') + ', ' + quote('') + ')'))})"
        n = r.choice((0, 1, 2, 50))
        hashes = sorted(r.choice((0, 1, 2**31, 2**32 - 1, r.randrange(2**32))) for _ in range(n))
        text = '01' + '00' * 8 + ''.join(f'{number:08x}' for number in hashes) + ''.join(f'{r.choice((0, 1, 255, r.randrange(256))):02x}' for _ in range(n))
        return quote('\\x' + text[:r.choice((17, 100000, 100000))]) + '::bm25_frozen'

    def make_internal(self):
        return 'NULL'


class Catalog:
    """The objects that can be called."""

    def __init__(self, conn):
        self.functions = conn.execute(f"""SELECT p.oid::regprocedure::text, quote_ident(proname), proargtypes::regtype[]::text[], pronargdefaults, proretset,
            (SELECT typtype = 'p' FROM pg_type t WHERE t.oid = prorettype) AND NOT proretset AND proallargtypes IS NULL
            FROM pg_proc p WHERE prokind = 'f' AND p.oid IN ({MEMBERS % 'pg_proc'}) ORDER BY 1""").fetchall()
        self.aggregates = conn.execute(f"""SELECT p.oid::regprocedure::text, quote_ident(proname), proargtypes::regtype[]::text[]
            FROM pg_proc p WHERE prokind = 'a' AND oid IN ({MEMBERS % 'pg_proc'}) ORDER BY 1""").fetchall()
        self.operators = conn.execute(f"""SELECT o.oid::regoperator::text, oprname, oprleft::regtype::text, oprright::regtype::text
            FROM pg_operator o WHERE o.oid IN ({MEMBERS % 'pg_operator'}) ORDER BY 1""").fetchall()
        self.casts = conn.execute(f"""SELECT castsource::regtype::text, casttarget::regtype::text FROM pg_cast WHERE oid IN ({MEMBERS % 'pg_cast'}) ORDER BY 1, 2""").fetchall()
        self.settings = [name for name, in conn.execute("SELECT name FROM pg_settings WHERE name LIKE 'colbert.%' ORDER BY 1")]
        self.methods = [name for name, in conn.execute(f"SELECT amname FROM pg_am WHERE oid IN ({MEMBERS % 'pg_am'}) ORDER BY 1")]
        self.classes = [name for name, in conn.execute(f"SELECT DISTINCT opcname FROM pg_opclass WHERE oid IN ({MEMBERS % 'pg_opclass'}) ORDER BY 1")]
        with open(os.path.join(ROOT, 'src/access/options.c')) as f:
            self.options = sorted(set(re.findall(r'add_\w+_reloption\(\w+, "(\w+)"', f.read())))
        self.all = {'functions': self.functions, 'aggregates': self.aggregates, 'operators': self.operators, 'casts': self.casts, 'settings': self.settings, 'options': self.options}

    def names(self, kind):
        if kind == 'casts':
            return {f'{a} to {b}' for a, b in self.casts}
        return {item if isinstance(item, str) else item[0] for item in self.all[kind]}


class Round:
    """Random statements from a seed, each as (kind, object, SQL)."""

    def __init__(self, catalog, seed, relations):
        self.random, self.catalog = random.Random(seed), catalog
        self.values = Values(self.random, relations)
        self.by_kind = {'functions': self.function, 'operators': self.operator, 'casts': self.cast, 'aggregates': self.aggregate, 'options': self.options, 'settings': self.setting}
        self.makers = [self.function] * 12 + [self.operator] * 3 + [self.cast] * 3 + [self.aggregate] * 2 + [self.search] * 4 + [self.options, self.setting, self.setting]

    def calls(self, n):
        for _ in range(n):
            yield self.random.choice(self.makers)()

    def everything(self):
        for kind, items in self.catalog.all.items():
            for item in items:
                yield self.by_kind[kind](item)

    def function(self, item=None):
        r = self.random
        what, name, types, defaults, is_set, pseudo = item or r.choice(self.catalog.functions)
        if 'internal' in types and not item and r.random() < .7:    # SQL cannot call functions of internal
            return self.function()
        given = types[:len(types) - r.randint(0, defaults)]
        if r.random() < .15 and 'multivector' in given:
            args = ['doc' if type == 'multivector' else self.values.of(type) for type in given]
            if not is_set and not pseudo:
                return 'functions', what, f"SELECT max(octet_length({name}({', '.join(args)})::text)) FROM few"
            return 'functions', what, f"SELECT {name}({', '.join(args)}) FROM few LIMIT 50"
        call = f"{name}({', '.join(map(self.values.of, given))})"
        if is_set:
            return 'functions', what, r.choice((f'SELECT count(*), max(octet_length(r::text)) FROM {call} AS r', f'SELECT * FROM {call} AS r LIMIT 2', f'SELECT ({call}).* LIMIT 3', f'SELECT {call} LIMIT 1'))
        return 'functions', what, f'SELECT {call}' if pseudo else f'SELECT octet_length({call}::text)'

    def operator(self, item=None):
        what, name, left, right = item or self.random.choice(self.catalog.operators)
        sides = [self.values.of(left), self.values.of(right)]
        if self.random.random() < .2 and left == 'multivector':
            sides[0] = 'doc'
            return 'operators', what, f'SELECT max(octet_length(({sides[0]} {name} {sides[1]})::text)) FROM few'
        return 'operators', what, f'SELECT octet_length(({sides[0]} {name} {sides[1]})::text)'

    def cast(self, item=None):
        r = self.random
        source, target = item or r.choice(self.catalog.casts)
        typmod = ''
        if target == 'multivector' and r.random() < .7:
            typmod = '(' + ', '.join(r.choice(('4', '4', '1', '0', '-1', '16000', '16001', '2147483648', 'float4', 'float2', 'int8', 'NULL', "''", '1.5')) for _ in range(r.choice((1, 1, 2, 2, 3)))) + ')'
        array = r.choice(('', '', '', '[]'))
        value = self.values.of(source + array) if source == 'multivector' else self.values.of(source)
        return 'casts', f'{source} to {target}', f"SELECT octet_length({value}::{target}{typmod}{array if source == 'multivector' else ''}::text)"

    def aggregate(self, item=None):
        r = self.random
        what, name, types = item or r.choice(self.catalog.aggregates)
        rows = ', '.join('(' + ', '.join(map(self.values.of, types)) + f', {i})' for i in range(r.choice((1, 2, 4))))
        columns = ', '.join(f'a{i}' for i in range(len(types)))
        call = r.choice((f'{name}({columns})', f'{name}(DISTINCT {columns})', f'{name}({columns} ORDER BY n DESC)', f'{name}({columns}) FILTER (WHERE n > 1)', f'{name}({columns}) OVER (ORDER BY n)', f'{name}({columns}) OVER (ROWS 1 PRECEDING)'))
        if r.random() < .3 and types == ['real[]']:     # in parallel, if that is enabled
            return 'aggregates', what, f'SELECT octet_length({name}((doc::real[])[1:1]::real[])::text), octet_length({name}(token(doc, 1))::text) FROM few GROUP BY id % {r.choice((1, 3))}'
        return 'aggregates', what, f'SELECT octet_length(({call})::text) FROM (VALUES {rows}) AS v({columns}, n)'

    def search(self):
        r = self.random
        what, name, left, right = r.choice([o for o in self.catalog.operators if o[2] == 'multivector'])
        table = r.choice(('few', 'few', 'few', 'none', 'parts', 'fleeting', 'secret', 'few_view'))
        score = r.choice(('maxsim', 'maxsim_cosine', 'maxsim_l2'))
        query = self.values.of('multivector')
        where = r.choice(('', '', f"WHERE {score}(doc, {query}) {r.choice(('<', '<=', '>', '>='))} {self.values.of('double precision')}", f"WHERE doc {name} {self.values.of(right)} IS NOT NULL",
                          f"WHERE doc {r.choice(('<#~@', '<=~@', '<-~@'))} {self.values.of('multivector_threshold')}", 'WHERE id < 30', 'WHERE doc IS NOT NULL', 'WHERE doc IS NULL'))
        order = r.choice((f'{score}(doc, {query})' + r.choice((' DESC', ' DESC NULLS LAST', '')), f"doc {name} {self.values.of(right)}", f"doc {r.choice(('<#>', '<=>', '<->'))} {query}"))
        limit = r.choice(('', 'LIMIT 0', 'LIMIT 1', 'LIMIT 10', 'LIMIT NULL', 'LIMIT 3 OFFSET 5', 'FETCH FIRST 2 ROWS WITH TIES'))
        statement = f'SELECT id FROM {table} {where} ORDER BY {order} {limit}'
        hints = r.choice(('', 'SET enable_seqscan = off; SET enable_sort = off; '))
        if r.random() < .2:
            return 'searches', what, f'{hints}BEGIN; DECLARE c SCROLL CURSOR FOR {statement}; FETCH 3 FROM c; FETCH BACKWARD 2 FROM c; FETCH ALL FROM c; SELECT * FROM colbert_last_scan(); ROLLBACK'
        return 'searches', what, hints + statement

    def option_value(self):
        r = self.random
        if r.random() < self.values.tame:
            return r.choice(('2', '4', '8', '20'))
        return r.choice((str(self.values.whole((2147483647, -2147483648, 1048576, 10**12))), r.choice(('sq8', 'sq4', 'pq', 'flat', 'bit', "''", "'x'", 'NULL', '1.5', 'true', "'NaN'"))))

    def options(self, item=None):
        r = self.random
        names = [item] if item else [r.choice(self.catalog.options + ['fillfactor', 'nonsense', 'm.m']) for _ in range(r.choice((0, 1, 1, 2, 3)))]
        settings = ', '.join(f'{name} = {self.option_value()}' for name in names)
        if r.random() < .4:
            verb = r.choice((f'SET ({settings or "m = 4"})', f"RESET ({', '.join(names) or 'm'})"))
            return 'options', names, f"BEGIN; ALTER INDEX {r.choice(('few_hnsw', 'few_ivf', 'parts_hnsw', 'none_hnsw', 'few_pkey'))} {verb}; SELECT count(*) FROM (SELECT id FROM few ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 3) AS s; ROLLBACK"
        table = r.choice(('few', 'few', 'none', 'parts', 'fleeting', 'pg_class', 'few_view', 'numbers'))
        column = r.choice(('doc', 'doc', 'doc', '(doc::multivector(4, int8))', '(l2_normalize(doc))', '(doc || doc)', 'id', 'doc, id', "(multivector('[[1]]'))"))
        if r.random() < self.values.tame:
            table, column = 'few', 'doc'
        opclass = r.choice(('', '', r.choice(self.catalog.classes)))
        made = f"CREATE {r.choice(('', '', '', 'UNIQUE '))}INDEX fuzzed ON {table} USING {r.choice(self.catalog.methods)} ({column} {opclass}{r.choice(('', '', '', ' DESC', ' NULLS FIRST'))})"
        return 'options', names, f"BEGIN; {made}{r.choice(('', '', '', ' INCLUDE (id)'))}{f' WITH ({settings})' if settings else ''}; INSERT INTO few VALUES (1000, '[[1,2,3,4]]'); SELECT colbert_merge('fuzzed'); SELECT * FROM colbert_index_info('fuzzed'); ROLLBACK"

    def setting(self, item=None):
        r = self.random
        name = item or r.choice(self.catalog.settings)
        value = r.choice((str(self.values.whole((2147483647, -2147483648, 10**12))), f"'{r.choice(('auto', 'scalar', 'avx2', 'avx512', 'neon', '', 'x', '1kB', 'on', 'NaN', '1e3'))}'", 'DEFAULT', quote(self.values.junk())))
        return 'settings', name, f"{r.choice(('SET', 'SET', 'SET LOCAL', 'ALTER ROLE CURRENT_USER SET'))} {name} = {value}"


class Fuzz:
    def __init__(self, conn, other):
        self.conn = conn
        for statement in SETUP.split(';\n'):
            conn.execute(statement)
        other.execute("CREATE TEMP TABLE theirs (doc multivector(4)); CREATE INDEX theirs_hnsw ON theirs USING colbert_hnsw (doc); INSERT INTO theirs VALUES ('[[1,2,3,4]]')")
        conn.execute("LOAD 'colbert_pg'; CREATE TEMP TABLE ours (doc multivector(4)); CREATE INDEX ours_ivf ON ours USING colbert_ivf (doc); INSERT INTO ours VALUES ('[[1,2,3,4]]')")
        conn.execute('CREATE TABLE gone (doc multivector(4)); CREATE INDEX gone_hnsw ON gone USING colbert_hnsw (doc)')
        oids = [oid for oid, in other.execute("SELECT unnest(ARRAY['theirs', 'theirs_hnsw', 'pg_toast.pg_toast_' || 'few'::regclass::oid]::regclass[])::oid::text")]
        oids += [oid for oid, in conn.execute("SELECT unnest(ARRAY['gone', 'gone_hnsw']::regclass[])::oid::text")]
        conn.execute('DROP TABLE gone')
        names = [name for name, in conn.execute("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")] + ['ours_ivf', 'pg_class', 'pg_class_oid_index', 'pg_stats']
        colbert = [name for name in names if re.search('hnsw|ivf|cosine|l2|texts', name)]
        self.relations = [quote(name) for name in colbert * 2 + names + oids]
        self.catalog = Catalog(conn)
        self.parallel = 'debug_parallel_query' if conn.info.server_version >= 160000 else 'force_parallel_mode'
        self.calls, self.results, self.states = collections.Counter(), collections.Counter(), collections.Counter()
        self.seen = collections.defaultdict(set)
        self.findings = []

    def start(self, r):
        """Reset the session before a round."""
        self.conn.execute('ROLLBACK; RESET ROLE; RESET ALL; ALTER ROLE CURRENT_USER RESET ALL; ALTER ROLE fuzz_nobody RESET ALL')
        self.conn.execute(f"SET statement_timeout = '{TIMEOUT}s'; SET log_min_error_statement = panic; SET client_min_messages = error; SET jit = off; SET work_mem = '{r.choice(('64kB', '4MB'))}';"
                          f"SET {self.parallel} = {r.choice(('off', 'off', 'on'))}; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
        if r.random() < .25:
            self.conn.execute('SET ROLE fuzz_nobody')

    def one(self, kind, what, statement):
        """Run a statement. Return a description of its failure, or None."""
        self.calls[kind] += 1
        if kind not in ('searches',):
            self.seen[kind].update(what if isinstance(what, list) else [what])
        signal.alarm(PATIENCE)
        try:
            self.conn.execute(statement)
            self.results[kind] += 1
        except TimeoutError:
            self.conn.close()
            return 'ignores its timeout'
        except psycopg.Error as e:
            state = e.sqlstate or 'none'
            self.states[state] += 1
            if self.conn.closed or self.conn.broken:
                return f'the server died: {e}'
            if state[:2] in ('XX', '58') or state == 'none':
                return f'{state}: {e}'
        finally:
            signal.alarm(0)
            if not self.conn.closed and self.conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.conn.execute('ROLLBACK')
        return None

    def round(self, seed):
        """Run a round. Return false if the server died. Round 0 calls everything once."""
        r = random.Random(seed + ' session')
        self.start(r)
        done = []
        game = Round(self.catalog, seed, self.relations)
        for kind, what, statement in game.everything() if seed.endswith(' 0') else game.calls(CALLS):
            done.append(statement)
            wrong = self.one(kind, what, statement)
            if wrong:
                self.findings.append((seed, wrong, statement, done[-6:-1]))
                if self.conn.closed:
                    return False
        return True


def give_up(signum, frame):
    raise TimeoutError


def report(fuzz, seed):
    """Print the results and return the number of failed tests."""
    n = 0
    for seed_of, wrong, statement, before in fuzz.findings[:20]:
        n += 1
        print(f'not ok {n} - --seed {seed_of.replace(" ", " --round ")}: ' + wrong.replace('\n', ' '))
        print('\n'.join('#   ' + line[:2000] for line in before + ['-> ' + statement]))
    failed = n
    total = sum(fuzz.calls.values())
    for kind, everything in fuzz.catalog.all.items():
        missed = fuzz.catalog.names(kind) - fuzz.seen[kind]
        n += 1
        failed += bool(missed)
        print(f"{'not ok' if missed else 'ok'} {n} - {fuzz.calls[kind]} calls of all {len(everything)} {kind}, {fuzz.results[kind]} without an error" + (f": never {', '.join(sorted(missed))}" if missed else ''))
    n += 1
    print(f"{'ok' if total else 'not ok'} {n} - {fuzz.calls['searches']} searches, {fuzz.results['searches']} without an error")
    print('# errors: ' + ', '.join(f'{state} {count}' for state, count in fuzz.states.most_common()))
    print(f'# {total} calls of SQL, {sum(fuzz.results.values())} without an error, {len(fuzz.findings)} findings; seed {seed}')
    print(f'1..{n}')
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('COLBERT_SEED') or int.from_bytes(os.urandom(4), 'big')))
    parser.add_argument('--round', type=int, help='only this round; the tests of coverage then fail')
    options = parser.parse_args()
    print(f'# seed {options.seed}')
    start, n = time.time(), options.round or 0
    signal.signal(signal.SIGALRM, give_up)
    with psycopg.connect(autocommit=True, prepare_threshold=None) as conn, psycopg.connect(autocommit=True) as other:
        fuzz = Fuzz(conn, other)
        while fuzz.round(f'{options.seed} {n}') and options.round is None and time.time() - start < options.seconds:
            n += 1

        sys.exit(report(fuzz, options.seed) > 0)


if __name__ == '__main__':
    main()
