//! Results of every shape, as text and as JSON.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, value::RawValue};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        CompleteWorkflowExecutionCommandAttributes,
        ContinueAsNewWorkflowExecutionCommandAttributes, command::Attributes,
    },
    common::v1::{Payload, Payloads, WorkflowType},
    enums::v1::CommandType,
};

use super::{Answer, answer_workflow_tasks, command, payload, task_queue};
use crate::support::{Process, World, run};

/// JSON that is shown as it is, whatever encoding of JSON it has.
const JSON: [&str; 16] = [
    "\"text\"",
    "\"\"",
    "null",
    "true",
    "{}",
    "[1,\n 2]\r\n",
    "{\"a\":1,\"a\":2}",
    "12345678901234567890123456789",
    "[0.1000000000000000055, -0, 1e400]",
    "{\"name\":\"gr\\u00f6\\u00dfe \\u65e5\",\"emoji\":\"\\ud83d\\ude00\"}",
    "\"größe 日本語 😀\"",
    "\"one\\ntwo\\u0000\\u001b[31m\"",
    "\"next\u{85}line\u{2028}and\u{7f}\u{9b}31m\"",
    "\"\\ud800\"",
    "\"null\"",
    "{\"data\":\"aGk=\",\"encoding\":\"binary/plain\"}",
];

/// What is not JSON: its encoding, its data, and whether people see the data before the mark.
type Shape = (Option<&'static [u8]>, &'static [u8], bool);
const OTHER: [Shape; 20] = [
    (None, b"{\"a\": 1}", true),
    (None, b"", false),
    (None, b"\xff\xfe", false),
    (Some(b""), b"plain words", true),
    (Some(b"json/plain"), b"\xef\xbb\xbf{\"a\": 1}", true),
    (Some(b"json/plain"), b"", false),
    (Some(b"json/plain"), b"NaN", true),
    (Some(b"json/plain"), b"[1, Infinity]", true),
    (Some(b"json/plain"), b"{'a': 1}", true),
    (Some(b"json/plain"), b"[1] [2]", true),
    (Some(b"json/plain"), b"\"caf\xe9\"", false),
    (Some(b"json/protobuf"), b"{", true),
    (Some(b"text/csv"), b"a,b\n1,2\n", false),
    (Some(b"x/msgpack"), b"\x81\xa1a\x01", false),
    (Some(b"binary/plain"), b"hi", false),
    (Some(b"binary/protobuf"), b"\x0a\x02hi", false),
    (Some(b"binary/encrypted"), b"\x00\x01", false),
    (Some(b"binary/null"), b"not null", false),
    (Some(b"x\xff"), b"hi", true),
    (Some(b"JSON/PLAIN"), b"[1]", true),
];

fn results() -> Vec<Vec<Payload>> {
    let encodings: [&[u8]; 3] = [b"json/plain", b"json/protobuf", b"json/of-somebody"];
    let json = JSON.iter().zip(encodings.iter().cycle());
    let json = json.map(|(data, encoding)| vec![payload(Some(encoding), data.as_bytes())]);
    let other = OTHER.iter().map(|(encoding, data, _)| vec![payload(*encoding, data)]);
    let nested = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let more = [
        vec![payload(Some(b"json/plain"), nested.as_bytes())],
        vec![],
        vec![payload(Some(b"binary/null"), b"")],
        vec![
            payload(Some(b"json/plain"), b"\"first\""),
            payload(Some(b"json/plain"), b"{\"data\":\"aGk=\",\"encoding\":\"x\"}"),
            payload(Some(b"binary/plain"), b"\x00\xff"),
            payload(None, b"words"),
        ],
    ];
    json.chain(other).chain(more).collect()
}

/// The workflow ends with this result.
fn complete(result: Vec<Payload>) -> Answer {
    let attributes =
        CompleteWorkflowExecutionCommandAttributes { result: Some(Payloads { payloads: result }) };
    Answer::Commands(vec![command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
    )])
}

/// The values that a line of JSON stands for, each with its encoding. Valid JSON has none.
fn read_back(line: &HashMap<String, Box<RawValue>>) -> Vec<(Option<String>, Vec<u8>)> {
    let result = &line["result"];
    let Some(encoding) = line.get("encoding") else {
        return vec![(None, result.get().as_bytes().to_vec())];
    };
    let is_list = serde_json::from_str::<Value>(encoding.get()).unwrap().is_array();
    let encoded: Vec<HashMap<String, Box<RawValue>>> = if is_list {
        serde_json::from_str(result.get()).unwrap()
    } else {
        vec![serde_json::from_str(result.get()).unwrap()]
    };
    let read = |value: &HashMap<String, Box<RawValue>>| {
        let encoding: Option<String> = serde_json::from_str(value["encoding"].get()).unwrap();
        let data = if let Some(json) = value.get("value") {
            json.get().as_bytes().to_vec()
        } else {
            let data: String = serde_json::from_str(value["data"].get()).unwrap();
            BASE64_STANDARD.decode(data).unwrap()
        };
        (Some(encoding.unwrap_or_default()), data)
    };
    encoded.iter().map(read).collect()
}

