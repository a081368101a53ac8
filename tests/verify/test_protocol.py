"""Messages of the pool's workers come back as they were, and a malformed one costs its own item."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.verify.protocol import decode, decode_lines, encode, encode_answer

TEXTS = st.text(st.characters())  # lone surrogates too
ANSWERS = st.tuples(
    st.sampled_from(["graded", "timeout"]),
    st.floats(0, 1),
    st.none() | TEXTS,
    st.booleans(),
)


@given(st.lists(ANSWERS, min_size=1))
def test_answers_come_back_together_as_one_by_one(answers):
    lines = [encode_answer(*answer[:3], retire=answer[3]) for answer in answers]
    assert [decode(line) for line in lines] == [decode(encode(answer)) for answer in answers]
    assert all(line.count(b"\n") == 1 for line in lines)
    found, malformed = decode_lines([line[:-1] for line in lines])
    assert found == [decode(line) for line in lines] == [list(answer) for answer in answers]
    assert not malformed


@pytest.mark.parametrize("bad", [b"", b"[1", b"1],[2", b'"\xff"', b"[1],[2]", b"{}x"])
def test_a_malformed_line_leaves_those_before_it(bad: bytes):
    found, malformed = decode_lines([b"[1]", b"[2]", bad, b"[3]"])
    assert (found, list(malformed)) == ([[1], [2]], [bad, b"[3]"])
    with pytest.raises(ValueError):  # noqa: PT011 (json's, or that of the encoding)
        decode_lines(malformed)
