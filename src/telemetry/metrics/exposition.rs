//! Merges metrics of several processes in Prometheus' text format.

use std::collections::BTreeMap;

/// The lines of one metric: its description (`HELP` and `TYPE`) and its samples.
#[derive(Default)]
struct Family<'a> {
    description: Vec<&'a str>,
    samples: Vec<&'a str>,
}

/// Merges the metrics of several processes. The format requires that all samples of a metric stand
/// together, below one description.
pub(crate) fn merged<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut families = BTreeMap::<&str, Family<'_>>::new();
    for text in texts {
        let mut name = "";
        for line in text.lines().filter(|line| !line.is_empty()) {
            let description = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
            if let Some(description) = description {
                name = description.split(' ').next().unwrap_or_default();
            }
            let family = families.entry(name).or_default();
            if description.is_none() {
                family.samples.push(line);
            } else if !family.description.contains(&line) && family.description.len() < 2 {
                family.description.push(line);
            }
        }
    }
    let mut merged = String::new();
    for family in families.into_values() {
        for line in family.description.into_iter().chain(family.samples) {
            merged.push_str(line);
            merged.push('\n');
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn each_metric_has_one_description_and_the_samples_of_every_process() {
        let one =
            "# HELP a Help of a\n# TYPE a counter\na{w=\"1\"} 1\n# TYPE b gauge\nb{w=\"1\"} 2\n";
        let two =
            "# TYPE b gauge\nb{w=\"2\"} 3\n# HELP a Help of a\n# TYPE a counter\na{w=\"2\"} 4\n";
        assert_eq!(
            merged([one, two]),
            "# HELP a Help of a\n# TYPE a counter\na{w=\"1\"} 1\na{w=\"2\"} 4\n\
             # TYPE b gauge\nb{w=\"1\"} 2\nb{w=\"2\"} 3\n"
        );
    }
}
