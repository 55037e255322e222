//! What the tests share: a fleet's processes, and waiting for what they do.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    iter,
    net::{TcpListener, TcpStream},
    ops::Range,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use uuid::Uuid;

use crate::server;

/// Long enough for the busiest machine: only a failing test waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// The binary under test.
pub(crate) const FLEET: &str = env!("CARGO_BIN_EXE_fleet");

/// An example, which `cargo test` builds beside the binary (`cargo test --test it` does not).
pub(crate) fn example(name: &str) -> PathBuf {
    let path = Path::new(FLEET).with_file_name("examples").join(name);
    assert!(path.exists(), "no {}: run cargo build --examples", path.display());
    path
}

/// What a program under test must not inherit: the caller's own fleet and Temporal settings, and
/// what cargo tells a test of its package, which a nested cargo takes for a change (the build script
/// of ring asks for it) and builds half the tree again, under the feet of the outer one.
const NOT_INHERITED: [&str; 8] = [
    "FLEET_",
    "TEMPORAL_",
    "OTEL_",
    "TRACE",
    "RUST_LOG",
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_PRIMARY_PACKAGE",
];

/// A program without [`NOT_INHERITED`].
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    #[expect(clippy::disallowed_methods, reason = "to leave out what must not be inherited")]
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if NOT_INHERITED.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// A test's own part of the server: queues that no other test uses.
pub(crate) struct World {
    name: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { name: format!("test-{}", Uuid::new_v4()) }
    }

    /// A name that no other test uses.
    pub(crate) fn id(&self) -> String {
        self.name.clone()
    }

    pub(crate) fn workflow_queue(&self) -> String {
        format!("{}-w", self.name)
    }

    pub(crate) fn activity_queue(&self) -> String {
        format!("{}-a", self.name)
    }

    /// The `fleet` binary in this world.
    pub(crate) fn fleet<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.at_home(FLEET, arguments)
    }

    /// The `orders` example in this world.
    pub(crate) fn orders<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.at_home(example("orders"), arguments)
    }

    /// Any fleet's program in this world.
    pub(crate) fn at_home<'a>(
        &self,
        path: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = program(path);
        command
            .args(arguments)
            .env("TEMPORAL_ADDRESS", server::address())
            .env("FLEET_WORKFLOW_TASK_QUEUE", self.workflow_queue())
            .env("FLEET_ACTIVITY_TASK_QUEUE", self.activity_queue());
        command
    }
}

/// The lines so far, and whether the stream has ended; and the word that something changed.
type State = (Mutex<(Vec<String>, bool)>, Condvar);

/// The lines of a stream, as they come.
#[derive(Clone)]
pub(crate) struct Lines {
    state: Arc<State>,
    name: &'static str,
}

impl Lines {
    fn read(stream: impl Read + Send + 'static, name: &'static str) -> Self {
        let lines = Self { state: Arc::default(), name };
        let writer = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.update(|(lines, _)| lines.push(line));
            }
            writer.update(|(_, ended)| *ended = true);
        });
        lines
    }

    fn update(&self, change: impl FnOnce(&mut (Vec<String>, bool))) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    /// Waits until `found` makes something of the lines so far.
    #[track_caller]
    fn wait<T>(&self, what: &str, mut found: impl FnMut(&[String], bool) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.state.0.lock().unwrap();
        loop {
            if let Some(it) = found(&state.0, state.1) {
                return it;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !state.1,
                "no {what} on {} ({}):\n{}",
                self.name,
                if state.1 { "it ended" } else { "deadline" },
                state.0.join("\n")
            );
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line that contains `text` and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("line with {text:?}"), |lines, _| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits until there are `count` lines and returns them.
    #[track_caller]
    pub(crate) fn wait_count(&self, count: usize) -> Vec<String> {
        self.wait(&format!("{count} lines"), |lines, _| {
            (lines.len() >= count).then(|| lines.to_vec())
        })
    }

    /// Waits until nobody holds the stream open any more and returns all lines. For a stream that
    /// a process hands to its children this is the end of all of them.
    #[track_caller]
    pub(crate) fn wait_end(&self) -> Vec<String> {
        self.wait("end", |lines, ended| ended.then(|| lines.to_vec()))
    }

    /// All lines so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.state.0.lock().unwrap().0.clone()
    }
}

/// A running process, in a process group of its own, as a shell makes one for each command.
pub(crate) struct Process {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
    /// Held open: some of the programs under test take its end for the end of their parent.
    _stdin: ChildStdin,
}

