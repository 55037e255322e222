//! Measures the CPU time of bare calls to the server: the lower limit for every worker.
//!
//! A workflow of the sample requires six calls of its workers: two polls and two answers for its workflow
//! tasks, and one of each for its activity. This program makes that many calls of the smallest kind
//! (`GetSystemInfo`) at a given rate. It uses a connection like a worker's and a runtime like a workflow
//! worker's, and prints the CPU seconds that one call took.
//!
//! `benches/compare` runs it. To run it by hand:
//!
//! ```sh
//! cargo build --profile dist --features floor --bin floor
//! target/dist/floor ADDRESS CALLS-PER-SECOND CALLS
//! ```

use std::{env, error::Error, fs, time::Duration};

use temporalio_client::{
    Connection, ConnectionOptions, GrpcCompression, Url,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::GetSystemInfoRequest;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// Number of calls before the measurement, so that the connection and other one-time work do not count.
const WARM_UP: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rate, calls] = &arguments[..] else {
        return Err("expected ADDRESS CALLS-PER-SECOND CALLS".into());
    };
    let (rate, calls): (f64, u32) = (rate.parse()?, calls.parse()?);
    let url: Url = format!("http://{address}").parse()?;
    let options = ConnectionOptions::new(url).grpc_compression(GrpcCompression::None).build();
    let connection = Connection::connect(options).await?;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers: JoinSet<Result<(), Status>> = JoinSet::new();
    let mut before = cpu()?;
    for call in 0..WARM_UP + calls {
        if call == WARM_UP {
            before = cpu()?;
        }
        ticks.tick().await;
        let mut connection = connection.clone();
        answers.spawn(async move {
            let request = GetSystemInfoRequest::default().into_request();
            connection.get_system_info(request).await.map(drop)
        });
        while let Some(answer) = answers.try_join_next() {
            answer??;
        }
    }
    while let Some(answer) = answers.join_next().await {
        answer??;
    }
    let took = cpu()?.saturating_sub(before);
    println!("{}", (took / calls).as_secs_f64());
    Ok(())
}

/// The CPU time of this process's only thread so far (Linux).
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
