"""Encoders of images, and heat maps over images."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import psycopg
import pytest
from fakes import (
    CLS,
    DOCUMENT,
    FULL_STOP,
    IMAGE,
    MASK,
    QUERY,
    SEP,
    WORDS,
    ColPali,
    ColPaliProcessor,
    ColQwen2,
    ColQwen2Processor,
    Image,
    SentenceTransformers,
    rows,
)
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg import MultiVector
from colbert_pg.encoders import (
    Box,
    BoxesUnknownError,
    ColPaliEncoder,
    Encoder,
    ImageEncoder,
    SentenceTransformersEncoder,
    SpansUnknownError,
)
from colbert_pg.explain import ImageMatch, explain_image
from colbert_pg.psycopg import register_multivector

SVG = "{http://www.w3.org/2000/svg}"
PAGE = Image("help in drugs", "in gout in")
SMALL = Image("gout drugs")
GOUT, DRUGS, HELP, IN = range(8, 12)
BOXES = [
    (0, 0, 0, 0),
    *[(x / 3, y / 2, (x + 1) / 3, (y + 1) / 2) for y in range(2) for x in range(3)],
    (0, 0, 0, 0),
]
colpali = pytest.mark.parametrize(
    ("model", "processor"), [(ColPali, ColPaliProcessor), (ColQwen2, ColQwen2Processor)]
)


def encoder() -> ColPaliEncoder:
    return ColPaliEncoder(ColPali(), ColPaliProcessor(), batch_size=2)


@colpali
def test_images_and_texts(model: Any, processor: Any) -> None:
    found = ColPaliEncoder(model(), processor(), batch_size=2)
    images: ImageEncoder = found
    texts: Encoder = found
    assert images.dims == len(WORDS)
    small = MultiVector(rows([CLS, GOUT, DRUGS, SEP]))
    page = MultiVector(rows([CLS, HELP, IN, DRUGS, IN, GOUT, IN, SEP]))
    assert images.encode_image([SMALL, PAGE, SMALL]) == [small, page, small]
    assert images.encode_image(PAGE) == images.encode_image((PAGE,))[0] == page
    assert images.encode_image([]) == []
    query = MultiVector(rows([CLS, DOCUMENT, QUERY, GOUT, *[MASK] * 10, SEP]))
    assert images.encode_query(["gout", "gout help in"])[0] == query
    assert texts.encode_document("gout.") == MultiVector(
        rows([CLS, DOCUMENT, GOUT, FULL_STOP, SEP])
    )


@colpali
def test_spans_and_boxes(model: Any, processor: Any) -> None:
    found = ColPaliEncoder(model(), processor())
    spans = found.spans("gout help", query=True)
    assert spans == [(0, 0)] * 3 + [(0, 4), (5, 9)] + [(0, 0)] * 11
    assert found.spans("gout.") == [(0, 0), (0, 0), (0, 4), (4, 5), (0, 0)]
    assert found.boxes(PAGE) == [pytest.approx(box) for box in BOXES]


def test_what_a_processor_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    found = encoder()
    monkeypatch.setattr(found.processor, "get_n_patches", lambda *_, **__: (3, 3))
    with pytest.raises(BoxesUnknownError, match="expected 3 x 3 patches, not 6"):
        found.boxes(PAGE)
    monkeypatch.setattr(ColPaliProcessor, "get_local_image_mask", lambda *_: None, raising=False)
    with pytest.raises(BoxesUnknownError, match="ColPaliProcessor splits an image into parts"):
        found.boxes(PAGE)
    monkeypatch.delattr(ColPaliProcessor, "get_local_image_mask")
    monkeypatch.delattr(ColPaliProcessor, "get_image_mask")
    with pytest.raises(BoxesUnknownError, match="does not tell which rows are patches"):
        found.boxes(PAGE)
    monkeypatch.setattr(found.processor, "query_prefix", "[D] ")
    process = found.processor.process_texts
    monkeypatch.setattr(
        found.processor, "process_texts", lambda texts: process([text + "?" for text in texts])
    )
    with pytest.raises(SpansUnknownError, match="has other tokens for this text"):
        found.spans("gout", query=True)


def test_a_size_that_only_the_configuration_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ColPali, "patch_size")
    config = SimpleNamespace(vision_config=SimpleNamespace(patch_size=14))
    monkeypatch.setattr(ColPali, "config", config, raising=False)
    assert encoder().boxes(PAGE) == [pytest.approx(box) for box in BOXES]


def test_an_invalid_batch_size() -> None:
    with pytest.raises(ValueError, match="batch_size of at least 1, not 0"):
        ColPaliEncoder(ColPali(), ColPaliProcessor(), batch_size=0)


class VisualModel(SentenceTransformers):
    """A MultiVectorEncoder for images, and a skip list that takes the first token."""

    processor = SimpleNamespace(image_token_id=IMAGE)

    def _features(self, text: Any, task: str) -> tuple[list[int], list[bool]]:
        if isinstance(text, str):
            return super()._features(text, task)
        return [CLS, *[IMAGE] * len(text.words), SEP], [False] + [True] * (len(text.words) + 1)


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the module of sentence-transformers that tells the grid of an image."""
    name = "sentence_transformers"
    for part in ("", ".multi_vector_encoder", ".multi_vector_encoder.interpretability"):
        monkeypatch.setitem(sys.modules, name + part, ModuleType(name + part))
    module: Any = sys.modules[f"{name}.multi_vector_encoder.interpretability"]
    parent: Any = sys.modules[f"{name}.multi_vector_encoder"]
    parent.interpretability = module
    module.get_n_patches = lambda _model, size: (size[0] // 14, size[1] // 14)
    return module


def test_images_by_sentence_transformers(grid: Any) -> None:
    found = SentenceTransformersEncoder(VisualModel())
    images: ImageEncoder = found
    assert images.encode_image(PAGE) == MultiVector(rows([*[IMAGE] * 6, SEP]))
    assert [doc.shape[0] for doc in images.encode_image([SMALL, PAGE])] == [3, 7]
    assert images.boxes(PAGE) == [pytest.approx(box) for box in BOXES[1:]]

    def unknown(_model: Any, _size: Any) -> Any:
        raise NotImplementedError("sub-patch token blocks")

    grid.get_n_patches = unknown
    with pytest.raises(BoxesUnknownError, match="sub-patch token blocks"):
        images.boxes(PAGE)


def parsed(svg: str) -> tuple[Any, list[dict[str, str]]]:
    root = ElementTree.fromstring(svg)
    return root, [rect.attrib for rect in root.iter(f"{SVG}rect")]


def test_a_heat_map() -> None:
    found = explain_image(encoder(), "gout in", PAGE)
    assert found.size == (42, 28)
    assert [(word.text, word.score) for word in found.words] == [("gout", 1), ("in", 1)]
    assert found.words[1].heat.tolist() == [0, 1, 0, 1, 0, 1]
    centre = pytest.approx((1 / 3, 1 / 2, 2 / 3, 1))
    assert [match for match in found.matches if match.query == "gout"] == [
        ImageMatch("gout", centre, 1)  # type: ignore[arg-type]
    ]
    assert found.score == sum(match.score for match in found.matches)
    assert " 1.000  gout -> 33%-67% x 50%-100%\n" in str(found)
    assert " 2.000   -> \n" in str(found)  # [CLS] and [SEP]
    root, rectangles = parsed(found.to_svg(0, href="page.png"))
    assert root.get("viewBox") == "0 0 42 28"
    assert rectangles == [
        {"x": "14", "y": "14", "width": "14", "height": "14", "fill-opacity": "0.75"}
    ]
    assert root.findtext(f"{SVG}title") == "gout 1.000"
    [image] = root.iter(f"{SVG}image")
    assert image.attrib == {
        "href": "page.png",
        "width": "42",
        "height": "28",
        "preserveAspectRatio": "none",
    }
    assert len(parsed(found.to_svg())[1]) == 4


def test_the_image_is_part_of_the_svg() -> None:
    found = explain_image(encoder(), "gout", PAGE)
    [image] = parsed(found.to_svg())[0].iter(f"{SVG}image")
    data = base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))
    assert data == b"PNG" + bytes(PAGE.words)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(shown: str) -> Elements:
    found = Elements()
    found.feed(shown)
    return found


