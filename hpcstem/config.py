"""Configuration files: YAML, checked by pydantic, with errors that name the wrong key and the right one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import hpcstem
from hpcstem.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

_LISTED_MISTAKES = 5


class Section(BaseModel):
    """Base of all sections: unknown keys, NaN and infinity are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def shipped_folder(kind: str) -> Path:
    """Folder of files that ship with the package, in a checkout at its top, installed inside the package.

    Parameters
    ----------
    kind
        Name of the folder: 'workflows', 'site-configs' or 'launchers'.
    """
    package = Path(hpcstem.__file__).parent
    in_checkout = (package.parent / "pyproject.toml").is_file()
    return package.parent / kind if in_checkout else package / "data" / kind


def shipped_file(kind: str, name: str) -> Path:
    """Path of a YAML file that ships with the package.

    Parameters
    ----------
    kind
        Folder: 'workflows' or 'site-configs'.
    name
        Name of the file without `.yaml`.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    folder = shipped_folder(kind)
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise ConfigError(
            f"no {name!r} among the {kind}", wanted=f"the path of a YAML file, or one of: {', '.join(names)}"
        )
    return folder / f"{name}.yaml"


def workflow_file(given: Path) -> Path:
    """Return the file that is given, or else the workflow of that name that ships with the package.

    Raises
    ------
    ConfigError
        There is neither.
    """
    return given if given.is_file() else shipped_file("workflows", str(given))


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys, in silence; a user who wrote both means something else."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises
    ------
    ConfigError
        It cannot be read, is not YAML, or gives a key twice.
    """
    try:
        # S506 knows no loader of one's own; this one is PyYAML's safe one.
        return yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}", getattr(error, "strerror", None) or error, "a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is not YAML", str(error).replace("\n", " "), "lines of the form `key: value`"
        ) from error


def checked(model: type[Model], value: Any, source: str) -> Model:
    """Validate `value`, turning what pydantic finds into one error that names every wrong key and the right one.

    Raises
    ------
    ConfigError
        Something is wrong.
    """
    if not isinstance(value, dict):
        raise ConfigError(source, type(value).__name__, "a mapping of keys to values")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors()
        lines = [_explained(model, item) for item in mistakes[:_LISTED_MISTAKES]]
        if len(mistakes) > _LISTED_MISTAKES:
            # A file of another kind: its other keys say no more.
            lines.append(f"and {len(mistakes) - _LISTED_MISTAKES} more mistakes")
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def _explained(model: type[BaseModel], item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] != "extra_forbidden":
        got = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f", got {item['input']!r}"
        return f"{where}: {item['msg']}{got}"
    keys = _keys_at(model, item["loc"][:-1])
    near = difflib.get_close_matches(str(item["loc"][-1]), keys, n=1, cutoff=0.5)
    return f"unknown key {where}; " + (f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(keys)}")


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Keys of the section that a location leads to."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            nested = _model_in(model.model_fields[part].annotation)
            model = nested if nested is not None else model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
