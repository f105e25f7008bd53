"""StepFlow markers for Python: steps, artifacts, facts, progress.

    from stepflow_markers import step, artifact

    with step("Train"):
        ...

    @step("Report")
    def report(): ...

Each only prints a line (docs/reference/markers.md); without StepFlow it is just a line.
"""
from __future__ import annotations

import contextvars
import functools
import inspect
import itertools
import os
import sys
import threading
from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

__all__ = ["step", "skip", "artifact", "meta", "progress", "track"]
__version__ = "0.1.0"

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_lock = threading.Lock()
_numbers = itertools.count(1)
#: Open steps of this process, oldest first.
_open: list[str] = []
#: The step around the running code; a script that a step called starts inside that step.
_inside: contextvars.ContextVar[Optional[str]] = contextvars.ContextVar(
    "stepflow_step", default=os.environ.get("STEPFLOW_STEP") or None
)


def _say(word: str, text: object) -> None:
    line = " ".join(f"{word}:{text}".splitlines())
    stream = sys.stdout
    if stream is None:  # pythonw, some daemons
        return
    # One write, so that lines of threads do not mix.
    stream.write(line + "\n")
    stream.flush()


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, str) else f"exit code {error.code}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class step:
    """A step: around a block (``with``, ``async with``) or a function (decorator).

    An exception that leaves it fails it and goes on as it would without it. ``expected`` says how
    long it is expected to take, in seconds; ``stop_on_error`` lets its failure stop the script;
    other keywords become the step's metadata.
    """

    def __init__(
        self,
        name: str,
        *,
        expected: Optional[float] = None,
        stop_on_error: bool = False,
        **params: object,
    ) -> None:
        self.name = str(name)
        if expected is not None:
            params["expected"] = f"{expected:g}s"
        if stop_on_error:
            params["stop_on_error"] = "true"
        self._params = params
        self._entered: list[tuple[str, contextvars.Token[Optional[str]]]] = []

    def __enter__(self) -> "step":
        outer = _inside.get()
        with _lock:
            ident = f"py{os.getpid()}_{next(_numbers)}"
            _open.append(ident)
            marks = {"id": ident, **({"parent": outer} if outer else {}), **self._params}
            said = "".join(f"[{key}={_value(value)}]" for key, value in marks.items())
            _say("STEP_START", f"{self.name} {said}")
        self._entered.append((ident, _inside.set(ident)))
        return self

    def __exit__(self, _kind: object, error: Optional[BaseException], _trace: object) -> None:
        ident, token = self._entered.pop()
        _inside.reset(token)
        with _lock:
            newest = bool(_open) and _open[-1] == ident
            if ident in _open:
                _open.remove(ident)
            if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
                _say("STEP_COMPLETE", f"{self.name} [id={ident}]")
            else:
                # Without an id the newest open step is meant; its text stays as it is.
                _say("STEP_ERROR", _reason(error) + ("" if newest else f" [id={ident}]"))

    async def __aenter__(self) -> "step":
        return self.__enter__()

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        def again() -> step:
            fresh = step(self.name)
            fresh._params = self._params
            return fresh

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def _value(value: object) -> str:
    # A bracket would end the parameter.
    return str(value).replace("[", "(").replace("]", ")")


def skip(name: str, reason: str = "") -> None:
    """A step that is not run, and why."""
    outer = _inside.get()
    parent = f" [parent={outer}]" if outer else ""
    _say("STEP_SKIP", f"{name}{parent}" + (f":{reason}" if reason else ""))


def artifact(path: "str | os.PathLike[str]", description: str = "") -> None:
    """Keep a copy of this file."""
    _say("ARTIFACT", os.fspath(path) + (f":{description}" if description else ""))


def meta(key: str, value: object) -> None:
    """Remember a fact: on the open step, else on the whole."""
    _say("META", f"{key}:{value}")


def progress(percent: float, text: str = "") -> None:
    """How far the innermost step is, 0 to 100, and what it is doing."""
    ident = _inside.get()
    said = f"{min(max(percent, 0.0), 100.0):.6g}" + (f":{text}" if text else "")
    with _lock:
        mine = ident is None or (bool(_open) and _open[-1] == ident) or ident not in _open
    if not mine:
        # Other steps run beside it; parameters stand behind the text.
        said += f"{'' if text else ':'} [id={ident}]"
    _say("PROGRESS", said)


def track(items: Iterable[T], total: Optional[int] = None, text: str = "") -> Iterator[T]:
    """Goes through ``items`` and says how far it is, at most once for each whole percent."""
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    told = -1
    for done, item in enumerate(items, 1):
        yield item
        percent = 100 if total <= 0 else min(100, done * 100 // total)
        if percent != told:
            told = percent
            progress(percent, f"{text} {done}/{total}".strip())

