import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from polypath.errors import ConfigError
from polypath.report.html_text import about, mark
from polypath.report.measures import EXPLAINED, stem
from polypath.report.numbers import number
from polypath.report.page import PagePicture, write_page
from polypath.report.page_data import pack_texts, to_json
from polypath.report.sentences import changes, headline, one_seed, reading
from polypath.report.table import Cell, ReportTable
from tests.report.browser import Browser, chromium, find_chromium
from tests.report.made import RIGHT, large, small, with_texts

HOSTILE = {
    "script": "<script>window.pwned = 1</script>",
    "end of script": "</script><script>window.pwned = 1</script>",
    "comment": "<!-- <script> --> ]]> -->",
    "event handler": "<img src=x onerror='window.pwned = 1'>",
    "svg": "<svg/onload=window.pwned=1><animate onbegin=window.pwned=1>",
    "attribute": '" autofocus onfocus="window.pwned=1" x=\'',
    "frame": "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "link": "<a href='javascript:window.pwned=1'>here</a><base href='http://example.invalid/'>",
    "style": "<style>body { display: none }</style><link rel=stylesheet href=//example.invalid>",
    "refresh": "<meta http-equiv=refresh content='0;url=http://example.invalid'>",
    "templates": "$data ${scripts} {{constructor}} `${window.pwned = 1}` <%= 1 %> %(x)s {0} $$",
    "end of parts": "</pre></bdi></code></details></section></textarea></title><plaintext>",
    "json": '"}],"runs":[], \\u003cscript\\u003e \\ \\" \\x00',
    "null bytes": "a\x00b\x00<b>\x08\x1b[31mred\x07",
    "lone high": "x \ud800 y",
    "lone low and reversed pair": "\udc00 \udfff\ud83d z",
    "right to left": "\u202etxet desrever\u202c \u2067abc\u2069 \u05d0\u05d1 \u200f123",
    "line separators": "one\u2028two\u2029three\r\nfour\x85five",
    "unseen": "\ufeffzero\u200bwidth\u200djoiner\u2060 \ufffa \u061c",
    "pairs at the cut": "a" + "\U0001f600" * 8_000,
    "marks": "Z\u0351\u036b\u0343\u036a\u0302" + "\u0300" * 500,
    "long line": "<b>" + "x" * 5_000_000 + "</b> the end",
    "entities": "&lt;b&gt; &amp; &#x3c;script&#x3e; &nbsp;",
    "prototype": "__proto__ constructor toString",
    "empty": "",
}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def as_shown(text: str) -> str:
    """What the page makes of a text: the first 4,000 UTF-16 units, unseen signs by name."""
    units = 0
    for place, sign in enumerate(text):
        if units >= 4_000:
            text = text[:place]
            break
        units += 1 + (ord(sign) > 0xFFFF)
    return UNSEEN.sub(lambda sign: f"U+{ord(sign[0]):04X}", text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("No Chromium on this machine; Debian's package chromium has it.")
    with chromium(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return write_page(small(), tmp_path_factory.mktemp("page") / "new" / "report.html")


@pytest.fixture
def opened(browser, page) -> Iterator[Browser]:
    browser.resize(1280, 900)
    browser.scheme("light")
    browser.open(page)
    # Charts are drawn when the browser has told them their width, a moment after the page is ready.
    places = "[...document.querySelectorAll('[data-chart]')]"
    browser.wait(f"{places}.every((place) => place.children.length || !place.clientWidth)")
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def listed(browser: Browser) -> list[str]:
    return browser.run(
        "[...document.querySelectorAll('#problems > li .what b')].map((b) => b.textContent)"
    )


def choose(browser: Browser, word: str) -> list[str]:
    browser.run(f"document.querySelector('[data-filter={word}] input').click()")
    return listed(browser)


def look_for(browser: Browser, text: str, expected: list[str]) -> None:
    browser.run("document.getElementById('search').focus()")
    browser.run("document.getElementById('search').select()")
    browser.send("Input.insertText", text=text)
    if not text:
        browser.press("Delete", 46)
    want = json.dumps(expected)
    shown = "[...document.querySelectorAll('#problems > li .what b')].map((b) => b.textContent)"
    browser.wait(f"JSON.stringify({shown}) === JSON.stringify({want})", 5)


# The file itself.


def test_the_file_names_nothing_outside_itself(page):
    text = page.read_text(encoding="utf-8")
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert set(re.findall(r'(?:src|href)="([^"#]*)', markup)) == {"", "data:,"}


def test_the_policy_allows_the_pages_own_scripts_alone(page):
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    ]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert len(hashes) == 5
    assert parts["script-src"].split() == hashes
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_each_library_comes_with_its_licence(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("Permission to use, copy, modify, and/or distribute") == 2


def test_json_is_ascii_without_markup_and_comes_back_whole():
    value = {"text": "".join(HOSTILE.values())[:3000] + "\u2028\ud800"}
    text = to_json(value)
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


@pytest.mark.parametrize("name", HOSTILE)
def test_marked_text_is_inert_utf_8(name):
    marked = mark(HOSTILE[name])
    inside = marked.removeprefix("<bdi>").removesuffix("</bdi>")
    assert not set("<>\"'") & set(inside)
    assert not UNSEEN.search(inside)
    inside.encode("utf-8")


def test_packed_texts_come_back_whole():
    texts = ["plain", "x \ud800 y", "\x00", "long " * 1000]
    packed = pack_texts([with_texts(texts).base.samples], 10**9)
    raw = b"".join(zlib.decompress(base64.b64decode(chunk), -15) for chunk in packed.chunks)
    details = json.loads(raw)
    found = [detail["r"][0]["s"][0][3][0] for detail in details]
    assert found == [[text, "", 0, 2] for text in texts]


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = "a" * 50_000 + "the answer"
    packed = pack_texts([with_texts([text]).base.samples], 10**9)
    detail = json.loads(zlib.decompress(base64.b64decode(packed.chunks[0]), -15))[0]
    head, tail, missing, times = detail["r"][0]["s"][0][3][0]
    assert (head[0], tail[-10:], times) == ("a", "the answer", 2)
    assert len(head) + len(tail) == packed.limits.chars == len(text) - missing


def test_a_difference_without_an_interval_says_so(tmp_path):
    """Of one problem there is a value and no spread."""
    comparison = small()
    d = replace(comparison.differences[0], low=math.nan, high=math.nan, num_problems=1)
    comparison = replace(comparison, differences=(d, *comparison.differences[1:]))
    page = write_page(comparison, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no interval" in page
    assert "nan" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_a_folder_is_no_place_for_a_page(tmp_path):
    with pytest.raises(ConfigError, match=tmp_path.name):
        write_page(small(), tmp_path)


def test_the_page_says_what_the_summary_says_and_shows_every_number(page):
    text, comparison = page.read_text(encoding="utf-8"), small()
    for run, flow in zip(comparison.runs, comparison.flows, strict=True):
        differences = comparison.differences_of(run.name)
        for sentence in changes(differences, flow):
            assert mark(sentence, 2000) in text
        for d in differences:
            if math.isfinite(d.estimate):
                assert number(d.estimate, sign=True) in text
                assert d.label in text
    assert mark(reading(comparison.runs[0])) in text  # with what was left out


def test_the_page_begins_with_a_sentence_for_each_run_and_the_limit_of_one_seed(page):
    text = page.read_text(encoding="utf-8")
    head = re.sub(r"<[^>]+>", "", text[text.index("<header") : text.index("<nav")])
    comparison = small()
    for run in comparison.runs:
        assert f"{run.name}: {headline(comparison.differences_of(run.name))}" in head
    assert one_seed(comparison)[0] in head


def test_every_measure_of_the_page_is_explained_in_its_glossary(page):
    text, comparison = page.read_text(encoding="utf-8"), small()
    glossary = text[text.index('<section id="glossary"') : text.index("<footer")]
    assert "<details>" in glossary
    shown = [*comparison.differences, *(m for run in comparison.everyone for m in run.metrics)]
    shown += [part for flow in comparison.flows for part in (flow.keep, flow.explore)]
    for m in shown:
        anchor, meaning = about(m.key)
        assert (
            f'<dt id="{anchor[1:]}">{EXPLAINED[stem(m.key)].name}</dt><dd>{meaning}</dd>'
            in glossary
        )
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    charts = [chart for kind in ("bars", "fits", "training") for chart in data["charts"][kind]]
    assert charts
    for chart in charts:
        assert f'id="{chart["about"][0][1:]}"' in glossary
    for row in re.findall(r"<tr><td>(.*?)</td>", text):
        assert 'class="term"' in row


def test_every_chip_explains_its_measure(page):
    chips = re.findall(r'<span class="chip">.*?</span>', page.read_text(encoding="utf-8"))
    assert chips
    assert all('class="term"' in chip and 'title="' in chip for chip in chips)


def test_a_study_adds_its_tables_and_pictures(tmp_path):
    table = ReportTable(
        title="<b>T</b>",
        columns=("a", "b&c"),
        rows=(("<script>x</script>", Cell("1", bold=True)),),
        notes=("n < 3",),
    )
    more = [table, PagePicture(title='a "front"', png=b"abc")]
    page = write_page(small(), tmp_path / "page.html", more=more).read_text(encoding="utf-8")
    study = page[page.index('<section id="study"') : page.index('<section id="curves"')]
    assert '<a href="#study">' in page
    assert "<script" not in study
    assert "&lt;script&gt;" in study
    assert "<strong><bdi>1</bdi></strong>" in study
    assert "b&amp;c" in study
    assert "n &lt; 3" in study
    assert 'alt="a &quot;front&quot;" src="data:image/png;base64,YWJj"' in study


def test_a_page_without_a_study_has_no_section_for_one(page):
    assert "study" not in re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)


# In the browser.


def test_charts_are_drawn_for_every_run(opened):
    def lines(chart: str) -> int:
        paths = f"[data-chart={chart}] svg [aria-label=line] path"
        return opened.run(f"document.querySelectorAll('{paths}').length")

    assert (lines("pass"), lines("difference"), lines("distinct")) == (3, 2, 3)
    assert lines("training") == 4  # reward and entropy of two runs
    assert opened.run("document.querySelectorAll('[data-chart=flows] svg').length") == 2
    assert opened.run("document.querySelectorAll('[data-chart=bars] svg rect').length") >= 3


def test_filters_list_the_problems_of_each_status(opened):
    opened.run("const s = document.getElementById('against'); s.value = '1'")
    opened.run("document.getElementById('against').dispatchEvent(new Event('change'))")
    assert choose(opened, "lost") == ["lost-1", "lost-2"]
    assert choose(opened, "found") == ["found-1"]
    assert choose(opened, "kept") == ["kept-1", "kept-2"]
    assert choose(opened, "unsolved") == ["unsolved-1"]
    assert choose(opened, "changed") == ["kept-1", "lost-1", "lost-2", "found-1"]
    assert choose(opened, "all") == list(RIGHT)


def test_with_any_run_a_problem_counts_that_one_run_lost(opened):
    assert choose(opened, "lost") == ["lost-1", "lost-2"]
    assert choose(opened, "kept") == ["kept-1", "kept-2", "lost-1"]


def test_the_largest_fall_comes_first(opened):
    opened.run("document.getElementById('order').value = 'fall'")
    opened.run("document.getElementById('order').dispatchEvent(new Event('change'))")
    assert listed(opened)[0] == "lost-2"


def test_the_numbers_of_the_flow_lead_to_their_problems(opened):
    buttons = "[...document.querySelectorAll('.flow-numbers button')]"
    opened.run(f"{buttons}.find((b) => /lost/.test(b.textContent)).click()")
    assert listed(opened) == ["lost-1", "lost-2"]
    assert opened.run("document.getElementById('against').value") == "1"


def test_search_reads_ids_prompts_golds_and_on_demand_texts(opened):
    look_for(opened, "FOUND", ["found-1"])
    look_for(opened, "prompt unsolved", ["unsolved-1"])
    look_for(opened, "gold3", ["lost-2"])
    look_for(opened, "tries lost-1", [])
    opened.run("document.getElementById('deep').click()")
    look_for(opened, "tries lost-1", ["lost-1"])
    look_for(opened, "", list(RIGHT))
    assert opened.run("document.getElementById('count').textContent") == "6 of 6 problems"


def test_a_problem_opens_by_keyboard_and_shows_solutions_with_shares_and_texts(opened):
    opened.run("document.body.focus()")
    opened.press("/", 191, "/")
    assert opened.run("document.activeElement.id") == "search"
    opened.run("document.querySelector('#problems .row').focus()")
    opened.press("ArrowDown", 40)
    opened.press("ArrowUp", 38)
    opened.press("Enter", 13, "\r")
    opened.wait("document.querySelector('.runs')")
    shares = "[...document.querySelectorAll('.run')].map((r) => r.innerText.replace(/\\s+/g, ' '))"
    base, first, second = opened.run(shares)
    assert base.startswith("base: 2 of 4 right ✓ a0▼ lost 1 of 4 · 25 % ✓ a1▼ lost 1 of 4 · 25 %")
    assert base.endswith("✗ no answer found 2 of 4 · 50 %")
    assert first.startswith("first: 4 of 4 right ✓ b0▲ found 2 of 4 · 50 % ✓ b1▲ found 2 of 4")
    assert second.startswith("second: 3 of 4 right")
    opened.run("document.querySelector('.run summary').click()")
    opened.wait("document.querySelector('.run pre')")
    text = opened.run("document.querySelector('.run pre').textContent")
    assert text == "base tries kept-1, sample 0: a0"


def test_the_dark_scheme_is_dark_and_a_phone_needs_no_sideways_scrolling(opened):
    def light() -> int:
        colour = opened.run("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour))

    assert light() > 600
    opened.scheme("dark")
    assert light() < 150
    opened.resize(360, 740, phone=True)
    opened.run("document.querySelector('#problems .row').click()")
    opened.wait("document.querySelector('.runs')")
    assert opened.run("document.documentElement.scrollWidth") <= 360


def test_a_measure_is_explained_under_the_mouse_and_under_the_focus(opened):
    bubble = "document.getElementById('bubble')"
    term = "document.querySelector('.chip .term')"
    meaning = opened.run(f"{term}.title")
    assert opened.run(f"{bubble}.hidden")
    opened.run(f"{term}.focus()")
    assert opened.run(f"[{bubble}.hidden, {bubble}.textContent]") == [False, meaning]
    assert opened.run(f"{term}.getAttribute('aria-describedby')") == "bubble"
    opened.press("Escape", 27)
    assert opened.run(f"{bubble}.hidden")
    box = opened.run(f"(({{left, top}}) => [left + 5, top + 5])({term}.getBoundingClientRect())")
    opened.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    opened.wait(f"!{bubble}.hidden")
    assert opened.run(f"{bubble}.textContent") == meaning
    opened.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    opened.wait(f"{bubble}.hidden")
    assert opened.run(f"{term}.title") == meaning


def test_a_measure_leads_to_the_glossary_which_then_unfolds(opened):
    assert not opened.run("document.querySelector('#glossary details').open")
    opened.run("document.querySelector('[data-chart=bars] .term').click()")
    opened.wait("document.querySelector('#glossary details').open")
    top = "document.querySelector(location.hash).getBoundingClientRect().top"
    opened.wait(f"0 <= {top} && {top} < innerHeight")


def test_a_comparison_without_logs_has_no_training_part(browser, tmp_path):
    comparison = small()
    runs = [replace(r, samples=replace(r.samples, training_log=())) for r in comparison.runs]
    path = write_page(replace(comparison, runs=tuple(runs)), tmp_path / "page.html")
    browser.open(path)
    assert browser.run("document.querySelector('#training')") is None
    assert browser.complaints() == []


def test_where_texts_do_not_fit_the_page_says_what_is_left(browser, tmp_path):
    path = write_page(large(60, 8, 2, words=300), tmp_path / "page.html", text_budget=200_000)
    browser.open(path)
    hint = browser.run("document.querySelector('#explorer .hint').textContent")
    assert hint.startswith("To keep this file small, texts are sampled: up to 1 for each solution")
    path = write_page(large(60, 8, 2, words=300), tmp_path / "page.html", text_budget=10)
    browser.open(path)
    hint = browser.run("document.querySelector('#explorer .hint').textContent")
    assert "solutions and texts of the last 60 problems are left out" in hint
    browser.run("document.querySelector('#problems .row').click()")
    browser.wait("/left out to keep/.test(document.querySelector('.detail').textContent)")
    assert browser.complaints() == []


def test_hostile_texts_show_as_text_wherever_they_stand(browser, tmp_path):
    path = write_page(with_texts(list(HOSTILE.values())), tmp_path / "page.html")
    assert path.stat().st_size < 2_000_000
    browser.open(path)
    shape = browser.run("[document.scripts.length, document.querySelectorAll('section').length]")
    limit = 20_000  # characters of a text in the file
    for row, (name, text) in enumerate(HOSTILE.items()):
        item = f"document.querySelectorAll('#problems > li')[{row}]"
        browser.run(f"{item}.querySelector('.row').click()")
        browser.wait(f"{item}.querySelector('.runs')")
        browser.run(f"{item}.querySelectorAll('.run')[1].querySelector('details').open = true")
        browser.wait(f"{item}.querySelectorAll('.run')[1].querySelector('pre')")
        pre = f"{item}.querySelectorAll('.run')[1].querySelector('pre').textContent"
        assert browser.run(pre) == as_shown(text), name
        if text:
            assert browser.run(f"{item}.querySelector('pre').textContent") == as_shown(text)
        if len(text) > limit:
            said = browser.run(
                f"{item}.querySelectorAll('.run')[1].querySelector('.cut').textContent"
            )
            missing = f"{len(text) - limit:,} more characters are not in this file"
            assert said == f"{missing}; the text ends with"
            ends = f"{item}.querySelectorAll('.run')[1].querySelector('pre ~ pre').textContent"
            assert browser.run(ends).endswith("</b> the end")
        browser.run(f"{item}.querySelector('.row').click()")
    assert browser.run("typeof window.pwned") == "undefined"
    assert shape == [len(browser.run("[...document.scripts].map(() => 1)")), 6]
    assert browser.run("document.querySelectorAll('img, iframe, base, plaintext').length") == 0
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def test_a_large_page_stays_under_30_mb_and_draws_at_first_what_a_smaller_one_does(
    browser, tmp_path
):
    drawn = []
    for problems in (150, 1319):
        path = write_page(large(problems, 16, 4, words=150), tmp_path / "page.html")
        assert path.stat().st_size < 30_000_000
        browser.open(path)
        assert browser.complaints() == []
        assert len(listed(browser)) == 100
        drawn.append(browser.run("document.querySelectorAll('*').length"))
    assert drawn[1] < 1.1 * drawn[0]  # ticks of axes differ
