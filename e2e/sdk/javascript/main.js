// A user of the JavaScript SDK, over HTTP.
const { DaprClient, HttpMethod } = require("@dapr/dapr");
const actors = require("./actors");

const STORE = "statestore";
const text = (value) => (value === "" || value === undefined ? null : String(value));

async function state(client) {
  const etag = async () => (await client.state.getBulk(STORE, ["key"]))[0].etag;
  await client.state.save(STORE, [{ key: "key", value: "one" }]);
  const first = await client.state.get(STORE, "key");
  const old = await etag();
  await client.state.save(STORE, [{ key: "key", value: "two", etag: old }]);
  const refused = await client.state.save(STORE, [{ key: "key", value: "three", etag: old }]);
  const stale = refused.error ? "ABORTED" : "accepted";
  const fresh = await client.state.get(STORE, "key");
  await client.state.save(STORE, [{ key: "a", value: "1" }, { key: "b", value: "2" }]);
  const found = await client.state.getBulk(STORE, ["a", "b", "none"]);
  const bulk = Object.fromEntries(found.map((item) => [item.key, text(item.data)]));
  await client.state.transaction(STORE, [
    { operation: "upsert", request: { key: "c", value: "3" } },
    { operation: "delete", request: { key: "a" } },
  ]);
  const after = [];
  for (const key of ["c", "a"]) after.push(text(await client.state.get(STORE, key)));
  await client.state.delete(STORE, "key");
  const deleted = text(await client.state.get(STORE, "key"));
  return { first, stale, fresh, bulk, after, deleted };
}

async function secrets(client) {
  const one = await client.secret.get("vault", "db-password");
  return { one, names: Object.keys(await client.secret.getBulk("vault")).sort() };
}

async function metadata(client) {
  await client.metadata.set("owner", "team a");
  const found = await client.metadata.get();
  return {
    id: found.id,
    owner: found.extended.owner,
    components: found.components.map((component) => component.name).sort(),
  };
}

async function invoke(client) {
  const reply = await client.invoker.invoke(process.env.CALLEE, "greet", HttpMethod.POST, "world", {
    headers: { "content-type": "text/plain" },
  });
  return { reply };
}

async function main() {
  const client = new DaprClient({ daprHost: "127.0.0.1", daprPort: process.env.DAPR_HTTP_PORT });
  const subject = { state, secrets, metadata, invoke, ...actors }[process.argv[2]];
  const result = await subject(client);
  await client.stop();
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
