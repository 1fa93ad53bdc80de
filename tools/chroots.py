"""Chroots of Debian releases, made by debootstrap: for tools/test-matrix and tools/packages.

They need root, and mounts of their own (unshare). MIRROR names a Debian mirror; default: the one that apt is configured with. PIP_CERT names
a file of certificates that pip trusts, in the chroots, too: for a network with an authority of its own.
"""
import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import IO, NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EMULATORS = {'arm64': '/proc/sys/fs/binfmt_misc/qemu-aarch64'}
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'


class Skip(Exception):
    """The reason why this machine cannot run a cell or a step."""


class Failed(Exception):
    """A command failed; its log has the details."""


class Release(NamedTuple):
    """A Debian release, and a suite that has more: apt takes from it the packages built from one source, and what these need of it.

    An architecture other than this machine's is emulated.
    """
    name: str
    extra: str = ''
    source: str = ''
    architecture: str = ''

    @property
    def label(self) -> str:
        return '-'.join(filter(None, (self.name, self.extra, self.architecture)))

    def sources(self, mirror: str) -> str:
        """Return the lines of sources.list."""
        return ''.join(f'{kind} {mirror} {suite} main\n' for suite in filter(None, (self.name, self.extra)) for kind in ('deb', 'deb-src'))

    def preferences(self) -> str:
        """Return apt's preferences: none, or no package of the extra suite but those of the source."""
        if not self.extra:
            return ''
        pins = ((f'src:{self.source}', 990), ('*', 1))
        return '\n'.join(f'Package: {package}\nPin: release a={self.extra}\nPin-Priority: {priority}\n' for package, priority in pins)


# By the version of PostgreSQL. Debian experimental has prereleases, built for the next release.
RELEASES = {15: Release('bookworm'), 17: Release('trixie'), 18: Release('forky'), 19: Release('forky', 'experimental', 'postgresql-19')}


class Chroot:
    """A Debian release in a folder."""

    def __init__(self, release: Release, path: str):
        self.release = release
        self.path = path

    def command(self, script: str, **env: str) -> list[str]:
        """Return the command that runs a shell script in the chroot. Its mounts and processes are private and end with the script.

        It ends with the process that started it, too, also if that is killed: the next run removes the folder that it works in.
        """
        path = shlex.quote(self.path)
        setting = ' '.join(f'{k}={shlex.quote(v)}' for k, v in env.items())
        inside = (f'mount --rbind /dev {path}/dev && mount -t tmpfs tmpfs {path}/dev/shm && exec chroot {path} /usr/bin/env -i '
                  f'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 {setting} sh -ec {shlex.quote(script)}')
        return ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', f'--mount-proc={self.path}/proc', 'sh', '-c', inside]

    def run(self, log: str, script: str, **env: str) -> None:
        run(log, self.command(script, **env))

    def output(self, script: str) -> str:
        """Return what a shell script prints, and whatever it printed if it failed."""
        return subprocess.run(self.command(script), capture_output=True, text=True).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        path = self.path + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)

    def take(self, path: str, folder: str) -> None:
        """Copy a file or a folder into a folder of the chroot."""
        os.makedirs(self.path + folder, exist_ok=True)
        subprocess.run(['cp', '-a', '--no-preserve=ownership', path, self.path + folder], check=True)

    def trust(self) -> dict[str, str]:
        """Copy the file of $PIP_CERT into the chroot, if it is set. Return the setting by which pip trusts these certificates there."""
        certificates = os.environ.get('PIP_CERT')
        if not certificates:
            return {}
        self.take(os.path.realpath(certificates), '/opt/certificates')
        return {'PIP_CERT': '/opt/certificates/' + os.path.basename(os.path.realpath(certificates))}

    def create(self, log: str) -> None:
        """Create the chroot with the required packages alone, unless it exists."""
        architecture = self.release.architecture
        if architecture and not os.path.exists(EMULATORS[architecture]):
            raise Skip(f'the kernel does not start programs for {architecture}: no {EMULATORS[architecture]}; qemu-user-static and binfmt-support set it up')
        if not os.path.exists(self.path + '/.made'):
            shutil.rmtree(self.path, ignore_errors=True)
            try:
                run(log, ['debootstrap', '--variant=minbase', *([f'--arch={architecture}'] if architecture else []), f'--keyring={KEYRING}', self.release.name,
                          self.path, mirror(), *script_for(self.release.name)])
            except Failed:
                raise Skip(f'debootstrap cannot create {self.release.name} from {mirror()}: {log}')
            self.write('/etc/apt/sources.list', self.release.sources(mirror()))
            self.write('/etc/apt/preferences', self.release.preferences())
            self.write('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755)     # packages must not start servers
            self.write('/etc/dpkg/dpkg.cfg.d/unsafe-io', 'force-unsafe-io\n')      # without fsync, installing is quicker
            self.write('/etc/apt/apt.conf.d/90snapshot', 'Acquire::Check-Valid-Until "false";\n')      # a mirror may be an old snapshot
            self.run(log, 'apt-get update -q')
            self.write('/.made', '')
        shutil.copy('/etc/resolv.conf', self.path + '/etc/resolv.conf')


def script_for(release: str) -> list[str]:
    """Return debootstrap's script for a release that is newer than debootstrap: that of sid."""
    scripts = os.path.join(os.environ.get('DEBOOTSTRAP_DIR', '/usr/share/debootstrap'), 'scripts')
    return [] if os.path.exists(os.path.join(scripts, release)) else [os.path.join(scripts, 'sid')]


def mirror() -> str:
    """Return the Debian mirror that this machine's apt is configured with, or else Debian's own."""
    if os.environ.get('MIRROR'):
        return os.environ['MIRROR']
    targets = subprocess.run(['apt-get', 'indextargets', '--format', '$(ORIGIN)|$(RELEASE)|$(REPO_URI)', 'Created-By: Packages'], capture_output=True, text=True)
    for line in targets.stdout.splitlines():
        origin, release, uri = line.split('|')
        if origin in ('Debian', '') and release in {r.name for r in RELEASES.values()}:
            return uri
    return 'http://deb.debian.org/debian'


@contextlib.contextmanager
def started(command: list[str], output: IO[str] | int) -> Iterator[subprocess.Popen[str]]:
    """Run a process and kill it on exit: unshare --fork ignores SIGTERM and SIGINT."""
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors='replace')
    try:
        yield process
        process.wait()
    finally:
        process.kill()
        process.wait()


def run(log: str, command: list[str]) -> None:
    with open(log, 'a') as out, started(command, out) as process:
        pass
    if process.returncode != 0:
        raise Failed(f'{command[0]} failed: {os.path.relpath(log, ROOT)}')


def missing() -> str | None:
    """Return the reason why this machine cannot create chroots, or None."""
    if os.geteuid() != 0:
        return 'chroots need root'
    for program in ('debootstrap', 'setpriv', 'unshare'):
        if not shutil.which(program):
            return f'no {program}'
    if subprocess.run(['unshare', '--mount', '--pid', '--fork', '--mount-proc', 'true'], capture_output=True).returncode != 0:
        return 'mounts are not permitted (unshare --mount --mount-proc fails)'
    return None
