"""The part of the page that its maker adds."""

from polypath.report.page_extra import PagePicture, PageTable, link, section


def test_cells_are_text_and_bold_ones_are_strong():
    table = PageTable(
        title="<b>T</b>",
        columns=("a", "b&c"),
        rows=((("<script>x</script>", False), ("1", True)),),
        notes=("n < 3",),
    )
    html = section([table])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<strong><bdi>1</bdi></strong>" in html
    assert "b&amp;c" in html
    assert "n &lt; 3" in html
    assert link([table]) == '<a href="#study">Study</a>'


def test_a_picture_is_inside_the_page_and_named():
    html = section([PagePicture(title='a "front"', png=b"abc")])
    assert 'alt="a &quot;front&quot;" src="data:image/png;base64,YWJj"' in html


def test_without_parts_there_is_no_section():
    assert section([]) == link([]) == ""
