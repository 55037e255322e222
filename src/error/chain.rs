//! An error and its causes, as one line.

use std::error::Error as StdError;

use temporalio_client::tonic::Status;

use crate::text::one_line;

/// An error and its causes on one line, each once: some libraries repeat the cause in their message, others do not.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let shown = cause.to_string();
        let text = match cause.downcast_ref::<Status>() {
            Some(status) => {
                let words = one_line(words(status));
                // Some errors have quoted it in their own message.
                line = line.replace(&shown, &words);
                words
            }
            None => shown,
        };
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

/// The server's words in an answer, without the code that says the same and what travelled with it.
fn words(status: &Status) -> &str {
    if status.message().is_empty() { status.code().description() } else { status.message() }
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

    #[derive(Debug, thiserror::Error)]
    #[error("the namespace could not be described: {0}")]
    struct Describing(#[source] Status);

    #[test]
    fn an_answer_of_the_server_is_its_words() {
        let error = Describing(Status::permission_denied("no permission"));
        assert_eq!(chain(&error), "the namespace could not be described: no permission");
        let error = Describing(Status::permission_denied(""));
        let expected = "the namespace could not be described: The caller does not have permission to \
                        execute the specified operation";
        assert_eq!(chain(&error), expected);
    }

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
