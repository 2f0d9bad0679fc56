"""A durable function that calls another one: `python examples/python/hello.py`."""

import asyncio

from stent import Stent


@Stent.durable
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@Stent.durable
async def greet_all(names: list[str]) -> list[str]:
    return await greet.map(names)


async def main() -> None:
    async with Stent.bootstrap(Stent.backends.SQLiteBackend(":memory:"), serve=True) as executor:
        execution = await executor.dispatch(greet_all, ["Ann", "Bob"])
        print((await executor.wait_for(execution)).unwrap())


if __name__ == "__main__":
    asyncio.run(main())
