//! Turns: a neighbour that commits back to back cannot starve a single commit.

use std::io::BufReader;

use stent_core::Store;

use crate::stores::{block, commit, execution, open, place, start_one};

#[test]
fn a_single_commit_waits_for_few_commits_of_a_neighbouring_process() {
    let (_directory, path) = place();
    let store = open(&path);
    let mut child = crate::processes::child("commit back to back", &path).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    crate::processes::hear(&mut output, "committing");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    let made = || theirs.query_row("SELECT max(seq) FROM records", [], |row| row.get::<_, Option<i64>>(0)).unwrap();
    let mut waited = Vec::new();
    for _ in 0..100 {
        let before = made().unwrap_or(0);
        commit(&store, vec![start_one(execution())]);
        waited.push((made().unwrap_or(0) - before) / 50);
    }
    std::fs::write(path.with_extension("stop"), "").unwrap();
    assert!(child.wait().unwrap().success());
    waited.sort_unstable();
    assert!(waited[98] <= 10, "p99 waited for {} commits: {waited:?}", waited[98]);
    assert!(made().unwrap() > 0, "the neighbour did commit");
    block(store.close()).unwrap();
}
