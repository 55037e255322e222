//! Whether a workflow's input type can be decoded from arguments.
//!
//! The SDK knows why not and does not say it: log and history have "Failed to create workflow execution".

use std::any::type_name;

use temporalio_common::{
    WorkflowDefinition,
    data_converters::{
        DataConverter, GenericPayloadConverter, PayloadConversionError, SerializationContext,
        SerializationContextData, WorkflowSerializationContext,
    },
    protos::temporal::api::common::v1::Payload,
};
use temporalio_workflow::workflows::WorkflowImplementation;

use crate::text::cut;

/// How long a reason may be that quotes the input, in columns.
const LONGEST: usize = 300;

/// Checks arguments, as [`check_input`] does for a workflow.
pub(crate) type CheckInput = fn(Vec<Payload>) -> Result<(), String>;

/// Decodes the arguments as the input of the workflow `W`, as the SDK does.
///
/// # Errors
/// What cannot be decoded, and why.
pub(crate) fn check_input<W: WorkflowImplementation>(
    arguments: Vec<Payload>,
) -> Result<(), String> {
    let converter = DataConverter::default();
    let data = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let context = SerializationContext::new(&data, converter.payload_converter());
    let given = describe(&arguments);
    let decoded = converter
        .payload_converter()
        .from_payloads::<<W::Run as WorkflowDefinition>::Input>(&context, arguments);
    let wanted = without_paths(type_name::<<W::Run as WorkflowDefinition>::Input>());
    let reason = match decoded {
        Ok(_) => return Ok(()),
        Err(PayloadConversionError::EncodingError(error)) => error.to_string(),
        Err(_) => format!("it was started with {given}"),
    };
    Err(format!("cannot decode its input as {wanted}: {}", cut(&reason, LONGEST)))
}

/// How many arguments there are, and how they are encoded.
fn describe(arguments: &[Payload]) -> String {
    let encoding = |argument: &Payload| match argument.metadata.get("encoding") {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => "no encoding".to_owned(),
    };
    let encodings: Vec<_> = arguments.iter().map(encoding).collect();
    match encodings.len() {
        0 => "no argument".to_owned(),
        1 => format!("1 argument ({})", encodings[0]),
        count => format!("{count} arguments ({})", encodings.join(", ")),
    }
}

/// The name of a type without the modules that it and its parameters are in.
fn without_paths(name: &str) -> String {
    let mut short = String::new();
    let mut rest = name;
    while let Some(character) = rest.chars().next() {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with("::") {
            rest = &rest[end + 2..];
        } else {
            let end = end.max(character.len_utf8());
            short.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        temporal::payload::from_json,
        workloads::{load::LoadWorkflow, parallelized::ParallelizedWorkflow},
    };

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let check = |json: &[&str]| {
            check_input::<LoadWorkflow>(json.iter().map(|json| from_json(json)).collect())
        };
        assert_eq!(check(&["{\"activities\": 2}"]), Ok(()));
        assert_eq!(
            check(&["\"nonsense\""]).unwrap_err(),
            "cannot decode its input as Load: invalid type: string \"nonsense\", expected struct Load"
        );
        let unknown = check(&["{\"activity\": 2}"]).unwrap_err();
        assert!(
            unknown.contains("unknown field `activity`, expected one of `activities`"),
            "{unknown}"
        );
        assert_eq!(
            check(&[]).unwrap_err(),
            "cannot decode its input as Load: it was started with no argument"
        );
        assert_eq!(
            check(&["{}", "{}"]).unwrap_err(),
            "cannot decode its input as Load: it was started with 2 arguments (json/plain, json/plain)"
        );
        let long = check(&[&format!("\"{}\"", "x".repeat(100_000))]).unwrap_err();
        assert!(long.len() < 400 && long.contains("expected struct Load"), "{long}");
    }

    #[test]
    fn a_workflow_without_input_takes_no_argument() {
        assert_eq!(check_input::<ParallelizedWorkflow>(Vec::new()), Ok(()));
    }

    #[test]
    fn a_type_is_named_without_its_modules() {
        assert_eq!(without_paths("alloc::vec::Vec<(a::B, &str)>"), "Vec<(B, &str)>");
        assert_eq!(without_paths("()"), "()");
    }
}