/// Asserts that the line stands for the result that the workflow had.
#[track_caller]
fn assert_round_trips(line: &HashMap<String, Box<RawValue>>, result: &[Payload]) {
    let read = read_back(line);
    let [payload] = result else {
        if result.is_empty() {
            assert_eq!(read, [(None, b"null".to_vec())]);
            return;
        }
        assert_eq!(read.len(), result.len());
        for ((encoding, data), payload) in read.iter().zip(result) {
            assert_eq!((encoding.clone().unwrap(), data), (name(payload), &payload.data));
        }
        return;
    };
    let (encoding, data) = &read[0];
    match (encoding, std::str::from_utf8(data).unwrap_or_default()) {
        (Some(encoding), _) => {
            assert_eq!((encoding, data), (&name(payload), &payload.data));
        }
        (None, "null") if payload.data.is_empty() => assert_eq!(name(payload), "binary/null"),
        (None, json) => {
            let original = std::str::from_utf8(&payload.data).unwrap();
            // Only white space and the spelling of characters may differ.
            let strings = |text: &str| serde_json::from_str::<Value>(text).ok();
            let is_same =
                json == original || strings(json).is_some_and(|it| strings(original) == Some(it));
            assert!(is_same, "{json} of {original}");
        }
    }
}

/// The encoding of a payload as JSON shows it.
fn name(payload: &Payload) -> String {
    let name = payload.metadata.get("encoding").cloned().unwrap_or_default();
    String::from_utf8(name).unwrap_or_else(|name| name.as_bytes().escape_ascii().to_string())
}

#[test]
fn results_of_forty_shapes_are_forty_lines_of_json_from_which_the_data_can_be_read_back() {
    let world = World::new();
    let queue = world.workflow_queue();
    let results = results();
    let count = results.len().to_string();
    assert_eq!(count, "40");
    let arguments = ["-n", &count, "--batch", "shapes", "--workflow-type", "Shapes"];
    let starter = |more: &[&str]| {
        let mut starter = world.fleet(["starter"]);
        starter.args(arguments).args(["--workflow-id-prefix", &world.id()]).args(more);
        starter
    };
    let mut json = Process::start(starter(&["--output", "json"]));
    let mut shapes = BTreeMap::new();
    answer_workflow_tasks(&queue, results.len(), |id| {
        let result = results[shapes.len()].clone();
        shapes.insert(id.to_owned(), result.clone());
        complete(result)
    });
    assert_eq!(json.exit_code(), 0);
    let lines = json.out.wait_end();
    assert_eq!(lines.len(), results.len() + 1, "and the summary");
    for line in &lines[..results.len()] {
        assert!(!line.contains(char::is_control) && !line.contains(['\u{2028}', '\u{fffd}']));
        let line: HashMap<String, Box<RawValue>> = serde_json::from_str(line).unwrap();
        let id: String = serde_json::from_str(line["workflow_id"].get()).unwrap();
        assert_round_trips(&line, &shapes[&id]);
    }

    // The same for people.
    let text = run(starter(&[])).success();
    assert_eq!(text.len(), results.len());
    for line in &text {
        assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
        assert!(!line.contains('\u{fffd}') && !line.contains("line 1 column"), "{line:?}");
    }
    for expected in [
        "{\"name\":\"größe 日\",\"emoji\":\"😀\"}",
        "[1,  2]",
        "text",
        "\"\"",
        "[0.1000000000000000055, -0, 1e400]",
        "\"one\\ntwo\\u0000\\u001b[31m\"",
        "<2 bytes, binary/plain>",
        "\"first\" {\"data\":\"aGk=\",\"encoding\":\"x\"} \
         <2 bytes, binary/plain> words <5 bytes, no encoding> <4 values>",
    ] {
        assert!(text.iter().any(|line| line == expected), "{expected}: {text:#?}");
    }
    for (encoding, data, is_shown) in OTHER {
        let bytes = data.len();
        let encoding = encoding.filter(|encoding| !encoding.is_empty());
        let encoding = encoding.map_or("no encoding".into(), |it| it.escape_ascii().to_string());
        let plural = if bytes == 1 { "" } else { "s" };
        let mark = format!("<{bytes} byte{plural}, {encoding}");
        let data = String::from_utf8_lossy(data).trim_start_matches('\u{feff}').to_owned();
        let shown = if is_shown { format!("{data} {mark}") } else { mark };
        assert!(text.iter().any(|line| line.contains(&shown)), "{shown}: {text:#?}");
    }
}

#[test]
fn all_values_of_a_later_run_are_shown() {
    let world = World::new();
    let queue = world.workflow_queue();
    let mut starter =
        Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "Runs"]));
    let mut runs = 0;
    answer_workflow_tasks(&queue, 2, |_| {
        runs += 1;
        if runs == 2 {
            let values: [&[u8]; 2] = [b"\"first\"", b"2"];
            return complete(values.map(|json| payload(Some(b"json/plain"), json)).to_vec());
        }
        let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
            workflow_type: Some(WorkflowType { name: "Runs".to_owned() }),
            task_queue: Some(task_queue(&queue)),
            ..Default::default()
        };
        Answer::Commands(vec![command(
            CommandType::ContinueAsNewWorkflowExecution,
            Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes),
        )])
    });
    assert_eq!(starter.exit_code(), 0);
    assert_eq!(starter.out.wait_end(), ["\"first\" 2 <2 values>"]);
}
