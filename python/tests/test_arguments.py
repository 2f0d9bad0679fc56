"""Arguments of a user's function may have any name, those of the parameters that it is passed through among them."""

from __future__ import annotations

from typing import Any

from stent import Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()


@Stent.durable(name="takes", registry=registry)
async def takes(name: str, fn: str, self: str, delay: str = "", cron: str = "") -> list[str]:
    return [name, fn, self, delay, cron]


def plainly(name: str, fn: str, self: str, attempt: str) -> list[str]:
    return [name, fn, self, attempt]


@Stent.durable(registry=registry)
async def passes() -> list[Any]:
    given = {"name": "n", "fn": "f", "self": "s"}
    return [
        await Stent.step("plainly", plainly, attempt="a", **given),
        await Stent.call("takes", **given),
        await takes(**given),
    ]


@Stent.durable(registry=registry)
def passes_in_a_thread() -> list[Any]:
    return Stent.step("plainly", plainly, name="n", fn="f", self="s", attempt="a")


async def test_arguments_may_be_named_as_parameters_of_what_they_pass_through():
    backend = Stent.backends.SQLiteBackend(":memory:")
    async with Stent.bootstrap(backend, serve=True, function_registry=registry) as executor:
        assert await passes() == [["n", "f", "s", "a"], ["n", "f", "s", "", ""], ["n", "f", "s", "", ""]]
        assert await passes_in_a_thread() == ["n", "f", "s", "a"]
        started = [
            await executor.dispatch(takes, name="n", fn="f", self="s"),
            await executor.dispatch("takes", name="n", fn="f", self="s", cron="c"),
            await executor.schedule(0, takes, name="n", fn="f", self="s"),
        ]
        came = [(await executor.wait_for(one, expiry=10)).unwrap() for one in started]
        assert [one[:3] for one in came] == [["n", "f", "s"]] * 3 and came[1][4] == "c"
        assert await executor.set_schedule("daily", "@daily", takes, name="n", fn="f", self="s", cron="c")
