//! What the starter starts workflows with: their arguments, and the options that the Temporal CLI has too.

use std::fs;

use crate::{
    server::{self, the_workflow, workflow_ids},
    starter::started,
    support::{Process, STOLEN, World, eventually, run},
};

/// The arguments of a workflow as text.
fn arguments(workflow_id: &str) -> Vec<String> {
    let payloads = started(workflow_id).input.unwrap_or_default().payloads;
    payloads.into_iter().map(|it| String::from_utf8(it.data).unwrap()).collect()
}

#[test]
fn arguments_come_from_flags_files_and_standard_input() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let named =
        format!("@{}", file("a.json", &format!("{{\"pad\": \"{}\"}}\n", "x".repeat(200_000))));
    let mut starter = world.fleet(["starter", "-n", "1", "--timeout", "1s", "--input", "1"]);
    starter.args(["--input", "\"b\"", "--input", &named, "--input", "-"]);
    starter.stdin(fs::File::open(file("stdin.json", "[-5]")).unwrap());
    let finished = starter.output().unwrap();
    assert_eq!(finished.status.code(), Some(1), "{finished:#?}");
    let read = arguments(&the_workflow(&world.workflow_queue()));
    assert_eq!((&read[0][..], &read[1][..], &read[3][..]), ("1", "\"b\"", "[-5]"));
    assert_eq!(read[2].len(), 200_000 + 11);
}

#[test]
fn each_line_of_a_file_is_the_argument_of_a_workflow_and_a_batch_stays_what_it_is() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let batch = |more: &[&str]| {
        let of = ["starter", "--workflow-type", "LoadWorkflow", "--inputs", &path, "--batch", "b"];
        let prefix = ["--workflow-id-prefix", &world.id()].map(ToOwned::to_owned);
        let mut starter = world.fleet([&of[..], more].concat());
        starter.args(prefix);
        run(starter)
    };
    fs::write(&path, "{\"activities\": 1}\n{\"activities\": 0}\n{\"activities\": 2}\n").unwrap();
    let mut results = batch(&[]).success();
    results.sort();
    assert_eq!(results, ["0", "1", "2"]);
    // The same file: nothing runs again.
    assert_eq!(batch(&[]).success().len(), 3);
    assert_eq!(workflow_ids(&world.workflow_queue()).len(), 3);
    let refused = batch(&["-n", "2"]);
    assert_eq!((refused.code, refused.err.len()), (2, 1), "{refused:#?}");
    assert!(refused.err[0].contains("-n 2, but --inputs"), "{refused:#?}");
    fs::write(&path, "{\"activities\": 1}\n{\"activities\": 3}\n{\"activities\": 2}\n").unwrap();
    let changed = batch(&[]);
    assert_eq!(changed.code, 78, "{changed:#?}");
    let words = "was started with input {\"activities\": 0}, not {\"activities\": 3}";
    assert!(changed.err.last().unwrap().contains(words), "{changed:#?}");
    fs::write(&path, "{}\n{\"activities\": s3cret}\n").unwrap();
    let wrong = batch(&[]);
    assert_eq!((wrong.code, wrong.err.len()), (2, 1), "{wrong:#?}");
    assert!(
        wrong.err[0].contains(", line 2: not JSON (expected value at column 16)"),
        "{wrong:#?}"
    );
}

