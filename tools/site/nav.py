"""The navigation of the site, a hook of mkdocs: the pages of doc/README.md under its headings, and the generated catalog."""
import os, re, runpy

stage = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'stage.py'))
FIRST = [{'Front page': 'README.md'}]
GENERATED = {'Reference': [{'Catalog': 'doc/reference.md'}]}


def sections(text):
    """Return the headings of doc/README.md with their pages, as mkdocs wants them."""
    for heading, body in re.findall(r'^## (.*)\n((?:(?!## ).*\n)*)', text, re.M):
        pages = [(title, os.path.normpath(os.path.join('doc', address))) for title, address in re.findall(r'^\| \[(.*?)\]\((.*?)\)', body, re.M)]
        yield heading, GENERATED.get(heading, []) + [{title: stage['RENAMED'].get(path, path)} for title, path in pages]


def on_config(config):
    with open(os.path.join(stage['ROOT'], 'doc', 'README.md')) as f:
        text = f.read()
    config.nav = FIRST + [{heading: pages} for heading, pages in sections(text)]
    return config
