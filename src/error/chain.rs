//! An error and its causes, as one line.

use std::error::Error as StdError;

/// An error and its causes on one line, each once: some libraries repeat the cause in their message, others do not.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

/// The last cause of an error: the words of the operating system or of the server.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn a_chain_has_each_cause_once() {
        let error = Layer(
            "outer: middle",
            Some(Box::new(Layer("middle", Some(Box::new(Layer("inner", None)))))),
        );
        assert_eq!(chain(&error), "outer: middle: inner");
        assert_eq!(root_cause(&error), "inner");
    }
}
