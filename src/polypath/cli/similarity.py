"""``polypath similarity``: does a similarity see solutions, or wordings?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypath.cli.command import Fields, command
from polypath.cli.runs import (
    JsonOption,
    RunOptions,
    console_beside,
    names,
    print_lines,
    progress,
    write_json,
)
from polypath.errors import ConfigError
from polypath.settings import setting
from polypath.similarity import Similarity, SimilarityConfig, get_similarity
from polypath.similarity.registry import check_similarity

if TYPE_CHECKING:
    from polypath.rollouts.samples import Samples
    from polypath.sampling.reading import CompletionReader

# Option -> similarities that it is for.
USED_BY = {
    "--model": ("ngram", "policy"),
    "--device": ("policy", "embedding"),
    "--trust-remote-code": ("ngram", "policy", "embedding"),
    "--ngram-max": ("ngram",),
    "--embedding-model": ("embedding",),
    "--embedding-max-tokens": ("embedding",),
}
NEW = SimilarityConfig()


@dataclass(frozen=True, kw_only=True)
class ComparedBy:
    """The similarities to measure, and what they need."""

    similarity: str = setting(
        "ngram",
        "Similarities, separated by commas: ngram, answer, embedding, policy, file.py:function.",
    )
    model: str | None = setting(
        None,
        "Model whose tokens ngram compares (by default words) and whose hidden states policy compares: "
        "a folder or a name.",
    )
    config: Annotated[
        SimilarityConfig, Fields(only=("ngram_max", "embedding_model", "embedding_max_tokens"))
    ] = NEW
    device: str | None = setting(
        None, "Device of the models: cpu or cuda; by default a GPU if there is one."
    )
    trust_remote_code: bool = setting(
        False,
        "Run Python code that comes with a model. Without this option such a model is refused.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The similarities, once each."""
        return tuple(dict.fromkeys(names(self.similarity)))

    def check(self) -> None:
        """Check the names, and refuse options that would do nothing.

        Raises:
            ConfigError: names the option or the similarity.
        """
        if not self.names:
            raise ConfigError("--similarity needs a name, such as ngram,embedding.")
        for name in self.names:
            check_similarity(name)
        if "policy" in self.names and self.model is None:
            raise ConfigError(
                "The similarity 'policy' compares a model's hidden states: name it with --model."
            )
        given = {
            "--model": self.model is not None,
            "--device": self.device is not None,
            "--trust-remote-code": self.trust_remote_code,
            "--ngram-max": self.config.ngram_max != NEW.ngram_max,
            "--embedding-model": self.config.embedding_model != NEW.embedding_model,
            "--embedding-max-tokens": self.config.embedding_max_tokens is not None,
        }
        for option, users in USED_BY.items():
            if given[option] and not set(users) & set(self.names):
                raise ConfigError(
                    f"{option} is for the similarity {' or '.join(users)}, but --similarity is "
                    f"{self.similarity}. Leave it out, or add one of them."
                )

    def reader(self) -> "CompletionReader | None":
        """Load the model, or its tokenizer if that is all that is needed."""
        if self.model is None:
            return None
        from polypath.sampling.reading import CompletionReader

        return CompletionReader(
            self.model,
            weights="policy" in self.names,
            device=self.device,
            trust_remote_code=self.trust_remote_code,
        )

    def build(self, reader: "CompletionReader | None") -> dict[str, Similarity]:
        """Return the similarities by name."""
        config = replace(
            self.config,
            ignored_token_ids=() if reader is None else reader.special_ids,
            embedding_device=self.device,
            embedding_trust_remote_code=self.trust_remote_code,
        )
        return {name: get_similarity(name, config) for name in self.names}


@command
def similarity(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run folder, sample store, JSONL or Parquet file. NAME=PATH gives the run a name.",
        ),
    ],
    *,
    compared: ComparedBy,
    solution_fn: Annotated[
        str | None,
        typer.Option(
            help="What a solution is: text, equations, operations or file.py:function, as in training; "
            "by default the stored answer."
        ),
    ] = None,
    pairs: Annotated[
        int,
        typer.Option(help="Most pairs of right completions of a problem, drawn at random."),
    ] = 500,
    options: Annotated[
        RunOptions, Fields(only=("level", "seed", "key", "run_key", "task", "task_option"))
    ],
    json_file: JsonOption = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw how similar the pairs are to this file: .png, .pdf or .svg."),
    ] = None,
) -> None:
    """Measure whether a similarity sees solutions, or wordings.

    Among right completions of a problem: is a pair with the same solution more similar than a pair with
    different ones? Methods such as DRA keep different solutions only as far as their similarity sees them.
    """
    from polypath.report.agreement import choose_right, measure_agreement
    from polypath.report.agreement_figure import draw_agreement
    from polypath.report.agreement_table import (
        agreement_record,
        agreement_tables,
        meaning,
        reading_line,
    )
    from polypath.report.figures import check_figure
    from polypath.report.table import print_tables
    from polypath.tasks.solutions import load_solution

    compared.check()
    settings, console = options.settings(), console_beside(json_file)
    if figure is not None:
        check_figure(figure)
    found_by = None if solution_fn is None else load_solution(solution_fn)
    samples = _one_run(options, run)
    reader = compared.reader()
    chosen = choose_right(samples, found_by, reader, most_pairs=pairs, seed=options.seed)
    by_name = compared.build(reader)
    told = "equal answer" if solution_fn is None else f"equal {solution_fn}"
    print_lines(console, [reading_line(samples.name, chosen, told)])
    if "answer" in by_name and found_by is None:
        note = "answer: the stored answer is what a solution is here, so it is 1 by definition."
        print_lines(console, [note], style="dim")
    with progress("Comparing") as tell:
        found = measure_agreement(
            chosen.problems, by_name, settings=settings, reader=reader, progress=tell
        )
    print_tables(console, agreement_tables(found))
    print_lines(console, map(meaning, found))
    write_json(json_file, agreement_record(samples.name, chosen, found, told))
    if figure is not None:
        draw_agreement(found, figure)
        console.out(f"Drawn: {figure}")


def _one_run(options: RunOptions, run: str) -> "Samples":
    """Read the samples of one run.

    Raises:
        ConfigError: the argument names several.
    """
    read = [samples for seeds in options.read([run]) for samples in seeds]
    if len(read) > 1:
        raise ConfigError(
            f"polypath similarity measures one run, but {run} is {len(read)}: "
            f"{', '.join(samples.name for samples in read)}. Name one of them, NAME=PATH."
        )
    return read[0]
