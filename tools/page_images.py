"""Pages of MedQuAD as images, with an embedding per patch: a stand-in for the pages that ColPali encodes.

A page has a heading, two columns of passages and a table, drawn by Pillow. No vision model reads it: the place of each word is known, and
the embedding of a patch is the mean of those of the words that it shows, by their areas, which the encoder of data/medquad makes of the
text. A patch that shows no word has the mean of all words, as a model gives patches of the background nearly the same vector.
"""
import io, json, lzma, os, re
from dataclasses import dataclass, field
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN, GUTTER = 896, 1120, 42, 28
ROWS = COLUMNS = 32
PAGES = 40
PASSAGES = 5                # most of a page
BACKGROUND = .15            # weight of the background in a patch: one that a word barely touches is near to it
TOPIC = re.compile(r'(?:of|for|is|diagnose|causes|prevent|treat) (?:\(are\) )?(?!the |a |to |at |being )([^?]{4,60}?) ?\?')
WORD = re.compile(r'\S+')


@dataclass
class Text:
    """A text whose words have boxes: left, top, right and bottom of each, in pixels. One that is not drawn to its end has fewer boxes."""
    words: list
    boxes: list = field(default_factory=list)


class Sheet:
    """An image on which texts are set."""

    def __init__(self):
        self.image = Image.new('L', (WIDTH, HEIGHT), 255)
        self.draw = ImageDraw.Draw(self.image)
        self.texts = []

    def set(self, text, size, left, top, right, bottom=HEIGHT, shade=20):
        """Set a text in lines from left to right, down to the bottom. Return the top of what follows."""
        font = ImageFont.load_default(size)
        placed = Text(WORD.findall(text))
        self.texts.append(placed)
        height, x, y = round(size * 1.35), left, top
        for word in placed.words:
            width = self.draw.textlength(word, font)
            if x > left and x + width > right:
                x, y = left, y + height
            if y + height > bottom:
                break
            self.draw.text((x, y), word, shade, font)
            placed.boxes.append((x, y, min(x + width, right), y + height))
            x += width + size * .28
        return y + height

    def line(self, y, shade=150):
        self.draw.line((MARGIN, y, WIDTH - MARGIN, y), shade)

    def png(self):
        data = io.BytesIO()
        self.image.save(data, 'PNG', optimize=True)
        return data.getvalue()


def draw(title, passages):
    """Draw a page of (id, text) passages."""
    sheet = Sheet()
    top = sheet.set(title, 30, MARGIN, MARGIN, WIDTH - MARGIN) + 8
    sheet.line(top)
    rows = HEIGHT - MARGIN - 24 * (len(passages) + 1)
    middle = (WIDTH - GUTTER) // 2
    columns = [(MARGIN, middle), (middle + GUTTER, WIDTH - MARGIN)]
    (left, right), y = columns.pop(0), top + 16
    for number, (_, text) in enumerate(passages, 1):
        if y > rows - 140:
            if not columns:
                break
            (left, right), y = columns.pop(0), top + 16
        y = sheet.set(f'Passage {number}', 18, left, y, right, shade=90) + 2
        y = sheet.set(text, 16, left, y, right, min(rows - 30, y + 420)) + 14
    draw_table(sheet, rows, passages)
    return sheet


def draw_table(sheet, top, passages):
    at = [MARGIN, MARGIN + 190, MARGIN + 290, WIDTH - MARGIN]
    cells = [('Passage', 'Words', 'Begins with')]
    cells += [(key, str(len(text.split())), ' '.join(text.split()[:9])) for key, text in passages]
    for row in cells:
        sheet.line(top - 4)
        for column, cell in enumerate(row):
            sheet.set(cell, 15, at[column], top, at[column + 1] - 8, top + 21)
        top += 24
    sheet.line(top - 4)


def patches_of(sheet, encoder):
    """Return the sum of embeddings of the words on each patch, by the share of its area that they cover."""
    found = np.zeros((ROWS, COLUMNS, encoder.dims), np.float32)
    for text in sheet.texts:
        for first in range(0, len(text.boxes), encoder.words):
            add_words(found, text.words[first:first + encoder.words], text.boxes[first:first + encoder.words], encoder)
    return found


def add_words(found, words, boxes, encoder):
    words = words[:len(boxes)]
    ends = np.cumsum([len(word) + 1 for word in words])
    text = ' '.join(words)
    for (start, end), row in zip(encoder.spans(text), np.asarray(encoder.encode_document(text))):
        if start < end:
            add_word(found, boxes[int(np.searchsorted(ends, start, 'right'))], row)


def add_word(found, box, row):
    """Add the embedding of a word to the patches that show it."""
    width, height = WIDTH / COLUMNS, HEIGHT / ROWS
    left, top, right, bottom = box
    for y in range(int(top // height), min(int(bottom // height) + 1, ROWS)):
        for x in range(int(left // width), min(int(right // width) + 1, COLUMNS)):
            shown = (min(right, (x + 1) * width) - max(left, x * width)) * (min(bottom, (y + 1) * height) - max(top, y * height))
            found[y, x] += max(shown, 0) / (width * height) * row


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


def embed(sheets, encoder):
    """Return an array of (patches, dims) per page."""
    sums = np.stack([patches_of(sheet, encoder) for sheet in sheets]).reshape(len(sheets), ROWS * COLUMNS, encoder.dims)
    background = unit(sums.sum((0, 1)))
    return unit(sums + BACKGROUND * background)


def read(folder, name):
    with lzma.open(os.path.join(folder, name), 'rt') as f:
        return [json.loads(line) for line in f]


def choose(folder, first):
    """Return (title, passages, questions) of PAGES documents: those of the questions in first, then others that have questions."""
    passages, questions = {}, {}
    for row in read(folder, 'corpus.jsonl.xz'):
        passages.setdefault(row['id'].rpartition('-')[0], []).append((row['id'], row['text']))
    for row in read(folder, 'queries.jsonl.xz'):
        questions.setdefault(row['id'].rpartition('-')[0], []).append(row['text'])
    chosen = {}
    for key in sorted(questions, key=lambda key: not set(questions[key]) & set(first)):
        topics = [topic[1] for topic in map(TOPIC.search, questions[key]) if topic]
        if topics and len(passages[key]) >= 3:
            chosen.setdefault(topics[0].title(), (passages[key][:PASSAGES], questions[key]))
    return [(title, *page) for title, page in chosen.items()][:PAGES]


def make(folder, encoder, first):
    """Return (title, PNG, array of tokens) of each page, and questions that they answer."""
    chosen = choose(folder, first)
    sheets = [draw(title, passages) for title, passages, _ in chosen]
    rows = [(title, sheet.png(), tokens) for (title, _, _), sheet, tokens in zip(chosen, sheets, embed(sheets, encoder))]
    return rows, [text for _, _, texts in chosen for text in texts]
