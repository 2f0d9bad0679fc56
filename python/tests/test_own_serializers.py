"""An executor with a serializer other than JSON: all that durable code does through the engine works under it, as what
the engine answers by itself is no value of the user's."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from stent import ExpiryError, RetryPolicy, Stent
from stent.errors import ForeignPayload
from stent.registry import FunctionRegistry
from stent.utils.serialization import Serializer, codec_of, get_serializer
from stores import AnyBackend
from test_executor import serving

ONCE = RetryPolicy(max_attempts=1)

registry = FunctionRegistry()


class Mine:
    """A serializer of a user's own."""

    name = "mine"

    def dumps(self, obj: Any) -> bytes:
        return b"M" + pickle.dumps(obj)

    def loads(self, data: bytes) -> Any:
        assert data[:1] == b"M", "this is another's"
        return pickle.loads(data[1:])


@Stent.durable(name="echo", registry=registry, retry_policy=ONCE)
async def echo(value: Any) -> Any:
    return value


@Stent.durable(name="signalled", registry=registry, retry_policy=ONCE)
async def signalled() -> Any:
    return await Stent.wait_for_signal("go")


async def waits_too_long() -> str:
    try:
        await Stent.wait_for_signal("never", timeout=0.01)
    except ExpiryError:
        return "expired"
    return "came"


async def is_limited() -> str:
    await Stent.sleep(0)
    try:
        async with asyncio.timeout(0.01):
            await Stent.sleep("1h")
    except TimeoutError:
        return "late"
    return "in time"


async def signals() -> Any:
    waiting = await held[0].dispatch(signalled)
    await held[0].send_signal(waiting, "go", {5})
    return (await held[0].wait_for(waiting)).unwrap()


async def dispatches() -> Any:
    return (await held[0].wait_for(await held[0].dispatch(echo, {1}))).unwrap()


async def dispatches_by_name() -> Any:
    return (await held[0].wait_for(await held[0].dispatch("echo", {1}))).unwrap()


async def tells() -> Any:
    await Stent.events.emit("news", {1})
    return await Stent.events.wait("news", timeout="5s")


async def sets() -> Any:
    context = Stent.context(counters={"seen": 1}, state={"first": {1}})
    return [await context.state("second").set({2}), await context.counters("seen").add(2)]


DOES: dict[str, tuple[Callable[[], Any], Any]] = {
    "a call": (lambda: echo({1}), {1}),
    "calls": (lambda: echo.map([{1}, {2}]), [{1}, {2}]),
    "a call by name": (lambda: Stent.call("echo", {1}), {1}),
    "a sleep": (lambda: Stent.sleep(0.01), None),
    "a counter and state": (sets, [None, 3]),
    "an event": (tells, {1}),
    "a step": (lambda: Stent.step("one", lambda: {1}), {1}),
    "a start": (dispatches, {1}),
    "a start by name": (dispatches_by_name, {1}),
    "a signal": (signals, {5}),
    "a wait that expires": (waits_too_long, "expired"),
    "a limit": (is_limited, "late"),
}

held: list[Stent] = []


@Stent.durable(name="does", registry=registry, retry_policy=ONCE)
async def does(what: str) -> Any:
    return await DOES[what][0]()


@pytest.mark.parametrize("serializer", ["json", "pickle", Mine()])
async def test_durable_code_does_all_it_can_under_any_serializer(
    backend: AnyBackend, serializer: str | Serializer, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(backend, registry, serializer=serializer, poll_interval=0.1) as executor, asyncio.timeout(60):
        held[:] = [executor]
        for what, (_, result) in DOES.items():
            if serializer == "json" and ("{" in str(result) or "state" in what):
                continue
            execution = await executor.dispatch(does, what)
            assert (await executor.wait_for(execution)).unwrap() == result, what
            if what == "a counter and state":
                state = await executor.state_of(execution)
                assert state.counters == {"seen": 3}
                assert state.custom_state == {"first": {1}, "second": {2}}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@Stent.durable(name="keeps", registry=registry, retry_policy=ONCE)
async def keeps(value: Any) -> Any:
    await Stent.context(state={"first": value}).state("second").set([1])
    return value


@pytest.mark.parametrize(("writes", "reads"), [("json", "pickle"), ("pickle", "json"), (Mine(), "json")])
async def test_one_execution_of_another_serializer_does_not_hide_the_others(
    backend: AnyBackend, writes: str | Serializer, reads: str | Serializer
) -> None:
    ids: list[str] = []
    for serializer in (writes, reads):
        async with serving(backend, registry, serializer=serializer, poll_interval=0.1) as executor:
            async with asyncio.timeout(20):
                ids.append(await executor.dispatch(keeps, "kept"))
                await executor.wait_for(ids[-1])
    executor = Stent(backend, function_registry=registry, serializer=reads)
    own, foreign = await executor.list_executions()
    assert [own.id, foreign.id] == [ids[1], ids[0]]
    assert own.custom_state == {"first": "kept", "second": [1]}
    assert own.result is not None and own.result.unwrap() == "kept"
    # What cannot be read is the error that says so, in its very place.
    assert foreign.state == "completed" and set(foreign.custom_state) == {"first", "second"}
    assert foreign.result is not None
    for unread in (foreign.result.error, *foreign.custom_state.values()):
        assert isinstance(unread, ForeignPayload) and unread.found == codec_of(get_serializer(writes))
    assert (await executor.state_of(ids[0])).custom_state.keys() == foreign.custom_state.keys()
    with pytest.raises(ForeignPayload):
        await executor.wait_for(ids[0])
    stored = await backend.get_execution_state_values(ids[0])
    assert get_serializer(writes).loads(stored["first"]) == "kept"
    await executor.shutdown()
