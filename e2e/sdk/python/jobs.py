"""Jobs: scheduled, read, deleted, and taken by an app over gRPC."""
import itertools
import os
import queue
import threading

import grpc
from dapr.clients.grpc._jobs import ConstantFailurePolicy
from dapr.ext.grpc import App, Job, JobEvent
from google.protobuf.any_pb2 import Any


def text(value):
    return Any(type_url="type.googleapis.com/bytes", value=value.encode())


def jobs(client):
    app, runs, attempts = App(), queue.Queue(), itertools.count()

    @app.job_event("report")
    def report(event: JobEvent) -> None:
        runs.put(event.get_data_as_string())
        if next(attempts) == 0:
            raise ValueError("the first run fails")

    server = threading.Thread(target=app.run, args=(int(os.environ["APP_PORT"]), "127.0.0.1"))
    server.start()
    client.schedule_job(Job(name="report", schedule="@every 1s", repeats=2, data=text("to ops")))
    client.schedule_job(Job(
        name="later", due_time="1h", data=text("never"),
        failure_policy=ConstantFailurePolicy(max_retries=5, interval_seconds=2)))
    try:
        client.schedule_job(Job(name="later", due_time="2h"))
        again = "accepted"
    except grpc.RpcError as error:
        again = error.code().name
    found = client.get_job("later")
    client.delete_job("later")
    try:
        client.get_job("later")
        gone = False
    except grpc.RpcError:
        gone = True
    seen = [runs.get(timeout=20) for _ in range(3)]
    app.stop()
    server.join()
    return {"runs": seen, "again": again, "gone": gone,
            "found": {"name": found.name, "dueTime": found.due_time,
                      "data": found.data.value.decode(),
                      "retries": found.failure_policy.max_retries}}
