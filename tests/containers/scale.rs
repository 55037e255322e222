//! Scaling a fleet under load.

use serde_json::Value;

use crate::{
    project::Project,
    server::{activity_attempts, history_at},
    support::Process,
};

/// A running batch, with its starter in a container.
pub(crate) struct Batch {
    starter: Process,
    size: usize,
}

impl Batch {
    pub(crate) fn start(fleet: &Project, size: usize) -> Self {
        let n = size.to_string();
        let starter = fleet.starter(["-n", &n, "--concurrency", "20", "--output", "json"]);
        Self { starter: Process::start(starter), size }
    }

    /// Waits until `count` workflows have completed.
    #[track_caller]
    pub(crate) fn completed(&self, count: usize) {
        self.starter.out.wait_count(count);
    }

    /// Waits for the end of the batch, asserts that every workflow completed, and returns their ids.
    #[track_caller]
    pub(crate) fn whole(mut self) -> Vec<String> {
        let mut lines = self.starter.out.wait_end();
        let code = self.starter.exit_code();
        assert_eq!(code, 0, "{}", self.starter.err.so_far().join("\n"));
        let summary: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        assert_eq!(summary["completed"], self.size, "{summary}");
        assert_eq!(summary["failed"], 0, "{summary}");
        let id = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["workflow_id"].as_str().unwrap().to_owned()
        };
        lines.iter().map(id).collect()
    }
}

/// Returns the attempt of each activity that has started.
fn attempts(address: &str, workflows: &[String]) -> Vec<i32> {
    let of = |id: &String| activity_attempts(&history_at(address, id));
    workflows.iter().flat_map(of).map(|(_, attempt)| attempt).collect()
}

#[test]
fn scaling_workflow_workers_during_a_batch_loses_and_repeats_nothing() {
    let fleet = Project::new();
    fleet.up(2);
    let batch = Batch::start(&fleet, 400);
    batch.completed(40);
    fleet.scale("workflow-worker", 4);
    fleet.healthy("workflow-worker", 4);
    batch.completed(150);
    fleet.scale("workflow-worker", 1);
    assert_eq!(fleet.containers("workflow-worker").len(), 1);
    let workflows = batch.whole();
    assert_eq!(attempts(&fleet.address(), &workflows), [1; 400]);
}

#[test]
fn scaling_down_from_three_to_one_with_up_drains_workers_of_both_kinds() {
    let fleet = Project::new();
    fleet.up(3);
    fleet.scale("activity-worker", 3);
    fleet.healthy("activity-worker", 3);
    let batch = Batch::start(&fleet, 300);
    batch.completed(60);
    let scales = ["--scale", "workflow-worker=1", "--scale", "activity-worker=1"];
    let services = ["workflow-worker", "activity-worker"];
    fleet.run(["up", "--detach", "--no-build"].into_iter().chain(scales).chain(services));
    let workflows = batch.whole();
    for service in services {
        assert_eq!(fleet.containers(service).len(), 1, "{service}");
    }
    assert_eq!(attempts(&fleet.address(), &workflows), [1; 300]);
}
