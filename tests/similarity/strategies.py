"""Random but legal completions, shared by the property tests."""

from hypothesis import strategies as st

from polypath.similarity import Completions

# Few tokens and short rows, so that equal, overlapping and empty completions all occur often.
token_rows = st.lists(st.integers(0, 4), max_size=8)
solutions = st.none() | st.sampled_from(["1+2", "3", "a"])


@st.composite
def groups(draw: st.DrawFn) -> tuple[Completions, int, int]:
    """Draw ``(rows, P, G)``: P whole groups of G completions."""
    num_groups, size = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    n = num_groups * size
    return (
        rows_of(
            draw(st.lists(token_rows, min_size=n, max_size=n)),
            draw(st.lists(solutions, min_size=n, max_size=n)),
        ),
        num_groups,
        size,
    )


def rows_of(token_ids: list[list[int]], answers: list[str | None] | None = None) -> Completions:
    """Build rows whose text is the tokens in words."""
    return Completions(
        texts=[" ".join(f"w{t}" for t in ids) for ids in token_ids],
        token_ids=token_ids,
        solutions=answers or [None] * len(token_ids),
    )
