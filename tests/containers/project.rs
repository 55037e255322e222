//! A fleet in containers that belongs to one test, and the engine that runs it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Finished, Process, eventually, example, get, kill, program};

/// The name of the image with the shipped fleet, built from this source.
pub(crate) const IMAGE: &str = "temporal-fleet-test";
/// The source revision that the build of the image is given.
pub(crate) const REVISION: &str = "revision-under-test";

/// The deadline for a command. A new machine with two cores builds the image in a quarter of an hour.
const LONGEST: Duration = Duration::from_mins(40);

/// Allows one fleet at a time: several at once would be too slow on a small machine for the tests'
/// deadlines.
static ALONE: Mutex<()> = Mutex::new(());
const PREFIX: &str = "fleet-test-";

pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a Compose command for the project `name`, with the files of this checkout and no variables
/// but those of `.env`.
fn compose_of<'a>(name: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program("docker");
    command
        .current_dir(checkout())
        .args(["compose", "--project-name", name, "--progress", "plain"])
        .args(arguments)
        .env("COMPOSE_PROFILES", "")
        .env("IMAGE", IMAGE)
        .env("REVISION", REVISION)
        .env("TEMPORAL_PORT", "0")
        .env("TEMPORAL_UI_PORT", "0");
    command
}

/// Runs a command that can take long, such as building an image, to its end.
#[track_caller]
fn run(command: Command) -> Finished {
    let shown = format!("{command:?}");
    let mut process = Process::start(command);
    let deadline = Instant::now() + LONGEST;
    while process.ended().is_none() {
        assert!(Instant::now() < deadline, "still running: {shown}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let code = process.exit_code();
    Finished { code, out: process.out.wait_end(), err: process.err.wait_end() }
}

/// Runs `docker` and returns the lines of its stdout.
#[track_caller]
pub(crate) fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut command = program("docker");
    command.args(arguments);
    run(command).success()
}

/// Builds the image, only once in a run of the tests.
pub(crate) fn build_image() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        eprintln!("building the image {IMAGE}: the first time takes some minutes");
        run(compose_of("fleet-test-build", ["build"])).success();
    });
}

/// Builds an image with the `orders` example, whose activities can be given their duration. It holds the
/// program that `cargo test` has built, and the libraries of this machine that the program needs.
fn build_orders_image() -> &'static str {
    const ORDERS: &str = "temporal-fleet-test-orders";
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut strip = program("strip");
        strip.arg("-o").arg(root.join("fleet")).arg(example("orders"));
        run(strip).success();
        let mut ldd = program("ldd");
        ldd.arg(example("orders"));
        for line in run(ldd).success() {
            let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) else {
                continue;
            };
            let target = root.join(&library[1..]);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(library, target).unwrap();
        }
        let dockerfile = folder.path().join("Dockerfile");
        let text = "FROM scratch\n\
            COPY root/ /\n\
            USER 65532:65532\n\
            ENV FLEET_HEALTH_ADDR=0.0.0.0:8080\n\
            HEALTHCHECK --interval=1s --timeout=6s --start-period=60s --retries=1 CMD [\"/fleet\", \"health\"]\n\
            ENTRYPOINT [\"/fleet\"]\n";
        fs::write(&dockerfile, text).unwrap();
        docker(["build", "--quiet", "--tag", ORDERS, folder.path().to_str().unwrap()]);
    });
    ORDERS
}

/// A fleet that belongs to one test. Dropping it removes it with its network and the server's data.
pub(crate) struct Project {
    name: String,
    image: &'static str,
    _alone: MutexGuard<'static, ()>,
}

impl Project {
    /// Creates a project of the shipped fleet, without starting anything.
    pub(crate) fn new() -> Self {
        build_image();
        Self::of(IMAGE)
    }

    /// Creates a project of the `orders` example, without starting anything.
    pub(crate) fn orders() -> Self {
        Self::of(build_orders_image())
    }

    fn of(image: &'static str) -> Self {
        // The lock is poisoned after a failed test, but `drop` has removed that test's fleet too.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        remove_abandoned();
        let name = format!("{PREFIX}{}-{}", std::process::id(), Uuid::new_v4().simple());
        Self { name, image, _alone: alone }
    }

