//! The `fleet` binary: the library's `main` with the sample's workflow and activity, and with the
//! workload of `fleet bench`. A program of your own can have everything that it has.

use std::{num::NonZeroUsize, process::ExitCode};

use temporal_fleet::{
    Fleet,
    parallelized::{EchoActivities, ParallelizedWorkflow},
};

fn main() -> ExitCode {
    // These names are those of Temporal's Python sample, so that both can share the queues.
    Fleet::new("parallelized")
        .workflow_task_queue("workflow-task-queue")
        .activity_task_queue("activity-task-queue")
        .workflow_id_prefix("greeting-workflow-id")
        .workflow::<ParallelizedWorkflow>()
        .activities(EchoActivities)
        .load_workload()
        // One thread is enough: these activities return at once, or compute on a thread of their own.
        .activity_threads(NonZeroUsize::MIN)
        .main()
}
