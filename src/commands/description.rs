//! What a batch consists of, as the flags of `starter` and `demo` describe it.

use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio::task::spawn_blocking;

use super::{
    context::Context,
    inputs::{self, Inputs},
};
use crate::{
    batch::{Batch, BatchName, StartOptions},
    cli::{InputArgs, Workload},
    error::{CommandError, Error},
    fleet::Fleet,
    temporal::{history::Definition, payload::from_json},
    terminal::announce::Announce,
    text::one_line,
    workloads::load::Load,
};

/// The number of workflows if the user gives none.
const COUNT: usize = 25;

/// What the user asked for.
pub(super) struct Requested {
    pub(super) workload: Workload,
    pub(super) options: StartOptions,
    /// The number of workflows.
    pub(super) count: Option<usize>,
    /// The file that has the argument of each workflow on a line.
    pub(super) lines: Option<String>,
    pub(super) task_queue: String,
}

/// The batch that the arguments describe, with a new random name. `None` if a stop is requested while the
/// arguments of the workflows are read.
///
/// # Errors
/// [`CommandError::NothingToStart`]; [`CommandError::Usage`] if arguments cannot be read, or if there are not
/// as many as workflows.
pub(super) async fn batch(
    context: &Context<'_>,
    requested: Requested,
) -> Result<Option<Batch>, CommandError> {
    let Requested { workload, options, count, lines, task_queue } = requested;
    let workflow_type = workload
        .workflow_type
        .or_else(|| context.fleet.default_workflow_type().map(str::to_owned))
        .ok_or(CommandError::NothingToStart)?;
    let Some(Inputs { all, each }) = read_inputs(context, workload.input, lines.clone()).await?
    else {
        return Ok(None);
    };
    Ok(Some(Batch {
        name: BatchName::random(),
        definition: Definition { workflow_type, task_queue, input: all },
        count: number(count, lines.as_deref(), each.len())?,
        inputs: each,
        options,
        id_prefix: workload
            .workflow_id_prefix
            .unwrap_or_else(|| context.fleet.default_workflow_id_prefix().to_owned()),
        concurrency: workload.concurrency,
    }))
}

/// Reads the arguments of the workflows on a thread of its own, because whoever writes to standard input may take
/// long.
///
/// # Errors
/// [`CommandError::Usage`].
pub(super) async fn read_inputs(
    context: &Context<'_>,
    args: InputArgs,
    lines: Option<String>,
) -> Result<Option<Inputs>, CommandError> {
    let reading = async {
        spawn_blocking(move || inputs::read(&args, lines.as_deref()))
            .await
            .unwrap_or_else(|error| Err(Error::Bug(error.to_string()).into()))
    };
    context.unless_stopped(reading).await
}

/// The workflow that is started to load a fleet, without `--workflow-type`. The fleet's own workflows are not
/// started unless they are named, because a thousand of them may do harm.
pub(super) const LOAD: &str = "LoadWorkflow";

/// The type and the arguments of the workflows that load a fleet: the one that is `named`, or [`LOAD`]. `input` are
/// the arguments that flags give; `load` makes those of [`LOAD`] without them.
///
/// # Errors
/// [`CommandError::NothingToBench`] if no workflow is named and the fleet does not have [`LOAD`]; those of `load`.
pub(super) fn load_workflow(
    fleet: &Fleet,
    named: Option<&str>,
    input: Vec<Payload>,
    load: impl FnOnce() -> Result<Load, CommandError>,
) -> Result<(String, Vec<Payload>), CommandError> {
    match named {
        Some(workflow_type) => Ok((workflow_type.to_owned(), input)),
        None if !fleet.has_workflow(LOAD) => Err(CommandError::NothingToBench),
        None if !input.is_empty() => Ok((LOAD.to_owned(), input)),
        None => {
            let load = serde_json::to_string(&load()?).expect("numbers can be serialized");
            Ok((LOAD.to_owned(), vec![from_json(&load)]))
        }
    }
}

/// How many workflows there are. Where each line is for one workflow, another number is unclear: it may be a
/// mistake in the number or in the file.
fn number(
    count: Option<usize>,
    lines: Option<&str>,
    lines_read: usize,
) -> Result<usize, CommandError> {
    match (count, lines) {
        (count, None) => Ok(count.unwrap_or(COUNT)),
        (None, Some(_)) => Ok(lines_read),
        (Some(count), Some(_)) if count == lines_read => Ok(count),
        (Some(count), Some(file)) => Err(CommandError::Usage(format!(
            "-n {count}, but --inputs {file} has {lines_read} lines: leave out -n, or give as many"
        ))),
    }
}

/// Says why this fleet's workers cannot decode the arguments of a workflow of theirs, and returns it. Other
/// workers may have a workflow of the same name, so that it is no error.
pub(super) fn say_input_problem(fleet: &Fleet, batch: &Batch) -> Option<String> {
    let workflow_type = &batch.definition.workflow_type;
    let check = *fleet.input_checks().get(workflow_type.as_str())?;
    let problem = if batch.inputs.is_empty() {
        check(batch.definition.input.clone()).err()
    } else {
        let mut lines = batch.inputs.iter().enumerate();
        lines.find_map(|(number, input)| {
            let problem = check(vec![input.clone()]).err()?;
            Some(format!("{problem} (line {} of --inputs)", number + 1))
        })
    };
    let problem = format!("this fleet's {workflow_type} {}", problem?);
    Announce::Stderr.say(&one_line(&format!("warning: {problem}")));
    Some(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_workflows_is_that_of_the_lines_or_is_refused() {
        assert_eq!(number(None, None, 0).unwrap(), 25);
        assert_eq!(number(Some(3), None, 0).unwrap(), 3);
        assert_eq!(number(None, Some("f"), 7).unwrap(), 7);
        assert_eq!(number(Some(7), Some("f"), 7).unwrap(), 7);
        for count in [6, 8] {
            let problem = number(Some(count), Some("f"), 7).unwrap_err().to_string();
            assert!(problem.ends_with("--inputs f has 7 lines: leave out -n, or give as many"));
        }
    }
}
