//! A profile of `temporal.toml`, with the `TEMPORAL_*` variables applied to it.
//!
//! The SDK treats a file that is not there as an empty one, passes over keys that it does not know, and quotes
//! the line of an error, which may hold a secret. So the file is read and checked here; the SDK gets its text.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use temporalio_common::envconfig::{
    ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::variables;
use crate::{
    config::{environment::Environment, file, toml_text, unknown},
    error::{Error, chain},
    text::{list, place},
};

const FILE: &str = "TEMPORAL_CONFIG_FILE";
const NAME: &str = "TEMPORAL_PROFILE";
const DEFAULT: &str = "default";

const KEYS: [&str; 6] = ["address", "namespace", "api_key", "tls", "codec", "grpc_meta"];
const TLS_KEYS: [&str; 9] = [
    "disabled",
    "client_cert_path",
    "client_cert_data",
    "client_key_path",
    "client_key_data",
    "server_ca_cert_path",
    "server_ca_cert_data",
    "server_name",
    "disable_host_verification",
];
const CODEC_KEYS: [&str; 2] = ["endpoint", "auth"];

/// The settings of the connection, merged, and where they came from.
pub(super) struct Profile {
    pub(super) settings: ClientConfigProfile,
    pub(super) environment: Environment,
    name: String,
    /// The file that was read, if there is one.
    pub(super) file: Option<PathBuf>,
}

impl Profile {
    /// Reads the profile that the environment names.
    ///
    /// # Errors
    /// [`Error::ConnectionConfig`] if the file cannot be read, or if something in it cannot be applied.
    pub(super) fn load(environment: &Environment) -> Result<Self, Error> {
        let file = read(environment)?;
        let name = environment.get(NAME).unwrap_or(DEFAULT).to_owned();
        let options = match &file {
            Some((path, text)) => {
                check(path, text, &name, environment)?;
                LoadClientConfigProfileOptions::builder()
                    .config_source(DataSource::Data(text.clone().into_bytes()))
                    .build()
            }
            None if environment.get(NAME).is_some() => {
                let place =
                    default_file().map_or_else(String::new, |path| format!(" {}", path.display()));
                return Err(wrong(format!(
                    "{NAME}={name:?} (environment): there is no configuration file{place}; name one with {FILE}"
                )));
            }
            None => LoadClientConfigProfileOptions::builder().disable_file(true).build(),
        };
        let twice = variables::set_twice(environment);
        if !twice.is_empty() {
            return Err(wrong(twice.join("\n")));
        }
        let settings = load_client_config_profile(options, Some(&environment.temporal()))
            .map_err(|error| wrong(without_lines(&chain(&error))))?;
        let file = file.map(|(path, _)| path);
        Ok(Self { settings, environment: environment.clone(), name, file })
    }

    /// The name of the profile.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How messages call a setting: by its variable or by its key, whichever its value came from.
    pub(super) fn place(&self, variable: &str, key: &str) -> String {
        match &self.file {
            Some(file) if self.environment.get(variable).is_none() => {
                format!("{key} (profile {:?} in {})", self.name, file.display())
            }
            _ => format!("{variable} (environment)"),
        }
    }

    /// The same with the value, for a setting that is no secret.
    pub(super) fn place_of(&self, variable: &str, key: &str, value: &str) -> String {
        let (name, source) = match self.place(variable, key).split_once(' ') {
            Some((name, source)) => (name.to_owned(), source.to_owned()),
            None => (variable.to_owned(), String::new()),
        };
        format!("{name}={value:?} {source}")
    }
}

fn wrong(problem: impl Into<String>) -> Error {
    Error::ConnectionConfig(problem.into())
}

/// The file that is read if it exists and no other is named.
fn default_file() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("temporalio").join("temporal.toml"))
}

/// The file and its text. A file that is named has to exist; the default one may be missing.
fn read(environment: &Environment) -> Result<Option<(PathBuf, String)>, Error> {
    let named = environment.get(FILE);
    let default = || default_file().filter(|path| path.exists());
    let Some(path) = named.map(PathBuf::from).or_else(default) else { return Ok(None) };
    match file::read_text(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) => {
            let place = match named {
                Some(named) => format!("{FILE}={named:?} (environment)"),
                None => format!("the configuration file {}", path.display()),
            };
            Err(wrong(format!("{place}: cannot read it: {error}")))
        }
    }
}

/// Checks that everything in the profile can be applied, and that the file has the profile.
fn check(path: &Path, text: &str, name: &str, environment: &Environment) -> Result<(), Error> {
    let mut checked = Checked { path, text, problems: Vec::new() };
    // The byte order mark of some editors.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - body.len();
    match (toml_text::check(body), DeTable::parse(body)) {
        (Err((at, why)), _) => checked.add(at + offset, format_args!("not valid TOML: {why}")),
        (Ok(()), Ok(table)) => checked.root(table.get_ref(), name, offset),
        (Ok(()), Err(_)) => {} // it was checked
    }
    if !checked.problems.is_empty() {
        return Err(wrong(list(&checked.problems)));
    }
    let profiles = profile_names(body);
    if profiles.iter().any(|known| known == name) {
        return Ok(());
    }
    let known = if profiles.is_empty() { "no profile".into() } else { profiles.join(", ") };
    if environment.get(NAME).is_some() {
        return Err(wrong(format!(
            "{NAME}={name:?} (environment): there is no such profile in {}, which has {known}",
            path.display()
        )));
    }
    if let (Some(named), false) = (environment.get(FILE), profiles.is_empty()) {
        return Err(wrong(format!(
            "{FILE}={named:?} (environment): it has no profile {DEFAULT:?}: set {NAME} to one of {known}"
        )));
    }
    Ok(())
}

