//! The sample: Temporal's `worker_multiprocessing`, from Python to Rust.
//!
//! A workflow notes the process it starts in, has an activity echo that together with its own
//! process, and notes the process it ends in:
//!
//! ```text
//! wf-starting-pid:19178 | activity-pid:19180 | wf-ending-pid:19178
//! ```
//!
//! Names, queues and results are those of the Python sample: its starter can drive these workers,
//! this starter its workers, and both kinds of worker can share the queues.

mod activities;
mod workflow;

pub use activities::EchoActivities;
pub use workflow::ParallelizedWorkflow;

/// The workers that a result names, as `(what it did, its label)`; `None` for any other text.
pub(crate) fn workers_in(result: &str) -> Option<[(&'static str, &str); 3]> {
    let mut parts = result.split(" | ");
    let mut next = |what: &'static str| {
        let label = parts.next()?.strip_prefix(what)?.strip_prefix(':')?;
        Some((what, label))
    };
    let found = [next("wf-starting-pid")?, next("activity-pid")?, next("wf-ending-pid")?];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::workers_in;

    #[test]
    fn a_result_names_three_workers() {
        assert_eq!(
            workers_in("wf-starting-pid:1@a | activity-pid:1@b | wf-ending-pid:1@a"),
            Some([("wf-starting-pid", "1@a"), ("activity-pid", "1@b"), ("wf-ending-pid", "1@a")])
        );
    }

    #[test]
    fn any_other_result_names_none() {
        assert_eq!(workers_in("Hello, world"), None);
        assert_eq!(workers_in("wf-starting-pid:1 | activity-pid:2"), None);
        assert_eq!(workers_in("wf-starting-pid:1 | activity-pid:2 | wf-ending-pid:1 | x"), None);
    }
}
