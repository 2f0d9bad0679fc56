//! The diagrams in `docs/reference/states.md` are made from the state machine itself; this test says when they are out of
//! date. `STENT_WRITE_DOCS=1 cargo test -p stent-core --test states` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]
use std::fmt::Write as _;
use std::path::Path;

use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{ExecutionState, TaskState};

const TASK_EVENTS: [TaskEvent; 11] = [
    TaskEvent::Claim,
    TaskEvent::Suspend,
    TaskEvent::Wake,
    TaskEvent::Complete,
    TaskEvent::Fail,
    TaskEvent::PutAway,
    TaskEvent::Retry,
    TaskEvent::Release,
    TaskEvent::TimeOut,
    TaskEvent::Cancel,
    TaskEvent::Replay,
];

const EXECUTION_EVENTS: [ExecutionEvent; 7] = [
    ExecutionEvent::Start,
    ExecutionEvent::Complete,
    ExecutionEvent::Fail,
    ExecutionEvent::TimeOut,
    ExecutionEvent::AskCancel,
    ExecutionEvent::Cancel,
    ExecutionEvent::Replay,
];

/// One diagram: an arrow for each pair that leads to another state.
fn diagram(arrows: &[(&str, String, &str)]) -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> pending\n");
    for (from, event, to) in arrows.iter().filter(|(from, _, to)| from != to) {
        writeln!(text, "    {from} --> {to}: {event}").unwrap();
    }
    text + "```\n"
}

#[test]
fn the_documented_diagrams_are_those_of_the_state_machine() {
    let tasks: Vec<_> = TaskState::ALL
        .into_iter()
        .flat_map(|state| TASK_EVENTS.map(|event| (state, event)))
        .filter_map(|(state, event)| Some((state.as_str(), format!("{event:?}"), state.on(event).ok()?.as_str())))
        .collect();
    let executions: Vec<_> = ExecutionState::ALL
        .into_iter()
        .flat_map(|state| EXECUTION_EVENTS.map(|event| (state, event)))
        .filter_map(|(state, event)| Some((state.as_str(), format!("{event:?}"), state.on(event).ok()?.as_str())))
        .collect();
    let generated = format!(
        "# States\n\nMade from `stent-core/src/state.rs` by its tests. What has no arrow is refused, whoever asks.\n\n\
         ## Tasks\n\n{}\n## Executions\n\n{}",
        diagram(&tasks),
        diagram(&executions)
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/states.md");
    if std::env::var_os("STENT_WRITE_DOCS").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let documented = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(documented == generated, "docs/reference/states.md is out of date: run this test with STENT_WRITE_DOCS=1");
}
