"""An actor type, hosted over HTTP or over the callback stream, and a client of it."""
import asyncio
import os
import time
from datetime import timedelta

import uvicorn
from dapr.actor import (
    Actor, ActorGrpcHost, ActorId, ActorInterface, ActorProxy, ActorRuntime, Remindable,
    actormethod)
from dapr.actor.runtime.config import ActorReentrancyConfig, ActorRuntimeConfig
from dapr.clients.exceptions import DaprInternalError
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI

SECOND = timedelta(seconds=1)
CONFIG = ActorRuntimeConfig(
    actor_idle_timeout=2 * SECOND, reentrancy=ActorReentrancyConfig(enabled=True))


class CounterInterface(ActorInterface):
    @actormethod(name="add")
    async def add(self, number: int) -> int: ...

    @actormethod(name="addByItself")
    async def add_by_itself(self, number: int) -> int: ...

    @actormethod(name="fail")
    async def fail(self) -> None: ...

    @actormethod(name="start")
    async def start(self) -> None: ...

    @actormethod(name="stop")
    async def stop(self) -> None: ...

    @actormethod(name="seen")
    async def seen(self) -> dict: ...


class Counter(Actor, CounterInterface, Remindable):
    async def _get(self, key, default):
        found, value = await self._state_manager.try_get_state(key)
        return value if found else default

    async def add(self, number: int) -> int:
        total = await self._get("total", 0) + number
        await self._state_manager.set_state("total", total)
        return total

    async def add_by_itself(self, number: int) -> int:
        return await counter().add(number)

    async def fail(self) -> None:
        raise ValueError("it always fails")

    async def start(self) -> None:
        await self.register_timer("tick", self.on_tick, "from the timer", SECOND, SECOND)
        await self.register_reminder("wake", b"from the reminder", SECOND, SECOND)

    async def stop(self) -> None:
        await self.unregister_timer("tick")
        await self.unregister_reminder("wake")

    async def on_tick(self, data) -> None:
        await self._state_manager.set_state("timer", data)

    async def receive_reminder(self, name, state, due_time, period, ttl=None) -> None:
        await self._state_manager.set_state("reminder", state.decode())
        await self._state_manager.set_state("wakes", await self._get("wakes", 0) + 1)

    async def seen(self) -> dict:
        return {"total": await self._get("total", 0), "wakes": await self._get("wakes", 0),
                "timer": await self._get("timer", None),
                "reminder": await self._get("reminder", None)}


async def host():
    ActorRuntime.set_actor_config(CONFIG)
    app = FastAPI()
    await DaprActor(app).register_actor(Counter)
    config = uvicorn.Config(app, host="127.0.0.1", port=int(os.environ["APP_PORT"]))
    await uvicorn.Server(config).serve()


async def host_stream():
    ActorRuntime.set_actor_config(CONFIG)
    host = ActorGrpcHost()
    await host.register_actor(Counter)
    await host.run_forever()


def counter():
    return ActorProxy.create("Counter", ActorId("7"), CounterInterface)


async def until(proxy, done):
    end = time.monotonic() + 20
    while not done(seen := await proxy.seen()):
        if time.monotonic() > end:
            raise TimeoutError(f"the actor has only seen {seen}")
        await asyncio.sleep(0.1)
    return seen


async def actors():
    proxy = counter()
    totals = [await proxy.add(5), await proxy.add(2)]
    try:
        answer = str(await proxy.fail())  # over the stream, a failure is an answer
    except DaprInternalError as error:
        answer = str(error)
    failed = "it always fails" in answer
    await proxy.start()
    seen = await until(proxy, lambda seen: seen["timer"] and seen["reminder"])
    return {"totals": totals, "failed": failed,
            "timer": seen["timer"], "reminder": seen["reminder"]}


async def actors_later():
    proxy = counter()
    before = await proxy.seen()
    await until(proxy, lambda seen: seen["wakes"] > before["wakes"])
    await proxy.stop()
    return {"total": before["total"], "reminded": True}


async def actors_idle():
    return {"total": await counter().add(1)}


async def actors_reentrant():
    return {"total": await counter().addByItself(3)}
