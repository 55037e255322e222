//! Names of any length and script in a timeline.

use temporalio_common::protos::temporal::api::{
    command::v1::{
        ScheduleActivityTaskCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        command::Attributes,
    },
    common::v1::{ActivityType, WorkflowType},
    enums::v1::{CommandType, ParentClosePolicy},
    sdk::v1::UserMetadata,
};
use unicode_width::UnicodeWidthStr;

use super::{Answer, answer_workflow_tasks, command, payload, task_queue};
use crate::{
    server::{self, the_workflow},
    support::{Process, World, run},
};

#[test]
fn long_names_keep_their_end_and_are_listed_whole_and_wide_ones_keep_the_columns() {
    let world = World::new();
    let _starter = Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "Parent"]));
    let queue = world.workflow_queue();
    let child_id = |number: usize| format!("{}/kid/{number}", world.id());
    let java = "Order_Processing.com.acme.orders.activities.chargeCard";
    let activity = |number: usize, name: &str, summary: Option<&[u8]>| {
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id: number.to_string(),
            activity_type: Some(ActivityType { name: name.to_owned() }),
            task_queue: Some(task_queue(&world.activity_queue())),
            start_to_close_timeout: Some("60s".parse().unwrap()),
            ..Default::default()
        };
        let mut command = command(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(attributes),
        );
        let summary = summary.map(|json| payload(Some(b"json/plain"), json));
        command.user_metadata =
            summary.map(|summary| UserMetadata { summary: Some(summary), ..Default::default() });
        command
    };
    answer_workflow_tasks(&queue, 1, |_| {
        let children = (0..12).map(|number| {
            let attributes = StartChildWorkflowExecutionCommandAttributes {
                workflow_id: child_id(number),
                workflow_type: Some(WorkflowType { name: "Child".to_owned() }),
                task_queue: Some(task_queue(&format!("{queue}-children"))),
                parent_close_policy: ParentClosePolicy::Terminate.into(),
                ..Default::default()
            };
            command(
                CommandType::StartChildWorkflowExecution,
                Attributes::StartChildWorkflowExecutionCommandAttributes(attributes),
            )
        });
        let activities = [
            activity(1, java, None),
            activity(2, "注文を確定する", Some(b"\"\\u65e5\\u672c\\n<b>\\u001b[31m\"")),
        ];
        Answer::Commands(children.chain(activities).collect())
    });
    let id = the_workflow(&queue);
    let trace = |width: &str| run(world.fleet(["trace", &id, "--width", width])).success();
    let narrow = trace("100");
    let names = narrow.iter().skip_while(|line| *line != "whole names").collect::<Vec<_>>();
    for number in 0..12 {
        let end = format!("/kid/{number} ");
        assert!(
            narrow.iter().any(|line| line.starts_with("child workflow C") && line.contains(&end)),
            "{end}: {narrow:#?}"
        );
        let whole = format!("  child workflow Child {}", child_id(number));
        assert!(names.contains(&&whole), "{whole}: {narrow:#?}");
    }
    assert!(
        narrow.iter().any(|line| line.starts_with("activity ") && line.contains(".chargeCard "))
    );
    assert!(names.contains(&&format!("  activity {java}")), "{narrow:#?}");
    // A wider text has room for all of it.
    let wide = trace("250");
    let child = format!("child workflow Child {} ", child_id(11));
    assert!(wide.iter().any(|line| line.starts_with(&child)), "{wide:#?}");
    assert!(!wide.contains(&"whole names".to_owned()), "{wide:#?}");

    // The bars of all rows begin in one column, which is where the heading has its zero.
    for text in [&narrow, &wide] {
        let heading = text.iter().find(|line| line.contains("QUEUED  RUNNING   BY  0 ")).unwrap();
        let (before, _) = heading.split_once("  0 ").unwrap();
        let by = before.width();
        let rows =
            text.iter().filter(|line| line.starts_with("activity ") && line.contains(" ms "));
        let mut checked = 0;
        for row in rows {
            let (columns, _) = row.split_at(row.rfind(" -  ").unwrap() + 2);
            assert_eq!(columns.width(), by, "{row}\n{heading}");
            checked += 1;
        }
        assert_eq!(checked, 2, "{text:#?}");
    }
    assert!(wide.iter().any(|line| line.contains("注文を確定する: 日本 <b> [31m")), "{wide:#?}");
    server::terminate(&id, "the test is over");
}
