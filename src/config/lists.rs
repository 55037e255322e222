//! Settings whose value is a list, and rates.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::values::parse_own_name;

/// Names of types, such as those of activities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// The names, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether a type is one of them: by its whole name, or by what follows the last `::` of it, as `charge` in
    /// `Shop::charge`.
    #[must_use]
    pub fn select(&self, type_name: &str) -> bool {
        self.iter().any(|name| is_name_of(name, type_name))
    }
}

/// Whether a name stands for a type.
pub(super) fn is_name_of(name: &str, type_name: &str) -> bool {
    name == type_name || type_name.rsplit("::").next() == Some(name)
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl FromStr for Names {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).map(parse_own_name).collect::<Result<_, _>>();
        names.map(Self).map_err(|_| "expected names with commas between them")
    }
}

/// The task queue of each group, by the group's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQueues(BTreeMap<String, String>);

impl TaskQueues {
    /// The task queue of a group.
    #[must_use]
    pub fn get(&self, group: &str) -> Option<&str> {
        self.0.get(group).map(String::as_str)
    }

    /// The queue of each group, by the group's name.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}

impl FromIterator<(String, String)> for TaskQueues {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(queues: I) -> Self {
        Self(queues.into_iter().collect())
    }
}

impl fmt::Display for TaskQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.iter().map(|(group, queue)| format!("{group}={queue}"));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for TaskQueues {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |pair: &str| {
            let (group, queue) = pair.split_once('=')?;
            Some((parse_own_name(group.trim()).ok()?, parse_own_name(queue.trim()).ok()?))
        };
        let pairs: Option<Self> = text.split(',').map(pair).collect();
        pairs.ok_or("expected group=queue, with commas between several")
    }
}

/// A number of activities in a second, above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(f64);

impl Rate {
    /// The number in a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    /// A rate of 0 would stop all activities, which nobody means by a limit.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(rate) if (0.001..=1_000_000.0).contains(&rate) => Ok(Self(rate)),
            _ => Err("expected a number from 0.001 to 1000000, such as 5 or 0.5"),
        }
    }
}
