"""Options of a command from a settings class: each field is an option.

A command function may have a parameter annotated with a dataclass. It stands for one option per field:

    @command
    def sample(options: SampleOptions) -> None: ...

A field that is itself a dataclass is flattened. Names, types and defaults are those of the class, and the
help is that of ``setting(default, help)``. Anything else that typer should know about an option is in the
field's annotation: ``Annotated[int, typer.Option(min=1)]``.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
from typer.models import ParameterInfo

Returned = TypeVar("Returned")

_NO_DEFAULT = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Fields:
    """In ``Annotated[Settings, Fields(...)]``: the fields that are options. Others keep their defaults.

    Attributes:
        only: names of the fields; all if empty.
        without: names of fields to leave out.
        of: the settings class, if the annotation is ``dict[str, Any]``. The dictionary then holds
            the chosen fields of a class whose other fields have no defaults.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    of: type | None = None


def command(function: Callable[..., Returned]) -> Callable[..., Returned]:
    """Turn a function of settings classes into a function of options, which typer accepts."""
    parameters = inspect.signature(function).parameters
    options: list[inspect.Parameter] = []
    for parameter in parameters.values():
        group = _group(parameter.annotation)
        as_it_is = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        options += [as_it_is] if group is None else group.options()

    @functools.wraps(function)
    def called(**values: Any) -> Returned:
        return function(
            **{name: _value(name, given.annotation, values) for name, given in parameters.items()}
        )

    called.__annotations__ = {option.name: option.annotation for option in options}
    called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return called


@dataclasses.dataclass(frozen=True)
class _Group:
    """Options that are fields of one settings class."""

    settings: Any
    fields: Fields

    def options(self) -> Iterator[inspect.Parameter]:
        for field, annotation in self._members():
            group = _group(annotation)
            if group is not None:
                yield from group.options()
            else:
                default = _NO_DEFAULT if field.default is dataclasses.MISSING else field.default
                yield _option(field.name, annotation, default, field.metadata.get("help"))

    def build(self, values: Mapping[str, Any]) -> Any:
        made = {f.name: _value(f.name, annotation, values) for f, annotation in self._members()}
        return made if self.fields.of is not None else self.settings(**made)

    def _members(self) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
        """Yield the chosen fields, each with its annotation."""
        annotations = get_type_hints(self.settings, include_extras=True)
        only, without = self.fields.only, self.fields.without
        for field in dataclasses.fields(self.settings):
            if field.name not in without and (not only or field.name in only):
                yield field, annotations[field.name]


def _group(annotation: Any) -> _Group | None:
    """Return the options that an annotation stands for, or ``None`` if it is an option itself."""
    kind, marks = _split(annotation)
    fields = next((mark for mark in marks if isinstance(mark, Fields)), Fields())
    settings = fields.of or kind
    return _Group(settings, fields) if dataclasses.is_dataclass(settings) else None


def _value(name: str, annotation: Any, values: Mapping[str, Any]) -> Any:
    """Return the value for a field or parameter: a settings object, or the value of its option."""
    group = _group(annotation)
    return values[name] if group is None else group.build(values)


def _option(name: str, annotation: Any, default: Any, text: str | None) -> inspect.Parameter:
    kind, marks = _split(annotation)
    info = next((copy(mark) for mark in marks if isinstance(mark, ParameterInfo)), None)
    if info is None:
        # By default typer adds --no-name; an option that is off by default does not need it.
        flag = [f"--{name.replace('_', '-')}"] if kind is bool and default is False else []
        info = typer.Option(*flag)
    info.help = info.help or text
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type and the metadata that ``Annotated`` adds to it."""
    marks = getattr(annotation, "__metadata__", ())
    return (get_args(annotation)[0] if marks else annotation), marks
