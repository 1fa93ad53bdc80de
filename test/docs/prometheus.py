#!/usr/bin/python3
"""Check doc/prometheus: its queries run as a member of pg_monitor and return the columns of their metrics, and its alerts use these. TAP output.

Runs on the server of PGHOST, in a database of its own. With COLBERT_EXTRA, also by Debian's postgres_exporter, and with promtool, from packages
that are unpacked in build/prometheus.
"""
import os, re, socket, subprocess, sys, time, urllib.request
import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
count = failures = 0


def check(good, name, details=''):
    global count, failures
    count += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}" + f'\n# {details}' * (not good and details != ''))


def read(name):
    with open(os.path.join(ROOT, 'doc', name)) as f:
        return f.read()


def queries():
    """Return the query and the metrics of each namespace. Lines of a query are indented by four spaces."""
    found = {}
    for name, text in re.findall(r'^(\w+):\n((?:  .*\n|\n)+)', read('prometheus/queries.yaml'), re.M):
        query = re.search(r'^  query: \|\n((?:    .*\n)+)', text, re.M).group(1)
        found[name] = (query, re.findall(r'^    - (\w+): \{usage: "(LABEL|GAUGE|COUNTER)", description: ".+"\}$', text, re.M))
    return found


def set_up(conn):
    conn.execute("""
        CREATE EXTENSION colbert_pg;
        CREATE TABLE watched (id int PRIMARY KEY, doc multivector(2)) WITH (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0.1);
        INSERT INTO watched SELECT i, format('[[%s,%s]]', i, -i)::multivector FROM generate_series(1, 100) AS i;
        CREATE INDEX watched_doc ON watched USING colbert_ivf (doc);
        ANALYZE watched;
        DELETE FROM watched WHERE id <= 50;
        SET enable_seqscan = off;
        SET enable_sort = off;
        SELECT id FROM watched ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
        SELECT pg_stat_force_next_flush();
        CREATE ROLE docs_exporter LOGIN;
        GRANT pg_monitor TO docs_exporter;
    """)


def unpacked(package, program):
    """Return the path of a program of a Debian package, or None if the package cannot be had."""
    folder = os.path.join(ROOT, 'build', 'prometheus', package)
    path = os.path.join(folder, 'usr', 'bin', program)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        fetched = subprocess.run(f'apt-get download {package} && dpkg -x {package}_*.deb . && rm {package}_*.deb', shell=True, cwd=folder, capture_output=True, text=True)
        if fetched.returncode != 0:
            print(f'# {fetched.stderr}')
            return None
    return path


def exported(program):
    """Return the names of the metrics that postgres_exporter shows."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    source = f"user=docs_exporter host={os.environ['PGHOST']} port={os.environ['PGPORT']} dbname=docs_prometheus sslmode=disable"
    exporter = subprocess.Popen([program, f'--web.listen-address={address}', '--extend.query-path=' + os.path.join(ROOT, 'doc/prometheus/queries.yaml')],
                                env=dict(os.environ, DATA_SOURCE_NAME=source), stderr=subprocess.DEVNULL)
    try:
        for _ in range(60):
            try:
                with urllib.request.urlopen(f'http://{address}/metrics', timeout=30) as answer:
                    return set(re.findall(r'^(colbert_\w+)\{.* \S+$', answer.read().decode(), re.M))
            except OSError:
                time.sleep(0.5)
        return set()
    finally:
        exporter.terminate()
        exporter.wait()


def programs_agree(metrics):
    exporter, promtool = unpacked('prometheus-postgres-exporter', 'prometheus-postgres-exporter'), unpacked('prometheus', 'promtool')
    if exporter is None or promtool is None:
        check(True, 'postgres_exporter and promtool # skip the packages cannot be downloaded')
        return
    shown = exported(exporter)
    check(shown == metrics, 'postgres_exporter shows the metrics', f'missing: {metrics - shown}; more: {shown - metrics}')
    tested = subprocess.run([promtool, 'test', 'rules', os.path.join(ROOT, 'test/docs/alerts_test.yaml')], capture_output=True, text=True)
    check(tested.returncode == 0, 'promtool: the alerts fire when they should', tested.stdout + tested.stderr)


def main():
    with psycopg.connect(dbname='postgres', autocommit=True) as conn:
        conn.execute('CREATE DATABASE docs_prometheus')
    metrics = set()
    values = {}
    with psycopg.connect(dbname='docs_prometheus', autocommit=True) as conn:
        set_up(conn)
        counted = conn.execute('SELECT colbert_stat_info() IS NOT NULL').fetchone()[0]
        conn.execute('SET ROLE docs_exporter')
        for name, (query, columns) in queries().items():
            cursor = conn.execute(query)
            returned = [column.name for column in cursor.description]
            check(returned == [column for column, _ in columns], f'{name}: the metrics are the columns of the query', returned)
            rows = cursor.fetchall()
            check(len(rows) == (1 if counted or name != 'colbert_search' else 0), f'{name}: a row per index or table', rows)
            values.update({f'{name}_{column}': value for row in rows for column, value in zip(returned, row)})
            metrics |= {f'{name}_{column}' for column, usage in columns if usage != 'LABEL'}
    check(values['colbert_table_vacuum_due'] == 1, 'a table with dead rows is due')
    check((values['colbert_index_usable'], values['colbert_index_documents']) == (1, 100), 'an index is shown to a role that may not read the table', values)
    check(not counted or (values['colbert_search_searches'], values['colbert_search_emitted']) == (1, 5), 'searches are counted', values)

    alerts = read('prometheus/alerts.yaml')
    used = set(re.findall(r'\bcolbert_(?:index|table|search)_\w+', ' '.join(re.findall(r'expr: (.*)', alerts))))
    check(used and used <= metrics, 'alerts.yaml uses metrics of queries.yaml', used - metrics)
    named = re.findall(r'- alert: (\w+)', alerts)
    page = read('monitoring.md')
    check(named and re.findall(r'^\| `(Colbert\w+)` ', page, re.M) == named, 'doc/monitoring.md has the alerts', named)
    shown = re.findall(r'`(\w+)`', ' '.join(re.findall(r'^\| `colbert_\w+_\.\.\.`: (.*?) \|', page, re.M)))
    missing = {name for name in shown if not any(metric.endswith(f'_{name}') for metric in metrics)}
    check(shown and not missing, 'doc/monitoring.md names metrics that exist', missing)
    if 'COLBERT_EXTRA' in os.environ:
        programs_agree(metrics if counted else {metric for metric in metrics if not metric.startswith('colbert_search_')})
    print(f'1..{count}')
    sys.exit(failures != 0)


if __name__ == '__main__':
    main()
