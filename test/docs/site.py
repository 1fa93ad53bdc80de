#!/usr/bin/python3
"""Check the documentation as a site: it builds without a warning, loads nothing from elsewhere, and has the whole catalog. TAP output.

Builds the site in build/site, with the catalog of the server of PGHOST, and checks the spelling of its sources by codespell.
"""
import fcntl, os, re, runpy, subprocess, tempfile
from html.parser import HTMLParser
from readme import ROOT, check, finish, read, same, table_after

SITE = os.path.join(ROOT, 'build', 'site')
LOADS = {'script': 'src', 'img': 'src', 'iframe': 'src', 'source': 'src', 'video': 'src', 'audio': 'src', 'embed': 'src', 'object': 'data', 'input': 'src'}
# a link with one of these is followed without a click
LINKED = {'stylesheet', 'icon', 'preload', 'modulepreload', 'prefetch', 'preconnect', 'dns-prefetch', 'manifest', 'apple-touch-icon'}
SPELLED = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'RELEASING.md', 'SECURITY.md', 'Makefile', 'bench', 'clients', 'data/README.md', 'doc',
           'examples/README.md', 'sql/parts', 'sql/fan_out', 'src', 'test', 'tools']
NOT_SPELLED = '*.o,*.d,*.out,*.png,*.svg,*.json,*.txt,__pycache__,out,fuzz,node_modules'


