//! The crate that the README shows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    server,
    support::{FLEET, Process, program, run},
};

/// The first block of a language in the README after a heading.
fn readme_block(heading: &str, language: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split_once(heading).expect(heading).1;
    let block = section.split_once(&format!("```{language}\n")).expect(language).1;
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_crate_in_the_readme_builds_and_runs_a_workflow() {
    let folder = tempfile::TempDir::new().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let manifest = readme_block("## Your own workflows", "toml");
    let here = "path = \"../temporal-fleet\"";
    assert!(manifest.contains(here), "{manifest}");
    fs::create_dir(folder.path().join("src")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("Cargo.toml", &manifest.replace(here, &format!("path = {root:?}")));
    write("src/main.rs", &readme_block("## Your own workflows", "rust"));
    fs::copy(Path::new(root).join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    // Shared with this build, whose dependencies then need not be built again.
    let profile = Path::new(FLEET).parent().unwrap();
    #[expect(clippy::disallowed_methods, reason = "cargo tells which cargo runs the test")]
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut build = program(cargo);
    build
        .args(["build", "--quiet"])
        .args(profile.ends_with("release").then_some("--release"))
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", profile.parent().unwrap());
    run_for_long(build);

    let greetings = profile.join("greetings");
    let at_server = |arguments: &[&str]| {
        let mut command = program(&greetings);
        command.args(arguments).env("TEMPORAL_ADDRESS", server::address());
        command
    };
    let _up = Process::start(at_server(&["up", "-w", "1"]));
    let results = run(at_server(&["starter", "-n", "2", "--input", "\"you\""])).success();
    assert_eq!(results, ["Hello, you!", "Hello, you!"]);
}

/// A build takes as long as it takes.
fn run_for_long(mut command: std::process::Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
