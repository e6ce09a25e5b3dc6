"""A compiler for functions that only kernels call: they are optimized as part of the kernels, not by themselves.

numba would optimize such a function once for every level of calls, and generate machine code that is never run.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import NativeLowering


class _Library(JITCodeLibrary):
    """A function's LLVM code, which is neither optimized nor compiled to machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _Declare(LoweringPass):
    """Makes a function known to its callers, by a placeholder: the Python function that numba requires."""

    _name = "declare"

    def __init__(self) -> None:  # numba's own constructor is abstract
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        lowered = state["cr"]
        name = lowered.fndesc.qualname.split(".")[-1]
        known = _dynfunc.make_function(lowered.fndesc.lookup_module(), name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(known, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=known)
        return False


class InlineCompiler(CompilerBase):
    """numba's compiler, without the last steps."""

    def define_pipelines(self) -> list[Any]:
        """Returns numba's passes, with one more after lowering."""
        state = self.state
        state.flags.no_compile = True
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        pipeline = DefaultPassBuilder.define_nopython_pipeline(state)
        pipeline.add_pass_after(_Declare, NativeLowering)
        pipeline.finalize()
        return [pipeline]
