//! The options of a start, from the flags.

use temporalio_common::{Priority, RetryPolicy};

use crate::{
    batch::StartOptions,
    cli::{IdPolicyArgs, StartArgs},
    error::CommandError,
};

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
        id_reuse_policy: policies.id_reuse_policy.unwrap_or(defaults.id_reuse_policy),
        id_conflict_policy: policies.id_conflict_policy.unwrap_or(defaults.id_conflict_policy),
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
    if let (Some(initial), Some(longest)) = (initial, longest)
        && longest < initial
    {
        return Err(CommandError::Usage(
            "--retry-maximum-interval is shorter than --retry-initial-interval: expected at least as long"
                .into(),
        ));
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
    }
}
