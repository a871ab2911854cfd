"""The texts under the fields of our structs, read from the source: Python keeps none of them at run time."""

import ast
import inspect
import sys
from functools import cache
from types import MappingProxyType
from typing import Any


@cache
def field_texts(struct: type[Any]) -> MappingProxyType[str, str]:
    """Field name -> the string that stands below it, of the class and its bases."""
    texts: dict[str, str] = {}
    for ancestor in reversed(struct.__mro__):
        if ancestor.__module__.startswith("blackbox."):
            texts |= _texts_by_class(ancestor.__module__).get(ancestor.__name__, {})
    return MappingProxyType(texts)


@cache
def _texts_by_class(module_name: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module_name]))
    return {node.name: _texts(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts(node: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                texts[name] = inspect.cleandoc(text)
            case _:
                pass
    return texts
