"""The types of names in one function, and what its calls run."""

import ast

from tests.definitions import (
    FOREIGN,
    ancestry,
    bases,
    definition,
    element,
    expand,
    has_foreign_base,
    is_class,
    is_network,
    method_of,
    unsubscripted,
)

LITERAL = ast.Constant | ast.Dict | ast.DictComp | ast.JoinedStr | ast.Compare | ast.UnaryOp | ast.Lambda
LITERAL |= ast.List | ast.Tuple | ast.Set


class Scope:
    """The types of names in one function; ``receiver`` is the class of ``self``, if it has one."""

    def __init__(self, receiver, place, function):
        self.receiver, self.place, self.function = receiver, place, function
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
                return FOREIGN if found and found[0] is None else self.of_module(found)
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
        return FOREIGN if isinstance(node, LITERAL) else None

    @staticmethod
    def of_module(found):
        """The type of what stands at the top of a module: annotated, made by a call, or a plain value."""
        if found is None or found[1] is None or isinstance(found[1], ast.FunctionDef | ast.ClassDef):
            return None
        place, value = found
        if isinstance(value, ast.Call):
            made = definition(place, value.func.id) if isinstance(value.func, ast.Name) else None
            return made if is_class(made) else FOREIGN
        return FOREIGN if isinstance(value, LITERAL) else found

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
        return FOREIGN if has_foreign_base(*owner) else None

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
        return arguments_alone(made, owner).type_of(value)

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
                return called(self.names[func.id])  # a function handed on: counted where it is made
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
            kind = self.attribute(func.value, func.attr)
            return called(kind) if kind else None
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


def arguments_alone(made, owner):
    """A scope of which only the arguments' types are asked."""
    scope = Scope.__new__(Scope)
    scope.receiver, scope.place, scope.function = owner, *made
    args = [*made[1].args.args, *made[1].args.kwonlyargs]
    scope.names = {a.arg: (made[0], a.annotation) if a.annotation else None for a in args}
    scope.names["self"], scope.local = owner, {}
    return scope


def called(kind):
    """What runs where a value of this type is called: the ``__call__`` of its class, if the project has one."""
    owner = kind and expand(kind)
    made = method_of(owner, "__call__") if is_class(owner) and not is_network(*owner) else None
    return (owner, *made) if made else FOREIGN
