//! Groups of workers: `[workers.NAME]` in `fleet.toml`.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, World, eventually, get, run};

/// A world with a settings file of its own. Its commands have no queues in their environment.
struct Grouped {
    world: World,
    folder: TempDir,
}

impl Grouped {
    /// In `file`, `<q>` stands for the world's name.
    fn new(file: &str) -> Self {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("fleet.toml"), file.replace("<q>", &world.id())).unwrap();
        Self { world, folder }
    }

    fn here(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder.path())
            .env_remove("FLEET_WORKFLOW_TASK_QUEUE")
            .env_remove("FLEET_ACTIVITY_TASK_QUEUE");
        command
    }

    fn fleet<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.here(self.world.fleet(arguments))
    }

    fn orders<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.here(self.world.orders(arguments))
    }
}

const GROUPS: &str = r#"
[workers.seed]
role = "workflow-worker"
task_queue = "<q>-seed"
count = 2

[workers.echo]
role = "activity-worker"
task_queue = "<q>-echo"
count = 1
max_activities_per_second = 10
drain_timeout = "7s"

[workers.python]
role = "activity-worker"
task_queue = "<q>-python"
"#;

#[test]
fn a_fleet_of_groups_completes_workflows_and_names_its_groups_everywhere() {
    let grouped = Grouped::new(GROUPS);
    let (mut up, address) = Process::start_probed(grouped.fleet(["up"]));
    eventually("the fleet is ready", || {
        get(&address, "/readyz").is_some_and(|(code, _)| code == 200)
    });

    let began = Instant::now();
    let lines = run(grouped.fleet(["starter", "-n", "20"])).success();
    assert_eq!(lines.len(), 20);
    assert!(began.elapsed() > Duration::from_secs(1), "its worker starts ten activities a second");

    let (_, status) = get(&address, "/status").unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let workers: Vec<_> = status["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| ["name", "group", "role"].map(|key| worker[key].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(
        workers,
        [
            ["echo:0", "echo", "activity-worker"],
            ["seed:0", "seed", "workflow-worker"],
            ["seed:1", "seed", "workflow-worker"],
        ]
    );
    let (_, metrics) = get(&address, "/metrics").unwrap();
    for line in [
        r#"fleet_workers{group="echo",role="activity-worker",state="ready"} 1"#,
        r#"fleet_workers{group="seed",role="workflow-worker",state="ready"} 2"#,
    ] {
        assert!(metrics.contains(line), "no {line}");
    }
    assert!(metrics.contains(r#"worker="echo:0",group="echo""#));

    let shown = run(grouped.fleet(["status"])).success().join("\n");
    let shown: Vec<_> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    for (queue, kind) in [("seed", "workflow"), ("echo", "activity"), ("python", "activity")] {
        let queue = format!("{}-{queue}", grouped.world.id());
        assert!(shown.iter().any(|line| line.starts_with(&[&queue, kind])), "{queue}: {shown:?}");
    }
    for group in ["seed@", "echo@"] {
        assert!(shown.iter().any(|line| line.first().is_some_and(|word| word.starts_with(group))));
    }
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
}

#[test]
fn a_process_of_a_group_has_its_queue_and_its_settings() {
    let grouped = Grouped::new(GROUPS);
    let worker = grouped.fleet(["worker", "--group", "echo"]);
    let (_worker, address) = Process::start_probed(worker);
    eventually("the worker is ready", || {
        get(&address, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    let (_, status) = get(&address, "/status").unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["group"], "echo");
    assert_eq!(status["role"], "activity-worker");
    assert_eq!(status["task_queue"], format!("{}-echo", grouped.world.id()));
    assert!(status["identity"].as_str().unwrap().starts_with("echo@"));

    let mut config = grouped.fleet(["config", "--output", "json"]);
    config.env("FLEET_GROUP", "echo");
    let config: Value = serde_json::from_str(&run(config).success().join("\n")).unwrap();
    assert_eq!(config["settings"]["drain_timeout"]["value"], "7s");
    assert_eq!(config["groups"]["seed"]["count"], 2);
}

#[test]
fn the_printed_settings_are_a_file_with_the_same_groups() {
    let grouped = Grouped::new(GROUPS);
    let printed = run(grouped.fleet(["config"])).success();
    let json = |grouped: &Grouped| -> Value {
        serde_json::from_str(
            &run(grouped.fleet(["config", "--output", "json"])).success().join("\n"),
        )
        .unwrap()
    };
    let again = Grouped { world: World::new(), folder: tempfile::tempdir().unwrap() };
    fs::write(again.folder.path().join("fleet.toml"), printed.join("\n")).unwrap();
    let (one, other) = (json(&grouped), json(&again));
    for group in ["seed", "echo", "python"] {
        for key in ["role", "task_queue", "count"] {
            assert_eq!(one["groups"][group][key], other["groups"][group][key], "{group} {key}");
        }
        assert_eq!(
            one["groups"][group]["settings"]["drain_timeout"]["value"],
            other["groups"][group]["settings"]["drain_timeout"]["value"]
        );
    }
}

#[test]
fn activities_run_on_the_workers_that_were_chosen_for_them() {
    let grouped = Grouped::new(
        r#"
        [workers.orders]
        role = "workflow-worker"
        task_queue = "<q>-orders"
        count = 1
        [workers.charging]
        role = "activity-worker"
        task_queue = "<q>-act"
        count = 1
        [workers.packing]
        role = "activity-worker"
        task_queue = "<q>-act"
        count = 1
        activities = ["pack", "ship", "cancel"]
        "#,
    );
    let finished = run(grouped.orders(["up"]));
    let wrong = "\"cancel\": no such activity; the nearest is charge";
    assert_eq!(finished.code, 78);
    assert!(finished.err[0].ends_with(wrong), "{finished:#?}");

    let file = grouped.folder.path().join("fleet.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace(", \"cancel\"", "")).unwrap();
    let up = Process::start(grouped.orders(["up", "--output", "json"]));
    up.out.wait_for("fleet_ready");
    // Half of the charges come to the wrong worker first, which refuses them; they are tried again soon.
    let input = r#"{"id":"1","items":[],"hold_ms":0,"card":"valid"}"#;
    let starter = ["starter", "-n", "8", "--input", input, "--output", "json"];
    let lines = run(grouped.orders(starter)).success();
    for line in &lines[..8] {
        let outcome: Value = serde_json::from_str(line).unwrap();
        let id = outcome["workflow_id"].as_str().unwrap();
        let trace = run(grouped.orders(["trace", id, "--output", "json"])).success().join("");
        let trace: Value = serde_json::from_str(&trace).unwrap();
        let mut rows = trace["rows"].as_array().unwrap().iter();
        let charge = rows.find(|row| row["name"] == "Warehouse::charge").unwrap();
        assert!(charge["worker"].as_str().unwrap().starts_with("charging@"), "{charge}");
    }
}

#[test]
fn what_does_not_fit_groups_is_refused_in_one_line() {
    let grouped = Grouped::new(GROUPS);
    let refused = |arguments: &[&str]| {
        let finished = run(grouped.fleet(arguments.iter().copied()));
        assert_eq!(finished.err.len(), 1, "{finished:#?}");
        (finished.code, finished.err[0].clone())
    };
    assert_eq!(
        refused(&["up", "-w", "3"]),
        (2, "error: -w, -a and --num-workers are for a fleet without groups: set each group's count in fleet.toml".into())
    );
    assert_eq!(
        refused(&["worker", "--group", "sead"]),
        (78, "error: --group=\"sead\" (flag): no such group; the nearest is seed".into())
    );

    let two = Grouped::new(&format!(
        "{GROUPS}\n[workers.more]\nrole = \"workflow-worker\"\ntask_queue = \"<q>-more\"\ncount = 1"
    ));
    let finished = run(two.fleet(["starter", "-n", "1"]));
    assert_eq!(finished.code, 2);
    let name = two.world.id();
    assert_eq!(
        finished.err,
        [format!(
            "error: several groups run workflows: choose a task queue with --task-queue: {name}-more (more), {name}-seed (seed)"
        )]
    );
}
