"""The executor: dispatches, waits, serves."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakKeyDictionary, WeakSet

from stent import _checks, _inside, telemetry
from stent._answers import Ended, told_by
from stent._current import CHANGE, current
from stent._decorator import Declares, durable
from stent._failures import error_of, error_of_end
from stent._from_threads import from_anywhere
from stent._function import BoundFunction, DurableFunction, set_default_executor
from stent._lazy import asyncio, records
from stent._lifecycle import WorkerLifecycle
from stent._options import microseconds, names, of_function
from stent._result import Result
from stent._schedules import Schedules
from stent._serving import Serving
from stent._states import States
from stent.backend._over_records import RecordsBackend
from stent.backend.postgres import PostgresBackend
from stent.backend.sqlite import SQLiteBackend
from stent.errors import UnregisteredFunctionError
from stent.metrics import MetricsRecorder
from stent.notifications.redis import RedisBackend
from stent.registry import FunctionRegistry, registry
from stent.utils.serialization import Serializer, dump, get_serializer
from stent.utils.time import Duration

if TYPE_CHECKING:
    from stent._attempt import Attempt
    from stent._bridge import Bridge

_executors: WeakSet[Stent] = WeakSet()

_of_the_parent: list[Any] = []
"""What a forked child has of its parent's bridges. Kept: to let go of one would end what is not the child's to end."""


class _Backends:
    """Where executions live."""

    SQLiteBackend = SQLiteBackend
    PostgresBackend = PostgresBackend


class _Notifications:
    """What tells processes of each other's commits sooner than polls do."""

    RedisBackend = RedisBackend


Backends = _Backends