    pub(crate) fn compose<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = compose_of(&self.name, arguments);
        command.env("IMAGE", self.image);
        command
    }

    /// Starts the server, an activity worker and this number of workflow workers, and waits until they are
    /// healthy.
    #[track_caller]
    pub(crate) fn up(&self, workflow_workers: usize) {
        let scale = format!("workflow-worker={workflow_workers}");
        let services = ["workflow-worker", "activity-worker"];
        let up = ["up", "--detach", "--no-build", "--scale", &scale];
        run(self.compose(up.into_iter().chain(services))).success();
        self.healthy("workflow-worker", workflow_workers);
        self.healthy("activity-worker", 1);
    }

    /// Waits until a service has `count` containers, all of them healthy.
    #[track_caller]
    pub(crate) fn healthy(&self, service: &str, count: usize) {
        eventually(&format!("{count} healthy containers of {service}"), || {
            let containers = self.containers(service);
            containers.len() == count
                && containers
                    .iter()
                    .all(|container| container.state()["Health"]["Status"] == "healthy")
        });
    }

    /// Changes the scale of a service in a running fleet.
    #[track_caller]
    pub(crate) fn scale(&self, service: &str, count: usize) {
        run(self.compose(["scale", "--no-deps", &format!("{service}={count}")])).success();
    }

    /// Returns the command `docker compose run --rm starter` with these arguments.
    pub(crate) fn starter<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.compose(["run", "--rm", "--no-TTY", "starter"].into_iter().chain(arguments))
    }

    /// Returns the running containers of a service.
    #[track_caller]
    pub(crate) fn containers(&self, service: &str) -> Vec<Container> {
        let ids = run(self.compose(["ps", "--quiet", service])).success();
        ids.into_iter().filter(|id| !id.is_empty()).map(Container).collect()
    }

    /// Returns the only container of a service.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> Container {
        let mut containers = self.containers(service);
        assert_eq!(containers.len(), 1, "{service}");
        containers.remove(0)
    }

    /// Returns the host names in the labels of a service's workers.
    pub(crate) fn hosts(&self, service: &str) -> BTreeSet<String> {
        self.containers(service).iter().map(|container| container.0[..12].to_owned()).collect()
    }

    /// Returns the address at which this machine reaches the server.
    #[track_caller]
    pub(crate) fn address(&self) -> String {
        let lines = run(self.compose(["port", "temporal", "7233"])).success();
        lines.into_iter().next().unwrap()
    }

    pub(crate) fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    #[track_caller]
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        run(self.compose(arguments)).success()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = run(self.compose(["logs", "--no-color", "--tail", "50"]));
            eprintln!("{}", logs.out.join("\n"));
        }
        remove(&self.name);
    }
}

/// Removes a project with everything in it, including the containers of `compose run`.
fn remove(name: &str) {
    let project = format!("label=com.docker.compose.project={name}");
    let containers = docker(["ps", "--all", "--quiet", "--filter", &project]);
    let ids = containers.iter().map(String::as_str).filter(|id| !id.is_empty());
    let mut rm = program("docker");
    rm.args(["rm", "--force", "--volumes"]).args(ids);
    if !containers.is_empty() {
        run(rm);
    }
    run(compose_of(name, ["down", "--volumes", "--remove-orphans", "--timeout", "0"]));
}

/// Removes the projects of killed test runs: the process id in such a project's name belongs to no
/// running process.
fn remove_abandoned() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let format = "{{.Label \"com.docker.compose.project\"}}";
        let projects: BTreeSet<_> =
            docker(["ps", "--all", "--format", format]).into_iter().collect();
        for name in projects {
            let run =
                name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
            if run.and_then(Pid::from_raw).is_some_and(|run| test_kill_process(run).is_err()) {
                remove(&name);
            }
        }
    });
}

/// A container, identified by its id.
pub(crate) struct Container(pub(crate) String);

impl Container {
    /// Returns the container's details from `docker inspect`.
    #[track_caller]
    pub(crate) fn inspect(&self) -> Value {
        let text = docker(["inspect", &self.0]).join("\n");
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// Returns the container's state: `Status`, `ExitCode`, `Pid`, `Health`.
    #[track_caller]
    pub(crate) fn state(&self) -> Value {
        self.inspect()["State"].take()
    }

    /// Returns the answer of the container's health listener, over the network that it shares with this
    /// machine.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let inspected = self.inspect();
        let networks = inspected["NetworkSettings"]["Networks"].as_object().unwrap();
        let network = networks.values().next()?;
        get(&format!("{}:8080", network["IPAddress"].as_str()?), path)
    }

    /// Signals the container's process from outside, as the kernel does when memory runs out. `docker
    /// kill` is different: the engine treats it as a request to stop the container.
    #[track_caller]
    pub(crate) fn signal_from_host(&self, signal: Signal) {
        let process = self.state()["Pid"].as_u64().unwrap();
        kill(u32::try_from(process).unwrap(), signal);
    }

    /// Runs `docker stop` with the time limit that Compose uses, and returns how long it took.
    #[track_caller]
    pub(crate) fn stop(&self) -> Duration {
        let start = Instant::now();
        docker(["stop", &self.0]);
        start.elapsed()
    }
}
