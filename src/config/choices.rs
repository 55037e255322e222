//! Settings whose value is one of a few words, or a pair of names.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use super::values::parse_number;

/// The upper limit of polls: more from one worker would only burden the server.
const MAX_POLLERS: usize = 1_000;

/// How many polls a worker keeps open for one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pollers {
    /// This number of polls.
    Fixed(NonZeroUsize),
    /// A number that the SDK adjusts to what the server's answers suggest (poller autoscaling).
    Auto,
}

impl fmt::Display for Pollers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => number.fmt(f),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl Pollers {
    /// Parses `auto` or a number of at least `min`.
    pub(super) fn parse(text: &str, min: usize) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = parse_number(text, min, MAX_POLLERS)
            .map_err(|rule| rule.replace("a whole", "auto or a whole"))?;
        Ok(Self::Fixed(NonZeroUsize::new(number).expect("at least 1")))
    }
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

/// How messages to and from Temporal are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Messages are not compressed. Those of ordinary workflows have a few hundred bytes, and the
    /// SDK's default, gzip, takes a quarter of a worker's CPU time for them (docs/performance.md).
    #[default]
    None,
    /// Messages are compressed by gzip. This pays off for large payloads over a narrow network, or
    /// over one that is paid by the byte.
    Gzip,
}

/// The version of a worker deployment that a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployment {
    /// The name of the worker deployment.
    pub name: String,
    /// The build id within that deployment.
    pub build_id: String,
    /// What happens to running workflows when another version becomes the current one.
    pub behavior: Versioning,
}

/// What happens to a running workflow when another version of its workers becomes the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// The workflow moves to the current version with its next workflow task.
    #[default]
    AutoUpgrade,
    /// The workflow stays with the version on which it started.
    Pinned,
}

macro_rules! words {
    ($type:ident: $($word:literal => $value:ident),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$value => $word),* })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$value),)*
                    _ => Err(format!("expected {}", [$($word),*].join(" or "))),
                }
            }
        }
    };
}

words! { LogFormat: "text" => Text, "json" => Json }
words! { Compression: "none" => None, "gzip" => Gzip }
words! { Versioning: "auto-upgrade" => AutoUpgrade, "pinned" => Pinned }
