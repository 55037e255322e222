//! The workflows that `fleet bench` starts.

use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{
    batch::{Batch, BatchName},
    cli::{BenchArgs, IdPolicyArgs, LoadArgs},
    commands::{description::load_workflow, groups::queue_for_starts, start_options},
    config::Config,
    error::CommandError,
    fleet::Fleet,
    temporal::history::Definition,
    workloads::load::{Load, iterations_in},
};

/// The largest number of activities in a workflow. The server's default limit of events in a history
/// (`limit.historyCount.error`) has room for this many.
const MOST_ACTIVITIES: u64 = 8_000;
/// The largest payload of the activities of one step. A message to the server may have 4 MB, and
/// contains the payloads of all activities of a step.
const MOST_BYTES_IN_A_STEP: u64 = 3_000_000;
/// The largest payload of all activities of a workflow. A history may have 50 MB
/// (`limit.historySize.error`), and contains each payload twice.
const MOST_BYTES: u64 = 20_000_000;

/// The batch that the flags describe, without an end. `input` are the arguments that they name.
///
/// # Errors
/// [`CommandError::NothingToBench`] if no workflow is named and the fleet does not have the load;
/// [`CommandError::Usage`] if the load is larger than a workflow can be.
pub(super) fn batch(
    fleet: &Fleet,
    args: &BenchArgs,
    config: &Config,
    input: Vec<Payload>,
) -> Result<Batch, CommandError> {
    let named = args.workflow_type.as_deref();
    let (workflow_type, input) = load_workflow(fleet, named, input, || args.load.load())?;
    let task_queue = queue_for_starts(config, args.task_queue.as_ref())?;
    Ok(Batch {
        name: BatchName::random(),
        definition: Definition { workflow_type, task_queue, input },
        inputs: Vec::new(),
        options: start_options::options(args.start.clone(), &IdPolicyArgs::default())?,
        id_prefix: args.workflow_id_prefix.clone(),
        count: usize::MAX,
        concurrency: usize::MAX,
    })
}

impl LoadArgs {
    /// The load that the flags describe.
    ///
    /// # Errors
    /// [`CommandError::Usage`] if it is larger than a workflow can be.
    fn load(&self) -> Result<Load, CommandError> {
        let mut load = Load::default();
        load.activities = self.activities.unwrap_or(load.activities);
        load.parallel = self.parallel.unwrap_or(load.parallel);
        load.payload_bytes = self.payload_bytes.unwrap_or(load.payload_bytes);
        check_size(&load)?;
        load.workflow_iterations = iterations_in(self.workflow_cpu.unwrap_or_default());
        load.activity_iterations = iterations_in(self.activity_cpu.unwrap_or_default());
        let timer = self.timer.unwrap_or_default();
        load.timer_ms = u64::try_from(timer.as_millis()).unwrap_or(u64::MAX);
        Ok(load)
    }
}

fn check_size(load: &Load) -> Result<(), CommandError> {
    let (parallel, bytes) = (u64::from(load.parallel), u64::from(load.payload_bytes));
    let activities = u64::from(load.activities) * parallel;
    let too_much = |what: String, most| Err(CommandError::Usage(format!("{what}: at most {most}")));
    if activities > MOST_ACTIVITIES {
        let what = format!("--activities times --parallel is {activities} activities");
        return too_much(what, MOST_ACTIVITIES);
    }
    if parallel * bytes > MOST_BYTES_IN_A_STEP {
        let what = format!("--parallel times --payload-bytes is {} bytes", parallel * bytes);
        return too_much(what, MOST_BYTES_IN_A_STEP);
    }
    if activities * bytes > MOST_BYTES {
        let what = format!("--payload-bytes of all activities are {} bytes", activities * bytes);
        return too_much(what, MOST_BYTES);
    }
    Ok(())
}
