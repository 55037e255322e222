"""The sample worker_multiprocessing of Temporal's Python SDK, with its settings. benches/compare runs it.

    python3 sample.py worker -w 2 -a 1
    python3 sample.py starter -n 25

FLEET_WORKFLOW_TASK_QUEUE and FLEET_ACTIVITY_TASK_QUEUE name its queues, and TEMPORAL_ADDRESS the server.
"""

import argparse
import asyncio
import multiprocessing
import os
import signal
import uuid
from dataclasses import replace
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

WORKFLOW_QUEUE = os.environ["FLEET_WORKFLOW_TASK_QUEUE"]
ACTIVITY_QUEUE = os.environ["FLEET_ACTIVITY_TASK_QUEUE"]


@activity.defn
async def echo_pid_activity(input: str) -> str:
    return f"{input} | activity-pid:{os.getpid()}"


@workflow.defn
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


def workflow_worker(client: Client) -> Worker:
    # These are the sample's settings. Few tasks run at the same time, because each process has one thread
    # for them. The sandbox allows os.getpid.
    members = SandboxRestrictions.invalid_module_members_default.with_child_unrestricted("os")
    restrictions = replace(SandboxRestrictions.default, invalid_module_members=members)
    return Worker(
        client,
        task_queue=WORKFLOW_QUEUE,
        workflows=[ParallelizedWorkflow],
        max_concurrent_workflow_tasks=2,
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(2),
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )


def activity_worker(client: Client) -> Worker:
    return Worker(client, task_queue=ACTIVITY_QUEUE, activities=[echo_pid_activity])


async def connect() -> Client:
    return await Client.connect(os.environ["TEMPORAL_ADDRESS"])


def worker_process(build) -> None:
    Runtime.set_default(Runtime(telemetry=TelemetryConfig()))

    async def run() -> None:
        worker = build(await connect())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(worker.shutdown()))
        await worker.run()

    asyncio.run(run())
    # The SDK's threads can abort the interpreter while it ends.
    os._exit(0)


def run_workers(workflow_workers: int, activity_workers: int) -> None:
    fork = multiprocessing.get_context("fork")
    builds = [workflow_worker] * workflow_workers + [activity_worker] * activity_workers
    processes = [fork.Process(target=worker_process, args=[build]) for build in builds]
    for process in processes:
        process.start()

    def stop(*_: object) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, stop)
    for process in processes:
        process.join()


async def run_starter(count: int) -> None:
    Runtime.set_default(Runtime(telemetry=TelemetryConfig()))
    client = await connect()
    results = [
        client.execute_workflow(
            ParallelizedWorkflow.run,
            id=f"greeting-workflow-id-{uuid.uuid4()}",
            task_queue=WORKFLOW_QUEUE,
        )
        for _ in range(count)
    ]
    for result in asyncio.as_completed(results):
        print(await result, flush=True)
    os._exit(0)


def main() -> None:
    # As in the sample, each process creates its own runtime after the fork.
    Runtime.prevent_default()
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker")
    worker.add_argument("-w", type=int, default=2)
    worker.add_argument("-a", type=int, default=1)
    starter = commands.add_parser("starter")
    starter.add_argument("-n", type=int, default=25)
    arguments = parser.parse_args()
    if arguments.command == "worker":
        run_workers(arguments.w, arguments.a)
    else:
        asyncio.run(run_starter(arguments.n))


if __name__ == "__main__":
    main()