def test_html_has_the_image_once_and_a_map_per_word() -> None:
    found = explain_image(encoder(), "gout in", PAGE)
    shown = elements(found.to_html(href="page.png"))
    tags = [tag for tag, _ in shown.found]
    assert (tags.count("svg"), tags.count("image"), tags.count("use")) == (3, 1, 2)
    ids = {attributes["id"] for tag, attributes in shown.found if tag == "image"}
    uses = {attributes["href"] for tag, attributes in shown.found if tag == "use"}
    assert uses == {f"#{name}" for name in ids}
    assert "gout 1.000" in shown.text
    assert "data:image/png;base64," in found._repr_html_()


HOSTILE = "</title></svg><script>alert(1)</script> & \"'> \x00\x1b\u202e\ufffe\ud800"


def test_everything_is_escaped() -> None:
    class Whole(Pages):
        def spans(self, text: str, *, query: bool = False) -> list[Any]:
            assert query
            return [(0, len(text))]

    found = explain_image(Whole(), HOSTILE, PAGE)
    for href in ("a\"'><script>.png", "a&amp;b.png", "https://example.org/?a=1&b=2"):
        root, _ = parsed(found.to_svg(href=href))
        [image] = root.iter(f"{SVG}image")
        assert image.get("href") == href
        for shown in (found.to_svg(0, href=href), found.to_html(href=href)):
            tags = {tag for tag, _ in elements(shown).found}
            assert tags <= {"div", "details", "summary", "small", "svg", "title", "image", "g"} | {
                "rect",
                "use",
            }
            assert not re.search("[\x00\x1b\u202e\ufffe\ud800]", shown)
            shown.encode()
    parsed(found.to_svg(0, href="x"))


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        " java\nscript:alert(1)",
        "JaVaScRiPt:x",
        "\x01javascript:x",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "vbscript:x",
    ],
)
def test_a_url_names_no_script(href: str) -> None:
    found = explain_image(encoder(), "gout", PAGE)
    for show in (found.to_svg, found.to_html):
        with pytest.raises(ValueError, match="expected a URL of http, https or data:image/"):
            show(href=href)


