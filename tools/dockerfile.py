"""Run the steps of a Dockerfile in chroots, where no image can be pulled: a chroot stands for each stage's base image."""
import os
import re
import shlex
import subprocess
from collections.abc import Callable

from chroots import Chroot, Failed

KNOWN = ('ARG', 'COPY', 'FROM', 'RUN', 'WORKDIR')


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, of those that this module knows."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
    found = []
    for line in re.sub(r'\\\n\s*', '', '\n'.join(lines)).splitlines():
        if line.strip():
            word, _, argument = line.strip().partition(' ')
            if word not in KNOWN:
                raise Failed(f'Dockerfile: {word} is not among {", ".join(KNOWN)}')
            found.append((word, argument.strip()))
    return found


def ignored(context: str) -> list[str]:
    """Return tar's options for the patterns of .dockerignore: names in the root, and **/ for any folder."""
    with open(os.path.join(context, '.dockerignore')) as f:
        patterns = f.read().split()
    return ['--anchored'] + [f'--exclude=./{p}' for p in patterns if not p.startswith('**/')] + ['--no-anchored'] + [
        f'--exclude={p.removeprefix("**/")}' for p in patterns if p.startswith('**/')]


class Build:
    """A run of a Dockerfile."""

    def __init__(self, context: str, log: str, base: Callable[[str], Chroot], **env: str):
        """Run in chroots that base makes, given the name or the number of a stage. env: the environment that the base image sets."""
        self.context = context
        self.log = log
        self.base = base
        self.env = env
        self.stages: dict[str, Chroot] = {}
        self.folder = '/'

    def run(self) -> Chroot:
        """Run all instructions. Return the last stage's chroot."""
        with open(os.path.join(self.context, 'Dockerfile')) as f:
            steps = instructions(f.read())
        for word, argument in steps:
            with open(self.log, 'a') as log:
                print(f'--> {word} {argument}', file=log)
            if word == 'FROM':
                self.start_stage(argument)
            elif word == 'WORKDIR':
                self.folder = argument
                os.makedirs(self.stage.path + argument, exist_ok=True)
            elif word == 'COPY':
                self.copy(shlex.split(argument))
            elif word == 'RUN':
                self.stage.run(self.log, f'cd {self.folder}\n{argument}', **self.env)
        return self.stage

    def start_stage(self, argument: str) -> None:
        name = argument.partition(' AS ')[2] or str(len(self.stages))
        self.stage = self.stages[name] = self.base(name)
        self.folder = '/'

    def copy(self, words: list[str]) -> None:
        """Copy a file, or the content of a folder, of the context or of an earlier stage."""
        if words[0].startswith('--from='):
            root = self.stages[words[0].removeprefix('--from=')].path
            exclude = []
            words = words[1:]
        else:
            root = self.context
            exclude = ignored(self.context)
        source, target = words
        source = os.path.normpath(f'{root}/{source}')
        target = self.stage.path + os.path.join(self.folder, target)
        os.makedirs(target, exist_ok=True)
        folder, name = (source, '.') if os.path.isdir(source) else os.path.split(source)
        pack = subprocess.Popen(['tar', '-C', folder, '-c', *exclude, name], stdout=subprocess.PIPE)
        unpack = subprocess.run(['tar', '-C', target, '-x', '--no-same-owner', '--keep-directory-symlink'], stdin=pack.stdout)
        if pack.wait() != 0 or unpack.returncode != 0:
            raise Failed(f'COPY {" ".join(words)}')
