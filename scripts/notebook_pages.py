"""Show notebooks as pages of the site: a hook of mkdocs, named in mkdocs.yml.

A notebook becomes Markdown, so that it looks like every other page, is found by the search, and has its
links checked. Only what is stored in it is shown; nothing runs. ``scripts/run_notebooks.py`` runs them.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTPUT = "{ .text .output }"  # assets/site.css tells it from code
HOW_TO_RUN = (
    '!!! note ""\n    This page is a notebook that was run from top to bottom, with what it printed. '
    '<a href="{name}" download>Download it</a> to run it yourself.\n'
)


class NotebookFile(File):
    """A notebook in the documentation's folder, which is a page and no attachment."""

    def is_documentation_page(self) -> bool:
        """Return that it is one."""
        return True


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Make pages of all notebooks."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
            page = NotebookFile(
                file.src_uri, config.docs_dir, config.site_dir, config.use_directory_urls
            )
            files.append(page)
    return files


def on_page_read_source(*, page: Page, config: MkDocsConfig) -> str | None:
    """Return the Markdown of a page that is a notebook."""
    del config
    if not isinstance(page.file, NotebookFile):
        return None
    path = Path(page.file.abs_src_path or "")
    return markdown(json.loads(path.read_text(encoding="utf-8")), path.name)


def on_post_build(*, config: MkDocsConfig) -> None:
    """Put the notebooks beside their pages, to be downloaded."""
    for path in Path(config.docs_dir).rglob("*.ipynb"):
        shutil.copy(path, Path(config.site_dir) / path.relative_to(config.docs_dir))


def markdown(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook as Markdown; after its title, where to download it.

    Args:
        notebook: as it is in its file, format 4. Its first cell begins with the title.
        name: of its file.

    Raises:
        ValueError: an output is neither text nor a PNG picture, or a picture has no alternative text.
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        else:
            parts.append(fenced(source, "python"))
            parts += [shown(output) for output in cell["outputs"]]
    title, _, rest = parts[0].partition("\n")
    parts[0] = f"{title}\n\n{HOW_TO_RUN.format(name=name)}\n{rest}"
    return "\n\n".join(parts) + "\n"


def shown(output: dict[str, Any]) -> str:
    """Return one output of a cell: a picture, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        alt = output["metadata"].get("image/png", {}).get("alt")
        if not alt:
            raise ValueError(
                "a picture has no words for those who cannot see it: Image(..., alt=...)"
            )
        return f"![{alt}](data:image/png;base64,{''.join(data['image/png']).strip()})"
    if output["output_type"] == "stream":
        return fenced("".join(output["text"]), OUTPUT)
    if "text/plain" in data:
        return fenced("".join(data["text/plain"]), OUTPUT)
    raise ValueError(f"an output is neither text nor a PNG picture: {sorted(output)}")


def fenced(text: str, language: str) -> str:
    """Return a code block."""
    return f"```{language}\n{text.rstrip()}\n```"