class Pages:
    """An ImageEncoder with a row per patch, and whatever boxes a test wants."""

    dims = 2

    def __init__(self, boxes: list[Any] | None = None, rows: int | None = None) -> None:
        self.given = [(0, 0, 1, 1)] if boxes is None else boxes
        self.rows = len(self.given) if rows is None else rows

    def encode_query(self, texts: Any) -> Any:
        assert texts
        return MultiVector([[1, 0]])

    def encode_image(self, images: Any) -> Any:
        assert images
        return MultiVector([[n % 7, 1] for n in range(self.rows)])

    def spans(self, text: str, *, query: bool = False) -> list[Any]:
        assert query
        return [(0, len(text))]

    def boxes(self, image: Any) -> list[Box]:
        assert image
        return self.given


def image_of(width: Any, height: Any) -> Any:
    return SimpleNamespace(size=(width, height))


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 2, 1),
        (-0.1, 0, 1, 1),
        (0.5, 0, 0.5, 1),
        (0, 1, 1, 0),
        (0, 0, float("nan"), 1),
        (0, 0, float("inf"), 1),
    ],
)
def test_hostile_boxes(box: Any) -> None:
    with pytest.raises(ValueError, match="expected a box of left, top, right and bottom from 0"):
        explain_image(Pages([box]), "x", PAGE)


def test_hostile_sizes() -> None:
    for size in ((0, 5), (5, -1)):
        with pytest.raises(ValueError, match="expected an image of at least 1 x 1, not"):
            explain_image(Pages(), "x", image_of(*size))
    with pytest.raises(ValueError, match="expected a multivector of 1 tokens, not 2"):
        explain_image(Pages(rows=2), "x", PAGE)
    with pytest.raises(ValueError, match="expected 2 dims, not 3"):
        explain_image(Pages(), "x", PAGE, [[1, 2, 3]])
    with pytest.raises(ValueError, match="expected finite numbers"):
        explain_image(Pages(), "x", PAGE, [[1, float("nan")]])
    many = 65_537
    with pytest.raises(ValueError, match="expected at most 65536 patches, not 65537"):
        explain_image(Pages([(0, 0, 1, 1)] * many), "x", PAGE)
    huge = explain_image(Pages([(0, 0, 0.5, 1), (0.5, 0, 1, 1)]), "x", image_of(10**9, 1))
    assert parsed(huge.to_svg(href="x"))[1][0]["x"] == "5e+08"
    with pytest.raises(ValueError, match="expected word of 0 to 0, not 1"):
        huge.to_svg(1, href="x")
    with pytest.raises(ValueError, match="expected href, or an image of PIL"):
        huge.to_svg()


def test_an_image_without_patches() -> None:
    found = explain_image(Pages([(0, 0, 0, 0)]), "x", PAGE)
    assert found.boxes == ()
    assert found.matches == (ImageMatch("x", None, 0),)
    assert parsed(found.to_svg(href="x"))[1] == []


@given(heats=st.lists(st.floats(-1e18, 1e18), min_size=1, max_size=20))
def test_opacities_are_those_of_heat(heats: list[float]) -> None:
    boxes = [(n / 20, 0, (n + 1) / 20, 1) for n in range(len(heats))]
    doc = np.array([[heat / 2, 0] for heat in heats])
    found = explain_image(Pages(boxes), "x", PAGE, doc)
    rectangles = parsed(found.to_svg(href="x"))[1]
    opacities = [float(rectangle["fill-opacity"]) for rectangle in rectangles]
    assert all(0 < opacity <= 0.75 for opacity in opacities)
    heat = found.words[0].heat
    assert (max(opacities, default=0) == 0.75) == (heat.max() > heat.min())


def test_the_score_of_an_image_is_that_of_the_server(database: str) -> None:
    found = encoder()
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        register_multivector(conn)
        conn.execute(f"CREATE TABLE pages (id int, doc multivector({found.dims}, float2))")
        for number, doc in enumerate(found.encode_image([SMALL, PAGE])):
            conn.execute("INSERT INTO pages VALUES (%s, %s)", (number, doc))
        query = found.encode_query("help gout in")
        rows = conn.cursor(binary=True).execute(
            "SELECT id, doc, maxsim(doc, %s) AS score FROM pages ORDER BY score DESC", (query,)
        )
        number, doc, score = rows.fetchall()[0]
    assert number == 1
    assert explain_image(found, "help gout in", PAGE, doc).score == pytest.approx(score)
