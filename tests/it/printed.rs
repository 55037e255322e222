//! The complete text output of the commands: a snapshot for each command and case.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    server::the_workflow,
    snapshot::{assert_snapshot, transcript, undisturbed},
    support::{FLEET, HELD, Process, RETRIED, STOLEN, World, eventually, held_order, program, run},
};

#[test]
fn the_starter_prints_results_and_a_summary() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
        transcript(world.fleet(["starter", "-n", "2"]))
    });
    assert_snapshot!(scrubbed "starter", printed);
}

#[test]
fn the_starter_prints_each_failure_and_a_summary() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        transcript(world.orders(["starter", "-n", "2", "--input", STOLEN]))
    });
    assert_snapshot!(scrubbed "starter_failed", printed);
}

#[test]
fn the_starter_prints_the_running_workflows_and_how_to_continue() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        transcript(world.orders(["starter", "-n", "1", "--input", HELD, "--timeout", "1s"]))
    });
    assert_snapshot!(scrubbed "starter_timed_out", printed);
}

#[test]
fn status_prints_each_queue_with_its_workers() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "2", "-a", "1"]));
    assert_snapshot!(scrubbed "status", transcript(world.fleet(["status", "--check"])));
}

#[test]
fn status_prints_a_queue_without_workers_and_fails_the_check() {
    let world = World::new();
    let _starter = Process::start(world.fleet(["starter", "-n", "1"]));
    let status = || world.fleet(["status", "--check"]);
    eventually("the workflow task waits", || run(status()).code == 1);
    assert_snapshot!(scrubbed "status_unserved", transcript(status()));
}

#[test]
fn trace_prints_the_timeline_of_a_sample_workflow() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
        run(world.fleet(["starter", "-n", "1"])).success();
        transcript(world.fleet(["trace", &the_workflow(&world.workflow_queue())]))
    });
    assert_snapshot!(scrubbed "trace", printed);
}

/// Runs an order to its end and returns the output of `fleet trace` for it.
fn trace_of_an_order(order: &str) -> String {
    undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        run(world.orders(["starter", "-n", "1", "--input", order]));
        transcript(world.orders(["trace", &the_workflow(&world.workflow_queue())]))
    })
}

#[test]
fn trace_prints_retries_and_timers() {
    assert_snapshot!(scrubbed "trace_retried", trace_of_an_order(RETRIED));
}

#[test]
fn trace_prints_why_a_workflow_failed() {
    assert_snapshot!(scrubbed "trace_failed", trace_of_an_order(STOLEN));
}

#[test]
fn trace_prints_what_a_running_workflow_waits_for() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        let (_starter, id) = held_order(world);
        transcript(world.orders(["trace", &id]))
    });
    assert_snapshot!(scrubbed "trace_running", printed);
}

#[test]
fn bench_prints_throughput_latencies_and_goals() {
    let printed = undisturbed(|world| {
        let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
        let mut bench = world.fleet(["bench", "--count", "4", "--concurrency", "2"]);
        bench.args(["--slo", "p99=1h", "--slo", "activity_execution.p50=0s"]);
        transcript(bench)
    });
    assert_snapshot!(scrubbed "bench", printed);
}

/// Returns the README and the pages in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let paths = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let paths = paths.chain([root.join("README.md")]);
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Returns the terminal blocks of a document.
fn console_blocks(document: &str) -> impl Iterator<Item = &str> {
    document.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap())
}

#[test]
fn the_documents_show_only_commands_and_flags_that_exist() {
    let mut checked = 0;
    for (path, document) in documents() {
        for block in console_blocks(&document) {
            for line in block.replace("\\\n", " ").lines() {
                let Some(typed) = line.strip_prefix("$ ") else { continue };
                let words = shlex::split(typed).unwrap();
                let words = words.iter().map(String::as_str).skip_while(|word| word.contains('='));
                let words: Vec<_> =
                    words.take_while(|word| !["|", "&", ">"].contains(word)).collect();
                let arguments = match &words[..] {
                    ["fleet", arguments @ ..] => arguments,
                    ["cargo", "run", ..] => {
                        words.split(|word| *word == "--").nth(1).unwrap_or_default()
                    }
                    _ => continue,
                };
                // The program prints help only if the arguments before it are valid.
                let mut command = program(FLEET);
                command.args(arguments).arg("--help");
                let finished = run(command);
                assert_eq!(finished.code, 0, "{}: {line}: {finished:#?}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "no commands found");
}

#[test]
fn the_timeline_in_the_documents_is_the_one_of_the_recorded_history() {
    let recorded = include_str!("../../src/timeline/histories/retried.txt");
    let mut checked = 0;
    for (path, document) in documents() {
        for block in console_blocks(&document) {
            // The comparison starts below the header, which names ids and hosts.
            let Some(start) = block.find("the workflow  ") else { continue };
            let table = block[start..].split_inclusive('\n').take_while(|line| *line != "\n");
            let table: String = table.collect();
            assert!(recorded.contains(&table), "{}: {table}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no timeline found");
}

#[test]
fn every_hazard_and_limit_in_the_documents_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["docs/hazards.md", "docs/limits.md"].map(|page| root.join(page));
    let pages = pages.map(|page| fs::read_to_string(page).unwrap()).concat();
    let mut sources = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let is_row = |line: &&str| {
        line.starts_with("| ")
            && !["| situation", "| what |"].iter().any(|head| line.starts_with(head))
    };
    let rows = pages.lines().filter(is_row);
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
        }
    }
}
