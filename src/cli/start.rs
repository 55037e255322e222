//! Flags that say what workflows are started with, named as the Temporal CLI names them.

use std::time::Duration;

use clap::Args;
use temporalio_client::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};

use super::values::{
    encoding, fairness_key, fairness_weight, id_conflict_policy, id_reuse_policy, key_and_json,
    key_and_value, some_time,
};
use crate::config::{parse_duration, parse_number};

/// The arguments of each workflow.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InputArgs {
    /// An argument of each workflow: JSON, @FILE or - for standard input; can be repeated for several arguments [default: none]
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) input: Vec<String>,
    /// The encoding of the arguments, such as json/protobuf or binary/plain: once, or once for each argument [default: json/plain]
    #[arg(long, value_name = "ENCODING", value_parser = encoding)]
    pub(crate) input_encoding: Vec<String>,
    /// Further metadata of the arguments, such as messageType=shop.Order: each key once, or once for each argument
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) input_meta: Vec<(String, String)>,
    /// Decode the arguments from Base64 first
    #[arg(long)]
    pub(crate) input_base64: bool,
}

/// Options of the start.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What each workflow is started with")]
pub(crate) struct StartArgs {
    /// A value of the memo; can be repeated
    #[arg(long, value_name = "KEY=JSON", value_parser = key_and_json)]
    pub(crate) memo: Vec<(String, String)>,
    /// A search attribute; can be repeated
    #[arg(long, value_name = "KEY=JSON", value_parser = key_and_json)]
    pub(crate) search_attribute: Vec<(String, String)>,
    /// How long a workflow may take, with all its runs [default: without limit]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) execution_timeout: Option<Duration>,
    /// How long one run may take [default: without limit]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) run_timeout: Option<Duration>,
    /// How long a workflow task may take [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) task_timeout: Option<Duration>,
    /// How long to wait before the first workflow task
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) start_delay: Option<Duration>,
    /// Retry a workflow that fails, at most so often; 0: without limit [default: no retries]
    #[arg(long, value_name = "N", value_parser = attempts)]
    pub(crate) retry_maximum_attempts: Option<u32>,
    /// The pause before the first retry of a workflow [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) retry_initial_interval: Option<Duration>,
    /// The longest pause before a retry [default: 100 times the first]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) retry_maximum_interval: Option<Duration>,
    /// How much longer each pause is than the one before it [default: 2]
    #[arg(long, value_name = "NUMBER", value_parser = coefficient)]
    pub(crate) retry_backoff_coefficient: Option<f64>,
    /// The priority: 1 is the highest, 5 the lowest [default: 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority_key)]
    pub(crate) priority_key: Option<u32>,
    /// Tasks with the same key share capacity, by the weight of the key; at most 64 bytes
    #[arg(long, value_name = "KEY", value_parser = fairness_key)]
    pub(crate) fairness_key: Option<String>,
    /// The weight of the fairness key, from 0.001 to 1000 [default: 1]
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true, value_parser = fairness_weight)]
    pub(crate) fairness_weight: Option<f32>,
    /// A line about the workflows for people, which the UI shows [default: the batch and the number]
    #[arg(long, value_name = "TEXT")]
    pub(crate) static_summary: Option<String>,
    /// More about the workflows for people, in Markdown
    #[arg(long, value_name = "TEXT")]
    pub(crate) static_details: Option<String>,
}

/// What to do with workflows of the batch that exist already.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct IdPolicyArgs {
    /// Whether to start a workflow again that has ended: RejectDuplicate, AllowDuplicateFailedOnly or AllowDuplicate [default: RejectDuplicate]
    #[arg(long, value_name = "POLICY", value_parser = id_reuse_policy,
        help_heading = "What each workflow is started with")]
    pub(crate) id_reuse_policy: Option<WorkflowIdReusePolicy>,
    /// What to do if a workflow runs already: UseExisting, TerminateExisting or Fail [default: UseExisting]
    #[arg(long, value_name = "POLICY", value_parser = id_conflict_policy,
        help_heading = "What each workflow is started with")]
    pub(crate) id_conflict_policy: Option<WorkflowIdConflictPolicy>,
}

fn attempts(text: &str) -> Result<u32, String> {
    let number = parse_number(text, 0, i32::MAX as usize)?;
    Ok(u32::try_from(number).expect("checked"))
}

fn priority_key(text: &str) -> Result<u32, String> {
    let number = parse_number(text, 1, 5)?;
    Ok(u32::try_from(number).expect("checked"))
}

fn coefficient(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(number) if number >= 1.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number of 1 or more"),
    }
}
