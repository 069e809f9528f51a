"""Which files one opens to read a method's steps, from its ``train`` to the last torch call.

``python tests/reading.py`` follows each name in the loop of ``train`` to its definition: imported names, methods of
the class, and methods of what a constructor, an annotation or a helper's return annotation gives. A file counts where
such a definition computes with torch. Not counted is what every method shares and no step of a box speaks of (see
``SHARED``), and what is ours.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("purer", "bidf_mkd", "teapot", "free", "tgr", "dro")
SHARED = ("dfml.core.", "dfml.nets.device", "dfml.zoo.", "dfml.data.", "dfml.training.ours.", "dfml.training.record")
SHARED += ("dfml.training.context", "dfml.training.validation", "dfml.meta.model", "dfml.meta.fusion")
SHARED += ("dfml.methods.ota",)  # what dro takes of it is an option of ours


@cache
def module(name):
    """Definitions of a module by name, and what its imports call each name; None where it is not one of ours."""
    path = ROOT / (name.replace(".", "/") + ".py")
    if not path.is_file():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}, imported


def definition(place, name):
    """Where a name of a module is defined: (module, node), or None outside the project."""
    found = module(place)
    if found is None:
        return None
    if name in found[0]:
        return place, found[0][name]
    return definition(*found[1][name]) if name in found[1] else None


def method_of(place, cls, name):
    """A method of a class or of its bases: (module, class, function), or None."""
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return place, cls, node
    bases = [definition(place, base.id) for base in cls.bases if isinstance(base, ast.Name)]
    return next((found for base in bases if base and (found := method_of(*base, name))), None)


def class_in(place, annotation):
    """The class of the project that an annotation speaks of first, or None."""
    words = re.findall(r"\w+", ast.unparse(annotation)) if annotation is not None else []
    found = [definition(place, word) for word in words]
    return next((each for each in found if each and isinstance(each[1], ast.ClassDef)), None)


def type_of(place, cls, known, node):
    """The class of an expression, as far as constructors and annotations tell it."""
    if isinstance(node, ast.Name):
        return (place, cls) if node.id == "self" and cls else known.get(node.id)
    if isinstance(node, ast.YieldFrom):
        return type_of(place, cls, known, node.value)
    if isinstance(node, ast.IfExp):
        return type_of(place, cls, known, node.body) or type_of(place, cls, known, node.orelse)
    if isinstance(node, ast.Attribute):
        owner = type_of(place, cls, known, node.value)
        for field in owner[1].body if owner else ():
            if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == node.attr:
                return class_in(owner[0], field.annotation)
        made = owner and method_of(*owner, "__init__")
        if not made:
            return None
        given = {a.arg: a.annotation for a in made[2].args.args + made[2].args.kwonlyargs}
        inner = {name: class_in(made[0], annotation) for name, annotation in given.items()}
        return next(
            (
                type_of(made[0], made[1], inner, value)
                for line in ast.walk(made[2])
                if isinstance(line, ast.Assign)
                for target, value in pairs(line)
                if isinstance(target, ast.Attribute) and target.attr == node.attr
            ),
            None,
        )
    if isinstance(node, ast.Call):
        called = callee(place, cls, known, node)
        if called is None or isinstance(called[-1], ast.ClassDef):
            return called and (called[0], called[-1])
        return class_in(called[0], called[-1].returns)
    return None


def pairs(line):
    """Targets and values of an assignment, one by one."""
    for target in line.targets:
        if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
            yield from zip(target.elts, line.value.elts, strict=True)
        else:
            yield target, line.value


def callee(place, cls, known, call):
    """What a call runs: (module, class or None, node), or None where that is unknown or not of the project."""
    if isinstance(call.func, ast.Name):
        found = definition(place, call.func.id)
        return found and (found[0], None, found[1])
    if isinstance(call.func, ast.Attribute):
        if isinstance(call.func.value, ast.Name) and call.func.value.id in module(place)[1]:
            found = definition(".".join(module(place)[1][call.func.value.id]), call.func.attr)
            if found:
                return found[0], None, found[1]
        owner = type_of(place, cls, known, call.func.value)
        return owner and method_of(*owner, call.func.attr)
    return None


def reached(place, cls, function, body=None, seen=None):
    """All definitions that a function, or a part of it, runs: (module, node)."""
    seen = {} if seen is None else seen
    known = {a.arg: class_in(place, a.annotation) for a in function.args.args + function.args.kwonlyargs}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target, value in pairs(node):
                if isinstance(target, ast.Name):
                    known[target.id] = type_of(place, cls, known, value)
    for part in body or [function]:
        for node in ast.walk(part):
            called = callee(place, cls, known, node) if isinstance(node, ast.Call) else None
            if called and isinstance(called[2], ast.ClassDef):
                made = method_of(called[0], called[2], "__call__")
                called = made or None
            if called and id(called[2]) not in seen and not called[0].startswith(SHARED):
                seen[id(called[2])] = called[0], called[2]
                reached(*called, seen=seen)
    return seen


def files(name):
    """The files to open for a method, its own first."""
    place = f"dfml.methods.{name}"
    defined, _ = module(place)
    (cls,) = (c for c in defined.values() if isinstance(c, ast.ClassDef) and method_of(place, c, "train"))
    train = method_of(place, cls, "train")[2]
    loops = [node for node in train.body if isinstance(node, ast.For)]
    found = reached(place, cls, train, body=loops or None)
    torchy = {where for where, node in found.values() if re.search(r"\b(torch|F)\.|\.backward\(", ast.unparse(node))}
    return [place, *sorted(torchy - {place})]


def main():
    """Print them, a line for each method."""
    for name in sys.argv[1:] or METHODS:
        found = files(name)
        print(f"{name}: {len(found)} files: {', '.join(each.removeprefix('dfml.') for each in found)}")


if __name__ == "__main__":
    main()