class Page(HTMLParser):
    """The ids of a page, the addresses that it loads, and those that it links to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.loaded, self.linked = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or '' for name, value in attributes}
        if 'id' in attributes:
            self.ids.add(attributes['id'])
        if tag == 'a' and 'href' in attributes:
            self.linked.append(attributes['href'])
        if tag == 'link' and LINKED & set(attributes.get('rel', '').split()):
            self.loaded.append(attributes['href'])
        if attributes.get(LOADS.get(tag)):
            self.loaded.append(attributes[LOADS[tag]])
        self.loaded += [part.split()[0] for part in attributes.get('srcset', '').split(',') if part.strip()]
        self.loaded += styles(attributes.get('style', ''))
        if 'mermaid' in attributes.get('class', '').split():
            self.loaded.append('https://unpkg.com/mermaid')     # the theme's script would load it


def styles(text):
    """Return the addresses that a style sheet loads."""
    return re.findall(r'''(?:url\(\s*|@import\s+)["']?([^"')\s]+)''', text)


def site_files(ending):
    return sorted(os.path.relpath(os.path.join(folder, name), SITE) for folder, _, names in os.walk(SITE) for name in names if name.endswith(ending))


def site_file(name):
    with open(os.path.join(SITE, name)) as f:
        return f.read()


def is_external(address):
    return re.match(r'(?!data:)[a-z]+:|//', address, re.I) is not None


def nothing_is_external(pages):
    external = [f'{name} loads {address}' for name, page in pages.items() for address in page.loaded if is_external(address)]
    external += [f'{name} loads {address}' for name in site_files('.css') for address in styles(site_file(name)) if is_external(address)]
    external += [f'{name} loads {address}' for name in pages for style in re.findall(r'<style>(.*?)</style>', site_file(name), re.S)
                 for address in styles(style) if is_external(address)]
    check(sum(len(page.loaded) for page in pages.values()) > len(pages), 'pages load files of the site')
    check(not external, 'no page and no style sheet loads anything from elsewhere', *external)


def addresses_exist(pages):
    """Check that the links of the built pages, menus included, lead to a file and an anchor, and that the files they load exist."""
    wrong = []
    for name, page in pages.items():
        for address in page.linked + page.loaded:
            if is_external(address) or address.startswith('data:'):
                continue
            target, _, anchor = address.partition('#')
            path = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
            path = os.path.join(path, 'index.html') if os.path.isdir(os.path.join(SITE, path)) else path
            # the page of errors has absolute links
            if name != '404.html' and not (os.path.isfile(os.path.join(SITE, path)) and (not anchor or path not in pages or anchor in pages[path].ids)):
                wrong.append(f'{name}: {address}')
    check(not wrong, 'links of the built pages lead somewhere', *wrong)


def catalog_is_complete():
    """Compare the generated page with the tables that people wrote, which the test of README.md compares with the catalog by another query."""
    with open(os.path.join(ROOT, 'build/docs/lock')) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # the suite of the browser writes these pages, too
        page = read('build/docs/pages/doc/reference.md')
    functions = page[page.index('## Functions'):page.index('## Operators')].split('## Views')[0] + page[page.index('## The extension'):]
    pages = read('README.md') + ''.join(read('doc/' + name) for name in sorted(os.listdir(os.path.join(ROOT, 'doc'))) if name.endswith('.md'))
    called = [re.match(r'(\w+)\(', row[0]) for marker in set(re.findall('<!-- table: (.*?) -->', pages)) for row in table_after(pages, f'table: {marker}')]
    same([found[1] for found in called if found] + ['colbert_fan_out'], re.findall(r'^#### (\w+)$', functions, re.M),
         'the catalog has the functions that the tables of the documentation have')
    settings = {row[0] for row in table_after(read('doc/options.md'), 'table: settings and options') if row[1] != '-'}
    same(settings, re.findall(r'^\| `colbert\.(\w+)`', page, re.M), 'the catalog has the settings of doc/options.md')
    written = [row[0] for marker in ('operators', 'operator classes') for row in table_after(read('README.md'), f'table: {marker}')]
    missing = [name for name in written if f'| `{name}` |' not in page]
    check(not missing, 'the catalog has the operators and operator classes of README.md', *missing)
    bare = re.findall(r'^\| `.*\|  \|$', page, re.M)
    check(not bare, 'everything in the catalog has a comment', *bare)


GITHUB = """<!-- tour: sql -->
```sql external=citus
SELECT '[a](b.md) | <!-- c -->';
```
- `<!-- d -->` [one](index.md#memory-of-a-scan), [two](../src), [three](https://example.com/x.md), [four](../LICENSE)
  - nested

| `a \\| b` | c \\| d |
"""
PYTHON = """```sql
SELECT '[a](b.md) | <!-- c -->';
```
- `<!-- d -->` [one](inside.md#memory-of-a-scan), two, [three](https://example.com/x.md), [four](../LICENSE)
    - nested

| `a | b` | c \\| d |
"""


def dialects_differ():
    files = set()
    page = runpy.run_path(os.path.join(ROOT, 'tools/site/stage.py'))['page_of']('doc/x.md', GITHUB, files)
    check((page, files) == (PYTHON, {'LICENSE'}), "GitHub's Markdown becomes that of mkdocs", page, files)


def other_files_are_kept():
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, 'mine'), 'w').close()
        run = subprocess.run([os.path.join(ROOT, 'tools/build-site'), folder], capture_output=True, text=True)
        check(run.returncode == 1 and os.listdir(folder) == ['mine'], 'a folder with other files than a site is refused', run.stdout, run.stderr)


def words_are_spelled():
    command = [os.path.join(ROOT, 'build/docs/env/bin/codespell'), '--ignore-words', os.path.join(ROOT, 'tools/site/accepted-words.txt'), '--skip', NOT_SPELLED]
    run = subprocess.run(command + SPELLED, cwd=ROOT, capture_output=True, text=True)
    check(run.returncode == 0, 'codespell finds no misspelled word (accepted words: tools/site/accepted-words.txt)', run.stdout, run.stderr)
    with open(os.path.join(ROOT, 'tools/site/accepted-words.txt')) as f:
        check(len(f.readlines()) <= 20, 'the list of accepted words is short')


def main():
    dialects_differ()
    other_files_are_kept()
    build = subprocess.run([os.path.join(ROOT, 'tools/build-site')], cwd=ROOT, capture_output=True, text=True)
    if build.returncode == 0 and '# skip' in build.stdout:
        check(True, build.stdout.strip().removeprefix('ok 1 - '))
        return finish()
    check(build.returncode == 0, 'the site builds without a warning', build.stdout, build.stderr)
    if build.returncode == 0:
        pages = {name: Page(site_file(name)) for name in site_files('.html')}
        nothing_is_external(pages)
        addresses_exist(pages)
        catalog_is_complete()
        words_are_spelled()
    finish()


if __name__ == '__main__':
    main()
