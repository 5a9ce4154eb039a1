"""Counts the bytes of tensors that are alive while code runs, on a device that holds no data (`meta`).

Every operation that makes a new storage on that device is seen; a storage counts until nothing refers to it. What
kernels allocate for themselves (cuDNN's workspaces) and what an allocator wastes are not seen.
"""

import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

OUTSIDE = "outside"


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """One storage: what made it, where, and the first shape it was seen in."""

    nbytes: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    operation: str
    module: str


@dataclass(kw_only=True)
class ModulePeak:
    """The most bytes alive while a module ran, and the most that one call added to what it found."""

    calls: int = 0
    alive: int = 0
    added: int = 0


class LiveTensors(TorchDispatchMode):
    """A context; afterwards `peak`, `at_peak` and `modules` tell what happened.

    `names` are the modules to attribute to. `files` gives tensors to code that is no module: {end of file name: name}.
    Storages in `known` (the weights) are not counted.
    """

    def __init__(
        self,
        names: Mapping[nn.Module, str],
        *,
        known: Iterable[Tensor] = (),
        files: Mapping[str, str] | None = None,
    ):
        super().__init__()
        self.names = dict(names)
        self.files = dict(files or {})
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.alive: dict[int, tuple[weakref.ref, Allocation]] = {}
        self.total = self.peak = 0
        self.at_peak: list[Allocation] = []
        self.modules: dict[str, ModulePeak] = {}
        self.stack: list[tuple[str, int, int]] = []  # name, bytes at entry, most bytes since

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        args, kwargs = self._on_one_device(args, kwargs or {})
        result = func(*args, **kwargs)
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor) and tensor.device.type == "meta":
                self._see(tensor, func)
        return result

    @contextmanager
    def watching(self) -> Iterator["LiveTensors"]:
        """The mode together with the hooks that tell which module runs."""
        handles = [
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]
        try:
            with self:
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def by_owner(self) -> dict[str, int]:
        """Bytes at the peak by the first part of the module's name."""
        owners: dict[str, int] = {}
        for allocation in self.at_peak:
            owner = allocation.module.split(".")[0]
            owners[owner] = owners.get(owner, 0) + allocation.nbytes
        return dict(sorted(owners.items(), key=lambda item: -item[1]))

    @staticmethod
    def _on_one_device(args, kwargs):
        """Small tensors that live on the CPU (noise levels, schedules) join the others, as a copy to the GPU would."""
        if not any(isinstance(x, Tensor) and x.device.type == "meta" for x in tree_iter((args, kwargs))):
            return args, kwargs
        return tree_map_only(Tensor, lambda x: x if x.device.type == "meta" else x.to("meta"), (args, kwargs))

    def _see(self, tensor: Tensor, func) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.known or key in self.alive or storage.nbytes() == 0:
            return
        allocation = Allocation(
            nbytes=storage.nbytes(),
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            operation=func._schema.name.removeprefix("aten::"),
            module=self._owner(),
        )
        self.alive[key] = weakref.ref(storage, lambda _: self._gone(key)), allocation
        self.total += allocation.nbytes
        self.stack = [(name, entry, max(most, self.total)) for name, entry, most in self.stack]
        if self.total > self.peak:
            self.peak = self.total
            self.at_peak = [found for _, found in self.alive.values()]

    def _gone(self, key: int) -> None:
        _, allocation = self.alive.pop(key)
        self.total -= allocation.nbytes

    def _owner(self) -> str:
        module = self.stack[-1][0] if self.stack else OUTSIDE
        frame = sys._getframe(3)
        while frame is not None:
            for ending, name in self.files.items():
                if frame.f_code.co_filename.endswith(ending):
                    return f"{name}.{module}"
            frame = frame.f_back
        return module

    def _enter(self, module: nn.Module, _inputs) -> None:
        if module in self.names:
            self.stack.append((self.names[module], self.total, self.total))

    def _leave(self, module: nn.Module, _inputs, _output) -> None:
        if module in self.names:
            name, entry, most = self.stack.pop()
            found = self.modules.setdefault(name, ModulePeak())
            found.calls += 1
            found.alive = max(found.alive, most)
            found.added = max(found.added, most - entry)


def names_of(**roots: nn.Module) -> dict[nn.Module, str]:
    """Every module below `roots` by its full name, the root's keyword in front."""
    return {
        module: f"{root}.{name}".rstrip(".")
        for root, top in roots.items()
        for name, module in top.named_modules()
    }
