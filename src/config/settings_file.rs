//! `fleet.toml`: what it sets at the top level, and the tables of its groups.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use config::{File, FileFormat, Value};

use super::{
    environment::Environment,
    file,
    problems::{Problems, unknown},
    toml_text,
    vars::{CONFIG_VAR, Var},
};
use crate::text::place;

/// The file that is read if it exists and no other file is named.
const DEFAULT_FILE: &str = "fleet.toml";
/// The table of the groups' tables.
const GROUPS: &str = "workers";

/// The rule for the groups' tables.
const RULE: &str = "expected a table for each group, such as [workers.orders]";

/// The settings in a table: the key of each and its value.
pub(super) type Table = HashMap<String, Value>;

/// A file of settings.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    /// The settings at the top level.
    pub(super) top: Table,
    /// The tables `[workers.NAME]`, by name.
    pub(super) groups: BTreeMap<String, Table>,
}

impl SettingsFile {
    /// Reads the file that a flag or the environment names, which must exist, or else the default one if it exists.
    /// Keys that are none of the settings `vars` are problems.
    pub(super) fn read(
        named: Option<&Path>,
        environment: &Environment,
        vars: &[Var],
        problems: &mut Problems,
    ) -> Option<Self> {
        let default = Path::new(DEFAULT_FILE);
        let path = match named.or_else(|| environment.get(CONFIG_VAR).map(Path::new)) {
            Some(path) => path,
            None if default.exists() => default,
            None => return None,
        };
        let mut file = Self { path: path.to_owned(), top: Table::new(), groups: BTreeMap::new() };
        let shown = path.display().to_string();
        match file::read_text(path) {
            Ok(text) => match parse(&text) {
                Ok(values) => file.top = values,
                Err(error) => problems.add(shown, "file", error),
            },
            Err(error) => {
                let (what, source) = match (named, environment.get(CONFIG_VAR)) {
                    (Some(_), _) => (format!("--config={shown:?}"), "flag"),
                    (None, Some(_)) => (format!("{CONFIG_VAR}={shown:?}"), "environment"),
                    (None, None) => (shown, "file"),
                };
                problems.add(what, source, format!("cannot read it: {error}"));
            }
        }
        file.take_groups(problems);
        let known = || vars.iter().filter(|var| var.in_file()).map(|var| var.key);
        let mut keys: Vec<_> = file.top.keys().cloned().collect();
        keys.sort();
        for key in keys {
            if !known().any(|known| known == key) {
                problems.add(&key, file.path.display(), unknown(&key, known().chain([GROUPS])));
                file.top.remove(&key);
            }
        }
        Some(file)
    }

    /// Takes the groups' tables from the top level.
    fn take_groups(&mut self, problems: &mut Problems) {
        let Some(groups) = self.top.remove(GROUPS) else { return };
        let Ok(groups) = groups.into_table() else {
            return problems.add(GROUPS, self.path.display(), RULE);
        };
        for (name, group) in groups {
            match group.into_table() {
                Ok(table) => drop(self.groups.insert(name, table)),
                Err(_) => problems.add(format!("{GROUPS}.{name}"), self.path.display(), RULE),
            }
        }
    }
}

/// The settings in a file. An error has the place, and never the text there: somebody may have put a secret there.
fn parse(text: &str) -> Result<Table, String> {
    toml_text::check(text)
        .map_err(|(at, why)| format!("not valid TOML at {}: {why}", place(text, at)))?;
    config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|_| "it cannot be read as settings".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_toml_is_reported_by_place_without_its_text() {
        for text in
            ["role = \"worker\"\nkey = s3cr3t", "a = \"s3cr3t\nb", "[s3cr3t", "key = 1s3cr3t"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("not valid TOML at line "), "{error}");
            assert!(!error.contains("s3cr3t") && !error.contains('\n'), "{error}");
        }
    }
}
