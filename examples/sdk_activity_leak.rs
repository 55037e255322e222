//! Shows that a worker of the SDK grows with each activity that it has run. It uses the SDK without a
//! fleet, and is meant for a report to the SDK.
//!
//! `ActivityHalf::task_tokens_to_cancels` (temporalio-sdk 1.1.1, `lib.rs`) gets an entry when an activity
//! starts, and that entry is never removed. The program needs Linux and a server:
//!
//! ```sh
//! temporal server start-dev &
//! cargo run --release --example sdk_activity_leak        # ACTIVITIES, ACTIVITIES-PER-WORKER
//! cargo run --release --example sdk_activity_leak -- 40000 5000
//! ```
//!
//! Each line of its output has a number of activities, and the resident memory of the process after
//! them. If the second argument is given, the program drops the worker after that many activities and
//! creates a new one; the memory then stays the same. The process that is measured runs activities only;
//! a child process runs the workflows.

use std::{
    env,
    error::Error,
    fs,
    process::{Command, id},
    time::Duration,
};

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowGetResultOptions,
    WorkflowStartOptions,
};
use temporalio_sdk::{
    ActivityOptions, Worker, WorkerOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    runtime::{Runtime, RuntimeOptions},
    workflows::{join_all, workflow, workflow_methods},
};

/// Number of activities that one workflow runs at the same time.
const FAN_OUT: usize = 200;
/// Number of activities between two lines of output.
const STEP: usize = 2000;

struct Echo;

#[activities]
impl Echo {
    #[activity]
    async fn echo(_ctx: ActivityContext, input: String) -> Result<String, ActivityError> {
        Ok(input)
    }
}

#[workflow]
#[derive(Default)]
struct FanOut;

#[workflow_methods]
impl FanOut {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, queue: String) -> WorkflowResult<()> {
        let options = || {
            ActivityOptions::with_start_to_close_timeout(Duration::from_secs(30))
                .task_queue(queue.clone())
                .build()
        };
        let ctx = &*ctx;
        let echoes =
            (0..FAN_OUT).map(|_| ctx.execute_activity(Echo::echo, "x".to_owned(), options()));
        for echo in join_all(echoes).await {
            echo?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, queue] = &arguments[..]
        && role == "workflows"
    {
        let mut options = WorkerOptions::new(queue).build();
        options.register_workflow::<FanOut>()?;
        let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
        Worker::new(&runtime, connect().await?, options)?.run().await?;
        return Ok(());
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (most, per_worker) = (number(0, 20_000)?, number(1, usize::MAX)?);

    let queue = format!("leak-{}", id());
    let activity_queue = format!("{queue}-activities");
    let mut workflows = Command::new(env::current_exe()?).args(["workflows", &queue]).spawn()?;
    let measured = measure(&queue, &activity_queue, most, per_worker).await;
    workflows.kill()?;
    workflows.wait()?;
    measured
}

async fn measure(
    queue: &str,
    activity_queue: &str,
    most: usize,
    per_worker: usize,
) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
    let client = connect().await?;
    let mut done = 0;
    while done < most {
        // No two workers of one process may share a connection and a queue.
        let mut options = WorkerOptions::new(activity_queue).build();
        options.register_activities(Echo);
        let mut worker = Worker::new(&runtime, connect().await?, options)?;
        let stop = worker.shutdown_handle();
        let here = (most - done).min(per_worker);
        let load = async {
            for _ in 0..here.div_ceil(STEP) {
                for _ in 0..STEP / FAN_OUT {
                    let name = format!("{queue}-{done}");
                    let start = WorkflowStartOptions::new(queue, name).build();
                    let input = activity_queue.to_owned();
                    let workflow = client.start_workflow(FanOut::run, input, start).await?;
                    workflow.get_result(WorkflowGetResultOptions::default()).await?;
                    done += FAN_OUT;
                }
                println!("{done:>8} activities {:>8} kB", resident_kb()?);
            }
            stop();
            Ok::<(), Box<dyn Error>>(())
        };
        let (ran, loaded) = tokio::join!(worker.run(), load);
        ran?;
        loaded?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program has no fleet whose settings it could read"
)]
async fn connect() -> Result<Client, Box<dyn Error>> {
    let address = env::var("TEMPORAL_ADDRESS").unwrap_or_else(|_| "localhost:7233".into());
    let url: Url = format!("http://{address}").parse()?;
    let connection = Connection::connect(ConnectionOptions::new(url).build()).await?;
    Ok(Client::new(connection, ClientOptions::new("default").build())?)
}

/// The resident memory of this process, in kB.
fn resident_kb() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
