#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use temporal_fleet::fuzzing;
use temporalio_common::protos::temporal::api::history::v1::History;

// As JSON, in which the seeds are, or as the bytes that a server sends.
fuzz_target!(|data: &[u8]| {
    let history = match data {
        [b'{', ..] => serde_json::from_slice(data).ok(),
        _ => History::decode(data).ok(),
    };
    if let Some(history) = history {
        fuzzing::history(history);
    }
});
