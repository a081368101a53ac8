from polypath.rehearsal import prompt_key
from polypath.rehearsal.keys import problems_key
from polypath.tasks.base import Problem

CHAT = [{"role": "user", "content": "2 + 2"}]


def test_a_key_depends_on_roles_contents_and_their_order_only() -> None:
    turned = [{"content": "2 + 2", "role": "user"}]
    padded = [{"role": "user", "content": "2 + 2", "tool_calls": None}]
    assert prompt_key(CHAT) == prompt_key(turned) == prompt_key(padded)
    assert len(prompt_key(CHAT)) == 32
    others = [
        "2 + 2",
        "2 +  2",
        [{"role": "system", "content": "2 + 2"}],
        [*CHAT, *CHAT],
        '[{"content":"2 + 2","role":"user"}]',
    ]
    assert len({prompt_key(p) for p in [CHAT, *others]}) == 6


def test_a_dataset_row_has_the_key_of_its_problem() -> None:
    from datasets import Dataset

    wide = [{"role": "user", "content": "x", "name": "a"}]
    rows = Dataset.from_dict({"prompt": [CHAT, wide]})
    assert [prompt_key(row["prompt"]) for row in rows] == [prompt_key(CHAT), prompt_key(wide)]


def test_the_key_of_problems_sees_every_part() -> None:
    a = Problem(problem_id="a", prompt="1", gold="1")
    b = Problem(problem_id="b", prompt="2", gold="2")
    changed = [
        [a, b],
        [b, a],
        [a],
        [a, Problem(problem_id="c", prompt="2", gold="2")],
        [a, Problem(problem_id="b", prompt="3", gold="2")],
        [a, Problem(problem_id="b", prompt="2", gold="3")],
    ]
    assert len({problems_key(problems) for problems in changed}) == 6
    assert problems_key([Problem(problem_id="a", prompt="1", gold="1", extra={"x": 1})]) == (
        problems_key([a])
    )
