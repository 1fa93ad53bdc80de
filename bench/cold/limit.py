"""A memory cgroup for the server: its processes, shared_buffers and the page cache of the files that it reads share one limit.

Versions 1 and 2 of cgroups are supported. Both charge a page of the cache to the group that reads it first, so the files must have left the
cache before (forget).
"""
import os, sys, threading, time

PREFIX = 'colbert_cold_'
GENEROUS = 1 << 40
FILES = {   # version: names of files and of the lines of memory.stat
    1: {'limit': 'memory.limit_in_bytes', 'usage': 'memory.usage_in_bytes', 'private': 'total_rss', 'cache': 'total_cache', 'shared': 'total_shmem',
        'swap': ('memory.swappiness', '0')},
    2: {'limit': 'memory.max', 'usage': 'memory.current', 'private': 'anon', 'cache': 'file', 'shared': 'shmem', 'swap': ('memory.swap.max', '0')},
}


def write_control(path, value):
    """Write to a file of a group. A file that is not there is an error: the folder is no cgroup then."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


class NoLimit(Exception):
    """Memory cannot be limited here."""


def mounts():
    """Yield (version, mount point) of the hierarchies that control memory."""
    with open('/proc/self/mounts') as f:
        for line in f:
            _, folder, kind, options = line.split()[:4]
            if kind == 'cgroup' and 'memory' in options.split(','):
                yield 1, folder
            elif kind == 'cgroup2' and 'memory' in open(os.path.join(folder, 'cgroup.controllers')).read().split():
                yield 2, folder


def own_path(version):
    """Return the path of this process in a hierarchy, relative to its root."""
    with open('/proc/self/cgroup') as f:
        for line in f:
            number, controllers, path = line.rstrip('\n').split(':', 2)
            if (version == 1 and 'memory' in controllers.split(',')) or (version == 2 and number == '0'):
                return path.lstrip('/')
    return ''


def parents():
    """Yield (version, folder) where a group may be created, this process's own group first."""
    for version, mount in mounts():
        path = own_path(version)
        while path:
            if os.path.isdir(os.path.join(mount, path)):
                yield version, os.path.join(mount, path)
            path = os.path.dirname(path)
        yield version, mount


def remove_stale(parent):
    """Remove the empty groups of runs that were killed, and not those of runs that go on."""
    for name in os.listdir(parent):
        if name.startswith(PREFIX) and not os.path.exists('/proc/' + name[len(PREFIX):]):
            try:
                os.rmdir(os.path.join(parent, name))
            except OSError:     # in use
                pass


def forget(paths):
    """Write files to disk and remove them from the page cache."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


class MemoryLimit:
    """with MemoryLimit() as limit: processes that call limit.join() share its memory. The group must be empty at the end."""

    control = None      # version 2: file by which the parent was told to limit the memory of its groups

    def __enter__(self):
        failures = []
        for version, parent in parents():
            self.folder, self.names = os.path.join(parent, f'{PREFIX}{os.getpid()}'), FILES[version]
            try:
                remove_stale(parent)
                self.create(version, parent)
                return self
            except OSError as reason:
                failures.append(f'  {self.folder}: {reason.strerror}')
                self.__exit__()
        raise NoLimit('memory cannot be limited, because no memory cgroup is writable: run as root, or in a container that may create cgroups\n'
                      + '\n'.join(failures or ['  no hierarchy with the memory controller is mounted']))

    def create(self, version, parent):
        os.mkdir(self.folder)
        if version == 2 and not os.path.exists(os.path.join(self.folder, self.names['limit'])):
            self.control = os.path.join(parent, 'cgroup.subtree_control')
            write_control(self.control, '+memory')
        self.set(GENEROUS)
        name, value = self.names['swap']
        if os.path.exists(os.path.join(self.folder, name)):
            self.write(name, value)

    def __exit__(self, *_):
        for _ in range(50):     # the last processes may still be leaving
            if not os.path.isdir(self.folder):      # it was never made, as in a read-only hierarchy
                break
            try:
                os.rmdir(self.folder)
            except OSError:
                time.sleep(.1)
        else:
            print(f'{self.folder} still has processes: the next run removes it when they have ended', file=sys.stderr)
        if self.control:
            try:
                write_control(self.control, '-memory')
            except OSError:     # another group uses it meanwhile
                pass
            self.control = None

    def write(self, name, value):
        write_control(os.path.join(self.folder, name), value)

    def set(self, size):
        self.write(self.names['limit'], size)

    def join(self):
        """Move the calling process into the group."""
        self.write('cgroup.procs', os.getpid())

    def statistic(self, name):
        """Return the bytes of private memory, cache (shared memory included) or shared memory."""
        with open(os.path.join(self.folder, 'memory.stat')) as f:
            return next(int(line.split()[1]) for line in f if line.split()[0] == self.names[name])

    def leave_for_cache(self, size):
        """
        Limit the group to its private memory and this much more for shared memory and page cache. The kernel refuses a limit that it cannot
        reach by reclaiming pages at once; the group then keeps the limit that it has.
        """
        try:
            self.set(self.statistic('private') + size)
        except OSError:
            pass


class Keeper:
    """with Keeper(limit, size) as keeper: the cache of a group has `size` bytes, whatever private memory it takes. keeper.most: its largest size"""

    EVERY = .1      # seconds
    SLACK = 1.05    # the private memory may shrink between two readings
    PATIENCE = 300  # readings before the cache must have its size

    def __init__(self, limit, size):
        self.limit, self.size, self.most = limit, size, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.done.wait(self.EVERY):
            self.limit.leave_for_cache(self.size)
            self.most = max(self.most, self.limit.statistic('cache'))

    def start(self):
        """Shrink the cache to its size, and keep it there."""
        for _ in range(self.PATIENCE):
            self.limit.leave_for_cache(self.size)
            if self.limit.statistic('cache') <= self.size * self.SLACK:
                self.most = self.limit.statistic('cache')
                self.thread.start()
                return
            time.sleep(self.EVERY)
        raise NoLimit(f'the cache did not shrink to {self.size} bytes')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.done.set()
        if self.thread.ident:
            self.thread.join()
