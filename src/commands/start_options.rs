//! The options of a start, from the flags.

use std::time::Duration;

use temporalio_client::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use temporalio_common::{Priority, RetryPolicy};

use crate::{
    batch::StartOptions,
    cli::{IdPolicyArgs, StartArgs},
    error::CommandError,
};

/// The pause before the first retry that the server takes if none is given.
const DEFAULT_INITIAL_INTERVAL: Duration = Duration::from_secs(1);

/// The options that the flags describe.
///
/// # Errors
/// [`CommandError::Usage`] if flags contradict each other.
pub(super) fn options(
    start: StartArgs,
    policies: &IdPolicyArgs,
) -> Result<StartOptions, CommandError> {
    refuse_twice("--memo", &start.memo)?;
    refuse_twice("--search-attribute", &start.search_attribute)?;
    let retry_policy = retry_policy(&start)?;
    let defaults = StartOptions::default();
    let id_reuse_policy = policies.id_reuse_policy.unwrap_or(defaults.id_reuse_policy);
    let id_conflict_policy = policies.id_conflict_policy.unwrap_or(defaults.id_conflict_policy);
    // The server refuses every start with these two.
    if id_conflict_policy == WorkflowIdConflictPolicy::TerminateExisting
        && id_reuse_policy == WorkflowIdReusePolicy::RejectDuplicate
    {
        return Err(CommandError::Usage(
            "--id-conflict-policy TerminateExisting starts a workflow again, which --id-reuse-policy RejectDuplicate forbids: add --id-reuse-policy AllowDuplicate or AllowDuplicateFailedOnly"
                .into(),
        ));
    }
    let mut priority = Priority::default();
    priority.priority_key = start.priority_key;
    priority.fairness_key = start.fairness_key;
    priority.fairness_weight = start.fairness_weight;
    Ok(StartOptions {
        memo: start.memo,
        search_attributes: start.search_attribute,
        execution_timeout: start.execution_timeout,
        run_timeout: start.run_timeout,
        task_timeout: start.task_timeout,
        retry_policy,
        priority,
        id_reuse_policy,
        id_conflict_policy,
        start_delay: start.start_delay.filter(|delay| !delay.is_zero()),
        static_summary: start.static_summary,
        static_details: start.static_details,
    })
}

fn refuse_twice(flag: &str, pairs: &[(String, String)]) -> Result<(), CommandError> {
    for (place, (key, _)) in pairs.iter().enumerate() {
        if pairs[..place].iter().any(|(known, _)| known == key) {
            return Err(CommandError::Usage(format!(
                "{flag} {key} is given twice: expected each key once"
            )));
        }
    }
    Ok(())
}

/// `None` without any flag about retries: then a workflow that fails is not retried.
fn retry_policy(start: &StartArgs) -> Result<Option<RetryPolicy>, CommandError> {
    let (initial, longest) = (start.retry_initial_interval, start.retry_maximum_interval);
    if longest.is_some_and(|longest| longest < initial.unwrap_or(DEFAULT_INITIAL_INTERVAL)) {
        let unless_given = if initial.is_some() { "" } else { ", which is 1s unless given" };
        return Err(CommandError::Usage(format!(
            "--retry-maximum-interval is shorter than --retry-initial-interval{unless_given}: expected at least as long"
        )));
    }
    let is_given = initial.is_some()
        || longest.is_some()
        || start.retry_maximum_attempts.is_some()
        || start.retry_backoff_coefficient.is_some();
    Ok(is_given.then(|| {
        RetryPolicy::builder()
            .maybe_initial_interval(initial)
            .maybe_maximum_interval(longest)
            .maybe_maximum_attempts(start.retry_maximum_attempts)
            .maybe_backoff_coefficient(start.retry_backoff_coefficient)
            .build()
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_workflow_is_retried_only_if_a_flag_says_so() {
        let none = options(StartArgs::default(), &IdPolicyArgs::default()).unwrap();
        assert!(none.retry_policy.is_none());
        let start = StartArgs { retry_maximum_attempts: Some(3), ..Default::default() };
        let three = options(start, &IdPolicyArgs::default()).unwrap().retry_policy.unwrap();
        assert_eq!(three.maximum_attempts(), 3);
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        let twice = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        let start = StartArgs { memo: twice, ..Default::default() };
        let problem = options(start, &IdPolicyArgs::default()).unwrap_err().to_string();
        assert_eq!(problem, "--memo a is given twice: expected each key once");
        let start = StartArgs {
            retry_initial_interval: Some(Duration::from_secs(2)),
            retry_maximum_interval: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        let problem = options(start, &IdPolicyArgs::default()).unwrap_err().to_string();
        assert!(problem.starts_with("--retry-maximum-interval is shorter"), "{problem}");
        let start = StartArgs {
            retry_maximum_interval: Some(Duration::from_millis(1)),
            ..Default::default()
        };
        let problem = options(start, &IdPolicyArgs::default()).unwrap_err().to_string();
        assert!(problem.contains("which is 1s unless given"), "{problem}");
    }

    #[test]
    fn terminating_a_workflow_that_runs_needs_a_policy_that_allows_to_start_it_again() {
        let conflict = Some(WorkflowIdConflictPolicy::TerminateExisting);
        let of = |reuse| {
            let policies = IdPolicyArgs { id_reuse_policy: reuse, id_conflict_policy: conflict };
            options(StartArgs::default(), &policies)
        };
        for reuse in [None, Some(WorkflowIdReusePolicy::RejectDuplicate)] {
            let problem = of(reuse).unwrap_err().to_string();
            assert!(problem.contains("add --id-reuse-policy AllowDuplicate"), "{problem}");
        }
        of(Some(WorkflowIdReusePolicy::AllowDuplicate)).unwrap();
    }
}
