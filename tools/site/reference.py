#!/usr/bin/python3
"""Write the reference of types, functions, operators and settings, from the catalog of the server of PGHOST and its comments.

    reference.py FILE
"""
import re, sys, uuid
import psycopg

EXTENSIONS = ('colbert_pg', 'colbert_fan_out')
MEMBER = "JOIN pg_depend d ON d.objid = o.oid AND d.classid = '{}'::regclass AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = %s"
# what PostgreSQL calls, and users do not
INTERNAL = r"~ '^(implementation of|I/O|internal|aggregate |hash$|handler of |statistics for ANALYZE|enforce )'"

TYPES = f"""SELECT format_type(o.oid, NULL), obj_description(o.oid, 'pg_type') FROM pg_type o {MEMBER.format('pg_type')}
    WHERE typcategory <> 'A' AND typtype <> 'c' ORDER BY 1"""      # since 17, also the row types of views are members
FUNCTIONS = f"""SELECT o.proname, pg_get_function_arguments(o.oid), pg_get_function_result(o.oid), obj_description(o.oid, 'pg_proc'),
        CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END
    FROM pg_proc o {MEMBER.format('pg_proc')}
    WHERE 'internal'::regtype <> ALL (proargtypes) AND obj_description(o.oid, 'pg_proc') !{INTERNAL}
        AND NOT EXISTS (SELECT FROM pg_cast WHERE castfunc = o.oid AND (castsource = casttarget OR proname <> 'multivector')) ORDER BY 1, 2"""
OPERATORS = f"""SELECT oprname, format_type(oprleft, NULL), format_type(oprright, NULL), format_type(oprresult, NULL), obj_description(o.oid, 'pg_operator')
    FROM pg_operator o {MEMBER.format('pg_operator')} ORDER BY oprname LIKE '%%~%%', 1"""
CASTS = f"""SELECT format_type(castsource, NULL), format_type(casttarget, NULL),
        CASE castcontext WHEN 'a' THEN 'on assignment' WHEN 'i' THEN 'always' ELSE 'explicit' END, obj_description(o.oid, 'pg_cast')
    FROM pg_cast o {MEMBER.format('pg_cast')} ORDER BY casttarget = 'multivector'::regtype DESC, 1, 2"""
METHODS = f"SELECT amname, obj_description(o.oid, 'pg_am') FROM pg_am o {MEMBER.format('pg_am')} ORDER BY 1"
CLASSES = f"""SELECT opcname, amname, format_type(opcintype, NULL), CASE WHEN opcdefault THEN 'default' ELSE '' END, obj_description(o.oid, 'pg_opclass')
    FROM pg_opclass o {MEMBER.format('pg_opclass')} JOIN pg_am a ON a.oid = opcmethod ORDER BY 2, 4 DESC, 1"""
VIEWS = f"""SELECT relname, string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum), obj_description(o.oid, 'pg_class')
    FROM pg_class o {MEMBER.format('pg_class')} JOIN pg_attribute ON attrelid = o.oid AND attnum > 0 AND NOT attisdropped
    WHERE relkind IN ('r', 'v', 'm') GROUP BY o.oid, relname ORDER BY 1"""
SETTINGS = """SELECT name, boot_val, coalesce(min_val || ' to ' || max_val, array_to_string(enumvals, ' '), replace(vartype, 'bool', 'on off')),
        context, concat_ws(' ', short_desc, extra_desc) FROM pg_settings WHERE name LIKE 'colbert.%' ORDER BY 1"""

INTRODUCTION = """# Catalog

This page is generated from the comments in the database's catalog, which psql shows by `\\dx+ colbert_pg`, `\\df+`, `\\do+` and `\\dAc+`.
The tables of the [front page](../README.md#reference) and of [ranking](ranking.md) are shorter; [the type](type.md) explains conversions and scores, and
[settings and options](options.md) has the options of an index, which have no place in the catalog.
"""


def prose(value):
    """Return a comment as Markdown, on one line."""
    return re.sub(r'([\\`*_\[\]])', r'\\\1', re.sub(r'\s+', ' ', value or '')).replace('<', '&lt;').replace('|', '&#124;')


def code(value):
    """Return a value as code. Python's tables, unlike GitHub's, take a | within it as it is."""
    return f'`{value}`' if value else ''


def capital(text):
    return text[:1].upper() + text[1:]


def table(header, rows):
    return '\n'.join(['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)] + ['| ' + ' | '.join(row) + ' |' for row in rows]) + '\n'


def function(name, arguments, result, comment, volatility):
    """Return a paragraph for each function: signatures are too long for a table."""
    columns = re.findall(r'OUT (\w+ [^,]+)', arguments)
    given = re.sub(r'(, )?OUT \w+ [^,]+', '', arguments)
    returned = ' Columns: ' + ', '.join(map(code, columns)) + '.' if columns else ''
    return f'```sql\n{name}({given}) → {result}\n```\n\n{capital(prose(comment))}. *{volatility.capitalize()}.*{returned}\n'


def functions(rows):
    """Return the functions under a heading per name."""
    parts, last = [], None
    for row in rows:
        if row[0] != last:
            parts.append(f'#### {row[0]}\n')
        parts.append(function(*row))
        last = row[0]
    return '\n'.join(parts)


def views(rows):
    """Return the section of views, if there are any."""
    if not rows:
        return ''
    return '## Views\n\n' + '\n'.join(f'#### {name}\n\n{capital(prose(comment))}. Columns: ' + ', '.join(map(code, columns.split(', '))) + '.\n' for name, columns, comment in rows)


def page(conn):
    def rows(query, extension='colbert_pg'):
        return conn.execute(query, (extension,)).fetchall()

    conn.execute("LOAD 'colbert_pg'")
    return '\n'.join([
        INTRODUCTION,
        '## Types\n', table(('type', ''), [(code(name), prose(comment)) for name, comment in rows(TYPES)]),
        '## Functions\n', functions(rows(FUNCTIONS)),
        views(rows(VIEWS)),
        '## Operators\n', table(('operator', 'left', 'right', 'result', ''), [(code(a), code(b), code(c), code(d), prose(e)) for a, b, c, d, e in rows(OPERATORS)]),
        '## Access methods\n', table(('access method', ''), [(code(name), prose(comment)) for name, comment in rows(METHODS)]),
        '## Operator classes\n', table(('operator class', 'access method', 'type', '', ''), [(code(a), code(b), code(c), d, prose(e)) for a, b, c, d, e in rows(CLASSES)]),
        '## Casts\n', table(('from', 'to', 'applies', ''), [(code(a), code(b), c, prose(d)) for a, b, c, d in rows(CASTS)]),
        '## Settings\n', table(('setting', 'default', 'values', 'who may set it', ''),
                               [(code(a), code(b), prose(c), prose(d), prose(e)) for a, b, c, d, e in conn.execute(SETTINGS).fetchall()]),
        '## The extension colbert_fan_out\n', functions(rows(FUNCTIONS, 'colbert_fan_out')),
    ])


def main(file):
    name = f'docs_reference_{uuid.uuid4().hex}'
    with psycopg.connect(dbname='postgres', autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE {name}')
        try:
            with psycopg.connect(dbname=name, autocommit=True) as conn:
                conn.execute('CREATE EXTENSION colbert_pg; CREATE EXTENSION dblink; CREATE EXTENSION colbert_fan_out')
                text = page(conn)
        finally:
            admin.execute(f'DROP DATABASE {name}')
    with open(file, 'w') as f:
        f.write(text)


if __name__ == '__main__':
    main(*sys.argv[1:])
