#!/usr/bin/python3
"""Copy the Markdown files of the repository to a folder, in the form that mkdocs needs.

    stage.py FOLDER

Links keep working, because each file keeps its folder, except for the names in RENAMED. Files that pages link to are copied as they are.
GitHub's Markdown and Python's differ in nested lists, in pipes within tables, and in what may follow the language of a fence.
"""
import os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# doc/README.md is the site's navigation (nav.py). An index.md would be the page of its folder.
LEFT_OUT = {'doc/README.md'}
RENAMED = {'doc/index.md': 'doc/inside.md'}
NOT_SOURCE = {'build', 'node_modules', 'target', 'tmp_check', 'out'}
LINK = re.compile(r'(!?)\[((?:[^][]|\[[^]]*\])*)\]\(([^()\s]+)\)')


def markdown_files():
    """Return the Markdown files of the repository: those that git tracks, or, in an archive, all outside folders of builds."""
    listed = subprocess.run(['git', '-C', ROOT, '-c', f'safe.directory={ROOT}', 'ls-files', '-z', '*.md'], capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(name for name in listed.stdout.split('\0') if name and os.path.isfile(os.path.join(ROOT, name)))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_SOURCE and not name.startswith('.')]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name.endswith('.md')]
    return sorted(found)


def link(page, found, files):
    """Return a link of a page as the site has it. One that leads to no page and no file, such as to a folder, becomes its text."""
    mark, text, address = found.groups()
    target, hash_sign, anchor = address.partition('#')
    if re.match(r'\w+:', address) or not target:
        return found.group()
    path = os.path.normpath(os.path.join(os.path.dirname(page), target))
    if path in LEFT_OUT or not os.path.isfile(os.path.join(ROOT, path)):
        return text
    if not path.endswith('.md'):
        files.add(path)
    here = os.path.dirname(RENAMED.get(page, page))
    return f'{mark}[{text}]({os.path.relpath(RENAMED.get(path, path), here or ".")}{hash_sign}{anchor})'


def prose(page, text, files):
    """Return Markdown outside fences in the dialect of Python-Markdown."""
    text = LINK.sub(lambda found: link(page, found, files), text)
    lines = []
    for line in re.sub(r'^<!--.*?-->\n?', '', text, flags=re.M | re.S).split('\n'):
        if line.startswith('|'):
            line = re.sub(r'`[^`]*`', lambda code: code.group().replace('\\|', '|'), line)
        lines.append(re.sub(r'^ {2,3}(?=[-*] |\d+\. )', '    ', line))
    return '\n'.join(lines)


def page_of(page, text, files):
    """Return a page in the dialect of Python-Markdown, and add the files that it links to."""
    parts = re.split(r'(^```.*?^```$)', text, flags=re.M | re.S)
    return ''.join(re.sub(r'\A```(\w+) .*', r'```\1', part) if part.startswith('```') else prose(page, part, files) for part in parts)


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    files = {'tools/site/site.css'}
    for page in markdown_files():
        if page in LEFT_OUT:
            continue
        with open(os.path.join(ROOT, page)) as f:
            text = page_of(page, f.read(), files)
        path = os.path.join(folder, RENAMED.get(page, page))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
    for name in files:
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        shutil.copy(os.path.join(ROOT, name), os.path.join(folder, name))


if __name__ == '__main__':
    main(*sys.argv[1:])
