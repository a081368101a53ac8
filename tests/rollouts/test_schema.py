import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.rollouts import SCHEMA, decode_prompt, encode_prompt
from polypath.rollouts.schema import to_table
from tests.rollouts.rows import row


@given(st.text())
def test_a_plain_prompt_is_stored_as_itself(text: str) -> None:
    try:
        stored = encode_prompt(text)
    except DataError:
        assert isinstance(decode_prompt(text), list)
    else:
        assert stored == text
        assert decode_prompt(stored) == text


@given(
    st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": st.text()}),
        min_size=1,
        max_size=3,
    )
)
def test_chat_prompts_survive_storing(messages: list[dict[str, str]]) -> None:
    assert decode_prompt(encode_prompt(messages)) == messages


def test_a_plain_prompt_that_reads_like_stored_messages_is_refused() -> None:
    with pytest.raises(DataError, match="list"):
        encode_prompt('[{"role": "user", "content": "hi"}]')


def test_json_that_is_no_chat_stays_text() -> None:
    for text in ('[{"a": 1}]', "[{broken", '[{"role": "user"}]'):
        assert decode_prompt(encode_prompt(text)) == text


def test_rows_become_a_table_of_the_schema() -> None:
    table = to_table([row("a", 0), row("a", 1, token_ids=None)])
    assert table.schema.equals(SCHEMA)
    assert table.column("token_ids").to_pylist() == [[5, 2], None]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sample_id": -1}, "sample_id and n_tokens must be at least 0"),
        ({"finish_reason": "eos"}, "finish_reason must be 'stop' or 'length', got 'eos'"),
        ({"token_ids": (1, 2, 3)}, "n_tokens is 2 but token_ids has 3"),
    ],
)
def test_impossible_rows_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        row("a", **{"sample_id": 0, **change})
