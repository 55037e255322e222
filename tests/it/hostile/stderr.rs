//! A stderr that nobody reads.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{DEADLINE, Process, World, eventually, example, free_port, get, kill, run};

const FLOOD: &str = r#"{"what": "flood", "text": "a line of the log that is not short, so that a pipe is soon full"}"#;

/// A process that ends with its test, however that ends.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn misbehaving(world: &World, arguments: &[&str]) -> Command {
    world.at_home(example("misbehaving"), arguments.iter().copied())
}

#[test]
fn workers_go_on_while_nobody_reads_their_log_and_say_later_how_much_was_dropped() {
    let world = World::new();
    let health = format!("127.0.0.1:{}", free_port());
    let (mut unread, writer) = std::io::pipe().unwrap();
    let mut up = misbehaving(&world, &["up", "-w", "0", "-a", "0", "--num-workers", "1"]);
    up.env("FLEET_HEALTH_ADDR", &health).process_group(0);
    let mut up =
        Ending(up.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(writer).spawn().unwrap());
    eventually("the fleet is ready", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });

    // 50,000 lines are some 8 MB. The pipe takes 64 kB.
    let flood = ["starter", "-n", "2", "--input", FLOOD, "--timeout", "60s"];
    assert_eq!(run(misbehaving(&world, &flood)).code, 0);
    let dropped = || {
        let (_, metrics) = get(&health, "/metrics").unwrap();
        let samples =
            metrics.lines().filter(|line| line.starts_with("fleet_log_dropped_lines_total{"));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    assert!(dropped() > 1000.0, "{}", dropped());
    assert_eq!(get(&health, "/livez").unwrap().0, 200);

    // A reader that comes back learns how many. Then nothing more is dropped.
    let mut seen = Vec::new();
    let mut part = vec![0; 65_536];
    let says_so = |seen: &[u8]| {
        String::from_utf8_lossy(seen)
            .contains(" log lines were dropped, because stderr was not read")
    };
    let deadline = Instant::now() + DEADLINE;
    while !says_so(&seen) && Instant::now() < deadline {
        let count = unread.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..count]);
    }
    let seen = String::from_utf8(seen).unwrap();
    let lines: Vec<_> = seen.lines().filter(|line| line.contains("dropped, because")).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("worker:0 | "), "{lines:#?}");
    kill(up.0.id(), Signal::TERM);
    eventually("the fleet ends", || up.0.try_wait().unwrap().is_some());
    assert_eq!(up.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_dead_reader_does_not_hold_the_exit() {
    let world = World::new();
    let (_unread, writer) = std::io::pipe().unwrap();
    // Standard error is full before the command begins.
    let full = writer.try_clone().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    while rustix::io::write(&full, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    let mut command = world.fleet(["trace", "no-such-workflow"]);
    let begin = Instant::now();
    let mut child = Ending(command.stdout(Stdio::null()).stderr(writer).spawn().unwrap());
    eventually("the command exits", || child.0.try_wait().unwrap().is_some());
    assert_eq!(child.0.wait().unwrap().code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn nothing_is_lost_at_the_end_of_a_worker_that_logs_much() {
    let world = World::new();
    let worker = ["worker", "--role", "worker"];
    let mut worker = Process::start(misbehaving(&world, &worker));
    worker.err.wait_for("ready");
    let mut flood = misbehaving(&world, &["starter", "-n", "1", "--timeout", "60s"]);
    flood.args(["--input", &FLOOD.replace("flood", "activity")]);
    run(flood);
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    let lines = worker.err.wait_end();
    assert!(lines.iter().any(|line| line.contains("panicked: a line of the log")), "{lines:#?}");
    assert!(lines.last().unwrap().contains("drained"), "{lines:#?}");
}
