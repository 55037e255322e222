//! Prometheus' text form, of several processes as one.

use std::collections::BTreeMap;

/// A metric's samples, under its description.
#[derive(Default)]
struct Family<'a> {
    about: Vec<&'a str>,
    samples: Vec<&'a str>,
}

/// Brings the metrics of several processes together: Prometheus wants all samples of a name in one
/// place, under one description.
pub(crate) fn merged<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut families = BTreeMap::<&str, Family<'_>>::new();
    for text in texts {
        let mut name = "";
        for line in text.lines().filter(|line| !line.is_empty()) {
            let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
            if let Some(described) = described {
                name = described.split(' ').next().unwrap_or_default();
            }
            let family = families.entry(name).or_default();
            if described.is_none() {
                family.samples.push(line);
            } else if !family.about.contains(&line) && family.about.len() < 2 {
                family.about.push(line);
            }
        }
    }
    let mut merged = String::new();
    for family in families.into_values() {
        for line in family.about.into_iter().chain(family.samples) {
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
    fn each_name_is_described_once_and_has_the_samples_of_all() {
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
