"""Names of the project's modules resolved to their definitions, and annotations to the types they mean."""

import ast
import builtins
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = (None, None)
"""The type or definition of what is not of the project: tensors, numbers, arrays, libraries."""


@cache
def source(name):
    """A module's syntax tree; None where it is not one of the project's."""
    path = ROOT / (name.replace(".", "/") + ".py")
    if not path.is_file():
        path = ROOT / name.replace(".", "/") / "__init__.py"
    return ast.parse(path.read_text(encoding="utf-8")) if name.startswith("dfml") and path.is_file() else None


@cache
def module(name):
    """A module's definitions, aliases and imports; None where it is not one of the project's."""
    if (tree := source(name)) is None:
        return None
    defined, imported = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported.update({alias.asname or alias.name: (node.module, alias.name) for alias in node.names})
        elif isinstance(node, ast.Import):
            imported.update({alias.asname or alias.name.split(".")[0]: (alias.name, None) for alias in node.names})
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defined[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined[node.target.id] = node.annotation
    return defined, imported


def definition(place, name):
    """Where a name of a module is defined: (module, node), or ``FOREIGN``; None where it is unknown."""
    found = module(place)
    if name in found[0]:
        return place, found[0][name]
    if name in found[1]:
        origin, what = found[1][name]
        if what is None or not origin.startswith("dfml"):
            return FOREIGN
        return (f"{origin}.{what}", None) if module(f"{origin}.{what}") else definition(origin, what)
    return FOREIGN if hasattr(builtins, name) else None


def is_class(found):
    """Whether a definition is a class of the project."""
    return bool(found) and isinstance(found[1], ast.ClassDef)


@cache
def every_class():
    """All classes of the project, by (module, name)."""
    places = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sorted(ROOT.glob("dfml/**/*.py"))]
    return {(p, n): c for p in places for n, c in module(p)[0].items() if isinstance(c, ast.ClassDef)}


def bases(place, cls):
    """The classes of the project that a class derives from directly, or their names where they are foreign."""
    for base in cls.bases:
        found = definition(place, base.id) if isinstance(base, ast.Name) else None
        yield found if is_class(found) else ast.unparse(base)


def ancestry(place, cls):
    """A class and all that it derives from."""
    yield place, cls
    for base in bases(place, cls):
        if isinstance(base, tuple):
            yield from ancestry(*base)


def is_network(place, cls):
    """Whether a class is a torch module, whose layers nobody reads for a method's steps."""
    return any("nn.Module" in base for p, c in ancestry(place, cls) for base in bases(p, c) if isinstance(base, str))


def has_foreign_base(place, cls):
    """Whether a class may have attributes from a class that is not of the project."""
    names = [base for p, c in ancestry(place, cls) for base in bases(p, c) if isinstance(base, str)]
    return any(name.split("[")[0] not in ("ABC", "Protocol", "Generic") for name in names)


def method_of(owner, name):
    """A method of a class or of its bases: (module, function), or None."""
    for place, cls in ancestry(*owner):
        for node in cls.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return place, node
    return None


def is_abstract(function):
    """Whether a method only promises something."""
    return any("abstractmethod" in ast.unparse(d) for d in function.decorator_list)


def unsubscripted(node):
    """The head of an annotation and what stands in its brackets."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.Subscript):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return node.value, inside
    return node, []


def expand(kind):
    """A type, its aliases followed: (module, annotation or class)."""
    place, node = kind
    while node is not None and not isinstance(node, ast.ClassDef):
        if isinstance(node, ast.BinOp):  # X | None
            sides = [expand((place, side)) for side in (node.left, node.right)]
            return next((side for side in sides if side and is_class(side)), sides[0])
        head, inside = unsubscripted(node)
        if isinstance(head, ast.Attribute):
            return FOREIGN
        if not isinstance(head, ast.Name):
            return FOREIGN if isinstance(head, ast.Constant) else (place, node)
        if head.id == "Self":
            return None
        found = definition(place, head.id)
        if head.id in ("ClassVar", "Annotated", "type") and inside:
            node = inside[0]
        elif found is None or found[0] is None:
            return (place, node) if inside else FOREIGN
        elif inside and is_class(found):
            return found  # a generic class of the project
        else:
            place, node = found
    return place, node


def element(kind, which=0):
    """The type of what a container holds (of a dict: 0 its keys, 1 its values; of a tuple by position)."""
    kind = kind and expand(kind)
    if kind is None or kind == FOREIGN:
        return kind
    if is_class(kind):
        made = method_of(kind, "__iter__")
        return element((made[0], made[1].returns)) if made and made[1].returns is not None else None
    head, inside = unsubscripted(kind[1])
    name = ast.unparse(head)
    if name in ("tuple", "Generator") and which < len(inside):
        return kind[0], inside[which]
    if name in ("dict", "Mapping") and len(inside) == 2:
        return kind[0], inside[which]
    return (kind[0], inside[0]) if inside else FOREIGN