class Stent(Schedules, Serving, States):
    """An executor over one backend: it dispatches durable functions, waits for them, and serves them."""

    backends = _Backends
    notifications = _Notifications
    default_registry: FunctionRegistry = registry
    durable: ClassVar[Declares] = cast("Any", staticmethod(durable))

    sleep = staticmethod(_inside.sleep)
    wait_for_signal = staticmethod(_inside.wait_for_signal)
    gather = staticmethod(_inside.gather)
    map = staticmethod(_inside.map_calls)
    call = staticmethod(_inside.call)
    now = staticmethod(_inside.now)
    random = staticmethod(_inside.random_number)
    uuid = staticmethod(_inside.new_uuid)
    step = staticmethod(_inside.step)
    events = _inside.Events()

    if not TYPE_CHECKING:

        def __new__(cls, backend, **options):
            """A backend of one's own has an executor that goes by its protocol."""
            if cls is Stent and not isinstance(backend, RecordsBackend):
                from stent._by_protocol import ProtocolStent

                return super().__new__(ProtocolStent)
            return super().__new__(cls)

    def __init__(
        self,
        backend: Any,
        *,
        serializer: str | Serializer = "json",
        notification_backend: Any = None,
        poll_min_interval: float = 0.1,
        poll_max_interval: float = 5.0,
        poll_backoff_factor: float = 2.0,
        function_registry: FunctionRegistry | None = None,
        metrics: MetricsRecorder | None = None,
        promote_sleep: bool = False,
    ) -> None:
        if not 0 < poll_min_interval <= poll_max_interval:
            raise ValueError("poll_min_interval must be above 0 and no more than poll_max_interval")
        if not poll_backoff_factor >= 1:
            raise ValueError("poll_backoff_factor must be at least 1")
        self.backend = backend
        self.store = cast("RecordsBackend", backend)
        self.serializer = get_serializer(serializer)
        self.notification_backend = notification_backend
        self.poll_min_interval = poll_min_interval
        self.poll_max_interval = poll_max_interval
        self.poll_backoff_factor = poll_backoff_factor
        self.registry = registry if function_registry is None else function_registry
        self.metrics = metrics
        self.promote_sleep = promote_sleep
        self._bridges: WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = WeakKeyDictionary()
        self._lifecycles: list[WorkerLifecycle] = []
        _executors.add(self)

    # A default executor

    @classmethod
    def use(cls, backend: Any, **options: Any) -> Stent:
        """Makes an executor and has calls of durable functions from outside go through it."""
        executor = cls(backend, **options)
        set_default_executor(executor)
        return executor

    @staticmethod
    def reset() -> None:
        """Clears the default executor: calls from outside run as written again."""
        set_default_executor(None)

    @classmethod
    @asynccontextmanager
    async def bootstrap(
        cls, backend: Any, *, serve: bool = False, poll_interval: float = 0.1, **options: Any
    ) -> AsyncGenerator[Stent, None]:
        """Schema, default executor and, if asked for, a worker that is ready; all of it is taken down at the end."""
        await backend.init_db()
        executor = cls.use(backend, **options)
        worker: asyncio.Task[None] | None = None
        ready: asyncio.Task[None] | None = None
        try:
            if serve:
                lifecycle = executor.create_worker_lifecycle()
                worker = asyncio.create_task(executor.serve(poll_interval=poll_interval, lifecycle=lifecycle))
                ready = asyncio.create_task(lifecycle.wait_until_ready())
                await asyncio.wait({worker, ready}, return_when=asyncio.FIRST_COMPLETED)
                if worker.done():
                    await worker
                await ready
            yield executor
        finally:
            set_default_executor(None)
            try:
                for task in (ready, worker):
                    if task is not None:
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await task
            finally:
                await executor.shutdown()
                await backend.close()

    @staticmethod
    def context(counters: Mapping[str, float] | None = None, state: Mapping[str, Any] | None = None) -> _inside.Context:
        """The counters and state values of this execution; those given are set where absent."""
        return _inside.Context(counters, state)

    # The bridge

    def leave_to_the_parent(self, kept: list[Any]) -> None:
        """In a forked child: what the parent has open is kept as it is, and never used."""
        bridges = list(self._bridges.values())
        for bridge in bridges:
            for attempt in bridge.attempts.values():
                attempt.stopped = "this process was forked from the one that runs the task"
        kept.append((bridges, self._lifecycles))
        self._bridges, self._lifecycles = WeakKeyDictionary(), []

    async def _bridge(self) -> Bridge:
        loop = asyncio.get_running_loop()
        bridge = self._bridges.get(loop)
        if bridge is None:
            await self.store.init_db()
            bridge = self._bridges.get(loop)
        if bridge is None:
            bridge = self._bridges[loop] = self._open_bridge()
        return bridge

    def _open_bridge(self) -> Bridge:
        from stent._bridge import Bridge
        from stent._news import News
        from stent._runner import Runner

        kept = self.store.records
        if isinstance(self.notification_backend, RedisBackend):
            kept.accompany(self.notification_backend.address)
        runner = Runner(self.registry, self.serializer, self.metrics)
        pauses = (microseconds(self.poll_min_interval), microseconds(self.poll_max_interval))
        bridge = Bridge(
            self.store, self.serializer, runner, pauses, self.poll_backoff_factor, promote_sleep=self.promote_sleep
        )
        if self.notification_backend is not None and not isinstance(self.notification_backend, RedisBackend):
            bridge.news = News(self.notification_backend, kept)
        return bridge

    async def _ask(self, name: str, asked: Any = None) -> Any:
        bridge = await self._bridge()
        return json.loads(told_by(await bridge.request(bridge.native.ask, name, json.dumps(asked).encode()))[1])

    # Starting

    def _find(self, fn: Callable[..., Any] | str) -> tuple[str, DurableFunction[Any, Any] | None, tuple[Any, ...]]:
        """The name of what is to be started, its function if it is known here, and the object of a method."""
        if isinstance(fn, str):
            metadata = self.registry.get(fn)
            return fn, None if metadata is None else DurableFunction(metadata), ()
        before: tuple[Any, ...] = ()
        if isinstance(fn, BoundFunction):
            before = (cast("BoundFunction[Any, Any]", fn).instance,)
        plain = cast("Callable[..., Any]", fn)
        name = self.registry.name_for_function(plain)
        metadata = None if name is None else self.registry.get(name)
        if name is None or metadata is None:
            raise UnregisteredFunctionError(
                f"{getattr(plain, '__qualname__', plain)!s} is not in this executor's registry: "
                "decorate it with @Stent.durable"
            )
        known: DurableFunction[Any, Any] = DurableFunction(metadata)
        if isinstance(fn, DurableFunction):
            known = cast("DurableFunction[Any, Any]", fn)
        return name, known, before

    @from_anywhere
    async def dispatch(
        self,
        fn: Callable[..., Any] | str,
        /,
        *args: Any,
        expiry: Duration | float | None = None,
        max_duration: Duration | float | None = None,
        delay: Duration | float | None = None,
        tags: Iterable[str] | None = None,
        priority: int | None = None,
        queue: str | None = None,
        headers: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> str:
        """Starts an execution of a function of the registry, or of a registered name, and gives its id once that is
        committed. `None` stands for the function's own. Inside of a durable function a start is recorded, so that a
        replay does not start it again.

        Raises `ValueError` for options that cannot be, `UnregisteredFunctionError`, and `TypeError` for arguments that
        do not fit or that the serializer cannot carry."""
        if expiry is not None and max_duration is not None:
            raise ValueError("expiry and max_duration are one limit: set one of them")
        limit = expiry if expiry is not None else max_duration
        overrides: dict[str, Any] = {
            "queue": queue,
            "priority": priority,
            "tags": names("tags", tags),
            "headers": None if headers is None else dict(headers),
            "delay_us": None if delay is None else microseconds(delay),
            "expiry_us": None if limit is None else microseconds(limit),
            "key": idempotency_key,
        }
        name, function, before = self._find(fn)
        with telemetry.dispatch_span(name, headers or {}) as sent:
            overrides["headers"] = sent or None
            if function is None:
                return await self._start_by_name(name, args, kwargs, overrides)
            return await self.start_of(function, (*before, *args), kwargs, overrides)

    @from_anywhere
    async def schedule(
        self, delay: Duration | float, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> str:
        """`dispatch`, not to be started before `delay` has passed."""
        return await self.dispatch(fn, *args, delay=delay, **kwargs)

    async def start_of(
        self,
        function: DurableFunction[Any, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        overrides: dict[str, Any],
    ) -> str:
        """Starts an execution of a function; its id."""
        stored = function.arguments.write(self.serializer, args, kwargs)
        attempt = current.get()
        given = _checks.options(overrides)
        if attempt is not None:
            key = function.key_in(attempt, args, kwargs)
            return await self._start_inside(attempt, function.name, stored, key, given)
        bridge = await self._bridge()
        self._publish(bridge, function)
        key = function.key_of(args, kwargs)
        told = await bridge.request(bridge.native.start, function.name, stored, bridge.codec, key, given)
        return _started(bridge, told)

    async def _start_by_name(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], overrides: dict[str, Any]
    ) -> str:
        if args and kwargs:
            raise TypeError(f"{name} is not known here: give its arguments by place or by name, not both")
        whole: Any = kwargs or list(args)
        stored = dump(self.serializer, whole, f"the arguments of {name}")
        attempt = current.get()
        given = _checks.options(overrides)
        if attempt is not None:
            _checks.name("function", name)
            return await self._start_inside(attempt, name, stored, None, given)
        bridge = await self._bridge()
        told = await bridge.request(bridge.native.start, name, stored, bridge.codec, None, given)
        return _started(bridge, told)

    async def _start_inside(self, attempt: Attempt, name: str, stored: bytes, key: str | None, given: bytes) -> str:
        codec = attempt.bridge.codec
        started = await attempt.begin(CHANGE, f"dispatch:{name}", "start", name, stored, codec, key, given)
        return cast("str", started["execution"])

    def _publish(self, bridge: Bridge, function: DurableFunction[Any, Any]) -> None:
        metadata = function.metadata
        if bridge.published.get(function.name) is not metadata:
            try:
                bridge.native.register(function.name, function.options())
            except (TypeError, ValueError) as error:
                raise of_function(function.name, error) from error
            bridge.published[function.name] = metadata

    # Waiting

    @from_anywhere
    async def wait_for(self, execution_id: str, expiry: Duration | float | None = None) -> Result[Any]:
        """How an execution ended. Raises `ExpiryError` when it takes longer than `expiry` seconds (it goes on), and
        `ValueError` for an unknown id."""
        return self._as_result(*await self._end_of(execution_id, expiry))

    def _as_result(self, returned: bool, value: Any) -> Result[Any]:
        if not returned:
            return Result.Error(value)
        return cast("Result[Any]", value) if isinstance(value, Result) else Result.Ok(value)

    async def returned(self, execution_id: str) -> Any:
        """What a call of the function gives: what it returned, be it a `Result`, or its error raised."""
        returned, value = await self._end_of(execution_id, None)
        if returned:
            return value
        raise value

    async def _end_of(self, execution_id: str, expiry: Duration | float | None) -> tuple[bool, Any]:
        """Whether an execution returned, once it has ended, and what: else the error."""
        bridge = await self._bridge()
        limit = None if expiry is None else microseconds(expiry)
        with _heard(bridge, execution_id, limit):
            told = told_by(await bridge.request(bridge.native.wait, execution_id, limit))
        if told[0] == 2:
            return True, bridge.load(told[2], told[1])
        ended: dict[str, Any] = json.loads(told[1])
        failure = ended.get("failure") or {"message": "no reason was recorded"}
        return False, error_of_end(ended["state"]) or error_of(self.serializer, failure)

    async def clear_cache(self, key: str | None = None) -> int:
        """Deletes what the cache has under a key, or all of it; how many results. Those of idempotent calls stay."""
        return cast("int", await self._ask("clear_cache", key))

    # Changing

    @from_anywhere
    async def cancel(self, execution_id: str) -> None:
        """Cancels an execution with all that it called. Raises `ValueError` for an unknown id; one that has ended stays
        as it ended."""
        with suppress(Ended):
            await self._ask("cancel", execution_id)

    @from_anywhere
    async def send_signal(self, execution_id: str, name: str, payload: Any = None) -> None:
        """Gives a signal to an execution: kept until a wait for its name takes it, in order. Raises `ValueError` for an
        unknown id or one that has ended."""
        stored = dump(self.serializer, payload, f'the signal "{name}"')
        attempt = current.get()
        if attempt is not None:
            _checks.name("signal", name)
            asked = ("signal", _checks.execution_id(execution_id), name, stored, attempt.bridge.codec)
            await attempt.begin(CHANGE, f"signal-to:{name}", *asked)
            return
        bridge = await self._bridge()
        told = await bridge.request(bridge.native.signal, execution_id, name, stored, bridge.codec)
        try:
            told_by(told)
        except Ended as ended:
            raise ValueError(str(ended)) from None

    # Dead letters

    async def list_dead_letters(self, limit: int = 50) -> list[records.DeadLetterRecord]:
        """Tasks that failed for good."""
        return cast("list[records.DeadLetterRecord]", await self.backend.list_dead_tasks(limit))

    async def get_dead_letter(self, task_id: str) -> records.DeadLetterRecord | None:
        """One of them, or `None`."""
        return cast("records.DeadLetterRecord | None", await self.backend.get_dead_task(task_id))

    async def replay_dead_letter(self, task_id: str, *, queue: str | None = None, reset_retries: bool = True) -> str:
        """Runs a dead letter again from its last success; the id of the new run."""
        asked = {"task": task_id, "queue": queue, "reset": reset_retries}
        return cast("str", await self._ask("replay", asked))

    async def discard_dead_letter(self, task_id: str) -> bool:
        """Throws a dead letter away; `False` when there was none."""
        return cast("bool", await self.backend.delete_dead_task(task_id))


def _heard(bridge: Bridge, execution_id: str, limit_us: int | None) -> AbstractContextManager[None]:
    """While this lasts, news that a user's own notification backend has of an execution makes its wait look."""
    if bridge.news is None:
        return nullcontext()
    return bridge.news.heard(execution_id, None if limit_us is None else limit_us / 1_000_000)


def _started(bridge: Bridge, answer: tuple[Any, ...]) -> str:
    """The id of what was started."""
    _, execution, created = told_by(answer)
    if bridge.news is not None and created:
        bridge.news.tell(execution, "pending")
    return cast("str", execution)


def _leave_to_the_parent() -> None:
    """A forked child begins anew, and the code of its parent's attempts that goes on in it can ask for nothing."""
    for executor in list(_executors):
        executor.leave_to_the_parent(_of_the_parent)


os.register_at_fork(after_in_child=_leave_to_the_parent)