impl Process {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self {
            out: Lines::read(child.stdout.take().unwrap(), "stdout"),
            err: Lines::read(child.stderr.take().unwrap(), "stderr"),
            _stdin: child.stdin.take().unwrap(),
            child,
        }
    }

    /// Starts a worker, or a fleet, with a listener for health probes; and its address.
    #[track_caller]
    pub(crate) fn start_probed(mut fleet: Command) -> (Self, String) {
        let address = format!("127.0.0.1:{}", free_port());
        fleet.env("FLEET_HEALTH_ADDR", &address);
        (Self::start(fleet), address)
    }

    /// Starts a fleet and waits until every worker of it is ready.
    #[track_caller]
    pub(crate) fn start_ready(fleet: Command) -> Self {
        let (fleet, health) = Self::start_probed(fleet);
        eventually("the fleet is ready", || {
            get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
        });
        fleet
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// What Ctrl-C in a terminal does: SIGINT to the whole foreground process group.
    pub(crate) fn ctrl_c(&self) {
        kill_process_group(pid(self.pid()), Signal::INT).unwrap();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the exit.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running; stderr:\n{}",
                self.err.so_far().join("\n")
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the exit and returns its code: as a shell does, 128 and the number of a signal.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its children watch a pipe from it and follow.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: Command) -> Finished {
    let mut process = Process::start(command);
    let code = process.exit_code();
    Finished { code, out: process.out.wait_end(), err: process.err.wait_end() }
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Finished {
    /// Asserts success and returns the lines of stdout.
    #[track_caller]
    pub(crate) fn success(self) -> Vec<String> {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }
}

/// Runs a command to its end on a terminal of its own, and returns what that would show, control
/// sequences and all.
#[track_caller]
pub(crate) fn on_a_terminal(command: Command) -> String {
    on_a_terminal_until(command, |_| false).0
}

/// Runs a command on a terminal of its own until it has shown `enough`, when it gets a Ctrl-C, or to
/// its end. Returns what the terminal would show, and the exit code: none where the signal ended it.
#[track_caller]
pub(crate) fn on_a_terminal_until(
    mut command: Command,
    enough: impl Fn(&str) -> bool,
) -> (String, Option<i32>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    command.env("TERM", "xterm").stdin(Stdio::null());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The command holds the terminal's other end too: with it gone, the end of the output is told.
    drop(command);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let so_far = || String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    let reader = thread::spawn({
        let (seen, mut part) = (seen.clone(), [0; 4096]);
        let mut terminal = File::from(ours);
        // Linux tells the end as an error.
        move || {
            while let Ok(count @ 1..) = terminal.read(&mut part) {
                seen.lock().unwrap().extend_from_slice(&part[..count]);
            }
        }
    });
    let mut stopped = false;
    let mut ended = None;
    eventually("it exits", || {
        if !stopped && enough(&so_far()) {
            stopped = true;
            kill(child.id(), Signal::INT);
        }
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    reader.join().unwrap();
    (so_far(), ended.unwrap().code())
}

/// A port that is free, and stays so until it is used: it is given once, and is none of those that
/// the kernel gives to connections that go out (from 32768 on Linux, 49152 elsewhere).
pub(crate) fn free_port() -> u16 {
    const PORTS: Range<u16> = 16_384..32_768;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Several test programs may run at once.
    let first = u16::try_from(std::process::id() % 128 * 128).unwrap();
    let mut ports = iter::repeat_with(|| {
        PORTS.start + first.wrapping_add(GIVEN.fetch_add(1, Relaxed)) % (PORTS.end - PORTS.start)
    });
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).unwrap()
}

/// The status code and the body that a health listener answers with; `None` while nobody listens.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    // Of HTTP/1.0, so that no answer comes in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.trim().to_owned()))
}

pub(crate) fn kill(process: u32, signal: Signal) {
    kill_process(pid(process), signal).unwrap();
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "deadline: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The three labels of a result line of the sample: started by, activity by, ended by.
#[track_caller]
pub(crate) fn labels(line: &str) -> [String; 3] {
    let parts: Vec<_> = line.split(" | ").collect();
    let [start, activity, end] = parts[..] else { panic!("not a result of the sample: {line:?}") };
    let label = |part: &str, what: &str| {
        let label = part.strip_prefix(what).unwrap_or_else(|| panic!("no {what} in {line:?}"));
        assert!(!label.is_empty(), "{line:?}");
        label.to_owned()
    };
    [
        label(start, "wf-starting-pid:"),
        label(activity, "activity-pid:"),
        label(end, "wf-ending-pid:"),
    ]
}

/// The pid and the command line of each child of a process.
#[cfg(target_os = "linux")]
pub(crate) fn children_of(parent: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let status = read("status")?;
        let its_parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        (its_parent == parent.to_string()).then_some((pid, read("cmdline")?))
    })
    .collect()
}

/// The pid and the command line of each child of a process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn children_of(parent: u32) -> Vec<(u32, String)> {
    let mut ps = program("ps");
    ps.args(["-A", "-o", "pid=,ppid=,args="]);
    let of = |line: &String| {
        let mut words = line.split_whitespace();
        let (pid, its_parent) = (words.next()?.parse().ok()?, words.next()?);
        (its_parent == parent.to_string()).then(|| (pid, line.clone()))
    };
    run(ps).out.iter().filter_map(of).collect()
}
