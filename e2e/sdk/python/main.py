"""A user of the Python SDK, over gRPC (invocation: over HTTP)."""
import asyncio
import json
import os
import sys

import grpc
from dapr.clients import DaprClient
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import StateItem

import actors
from jobs import jobs

STORE = "statestore"


def text(data):
    return data.decode() or None


def state(client):
    client.save_state(STORE, "key", "one")
    first = client.get_state(STORE, "key")
    client.save_state(STORE, "key", "two", etag=first.etag)
    try:
        client.save_state(STORE, "key", "three", etag=first.etag)
        stale = "accepted"
    except grpc.RpcError as error:
        stale = error.code().name
    fresh = client.get_state(STORE, "key").data
    client.save_bulk_state(STORE, [StateItem(key="a", value="1"), StateItem(key="b", value="2")])
    bulk = {item.key: text(item.data) for item in client.get_bulk_state(STORE, ["a", "b", "none"]).items}
    client.execute_state_transaction(STORE, [
        TransactionalStateOperation(key="c", data="3"),
        TransactionalStateOperation(key="a", operation_type=TransactionOperationType.delete)])
    after = [text(client.get_state(STORE, key).data) for key in ("c", "a")]
    client.delete_state(STORE, "key")
    return {"first": text(first.data), "stale": stale, "fresh": text(fresh), "bulk": bulk,
            "after": after, "deleted": text(client.get_state(STORE, "key").data)}


def secrets(client):
    one = client.get_secret("vault", "db-password").secret
    every = client.get_bulk_secret("vault").secrets
    return {"one": dict(one), "names": sorted(every)}


def metadata(client):
    client.set_metadata("owner", "team a")
    found = client.get_metadata()
    return {"id": found.application_id, "owner": found.extended_metadata["owner"],
            "components": sorted(c.name for c in found.registered_components)}


def invoke(client):
    reply = client.invoke_method(os.environ["CALLEE"], "greet", data="world", http_verb="POST")
    return {"reply": reply.text()}


SUBJECTS = {"state": state, "secrets": secrets, "metadata": metadata, "invoke": invoke,
            "jobs": jobs}
# The SDK's actors are asynchronous, and a host of them serves until it is killed.
ASYNC = {"host": actors.host, "host-stream": actors.host_stream, "actors": actors.actors,
         "actors-later": actors.actors_later, "actors-idle": actors.actors_idle,
         "actors-reentrant": actors.actors_reentrant}

subject = sys.argv[1]
if subject in ASYNC:
    result = asyncio.run(ASYNC[subject]())
else:
    with DaprClient() as dapr:
        result = SUBJECTS[subject](dapr)
print(json.dumps(result))
