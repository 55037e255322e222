//! The README: its code blocks, the commands in them, and the form of the output that they show.

use std::{fs, path::Path};

pub(crate) fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// Returns the code blocks of a language, in order, that follow a heading or another text.
#[track_caller]
pub(crate) fn readme_blocks(from: &str, language: &str) -> Vec<String> {
    let readme = readme();
    let section = readme.split_once(from).expect(from).1;
    let begin = format!("```{language}\n");
    section.split(&begin).skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// Returns the commands of a terminal block as typed, without comments, each with the lines of its
/// output.
pub(crate) fn commands_in(block: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            let typed = typed.split(" #").next().unwrap().trim_end();
            commands.push((typed.to_owned(), Vec::new()));
        } else {
            commands.last_mut().expect("a command first").1.push(line.to_owned());
        }
    }
    commands
}

/// Returns the form of printed lines: without numbers, hosts and paths, which differ from run to run,
/// and sorted, because the two streams of a program have no order between them. A line `… 23 more …`
/// stands for 23 more lines like the one above it.
pub(crate) fn form(lines: &[String]) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        if let Some(more) = line.strip_prefix("… ").and_then(|rest| rest.strip_suffix(" more …"))
        {
            let above = forms.last().expect("a line above").clone();
            let more: usize = more.parse().unwrap();
            forms.extend(std::iter::repeat_n(above, more));
        } else {
            let words: Vec<_> = line.split_whitespace().map(form_of_word).collect();
            forms.push(words.join(" "));
        }
    }
    forms.sort();
    forms
}

/// Replaces what differs from run to run: `activity-pid:24328`, `workflow-worker@you:24326` and
/// `/home/you` become `activity-pid:0`, `workflow-worker@host` and `/path`; `ms` and `s` both become
/// `s`.
fn form_of_word(word: &str) -> String {
    if word.starts_with('/') {
        return "/path".to_owned();
    }
    // The generated name of a batch.
    let id = word.trim_end_matches(':');
    if id.len() == 12 && id.chars().all(|character| character.is_ascii_hexdigit()) {
        return "id".to_owned();
    }
    let name = word.split_once('@').map_or(word, |(name, _)| name);
    let host = if name == word { "" } else { "@host" };
    let numbers = name.split(|c: char| c.is_ascii_digit() || c == '.').filter(|s| !s.is_empty());
    let text = numbers.collect::<Vec<_>>().join("0");
    let text = if text.len() < name.len() { format!("{text}0") } else { text };
    let text = text.strip_prefix("ms").map_or(text.clone(), |rest| format!("s{rest}"));
    format!("{text}{host}")
}
