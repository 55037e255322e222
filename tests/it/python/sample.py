"""Temporal's sample worker_multiprocessing, reduced to what the test needs, with the real Python SDK.

The names are the sample's; the test sets the task queues.

    python3 sample.py workflow-worker|activity-worker
    python3 sample.py starter COUNT
"""

import asyncio
import os
import signal
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

WORKFLOW_QUEUE = os.environ["FLEET_WORKFLOW_TASK_QUEUE"]
ACTIVITY_QUEUE = os.environ["FLEET_ACTIVITY_TASK_QUEUE"]


@activity.defn
def echo_pid_activity(input: str) -> str:
    return f"{input} | activity-pid:{os.getpid()}"


@workflow.defn(sandboxed=False)
class ParallelizedWorkflow:
    @workflow.run
    async def run(self) -> str:
        pid = os.getpid()
        echoed = await workflow.execute_activity(
            echo_pid_activity,
            f"wf-starting-pid:{pid}",
            task_queue=ACTIVITY_QUEUE,
            start_to_close_timeout=timedelta(seconds=10),
        )
        return f"{echoed} | wf-ending-pid:{pid}"


async def work(client: Client, role: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if role == "workflow-worker":
        options = {"task_queue": WORKFLOW_QUEUE, "workflows": [ParallelizedWorkflow]}
    else:
        options = {
            "task_queue": ACTIVITY_QUEUE,
            "activities": [echo_pid_activity],
            "activity_executor": ThreadPoolExecutor(10),
        }
    async with Worker(client, **options):
        print(f"{role} {os.getpid()}", flush=True)
        await stop.wait()


async def start(client: Client, count: int) -> None:
    handles = [
        client.start_workflow(
            "ParallelizedWorkflow",
            id=f"greeting-workflow-id-{uuid.uuid4()}",
            task_queue=WORKFLOW_QUEUE,
            result_type=str,
        )
        for _ in range(count)
    ]
    for handle in await asyncio.gather(*handles):
        print(await handle.result(), flush=True)


def tracing() -> list:
    """Returns the SDK's own interceptor, which writes its spans to a file, as a line of JSON each."""
    file = os.environ.get("SPANS")
    if file is None:
        return []
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from temporalio.contrib.opentelemetry import TracingInterceptor

    provider = TracerProvider()
    exporter = ConsoleSpanExporter(
        out=open(file, "w"), formatter=lambda span: span.to_json(indent=None) + "\n"
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return [TracingInterceptor()]


async def main() -> None:
    client = await Client.connect(
        os.environ["TEMPORAL_ADDRESS"], interceptors=tracing()
    )
    if sys.argv[1] == "starter":
        await start(client, int(sys.argv[2]))
    else:
        await work(client, sys.argv[1])


asyncio.run(main())
# The SDK's own threads sometimes outlive the interpreter, which then aborts ("PyGILState_Release"). All
# output has been written here, so the process can exit at once.
sys.stdout.flush()
os._exit(0)
