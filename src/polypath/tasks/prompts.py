r"""The text around a question: the papers' ways of asking, by name.

The papers' prompts are published only in part. The sentences here are ours and ask for the same things.
A recipe that must match a checkpoint's own prompt word for word should bring its own data set
column.
"""

from collections.abc import Callable, Sequence

from polypath.errors import unknown_name

Messages = list[dict[str, str]]
Prompt = str | Messages

BOXED = r"Please reason step by step, and put your final answer within \boxed{}."

# After Figure 2 of arXiv 2505.23433: core concepts, numbered steps, a check, a boxed answer.
R1_ZERO_DIV = (
    "A conversation between User and Assistant. The User asks a question and the Assistant solves "
    "it. The Assistant should 1) Identify the core concepts and the formulas that are required. "
    "2) Break the solution down into logical, numbered steps. 3) Verify the result by another "
    r"method or by substitution. Put your final answer within \boxed{}."
)

# After the system prompt of the recipes of xiwenc1/DRA-GRPO: think, then answer, boxed. Their format
# reward counts "\n</think>\n", so the tag has a line of its own.
DRA = (
    "A conversation between User and Assistant. The User asks a question and the Assistant solves "
    "it. The Assistant first thinks the problem through and then gives the answer. The thinking "
    "stands between <think> and </think> and the answer between <answer> and </answer>, each tag on "
    r"a line of its own. Put your final answer within \boxed{}."
)

SQL = (
    "You translate questions into SQLite queries. Think about which tables and columns the question "
    "is about, then give one query that answers it, in a block that begins with ```sql and ends "
    "with ```. The query returns exactly the columns the question asks for."
)


def _asked(system: str) -> Callable[[str], Prompt]:
    def ask(question: str) -> Prompt:
        return [{"role": "system", "content": system}, {"role": "user", "content": question}]

    return ask


def _plain(question: str) -> Prompt:
    return question


MATH_PROMPTS: dict[str, Callable[[str], Prompt]] = {
    "boxed": _asked(BOXED),
    "r1_zero_div": _asked(R1_ZERO_DIV),
    "dra": _asked(DRA),
    "plain": _plain,
}
SQL_PROMPTS = ("schema", "plain")


def math_prompt(name: str) -> Callable[[str], Prompt]:
    """Return the function that makes a prompt from a question.

    Raises:
        ConfigError: there is no prompt of this name.
    """
    if name not in MATH_PROMPTS:
        raise unknown_name("prompt", name, MATH_PROMPTS)
    return MATH_PROMPTS[name]


def sql_prompt(
    name: str, question: str, *, schema: Sequence[str] = (), evidence: str | None = None
) -> Prompt:
    """Return the prompt of a question about a database.

    Args:
        name: ``"schema"`` shows the statements that create the tables, as DPH-RL does; ``"plain"``
            is only the question.
        question: the question.
        schema: the ``CREATE TABLE`` statements.
        evidence: additional knowledge (BIRD); ``None`` or empty for none.

    Raises:
        ConfigError: there is no prompt of this name.
    """
    if name not in SQL_PROMPTS:
        raise unknown_name("prompt", name, SQL_PROMPTS)
    if name == "plain":
        return question
    tables = "\n\n".join(f"{statement.strip().rstrip(';')};" for statement in schema)
    known = f"\n\nExternal knowledge: {evidence.strip()}" if evidence and evidence.strip() else ""
    return [
        {"role": "system", "content": SQL},
        {
            "role": "user",
            "content": f"Database schema:\n\n{tables}{known}\n\nQuestion: {question.strip()}",
        },
    ]
