"""Which files one opens to read a method's steps, from its ``train`` to the last torch call.

``python tests/reading.py`` follows every name in ``train`` to its definition: imported names, functions handed on, and
methods of what a constructor, an annotation or a return annotation gives. A file counts where a definition computes
with torch; those that only lead to one are named after it. Not counted is what every method shares and no step of a
box speaks of (``SHARED``), the layers of networks, and what is ours. What cannot be resolved is an error.
"""

import ast
import builtins
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("purer", "bidf_mkd", "teapot", "free", "tgr", "dro")
SHARED = ("dfml.core.", "dfml.data.", "dfml.zoo.", "dfml.nets.build", "dfml.nets.generator", "dfml.nets.checkpoint")
SHARED += ("dfml.training.context", "dfml.training.validation", "dfml.meta.model")
SHARED += ("dfml.training.ours.", "dfml.methods.baselines")  # what dro takes of these is an option of ours
NOT_COMPUTING = {"Generator", "device", "synchronize"}
MOVES = {"to", "cpu", "tolist", "item", "numpy", "detach", "clone", "half", "float"}
FOREIGN = (None, None)
"""The type or definition of what is not of the project: tensors, numbers, arrays, libraries."""


class Unresolved(Exception):
    """A call whose definition is not found, though it may be one of the project's."""


@cache
def module(name):
    """A module's definitions, aliases and imports; None where it is not one of the project's."""
    path = ROOT / (name.replace(".", "/") + ".py")
    if not path.is_file():
        path = ROOT / name.replace(".", "/") / "__init__.py"
    if not name.startswith("dfml") or not path.is_file():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
        source, what = found[1][name]
        if what is None or not source.startswith("dfml"):
            return FOREIGN
        return (f"{source}.{what}", None) if module(f"{source}.{what}") else definition(source, what)
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


@cache
def own_names():
    """Names of methods that classes of the counted modules have: a call of one must be resolved."""
    counted = [(p, c) for (p, _), c in every_class().items() if not p.startswith(SHARED) and not is_network(p, c)]
    methods = [n.name for _, c in counted for n in c.body if isinstance(n, ast.FunctionDef)]
    return {name for name in methods if not name.startswith("__")}


@cache
def tensor_names():
    """Names of methods by which a tensor computes, and that no plain Python object has."""
    import torch

    plain = [list, dict, str, set, int, float, tuple, bytes, range, Path, re.Pattern, type(i for i in ())]
    return set(dir(torch.Tensor)) - {name for kind in plain for name in dir(kind)} - MOVES


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
    if kind is None or kind == FOREIGN or is_class(kind):
        return kind if kind == FOREIGN else None
    head, inside = unsubscripted(kind[1])
    name = ast.unparse(head)
    if name in ("tuple", "Generator") and which < len(inside):
        return kind[0], inside[which]
    if name in ("dict", "Mapping") and len(inside) == 2:
        return kind[0], inside[which]
    return (kind[0], inside[0]) if inside else FOREIGN


