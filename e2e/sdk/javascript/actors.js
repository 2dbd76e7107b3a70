// An actor type, hosted over HTTP, and a client of it.
const { AbstractActor, ActorId, ActorProxyBuilder, DaprServer, Temporal } = require("@dapr/dapr");

const second = Temporal.Duration.from({ seconds: 1 });

class Counter extends AbstractActor {
  async get(key, value) {
    const [found, kept] = await this.getStateManager().tryGetState(key);
    return found ? kept : value;
  }

  set(key, value) {
    return this.getStateManager().setState(key, value);
  }

  async add(number) {
    const total = (await this.get("total", 0)) + number;
    await this.set("total", total);
    return total;
  }

  async fail() {
    throw new Error("it always fails");
  }

  async start() {
    await this.registerActorTimer("tick", "onTick", second, second, undefined, "from the timer");
    await this.registerActorReminder("wake", second, second, undefined, "from the reminder");
  }

  async stop() {
    await this.unregisterActorTimer("tick");
    await this.unregisterActorReminder("wake");
  }

  async onTick(data) {
    await this.set("timer", data);
  }

  async receiveReminder(data) {
    await this.set("reminder", data);
    await this.set("wakes", (await this.get("wakes", 0)) + 1);
  }

  async seen() {
    const [total, wakes] = [await this.get("total", 0), await this.get("wakes", 0)];
    return { total, wakes, timer: await this.get("timer"), reminder: await this.get("reminder") };
  }
}

async function host() {
  const server = new DaprServer({
    serverHost: "127.0.0.1",
    serverPort: process.env.APP_PORT,
    clientOptions: {
      daprHost: "127.0.0.1",
      daprPort: process.env.DAPR_HTTP_PORT,
      actor: { actorIdleTimeout: "2s" },
    },
  });
  await server.actor.init();
  await server.actor.registerActor(Counter);
  await server.start();
  await new Promise(() => {}); // until it is killed
}

const counter = (client) => new ActorProxyBuilder(Counter, client).build(new ActorId("7"));

async function until(proxy, done) {
  const end = Date.now() + 20_000;
  for (;;) {
    const seen = await proxy.seen();
    if (done(seen)) return seen;
    if (Date.now() > end) throw new Error(`the actor has only seen ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function actors(client) {
  const proxy = counter(client);
  const totals = [Number(await proxy.add(5)), Number(await proxy.add(2))];
  const failed = await proxy.fail().then(
    () => false,
    (error) => error.message.includes("error invoke actor method"),
  );
  await proxy.start();
  const { timer, reminder } = await until(proxy, (seen) => seen.timer && seen.reminder);
  return { totals, failed, timer, reminder };
}

async function actorsLater(client) {
  const proxy = counter(client);
  const before = await proxy.seen();
  await until(proxy, (seen) => seen.wakes > before.wakes);
  await proxy.stop();
  return { total: before.total, reminded: true };
}

const actorsIdle = async (client) => ({ total: Number(await counter(client).add(1)) });

module.exports = { host, actors, "actors-later": actorsLater, "actors-idle": actorsIdle };
