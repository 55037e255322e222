//! The deployment files agree with each other and with the settings.

use std::{fs, path::Path};

use temporal_fleet::VARS;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// The value of a line `NAME=value`, wherever in the text it begins.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let assigned = format!("{name}=");
    let line = text.lines().find_map(|line| line.trim_start().split_once(&assigned));
    line.unwrap_or_else(|| panic!("no {assigned}")).1
}

#[test]
fn the_images_that_can_be_built_without_a_registry_are_those_that_are_used() {
    let (knobs, stand_ins) = (read(".env"), read("deploy/airgap/build-images"));
    for image in ["RUST_IMAGE", "TEMPORAL_IMAGE"] {
        assert_eq!(value(&stand_ins, image), value(&knobs, image), "{image}");
    }
    assert_eq!(value(&read("Dockerfile"), "ARG RUST_IMAGE"), value(&knobs, "RUST_IMAGE"));
}

#[test]
fn deployment_files_set_only_settings_that_there_are() {
    for name in ["Dockerfile", "docker-compose.yml"] {
        let text = read(name);
        let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        let mut set = words.filter(|word| word.starts_with("FLEET_")).peekable();
        assert!(set.peek().is_some(), "{name}");
        for word in set {
            assert!(VARS.iter().any(|var| var.env == word), "{name}: {word}");
        }
    }
    let knobs = read(".env");
    let mut set = knobs.lines().filter(|line| !line.starts_with('#'));
    assert!(set.all(|line| !line.starts_with("FLEET_")), "Compose's knobs are not the fleet's");
}