/// An error of the SDK. One of several lines shows the file's, in which a secret may be.
fn without_lines(error: &str) -> &str {
    if error.contains('\n') { "the configuration file cannot be read as Temporal's" } else { error }
}

/// The names of the profiles in a file that was found valid, in alphabetical order.
fn profile_names(text: &str) -> Vec<String> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let profiles = table.get_ref().iter().find(|(key, _)| key.get_ref() == "profile");
    let profiles = profiles.and_then(|(_, value)| value.get_ref().as_table());
    let mut names: Vec<_> = profiles
        .into_iter()
        .flat_map(|profiles| profiles.keys().map(|key| key.get_ref().to_string()))
        .collect();
    names.sort();
    names
}

/// What was found in a file so far. A problem has its place, and never the text there, which may be a secret.
struct Checked<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<String>,
}

/// What the value of a key has to be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Truth,
    Table,
}

impl Kind {
    fn of(key: &str) -> Self {
        match key {
            "disabled" | "disable_host_verification" => Self::Truth,
            "tls" | "codec" | "grpc_meta" => Self::Table,
            _ => Self::Text,
        }
    }

    fn fits(self, value: &DeValue<'_>) -> bool {
        match self {
            Self::Text => value.as_str().is_some(),
            Self::Truth => value.as_bool().is_some(),
            Self::Table => value.as_table().is_some(),
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Text => "expected a text in quotes",
            Self::Truth => "expected true or false, without quotes",
            Self::Table => "expected a table",
        }
    }
}

impl Checked<'_> {
    fn add(&mut self, at: usize, what: impl fmt::Display) {
        let place = place(self.text, at);
        self.problems.push(format!("{}, {place}: {what}", self.path.display()));
    }

    fn root(&mut self, root: &DeTable<'_>, name: &str, offset: usize) {
        for (key, value) in sorted(root) {
            let at = key.span().start + offset;
            if key.get_ref() != "profile" {
                // The rest of the file may be another tool's.
                if strsim::damerau_levenshtein(key.get_ref(), "profile") <= 2 {
                    self.add(
                        at,
                        format_args!(
                            "{:?}: {}",
                            key.get_ref(),
                            unknown("profile", ["profile"].into_iter())
                        ),
                    );
                } else if KEYS.contains(&key.get_ref().as_ref()) {
                    self.add(
                        at,
                        format_args!(
                            "{:?} belongs into a profile, below [profile.{name}]",
                            key.get_ref()
                        ),
                    );
                }
                continue;
            }
            let Some(profiles) = value.get_ref().as_table() else {
                self.add(at, "\"profile\": expected tables, as in [profile.default]");
                continue;
            };
            for (profile, value) in sorted(profiles) {
                let is_used = profile.get_ref() == name;
                match value.get_ref().as_table() {
                    Some(table) => self.profile(table, is_used, offset),
                    None => self.add(
                        profile.span().start + offset,
                        "expected a table, as in [profile.default]",
                    ),
                }
            }
        }
    }

    fn profile(&mut self, table: &DeTable<'_>, is_used: bool, offset: usize) {
        self.keys(table, Some(&KEYS), is_used, offset);
        for (key, value) in sorted(table) {
            let Some(inner) = value.get_ref().as_table() else { continue };
            let known: Option<&[&str]> = match key.get_ref().as_ref() {
                "tls" => Some(&TLS_KEYS),
                "codec" => Some(&CODEC_KEYS),
                "grpc_meta" => None,
                _ => continue,
            };
            self.keys(inner, known, is_used, offset);
        }
    }

    /// Checks the keys of a table: with `known`, those that are not among them, if the profile is used; and
    /// the types of all.
    fn keys(&mut self, table: &DeTable<'_>, known: Option<&[&str]>, is_used: bool, offset: usize) {
        for (key, value) in sorted(table) {
            let (name, at) = (key.get_ref(), key.span().start + offset);
            let data = name.strip_suffix("_path").map(|what| format!("{what}_data"));
            if is_used && let Some(data) = data.filter(|data| table.contains_key(data.as_str())) {
                self.add(at, format_args!("{name:?} and {data:?} are both set: remove one"));
            }
            let kind = match known {
                None => Kind::Text,
                Some(known) if known.contains(&name.as_ref()) => Kind::of(name),
                Some(known) => {
                    if is_used {
                        let rule = unknown(name, known.iter().copied());
                        self.add(at, format_args!("{name:?}: {rule}"));
                    }
                    continue;
                }
            };
            if !kind.fits(value.get_ref()) {
                self.add(at, format_args!("{name:?}: {}", kind.rule()));
            }
        }
    }
}

/// The entries of a table in the order in which they stand in the file.
fn sorted<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<toml::de::DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

#[cfg(test)]
mod tests;
