//! The workflows that `fleet chaos` starts.

use std::time::Duration;

use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{
    batch::{Batch, BatchName, StartOptions},
    cli::ChaosArgs,
    commands::{
        description::{LOAD, load_workflow},
        groups::queue_for_starts,
    },
    config::Config,
    error::CommandError,
    fleet::Fleet,
    temporal::history::Definition,
    workloads::load::Load,
};

/// How long each activity of a workflow waits: long enough that a worker that is killed has some in flight.
const ACTIVITY_WAIT: Duration = Duration::from_millis(200);
/// After which time Temporal retries one: some times its duration on a machine that is busy.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many activities a workflow has, in sequence.
const ACTIVITIES: u32 = 2;

/// The workflows that the flags describe. `input` are the arguments that they name.
///
/// # Errors
/// [`CommandError::NothingToBench`] if no workflow is named and the fleet does not have the load;
/// [`CommandError::Usage`] if it does not have the one that is named.
pub(super) fn batch(
    fleet: &Fleet,
    args: &ChaosArgs,
    config: &Config,
    input: Vec<Payload>,
) -> Result<Batch, CommandError> {
    let named = args.workflow_type.as_deref();
    if let Some(named) = named.filter(|named| args.fleet.is_none() && !fleet.has_workflow(named)) {
        return Err(CommandError::Usage(format!(
            "--workflow-type {named:?}: the fleet that is started for the trial has no such workflow; for another \
             one, name a running fleet with --fleet"
        )));
    }
    let (workflow_type, input) = load_workflow(fleet, named, input, || Ok(load()))?;
    let name = BatchName::random();
    let task_queue = queue_for_starts(config, args.task_queue.as_ref())?;
    Ok(Batch {
        // No other trial has this prefix, so that visibility lists this one's workflows only.
        id_prefix: format!("chaos-{}", name.as_str()),
        name,
        definition: Definition { workflow_type, task_queue, input },
        inputs: Vec::new(),
        options: StartOptions::default(),
        count: args.workflows,
        concurrency: args.workflows,
    })
}

fn load() -> Load {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Load {
        activities: ACTIVITIES,
        activity_wait_ms: millis(ACTIVITY_WAIT),
        activity_timeout_ms: millis(ACTIVITY_TIMEOUT),
        ..Load::default()
    }
}

/// After which time Temporal retries an activity of the workflows, as far as that is known.
pub(super) fn activity_timeout(batch: &Batch) -> Option<Duration> {
    let Definition { workflow_type, input, .. } = &batch.definition;
    let [input] = input.as_slice() else { return None };
    let load: Load = serde_json::from_slice(&input.data).ok()?;
    let is_known = workflow_type == LOAD && load.activity_timeout_ms > 0;
    is_known.then(|| Duration::from_millis(load.activity_timeout_ms))
}

/// A seed for a trial without `--seed`.
pub(super) fn random_seed() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}