class Reader:
    """Follows one method's definitions; the strings in its file tell which registered classes it uses."""

    def __init__(self, place):
        self.seen = {}
        source = ast.parse((ROOT / (place.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        self.literals = {n.value for n in ast.walk(source) if isinstance(n, ast.Constant) and isinstance(n.value, str)}

    def implementations(self, owner, name):
        """What a promised method may be, in the registered classes that are used: (class, module, function)."""
        found, named = [], []
        for (place, _), cls in every_class().items():
            made = method_of((place, cls), name) if owner in ancestry(place, cls) else None
            if made is None or is_abstract(made[1]):
                continue
            found.append(((place, cls), *made))
            registered = {ast.literal_eval(d.args[0]) for d in cls.decorator_list if ".register(" in ast.unparse(d)}
            named += [found[-1]] if registered & self.literals else []
        return named or found

    def follow(self, receiver, place, function):
        """Read a definition and all that it leads to; ``receiver`` is the class of ``self``, if it has one."""
        if place.startswith(SHARED) or (key := (id(function), receiver and id(receiver[1]))) in self.seen:
            return
        self.seen[key] = place, function
        Body(self, receiver, place, function).read()


class Body:
    """The types of names in one function, and what it calls."""

    def __init__(self, reader, receiver, place, function):
        self.reader, self.receiver, self.place, self.function = reader, receiver, place, function
        self.names, self.local = {}, {n.name: n for n in ast.walk(function) if isinstance(n, ast.FunctionDef)}
        for inner in ast.walk(function):
            if isinstance(inner, ast.FunctionDef | ast.Lambda):
                for arg in [*inner.args.args, *inner.args.kwonlyargs, inner.args.vararg, inner.args.kwarg]:
                    if arg is not None:
                        self.names.setdefault(arg.arg, (place, arg.annotation) if arg.annotation else None)
        static = any("staticmethod" in ast.unparse(d) for d in function.decorator_list)
        if receiver and not static and function.args.args:
            self.names[function.args.args[0].arg] = receiver
        for _ in range(3):  # a name may follow from one further down
            for node in ast.walk(function):
                self.bind_statement(node)

    def bind_statement(self, node):
        """Learn types from an assignment, a loop, a ``with`` or a comprehension."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.bind(target, self.type_of(node.value), node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            known = isinstance(node, ast.AnnAssign)
            self.bind(node.target, (self.place, node.annotation) if known else self.type_of(node.value))
        elif isinstance(node, ast.For | ast.comprehension):
            self.bind_loop(node.target, node.iter)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self.bind(node.optional_vars, FOREIGN)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            self.names[node.name] = FOREIGN

    def bind(self, target, kind, value=None):
        """Give a name, or each of several, its type."""
        target = target.value if isinstance(target, ast.Starred) else target
        if isinstance(target, ast.Name):
            if kind is not None or target.id not in self.names:
                self.names[target.id] = kind
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else None
            for position, each in enumerate(target.elts):
                self.bind(each, self.type_of(parts[position]) if parts else element(kind, position))

    def bind_loop(self, target, over):
        """Types of the names of a loop over ``zip``, ``enumerate``, items of a dict, or a container."""
        called = ast.unparse(over.func) if isinstance(over, ast.Call) else ""
        if called == "zip" and isinstance(target, ast.Tuple):
            for each, of in zip(target.elts, over.args, strict=True):
                self.bind_loop(each, of)
        elif called == "enumerate" and isinstance(target, ast.Tuple):
            self.bind(target.elts[0], FOREIGN)
            self.bind_loop(target.elts[1], over.args[0])
        elif called.endswith(".items") and isinstance(target, ast.Tuple):
            owner = self.type_of(over.func.value)
            for which, each in enumerate(target.elts):
                self.bind(each, element(owner, which))
        else:
            self.bind(target, element(self.type_of(over)))

    def type_of(self, node):
        """The type of an expression, None where it is unknown."""
        match node:
            case ast.Name(id=name):
                if name in self.names:
                    return self.names[name]
                found = None if name in self.local else definition(self.place, name)
                return FOREIGN if found and found[0] is None else None
            case ast.YieldFrom(value=value) | ast.Starred(value=value) | ast.NamedExpr(value=value):
                return self.type_of(value)
            case ast.IfExp(body=one, orelse=other):
                return self.type_of(one) or self.type_of(other)
            case ast.BoolOp(values=values):
                return next(filter(None, map(self.type_of, values)), None)
            case ast.BinOp(left=left, right=right):
                sides = [self.type_of(left), self.type_of(right)]
                return next((s for s in sides if s and s != FOREIGN), FOREIGN if any(sides) else None)
            case ast.Subscript(value=value, slice=index):
                owner = self.type_of(value)
                if isinstance(index, ast.Slice):
                    return owner
                whole = owner and expand(owner)
                head = ast.unparse(unsubscripted(whole[1])[0]) if whole and whole[1] is not None else ""
                at = index.value if isinstance(index, ast.Constant) and isinstance(index.value, int) else 0
                return element(owner, 1 if head in ("dict", "Mapping") else at)
            case ast.Attribute(value=value, attr=name):
                return self.attribute(value, name)
            case ast.Call():
                return self.returned(node)
            case ast.ListComp(elt=inner) | ast.GeneratorExp(elt=inner) | ast.SetComp(elt=inner):
                return self.container(self.type_of(inner))
            case ast.List(elts=elts) if elts:
                return self.container(self.type_of(elts[0]))
        literal = ast.Constant | ast.Dict | ast.DictComp | ast.JoinedStr | ast.Compare | ast.UnaryOp | ast.Lambda
        return FOREIGN if isinstance(node, literal | ast.List | ast.Tuple | ast.Set) else None

    @staticmethod
    def container(kind):
        """The type of a list of such things."""
        if kind is None or kind == FOREIGN:
            return kind
        place, node = kind
        inner = ast.Name(node.name) if isinstance(node, ast.ClassDef) else node
        return place, ast.Subscript(ast.Name("list"), inner)

    def attribute(self, value, name):
        """The type of an attribute: of an annotated field, a property, or what ``__init__`` puts there."""
        owner = self.type_of(value)
        owner = owner and expand(owner)
        if owner is None or owner == FOREIGN or not is_class(owner):
            return FOREIGN if owner else None
        for place, cls in ancestry(*owner):
            for field in cls.body:
                if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == name:
                    return place, field.annotation
                if isinstance(field, ast.FunctionDef) and field.name == name:
                    return (place, field.returns) if "property" in map(ast.unparse, field.decorator_list) else None
        for place, cls in ancestry(*owner):
            made = method_of((place, cls), "__init__")
            for line in ast.walk(made[1]) if made else ():
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == f"self.{name}":
                    return made[0], line.annotation
                if isinstance(line, ast.Assign):
                    for target in line.targets:
                        found = self.assigned(made, owner, target, line.value, name)
                        if found:
                            return found
        return FOREIGN if is_network(*owner) else None

    def assigned(self, made, owner, target, value, name):
        """What an assignment of ``__init__`` puts into ``self.<name>``, or None."""
        if isinstance(target, ast.Tuple):
            values = value.elts if isinstance(value, ast.Tuple) else [None] * len(target.elts)
            pairs = zip(target.elts, values, strict=True)
            return next((f for t, v in pairs if (f := self.assigned(made, owner, t, v, name))), None)
        if not isinstance(target, ast.Attribute) or target.attr != name or ast.unparse(target.value) != "self":
            return None
        if value is None:
            return FOREIGN
        return simple(self.reader, made, owner).type_of(value)

    def returned(self, call):
        """The type of what a call gives."""
        name = ast.unparse(call.func)
        if name in ("list", "tuple", "sorted", "deque", "reversed", "set", "filter", "next", "iter") and call.args:
            kind = self.type_of(call.args[-1 if name == "filter" else 0])
            return element(kind) if name == "next" else kind
        if name == "replace" and call.args:
            return self.type_of(call.args[0])
        found = self.callee(call.func)
        if found is None or found == FOREIGN:
            return found
        if is_class(found[1:]):
            return found[1:]
        receiver, place, function = found
        if isinstance(function, ast.FunctionDef) and function.returns is not None:
            if ast.unparse(function.returns) == "Self":
                return receiver
            head, inside = unsubscripted(function.returns)
            if ast.unparse(head) == "Generator":
                return place, inside[2]
            return place, function.returns
        return None

    def callee(self, func):
        """What a call runs: (class of ``self`` or None, module, function or class), or FOREIGN; None where unknown."""
        if isinstance(func, ast.Name):
            if func.id in self.local:
                return None, self.place, self.local[func.id]
            if func.id in self.names:
                return FOREIGN  # a function handed on: counted where it is made
            found = definition(self.place, func.id)
            return found if found is None or found == FOREIGN else self.of_definition(found)
        if isinstance(func, ast.Attribute):
            if isinstance(func.value, ast.Name) and func.value.id not in self.names:
                found = definition(self.place, func.value.id)
                if found and found[1] is None and found[0]:  # a module of the project
                    return self.of_definition(definition(found[0], func.attr))
                if is_class(found):
                    made = method_of(found, func.attr)
                    return (found, *made) if made else FOREIGN
            if ast.unparse(func.value) == "super()":
                owners = [b for b in bases(*self.of_self()) if isinstance(b, tuple)]
                made = next((m for b in owners if (m := method_of(b, func.attr))), None)
                return (self.receiver, *made) if made else FOREIGN
            owner = self.type_of(func.value)
            owner = owner and expand(owner)
            if owner is None or owner == FOREIGN or not is_class(owner):
                return FOREIGN if owner else None
            made = method_of(owner, func.attr)
            if made:
                return (owner, *made)
            return FOREIGN if self.attribute(func.value, func.attr) or is_network(*owner) else None
        return FOREIGN if self.type_of(func) else None

    def of_self(self):
        """The class in which the function stands."""
        owners = ancestry(*self.receiver)
        return next((p, c) for p, c in owners if any(n is self.function for n in c.body))

    @staticmethod
    def of_definition(found):
        """A definition as a callee; an alias of something else counts where it is made."""
        if found is None or found[0] is None:
            return found
        return (None, *found) if isinstance(found[1], ast.FunctionDef | ast.ClassDef) else FOREIGN

    def read(self):
        """Follow every call, and every function of the project that is handed on."""
        for node in ast.walk(self.function):
            if isinstance(node, ast.Call):
                self.read_call(node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in self.names:
                found = None if node.id in self.local else definition(self.place, node.id)
                if found and isinstance(found[1], ast.FunctionDef):
                    self.reader.follow(None, *found)

    def read_call(self, call):
        """Follow one call."""
        found = self.callee(call.func)
        if found is None:
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
            if isinstance(call.func, ast.Name) or name in own_names():
                raise Unresolved(f"{self.place}:{call.lineno}: {ast.unparse(call.func)}()")
            return
        if found == FOREIGN:
            return
        receiver, place, node = found
        if isinstance(node, ast.ClassDef):
            made = None if place.startswith(SHARED) or is_network(place, node) else method_of((place, node), "__init__")
            if made:
                self.reader.follow((place, node), *made)
        elif receiver and (is_abstract(node) or "Protocol" in bases(*receiver)):
            for concrete, where, function in self.reader.implementations(receiver, node.name):
                self.reader.follow(concrete, where, function)
        elif not (receiver and is_network(*receiver)) and node is not self.function:
            if node.name not in self.local or self.local[node.name] is not node:
                self.reader.follow(receiver, place, node)


def simple(reader, made, owner):
    """A body of which only the arguments' types are asked."""
    body = Body.__new__(Body)
    body.reader, body.receiver, body.place, body.function = reader, owner, *made
    args = [*made[1].args.args, *made[1].args.kwonlyargs]
    body.names = {a.arg: (made[0], a.annotation) if a.annotation else None for a in args}
    body.names["self"], body.local = owner, {}
    return body


def computes(place, function):
    """Whether a definition computes with torch, which moving and storing numbers is not."""
    if not any((source or "").split(".")[0] == "torch" for source, _ in module(place)[1].values()):
        return False
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        source = module(place)[1].get(root.id, ("", ""))[0] if isinstance(root, ast.Name) else ""
        if (source or "").split(".")[0] == "torch":
            if node.func.attr not in NOT_COMPUTING:
                return True
        elif node.func.attr in tensor_names() and node.func.attr not in own_names():
            return True
    return False


def files(name):
    """The files to open for a method, its own first, and those that only lead to others."""
    place = f"dfml.methods.{name}"
    (cls,) = (c for c in module(place)[0].values() if isinstance(c, ast.ClassDef) and method_of((place, c), "train"))
    reader = Reader(place)
    reader.follow((place, cls), *method_of((place, cls), "train"))
    torchy = {where for where, function in reader.seen.values() if computes(where, function)} - {place}
    through = {where for where, _ in reader.seen.values()} - torchy - {place}
    return [place, *sorted(torchy)], sorted(through)


def main():
    """Print them, a line for each method."""
    for name in sys.argv[1:] or METHODS:
        found, through = files(name)
        print(f"{name}: {len(found)} files: {', '.join(found)} (through {', '.join(through)})".replace("dfml.", ""))


if __name__ == "__main__":
    main()
