"""What a refusal must hold: its class, one line, and the names and values at fault, in any words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], *facts: object) -> Iterator[None]:
    """Expect an error of this class, on one line, that names every fact."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    assert [fact for fact in facts if str(fact) not in text] == [], text
