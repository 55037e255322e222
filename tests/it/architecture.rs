//! The two rules of the code's structure, checked by reading the imports of `src` as text.
//! `docs/architecture.md` explains the rooms and the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms, from the top floor down. A room is a folder of `src`, or a file that lies directly in it.
const FLOORS: [&[&str]; 14] = [
    &["lib", "main"],
    &["fuzzing"],
    &["commands"],
    &["cli"],
    &["bench", "chaos"],
    &["local", "worker"],
    &["batch", "timeline"],
    &["fleet", "temporal"],
    &["telemetry"],
    &["health", "process", "scaling", "terminal"],
    &["error"],
    &["config", "workloads"],
    &["user_code"],
    &["text"],
];

/// One file of `src`: its path below `src`, and what it imports from this crate.
struct Source {
    file: PathBuf,
    imports: Vec<Import>,
}

struct Import {
    /// The import's full path, for messages: `crate::config::Config`.
    path: String,
    /// The file of `src` that the path leads to.
    target: PathBuf,
}

#[test]
fn a_room_imports_only_from_rooms_below_it() {
    let wrong: Vec<_> = sources()
        .iter()
        .flat_map(|source| source.imports.iter().map(move |import| (source, import)))
        .filter(|(source, import)| {
            let (from, to) = (room(&source.file), room(&import.target));
            from != to && floor(&from) <= floor(&to)
        })
        .map(|(source, import)| {
            let (from, to) = (room(&source.file), room(&import.target));
            let file = source.file.display();
            format!("src/{file} imports {}: {to} is not below {from}", import.path)
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_commands_the_worker_and_the_fleet_see_the_whole_configuration() {
    let wrong: Vec<_> = sources()
        .iter()
        .filter(|source| {
            !["commands", "worker", "fleet", "config", "lib", "fuzzing"]
                .contains(&&*room(&source.file))
        })
        .filter(|source| source.imports.iter().any(|import| import.path.ends_with("::Config")))
        .map(|source| format!("src/{} imports the whole Config", source.file.display()))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_files_of_a_room_do_not_import_each_other_in_a_circle() {
    let sources = sources();
    let imports: BTreeMap<&Path, BTreeSet<&Path>> = sources
        .iter()
        .map(|source| {
            let others = source.imports.iter().map(|import| import.target.as_path());
            (source.file.as_path(), others.filter(|other| *other != source.file).collect())
        })
        .collect();
    let reached_from = |start| {
        let mut reached = BTreeSet::new();
        let mut next = vec![start];
        while let Some(file) = next.pop() {
            next.extend(imports[file].iter().filter(|other| reached.insert(**other)));
        }
        reached
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (*file, reached_from(*file))).collect();
    let circle: Vec<_> = imports
        .iter()
        .flat_map(|(file, others)| others.iter().map(move |other| (*file, *other)))
        .filter(|(file, other)| reached[other].contains(file))
        .map(|(file, other)| format!("src/{} imports src/{}", file.display(), other.display()))
        .collect();
    assert!(circle.is_empty(), "these files import each other in a circle:\n{}", circle.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use super::{a, b::{C, D as E}};\nfn f() { crate::x::y(); }\n// crate::comment\n\
                /// [`crate::doc`]\nuse self::z::Z;\nuse std::fmt;\n#[cfg(test)]\nmod tests {\n    use crate::t;\n}";
    let module = ["room".to_owned(), "file".to_owned()];
    let paths: Vec<_> = paths(text, &module).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["room::a", "room::b::C", "room::b::D", "x::y", "room::file::z::Z"]);
}

/// Returns every file of `src` with its imports.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 50, "src was not found");
    files
        .iter()
        .map(|path| {
            let file = path.strip_prefix(&src).unwrap().to_owned();
            let text = fs::read_to_string(path).unwrap();
            let imports = paths(&text, &module(&file))
                .into_iter()
                .filter_map(|path| {
                    let target = file_of(&src, &path)?;
                    Some(Import { path: format!("crate::{}", path.join("::")), target })
                })
                .collect();
            Source { file, imports }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            files.push(path);
        }
    }
}

/// Returns the path of the module that a file below `src` holds.
fn module(file: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        file.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.pop_if(|last| last == "mod" || last == "lib" || last == "main");
    names
}

fn room(file: &Path) -> String {
    let name = file.iter().next().unwrap().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> usize {
    let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
    // Floors are counted from the bottom, so that a higher floor has a larger number.
    FLOORS.len() - floor.unwrap_or_else(|| panic!("FLOORS does not say where {room} is"))
}

/// Returns the file that a path of this crate leads to: the file of the innermost module that has one. A
/// path to an item of the crate's root leads to `lib.rs`.
fn file_of(src: &Path, path: &[String]) -> Option<PathBuf> {
    (0..=path.len()).rev().find_map(|length| {
        let module = path[..length].join("/");
        let candidates = if module.is_empty() {
            vec!["lib.rs".to_owned()]
        } else {
            vec![format!("{module}.rs"), format!("{module}/mod.rs")]
        };
        candidates.into_iter().map(PathBuf::from).find(|file| src.join(file).is_file())
    })
}

/// Returns every path in `text` that begins with `crate`, `self` or `super`, as a path from the crate's
/// root. Comments and the test module are left out.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some((at, start)) = ["crate::", "super::", "self::"]
        .into_iter()
        .filter_map(|start| Some((rest.find(start)?, start)))
        .min()
    {
        let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let mut begin: Vec<String> = match start {
            "crate::" => Vec::new(),
            "self::" => module.to_vec(),
            _ => module[..module.len().saturating_sub(1)].to_vec(),
        };
        rest = &rest[at + start.len()..];
        if is_word {
            continue;
        }
        while let Some(further) = rest.strip_prefix("super::") {
            begin.pop();
            rest = further;
        }
        rest = tree(rest, &begin, &mut found);
    }
    found
}

/// Reads one use tree, such as `a::{b, c::D}`, adds its paths to `found` and returns the text after it.
fn tree<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = before.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start().trim_start_matches(',').trim_start();
                if let Some(after) = inner.strip_prefix('}') {
                    return after;
                }
                inner = tree(inner, &path, found);
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            // After `*`, or text that is no path at all, the path before it is the import.
            found.push(path);
            return after
                .strip_prefix('*')
                .unwrap_or(&after[after.chars().next().map_or(0, char::len_utf8)..]);
        }
        if name != "self" {
            path.push(name.to_owned());
        }
        let Some(further) = after.strip_prefix("::") else {
            found.push(path);
            let renamed = after.strip_prefix(" as ");
            return renamed.map_or(after, |name| {
                name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            });
        };
        rest = further;
    }
}
