"""What type checkers see of durable functions: `python examples/python/typed.py`."""

# Where a checker finds no mistake in what is marked as one, that is the mistake.
# pyright: reportUnnecessaryTypeIgnoreComment=true

import asyncio
from typing import TYPE_CHECKING, assert_type

from stent import Result, RetryPolicy, Stent

if TYPE_CHECKING:
    # A name that the package does not have is an error: each checker says so if this comment is of no use.
    from stent import Sent  # type: ignore[attr-defined]  # noqa: F401


@Stent.durable
async def bare(a: int, b: str = "x") -> list[str]:
    return [b] * a


@Stent.durable()
async def empty(a: int) -> int:
    return a


@Stent.durable(cached=True, retry_policy=RetryPolicy(max_attempts=5), tags=["mail"])
async def given(a: int) -> Result[str]:
    return Result.Ok(str(a))


@Stent.durable
def plain(a: int) -> int:
    return a


@Stent.durable(queue="slow")
def plain_given(a: int) -> str:
    return str(a)


class Shop:
    @Stent.durable
    async def order(self, number: int) -> str:
        return f"order {number}"

    @Stent.durable()
    def total(self, numbers: list[int]) -> int:
        return sum(numbers)


async def main() -> None:
    assert_type(await bare(2, b="y"), list[str])
    assert_type(await bare.map([1]), list[list[str]])
    assert_type(await empty(1), int)
    assert_type(await given(1), Result[str])
    assert_type(await plain(1), int)
    assert_type(await plain_given(1), str)
    assert_type(await Shop().order(1), str)
    assert_type(await Shop().order.map([1]), list[str])
    assert_type(await Shop().total([1, 2]), int)
    assert_type(await Shop.order(Shop(), number=1), str)
    if TYPE_CHECKING:
        await bare("x")  # type: ignore[arg-type]
        await empty()  # type: ignore[call-arg]
        await plain("x")  # type: ignore[arg-type]
        await Shop().order("x")  # type: ignore[arg-type]
    print(await empty(1), await plain_given(2), await Shop().total([1, 2]))


if __name__ == "__main__":
    asyncio.run(main())