#[test]
fn a_workflow_is_started_with_what_the_flags_say() {
    for delay in [&[][..], &["--start-delay", "100ms"]] {
        let world = World::new();
        let mut starter = world.fleet(["starter", "-n", "1", "--timeout", "1s", "--input", "AAE="]);
        starter.args(["--input-base64", "--input-encoding", "binary/plain"]);
        starter.args(["--input-meta", "messageType=shop.Order", "--memo", "who={\"n\": 1}"]);
        starter.args(["--execution-timeout", "1h", "--run-timeout", "30m", "--task-timeout", "5s"]);
        starter.args(["--priority-key", "2", "--fairness-key", "f", "--fairness-weight", "2.5"]);
        starter.args(["--retry-maximum-attempts", "3", "--retry-initial-interval", "2s"]);
        starter.args(["--static-summary", "sum", "--static-details", "det"]).args(delay);
        assert_eq!(run(starter).code, 1);
        let id = the_workflow(&world.workflow_queue());
        let event = server::history(&id).remove(0);
        let metadata = event.user_metadata.unwrap();
        assert_eq!(metadata.summary.unwrap().data, b"\"sum\"");
        assert_eq!(metadata.details.unwrap().data, b"\"det\"");
        let began = started(&id);
        let input = began.input.unwrap().payloads.remove(0);
        assert_eq!(input.data, [0, 1]);
        assert_eq!(input.metadata["encoding"], b"binary/plain");
        assert_eq!(input.metadata["messageType"], b"shop.Order");
        assert_eq!(began.memo.unwrap().fields["who"].data, b"{\"n\": 1}");
        let seconds = [
            began.workflow_execution_timeout,
            began.workflow_run_timeout,
            began.workflow_task_timeout,
        ];
        assert_eq!(seconds.map(|it| it.unwrap().seconds), [3600, 1800, 5]);
        let priority = began.priority.unwrap();
        assert_eq!((priority.priority_key, priority.fairness_key.as_str()), (2, "f"));
        assert!((priority.fairness_weight - 2.5).abs() < f32::EPSILON);
        let retry = began.retry_policy.unwrap();
        assert_eq!((retry.maximum_attempts, retry.initial_interval.unwrap().seconds), (3, 2));
        let waits = began.first_workflow_task_backoff.unwrap_or_default();
        assert_eq!(waits.nanos > 0, !delay.is_empty(), "{delay:?}: {waits:?}");
    }
}

#[test]
fn wrong_values_of_a_start_are_refused_in_one_line_with_the_rule() {
    let world = World::new();
    for (flags, words) in [
        (&["--input", "nonsense"][..], "--input \"nonsense\": not JSON"),
        (&["--input", "@no/such"], "--input @no/such: cannot read it: No such file"),
        (&["--input-encoding", "json"], "expected an encoding such as json/plain"),
        (&["--input-encoding", "json/plain"], "need an --input"),
        (&["--memo", "a"], "expected KEY=JSON"),
        (&["--memo", "a=b"], "the value is not JSON"),
        (&["--memo", "a=1", "--memo", "a=2"], "--memo a is given twice"),
        (&["--priority-key", "6"], "from 1 to 5"),
        (&["--fairness-weight", "0"], "expected a number from 0.001 to 1000"),
        (&["--run-timeout", "0s"], "expected a duration above 0"),
        (&["--id-reuse-policy", "Maybe"], "expected RejectDuplicate, AllowDuplicateFailedOnly"),
        (&["--inputs", "-", "--input", "1"], "cannot be used with"),
    ] {
        let refused = run(world.fleet([&["starter"][..], flags].concat()));
        assert_eq!(refused.code, 2, "{refused:#?}");
        assert!(refused.err[0].contains(words), "{words}: {refused:#?}");
    }
    assert!(workflow_ids(&world.workflow_queue()).is_empty());
}

#[test]
fn a_workflow_that_exists_is_started_again_only_if_the_policy_says_so() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let again = |policy: &[&str]| {
        let of = ["starter", "-n", "1", "--batch", "b", "--input", STOLEN];
        let mut starter = world.orders([&of[..], policy].concat());
        starter.args(["--workflow-id-prefix", &world.id()]);
        run(starter)
    };
    assert_eq!(again(&[]).code, 1);
    assert_eq!(again(&[]).code, 1);
    let runs = || server::count(&world.workflow_queue(), "WorkflowType IS NOT NULL");
    eventually("it is listed", || runs() == 1);
    assert_eq!(again(&["--id-reuse-policy", "AllowDuplicateFailedOnly"]).code, 1);
    eventually("it ran again", || runs() == 2);
    let exists = again(&["--id-conflict-policy", "Fail"]);
    assert_eq!(exists.code, 1, "{exists:#?}");
    assert!(exists.err.last().unwrap().ends_with("exists already (--id-conflict-policy Fail)"));
}
