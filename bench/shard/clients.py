"""Clients in separate processes: the C client that runs queries (client.c), and one that inserts."""
import multiprocessing, os, subprocess, time
import psycopg
import copybinary as cb
from shard import data
from shard.load import connect

CLIENT = os.path.join(data.ROOT, 'build', 'bench', 'shard_client')
TOP = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 10'
COMMIT_EVERY = 100      # documents per transaction


def write_queries(path, queries):
    """Write queries for client.c. queries: binary multivectors."""
    with open(path, 'wb') as f:
        for query in queries:
            f.write(len(query).to_bytes(4, 'little') + query)


class Client:
    """A client that waits for begin()."""

    def __init__(self, path, first=0, count=0, seconds=0., statement=TOP):
        self.process = subprocess.Popen([CLIENT, statement, path, str(first), str(count), str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            raise RuntimeError('the client failed')

    def begin(self):
        self.process.stdin.write('\n')
        self.process.stdin.close()

    def times(self):
        """Wait for the client and return the milliseconds of each query."""
        lines = self.process.stdout.read().split('\n')
        if self.process.wait():
            raise RuntimeError('the client failed')
        return [float(line) for line in lines if line]


def ask(path, count):
    client = Client(path, count=count)
    client.begin()
    return client.times()


def rate(path, clients, seconds):
    """Return the total queries per second of this many concurrent clients."""
    # Start at different queries, so that no two clients ask the same one at the same time
    those = [Client(path, first=number * 37, seconds=seconds) for number in range(clients)]
    for client in those:
        client.begin()
    return sum(1000 * len(times) / sum(times) for times in [client.times() for client in those])


def insert(documents, first, done, stop):
    """Insert documents with one statement each, and put (documents, seconds) on the queue done. Ends early when stop is set."""
    with connect() as conn:
        pgconn = conn.pgconn
        pgconn.prepare(b'ins', b'INSERT INTO passages VALUES ($1, $2)')
        values = [(cb.int4(id), cb.multivector(doc, 'float2')) for id, doc in enumerate(documents, first)]
        start, count = time.time(), 0
        while count < len(values) and not stop.is_set():
            pgconn.exec_(b'BEGIN')
            for value in values[count:count + COMMIT_EVERY]:
                result = pgconn.exec_prepared(b'ins', value, [1, 1])
                if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
                    raise RuntimeError(result.error_message.decode())
            pgconn.exec_(b'COMMIT')
            count += COMMIT_EVERY
        done.put((min(count, len(values)), time.time() - start))


class Inserter:
    """A process that inserts documents."""

    def __init__(self, documents, first):
        context = multiprocessing.get_context('fork')
        self.done, self.stop = context.Queue(), context.Event()
        self.process = context.Process(target=insert, args=(documents, first, self.done, self.stop), daemon=True)
        self.process.start()

    def finish(self, now=False):
        """Wait for the process and return (documents, seconds)."""
        if now:
            self.stop.set()
        while self.done.empty():
            if not self.process.is_alive() and self.done.empty():
                raise RuntimeError('the inserts failed')
            time.sleep(.05)
        result = self.done.get()
        self.process.join()
        return result
