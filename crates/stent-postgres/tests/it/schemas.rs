//! Many processes at one empty database. What a schema may be and who may make it is in the unit tests.

use std::process::Stdio;

use stent_servers::Server;

use crate::addresses::{opener, said};

#[test]
fn eight_processes_that_come_at_once_make_the_tables_once() {
    let database = Server::shared().database().unwrap();
    let all: Vec<_> = (0..8)
        .map(|_| opener(&database.url()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in all {
        let said = said(&child.wait_with_output().unwrap());
        assert!(said.contains("opened "), "{said}");
    }
    assert_eq!(database.psql("SELECT product, version FROM stent_schema").unwrap(), "stent|5");
}
