//! The README's commands: each of them is run by the test that `COMMANDS` names, here, in `chaos.rs` or
//! in `tests/containers`, and its output has the form that the README shows.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    demo::FreshMachine,
    server,
    support::{
        FLEET, Process, World, commands_in, eventually, form, get, program, readme, readme_blocks,
        run,
    },
};

/// Each command of the README, and the test that runs it.
const COMMANDS: [(&str, &str); 28] = [
    ("cargo run --release -- demo", "the_demo_prints_what_the_readme_shows"),
    ("fleet demo", "the_demo_prints_what_the_readme_shows"),
    ("cargo test", "itself"),
    ("cargo install --path .", "an_installed_fleet_does_what_get_started_shows"),
    ("fleet up --dev-server", "an_installed_fleet_does_what_get_started_shows"),
    ("export TEMPORAL_ADDRESS=127.0.0.1:7233", "an_installed_fleet_does_what_get_started_shows"),
    ("fleet starter -n 100", "an_installed_fleet_does_what_get_started_shows"),
    ("FLEET_ROLE=workflow-worker fleet", "a_role_makes_a_process_a_worker"),
    ("fleet worker", "a_role_makes_a_process_a_worker"),
    ("fleet health", "a_role_makes_a_process_a_worker"),
    ("fleet up", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet starter", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet status", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet trace", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet trace WORKFLOW_ID", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet bench", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet bench --rate 20/s --duration 20s", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet chaos", "a_trial_of_its_own_fleet_loses_nothing_and_leaves_nothing_behind"),
    ("fleet config", "the_readmes_commands_work_with_a_running_fleet"),
    ("fleet completions", "the_readmes_commands_work_with_a_running_fleet"),
    ("cargo run -- demo --input '\"you\"'", "the_crate_in_the_readme_greets"),
    (
        "docker compose up -d --build --scale workflow-worker=2",
        "the_commands_of_the_readme_work_one_after_the_other",
    ),
    (
        "docker compose run --rm starter -n 25",
        "the_commands_of_the_readme_work_one_after_the_other",
    ),
    (
        "docker compose scale workflow-worker=4",
        "the_commands_of_the_readme_work_one_after_the_other",
    ),
    (
        "docker compose scale workflow-worker=1",
        "the_commands_of_the_readme_work_one_after_the_other",
    ),
    (
        "docker compose logs -f workflow-worker",
        "the_commands_of_the_readme_work_one_after_the_other",
    ),
    ("docker compose stop", "the_commands_of_the_readme_work_one_after_the_other"),
    ("deploy/airgap/build-images", "itself"),
];

/// Returns the commands that the README shows: as code within its text, and in its terminal blocks.
fn typed() -> BTreeSet<String> {
    let readme = readme();
    let mut typed = BTreeSet::new();
    for block in readme_blocks("# temporal-fleet", "console") {
        typed.extend(commands_in(&block).into_iter().map(|(command, _)| command));
    }
    let text = readme.split("```").step_by(2);
    let code = text.flat_map(|text| text.split('`').skip(1).step_by(2));
    let programs = ["fleet ", "cargo ", "docker ", "deploy/"];
    let is_command = |code: &&str| {
        let program = code.split(' ').find(|word| !word.contains('=')).unwrap_or_default();
        programs.iter().any(|known| {
            format!("{program} ") == *known || known.ends_with('/') && program.starts_with(known)
        })
    };
    // `fleet` alone is the name of the program, not a command.
    typed.extend(code.filter(is_command).filter(|code| *code != "fleet").map(str::to_owned));
    typed
}

#[test]
fn every_command_of_the_readme_is_run_by_a_test() {
    let listed: BTreeSet<_> = COMMANDS.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(typed(), listed);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = ["tests/it/readme.rs", "tests/it/chaos.rs", "tests/containers/readme.rs"];
    let tests = tests.map(|path| fs::read_to_string(root.join(path)).unwrap()).join("\n");
    for (command, test) in COMMANDS {
        assert!(
            test == "itself" || tests.contains(&format!("fn {test}(")),
            "{command}: no test {test}"
        );
    }
}

/// Returns what a command prints in a terminal, with both streams in one.
#[track_caller]
fn in_a_terminal(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_str().unwrap());
    let mut shell = program("sh");
    shell.args(["-c", &format!("exec {} 2>&1", shlex::try_join(words).unwrap())]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    run(shell).success()
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let block = readme_blocks("# temporal-fleet", "console").remove(0);
    let [(typed, shown)] = &commands_in(&block)[..] else { panic!("one command: {block}") };
    let arguments = typed.strip_prefix("cargo run --release -- ").unwrap();
    let machine = FreshMachine::new();
    let demo = machine.demo(&[]);
    assert_eq!(arguments, "demo");
    assert_eq!(form(&in_a_terminal(&demo)), form(shown));
}

#[test]
fn an_installed_fleet_does_what_get_started_shows() {
    let block = readme_blocks("## Get started", "console").remove(0);
    let commands = commands_in(&block);
    let typed: Vec<_> = commands.iter().map(|(typed, _)| &**typed).collect();
    let [install, up, address, starter] = typed[..] else { panic!("{block}") };

    let folder = TempDir::new().unwrap();
    let mut cargo = cargo();
    let arguments = shlex::split(install.strip_prefix("cargo ").unwrap()).unwrap();
    cargo.args(arguments).args(["--debug", "--locked", "--quiet", "--no-track", "--root"]);
    cargo.arg(folder.path());
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    run_for_long(cargo);
    let fleet = |typed: &str| {
        let words = shlex::split(typed).unwrap();
        assert_eq!(words[0], "fleet");
        let mut command = program(folder.path().join("bin/fleet"));
        command.args(&words[1..]);
        command
    };

    // The server uses any free port, because another one may run on this machine.
    let mut up = fleet(up);
    up.args(["--port", "0", "--ui-port", "0"]);
    let up = Process::start(up);
    let name = address.strip_prefix("export ").unwrap().split_once('=').unwrap().0;
    let line = up.err.wait_for(&format!("{name}="));
    let mut starter = fleet(starter);
    starter.env(name, line.split_once(&format!("{name}=")).unwrap().1);
    assert_eq!(run(starter).success().len(), 100);
}

#[test]
fn a_role_makes_a_process_a_worker() {
    let world = World::new();
    let mut with_variable = world.fleet([]);
    with_variable.env("FLEET_ROLE", "workflow-worker");
    let (_workflows, address) = Process::start_probed(with_variable);
    let _activities = Process::start(world.fleet(["worker", "--role", "activity-worker"]));
    let mut health = program(FLEET);
    health.arg("health").env("FLEET_HEALTH_ADDR", &address);
    eventually("the worker is ready", || {
        get(&address, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    run(health).success();
    assert_eq!(run(world.fleet(["starter", "-n", "2"])).success().len(), 2);
}

#[test]
fn the_readmes_commands_work_with_a_running_fleet() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up"]));
    let batch = world.id();
    let first = run(world.fleet(["starter", "-n", "3", "--batch", &batch, "--output", "json"]));
    let first = first.success();
    let again = run(world.fleet(["starter", "-n", "3", "--batch", &batch]));
    assert!(again.err.iter().any(|line| line.contains("3 completed")), "{again:#?}");
    assert_eq!(
        again.success().len(),
        3,
        "workflows run once, and both starters print their results"
    );

    let workflow: serde_json::Value = serde_json::from_str(&first[0]).unwrap();
    let id = workflow["workflow_id"].as_str().unwrap();
    let trace = run(world.fleet(["trace", id])).success();
    assert!(trace.iter().any(|line| line.contains("the workflow")), "{trace:#?}");
    run(world.fleet(["status", "--check"])).success();
    run(world.fleet(["config"])).success();
    run(world.fleet(["completions", "bash"])).success();

    let bench = shlex::split("bench --rate 20/s --duration 20s").unwrap();
    let bench = bench.iter().map(String::as_str);
    let goals = ["--slo", "p99=1h", "--max-errors", "1%"];
    let measured = run(world.fleet(bench.chain(goals))).success();
    assert!(measured.iter().any(|line| line.contains("400")), "20 s at 20/s: {measured:#?}");
}

/// Returns the cargo that runs the test, with the target folder of this build.
fn cargo() -> Command {
    #[expect(clippy::disallowed_methods, reason = "cargo passes its own path to tests")]
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = program(cargo);
    command.env("CARGO_TARGET_DIR", profile().parent().unwrap());
    command
}

/// Returns the folder of the programs that this build made.
fn profile() -> &'static Path {
    Path::new(FLEET).parent().unwrap()
}

/// Runs a command without a deadline, because the duration of a build is unknown.
#[track_caller]
fn run_for_long(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_crate_in_the_readme_greets() {
    let folder = TempDir::new().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let manifest = readme_blocks("## Your own workflows", "toml").remove(0);
    let here = "path = \"../temporal-fleet\"";
    assert!(manifest.contains(here), "{manifest}");
    fs::create_dir(folder.path().join("src")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("Cargo.toml", &manifest.replace(here, &format!("path = {root:?}")));
    write("src/main.rs", &readme_blocks("## Your own workflows", "rust")[0]);
    fs::copy(Path::new(root).join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    let mut build = cargo();
    build
        .args(["build", "--quiet"])
        .args(profile().ends_with("release").then_some("--release"))
        .current_dir(folder.path());
    run_for_long(build);

    let greetings = profile().join("greetings");
    let mut demo = program(&greetings);
    demo.args(["demo", "--input", "\"you\""]);
    assert_eq!(run(demo).success(), ["Hello, you!"; 25]);

    let at_server = |arguments: &[&str]| {
        let mut command = program(&greetings);
        command.args(arguments).env("TEMPORAL_ADDRESS", server::address());
        command
    };
    let _up = Process::start(at_server(&["up", "-w", "1"]));
    let _worker = Process::start(at_server(&["worker", "--role", "workflow-worker"]));
    let results = run(at_server(&["starter", "-n", "2", "--input", "\"you\""])).success();
    assert_eq!(results, ["Hello, you!", "Hello, you!"]);
}
