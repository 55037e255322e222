//! The shipped fleet: the library's `main` with the sample's workflow and activity and a workload to
//! measure with, and nothing that a program of your own could not have.

use std::{num::NonZeroUsize, process::ExitCode};

use temporal_fleet::{
    Fleet,
    parallelized::{EchoActivities, ParallelizedWorkflow},
};

fn main() -> ExitCode {
    // The names are those of Temporal's Python sample, which shares its queues with this one.
    Fleet::new("parallelized")
        .workflow_task_queue("workflow-task-queue")
        .activity_task_queue("activity-task-queue")
        .workflow_id_prefix("greeting-workflow-id")
        .workflow::<ParallelizedWorkflow>()
        .activities(EchoActivities)
        .load_workload()
        // They answer at once, or compute on a thread of their own.
        .activity_threads(NonZeroUsize::MIN)
        .main()
}
