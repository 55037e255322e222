"""A workflow that runs local activities one after the other, with the real Python SDK.

    python3 local_activities.py COUNT WORKFLOW_ID

The queue comes from the test. Prints the workflow's result.
"""

import asyncio
import os
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = os.environ["FLEET_WORKFLOW_TASK_QUEUE"]


@activity.defn
async def nap() -> None:
    await asyncio.sleep(0.02)


@workflow.defn(sandboxed=False)
class Naps:
    @workflow.run
    async def run(self, count: int) -> str:
        for _ in range(count):
            await workflow.execute_local_activity(
                nap, start_to_close_timeout=timedelta(seconds=10)
            )
        return f"{count} naps"


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    async with Worker(client, task_queue=QUEUE, workflows=[Naps], activities=[nap]):
        result = await client.execute_workflow(
            Naps.run, int(sys.argv[1]), id=sys.argv[2], task_queue=QUEUE
        )
        print(result, flush=True)


asyncio.run(main())
sys.stdout.flush()
os._exit(0)
