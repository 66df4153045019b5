"""The hooks of an armed step on a model's modules: put in, kept up to date when modules are replaced, taken out."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules import module as torch_module

from torchvitals.hooks import Return, Scope, known_by, made_of

if TYPE_CHECKING:
    from torchvitals.capture import Capture


class Wiring:
    """Which modules carry hooks. They are known by path and by the identity they had when armed, never held."""

    def __init__(self, capture: Capture, fail: Callable[[str, BaseException], None]) -> None:
        self.known: dict[str, Scope] = {}
        """By path."""
        self.loose: list[Any] = []
        """Handles of hooks that no known module has: on tensors that outlive the step, on modules taken out."""
        self._capture = capture
        self._fail = fail
        self._same = False
        self._before: dict[str, Scope] = {}
        """Scopes of the step before: what was decided of a module holds until it is another."""

    def put_in(self, model: nn.Module) -> bool:
        """Puts hooks on all modules, for one step. Whether all modules are those of the step before."""
        self._model = weakref.ref(model)
        self._same = True
        self.install(model, "")
        return self._same and len(self.known) == len(self._before)

    def install(self, top: nn.Module, prefix: str) -> None:
        """Puts hooks on a module and on all in it that carry none of this step."""
        quiet: set[str] = set()
        before = {path for path in self.known if path == prefix or path.startswith(f"{prefix}." if prefix else "")}
        for path, module in top.named_modules(prefix=prefix):
            if ".parametrizations." in f".{path}.":  # part of the module whose tensor they compute
                continue
            before.discard(path)
            try:
                scope = self.known.get(path)
                if scope is not None and scope.module_id == id(module):
                    scope.made_of = made_of(module)
                else:
                    self._forget(path)
                    scope = self._before.get(path)
                    if scope is None or scope.known_by != known_by(module):
                        scope = Scope(self._capture, path, module, root=not path)
                        self._same = False
                    scope.begin(module)
                    self.known[path] = scope
                    scope.install(module)
                scope.expected = path.rpartition(".")[0] not in quiet
                if not scope.expected or scope.calls_no_modules:
                    quiet.add(path)
            except Exception as error:  # a module that takes no hooks is not observed, and the rest is
                self._fail(path or type(module).__name__, error)
        for path in before:
            self._forget(path)

    def holds(self, scope: Scope, module: nn.Module) -> bool:
        """Whether the model still has the module where it was."""
        if getattr(module, "_is_replica", False):
            return scope.root  # its modules run on when another replica, which is recorded, has ended
        at: Any = self._model()
        for name in scope.path.split(".") if scope.path else ():
            at = None if at is None else at._modules.get(name)
        return at is module

    def scope_of(self, module: nn.Module) -> Scope | None:
        """What is known of a module."""
        return next((scope for scope in self.known.values() if scope.module_id == id(module)), None)

    def step_aside(self, scope: Scope, module: nn.Module) -> None:
        """Takes the hooks out of a module that may run as one fused kernel: with a hook on it or in it, it does not.

        A hook of all modules tells when it is done.
        """
        inside = {id(m) for m in module.modules()}
        for known in self.known.values():
            if known.module_id in inside:
                for handle in known.handles:
                    handle.remove()
                known.handles = ()
        self.loose.append(torch_module.register_module_forward_hook(Return(scope), always_call=True))

    def step_back(self, module: nn.Module) -> None:
        """Puts them back."""
        inside = {id(m): m for m in module.modules()}
        for known in self.known.values():
            if known.module_id in inside and not known.handles:
                known.install(inside[known.module_id])
        hooks = torch_module._global_forward_hooks
        self.loose = [h for h in self.loose if h.hooks_dict_ref() is not hooks or not _removed(h, hooks)]

    def take_out(self, iterated: Any = None) -> None:
        """Takes every hook out again.

        Args:
            iterated: a dictionary of hooks that PyTorch is going through. A hook of ours in the middle of it stays,
                and does nothing, until the next time.
        """
        handles = [*self.loose, *(handle for scope in self.known.values() for handle in scope.handles)]
        self.loose = [handle for handle in handles if not _removed(handle, iterated)]
        for scope in self.known.values():
            scope.handles, scope.inner = (), None
        if self.known:
            self._before, self.known = self.known, {}

    def _forget(self, path: str) -> None:
        scope = self.known.pop(path, None)
        if scope is not None:
            self.loose += scope.handles


def _removed(handle: Any, iterated: Any) -> bool:
    """Removes a hook, but not from the middle of a dictionary that PyTorch is going through."""
    if iterated is not None and handle.hooks_dict_ref() is iterated and next(reversed(iterated)) != handle.id:
        return False
    handle.remove()
    return True
