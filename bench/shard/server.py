"""A private PostgreSQL server with a permanent data folder, so that the next run can use what took hours to load and build.

DIR/server holds its data, DIR/socket its socket; it does not listen on the network. A server that already runs there is used as is, and left
running.
"""
import math, os, pwd, shutil, subprocess

GB = 2 ** 30
INDEX_BYTES, TABLE_BYTES = 200, 275     # maximum bytes per token, of one index and of the table


def memory():
    with open('/proc/meminfo') as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith('MemTotal'))


def disk_wanted(tokens, indexes):
    """Return the disk space for the table, the indexes, temporary files of a build, and WAL (max_wal_size)."""
    return tokens * (TABLE_BYTES + INDEX_BYTES * (indexes + (indexes > 0))) + 8 * GB


class Server:
    def __init__(self, folder, port, tokens, indexes):
        self.folder, self.port, self.tokens = os.path.abspath(folder), port, tokens
        self.data, self.socket = (os.path.join(self.folder, name) for name in ('server', 'socket'))
        self.bin = subprocess.run([os.environ.get('PG_CONFIG', 'pg_config'), '--bindir'], capture_output=True, text=True, check=True).stdout.strip()
        self.user = os.environ.get('COLBERT_SERVER_USER', 'postgres') if os.getuid() == 0 else None
        self.disk = disk_wanted(tokens, indexes)
        self.started = False

    def run(self, program, *arguments, **options):
        command = [os.path.join(self.bin, program), *arguments]
        return subprocess.run((['runuser', '-u', self.user, '--'] if self.user else []) + command, cwd=self.folder, **options)

    def running(self):
        return self.run('pg_ctl', '-D', self.data, 'status', capture_output=True).returncode == 0

    def settings(self):
        """Return the settings. shared_buffers has room for one index and 1 GB of documents read by the exact stage; at most half of the memory."""
        have = memory()
        buffers = min(have // 2, self.tokens * INDEX_BYTES + GB)
        build = min(4 * GB, have // 5)
        # with min_wal_size, inserts write to WAL files that exist, as on a server that has run for a while
        return {'listen_addresses': '', 'unix_socket_directories': self.socket, 'port': self.port, 'huge_pages': 'try', 'max_wal_size': '8GB', 'min_wal_size': '4GB',
                'shared_buffers': f'{math.ceil(buffers / 2 ** 20)}MB', 'maintenance_work_mem': f'{build // 2 ** 20}MB',
                'checkpoint_timeout': '30min', 'autovacuum': 'off', 'jit': 'off', 'max_parallel_workers_per_gather': 0,
                'dynamic_shared_memory_type': 'posix' if shutil.disk_usage('/dev/shm').total > have // 2 else 'mmap'}

    def make_folders(self):
        for folder in (self.folder, self.socket):
            os.makedirs(folder, exist_ok=True)
            if self.user:
                shutil.chown(folder, self.user)
        if len(self.socket) > 80:
            raise SystemExit(f'the socket path {self.socket} is too long: use another --data')
        if self.user and self.run('initdb', '--version', capture_output=True).returncode:
            raise SystemExit(f'user {self.user}, which runs the server, cannot access {self.folder}: use another --data, or set COLBERT_SERVER_USER')

    def initialise(self):
        free = shutil.disk_usage(self.folder).free
        if free < self.disk:
            raise SystemExit(f'{self.folder}: {self.disk / GB:.0f} GB of disk space needed, {free / GB:.0f} GB free')
        shutil.rmtree(self.data, ignore_errors=True)
        self.run('initdb', '-D', self.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync', check=True, capture_output=True)
        with open(os.path.join(self.data, 'postgresql.conf'), 'a') as f:
            f.write("include = 'bench.conf'\n")

    def configure(self):
        with open(os.path.join(self.data, 'bench.conf'), 'w') as f:
            f.writelines(f"{name} = '{value}'\n" for name, value in self.settings().items())
        os.chmod(f.name, 0o644)

    def start(self):
        self.make_folders()
        os.environ.update(PGHOST=self.socket, PGPORT=str(self.port), PGUSER='postgres', PGDATABASE='postgres', PATH=self.bin + ':' + os.environ['PATH'])
        if self.running():
            print(f'using the server that already runs in {self.data}', flush=True)
            return
        if not os.path.exists(os.path.join(self.data, 'PG_VERSION')):
            self.initialise()
        self.configure()
        log = os.path.join(self.folder, 'log')
        if self.run('pg_ctl', '-D', self.data, '-l', log, '-w', '-t', '600', 'start', stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f'the server did not start: see {log}')
        self.started = True

    def stop(self):
        if self.started:
            self.run('pg_ctl', '-D', self.data, '-m', 'fast', '-w', '-t', '600', 'stop', stdout=subprocess.DEVNULL)
            self.started = False

    def huge_pages(self):
        """Say whether the server uses huge pages."""
        pid = open(os.path.join(self.data, 'postmaster.pid')).readline().strip()
        with open(f'/proc/{pid}/smaps') as f:
            got = any(line.startswith('Private_Hugetlb') and int(line.split()[1]) or line.startswith('Shared_Hugetlb') and int(line.split()[1]) for line in f)
        return 'huge pages' if got else 'no huge pages (the system has none reserved: vm.nr_hugepages)'

    def how_to_start(self):
        user = f'runuser -u {self.user} -- ' if self.user else ''
        return (f'{user}{self.bin}/pg_ctl -D {self.data} -l {self.folder}/log start\n'
                f'psql -h {self.socket} -p {self.port} -U postgres')

    def describe(self, conn):
        show = lambda name: conn.execute(f'SHOW {name}').fetchone()[0]
        return (f"PostgreSQL {show('server_version').split()[0]}, shared_buffers {show('shared_buffers')}, {self.huge_pages()}, "
                f"maintenance_work_mem {show('maintenance_work_mem')}, fsync {show('fsync')}, logged table")
