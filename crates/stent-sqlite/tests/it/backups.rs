//! Seed 003's ways to back up a file, run as they are written: each copy goes on where the original was.

use std::process::Command as Program;

use stent_core::command::TakeOver;
use stent_core::{Command, Store};

use crate::stores::{block, claim, commit, complete, execution, open, start_one, step, worker};

const SEED: &str = include_str!("../../../../testing/seeds/003_6b3928b60ade60ab.txt");

/// The seed's block of shell that holds these words.
fn block_of_shell(words: &str) -> &'static str {
    let mut blocks = SEED.split("```bash\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|text| text.contains(words)).unwrap()
}

#[test]
fn copies_that_are_made_as_seed_003_says_go_on_where_the_original_was() {
    let directory = tempfile::tempdir().unwrap();
    let (path, id) = (directory.path().join("workflow.db"), execution());
    let store = open(&path);
    let session = worker(&store);
    commit(&store, vec![start_one(id)]);
    let tasks = claim(&store, session, 1);
    commit(&store, vec![step(tasks[0].lease, 1)]);
    // "When database is not actively written": a process that ends leaves everything in the one file.
    block(store.close()).unwrap();
    drop(store);
    let output = Program::new("sh")
        .args(["-e", "-c", block_of_shell(".backup backup.db")])
        .current_dir(directory.path())
        .output()
        .unwrap_or_else(|error| panic!("no shell: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for copy in ["workflow.db.backup", "backup.db"] {
        let store = open(&directory.path().join(copy));
        let fresh = worker(&store);
        commit(&store, vec![Command::TakeOver(TakeOver { session })]);
        let tasks = claim(&store, fresh, 1);
        assert_eq!(tasks[0].lease.task.execution, id, "{copy}");
        let history = block(store.history(tasks[0].lease.task, 0)).unwrap();
        assert_eq!(history.records.len(), 1, "{copy}");
        assert!(commit(&store, vec![complete(tasks[0].lease)])[0].is_ok());
    }
}
