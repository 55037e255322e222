//! The image, and the properties of its containers.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{
    project::{IMAGE, Project, REVISION, build_image, docker},
    support::{eventually, labels, run},
};

/// The upper limit for the image's size in bytes: clusters pull images often, so a small one matters.
const LARGEST: u64 = 20_000_000;

#[test]
fn the_image_is_small_and_labelled() {
    build_image();
    let text = docker(["image", "inspect", IMAGE]).join("\n");
    let image = serde_json::from_str::<Value>(&text).unwrap()[0].take();
    assert!(image["Size"].as_u64().unwrap() <= LARGEST, "{} bytes", image["Size"]);
    let config = &image["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/fleet"]), "without a shell, signals reach the fleet");
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "/fleet", "health"]));
    let label = |name: &str| &config["Labels"][format!("org.opencontainers.image.{name}")];
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("revision"), REVISION);
    for name in ["title", "description", "licenses"] {
        assert!(label(name).as_str().is_some_and(|value| !value.is_empty()), "{name}");
    }
    let version = docker(["run", "--rm", IMAGE, "--version"]);
    assert_eq!(version, [format!("fleet {} ({REVISION})", env!("CARGO_PKG_VERSION"))]);
}

/// These are the README's first two commands for containers.
#[test]
fn two_workflow_workers_share_the_workflows_of_a_one_shot_starter() {
    let fleet = Project::new();
    let up = ["up", "--detach", "--build", "--scale", "workflow-worker=2"];
    fleet.run(up);
    let results = run(fleet.starter(["-n", "25"])).success();
    assert_eq!(results.len(), 25);
    let lines: Vec<_> = results.iter().map(|line| labels(line)).collect();
    let hosts = |which: usize| -> BTreeSet<_> {
        lines.iter().map(|labels| labels[which].strip_prefix("1@").unwrap().to_owned()).collect()
    };
    let workers = fleet.hosts("workflow-worker");
    assert_eq!(workers.len(), 2, "the starter did not stop a worker");
    assert_eq!((hosts(0), hosts(2)), (workers.clone(), workers), "{results:#?}");
    assert_eq!(hosts(1), fleet.hosts("activity-worker"), "{results:#?}");

    // The starter's service itself ran once with `up`, with the sample's default number of workflows.
    let starters = fleet.run(["ps", "--all", "--quiet", "starter"]);
    let once = crate::project::Container(starters[0].clone());
    eventually("up's own starter ends", || once.state()["Status"] == "exited");
    assert_eq!(once.state()["ExitCode"], 0);

    // Another `up` runs the starter again, and leaves the running workers as they are.
    let ids = |fleet: &Project| -> BTreeSet<_> {
        fleet.containers("workflow-worker").into_iter().map(|container| container.0).collect()
    };
    let before = ids(&fleet);
    fleet.run(["up", "--detach", "--build", "--scale", "workflow-worker=3"]);
    let after = ids(&fleet);
    assert!(before.is_subset(&after) && after.len() == 3, "{before:?}, then {after:?}");
}

#[test]
fn a_worker_runs_unprivileged_on_a_read_only_file_system() {
    let fleet = Project::new();
    fleet.up(1);
    for service in ["workflow-worker", "activity-worker"] {
        let worker = fleet.container(service);
        let host = &worker.inspect()["HostConfig"];
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!(host["CapAdd"], Value::Null);
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
        assert!(host["Memory"].as_u64().unwrap() > 0 && host["PidsLimit"].as_u64().unwrap() > 0);

        // The kernel's view of the process confirms this.
        let process = worker.state()["Pid"].as_u64().unwrap();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("Uid:"), "65532 65532 65532 65532");
        assert_eq!(line("Gid:"), "65532 65532 65532 65532");
        for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(line(set), "0000000000000000", "{set}");
        }
        assert_eq!(line("NoNewPrivs:"), "1");

        let (code, body) = worker.get("/status").unwrap();
        let status: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &status["build_id"]), (200, &REVISION.into()), "{status}");
    }
}
