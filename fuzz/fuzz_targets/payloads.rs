#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use temporal_fleet::fuzzing;
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    failure::v1::Failure,
};

const ENCODINGS: [&str; 5] =
    ["json/plain", "json/protobuf", "binary/plain", "binary/null", "binary/encrypted"];

// The first byte says what the others are: the data of a payload, payloads, or a failure.
fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let encoding = ENCODINGS.get(usize::from(kind.wrapping_sub(b'0')));
    match (encoding, kind) {
        (Some(encoding), _) => fuzzing::payloads(&[Payload {
            metadata: [("encoding".to_owned(), encoding.as_bytes().to_vec())].into(),
            data: data.to_vec(),
            ..Default::default()
        }]),
        (None, b'p') => {
            if let Ok(Payloads { payloads }) = Payloads::decode(data) {
                fuzzing::payloads(&payloads);
            }
        }
        (None, b'j') => {
            if let Ok(failure) = serde_json::from_slice(data) {
                fuzzing::failure(&failure);
            }
        }
        (None, _) => {
            if let Ok(failure) = Failure::decode(data) {
                fuzzing::failure(&failure);
            }
        }
    }
});
