//! Files that are not what they should be, and files that are copied.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stent_core::{Refusal, Store, StoreError, StoreErrorKind, TaskState};
use stent_sqlite::{Options, SqliteStore};

use crate::stores::{block, claim, commit, complete, execution, open, place, start_one, step, try_commit, worker};

/// What the product's user asked for of a file.
const SEED: &str = include_str!("../../../../testing/seeds/003_6b3928b60ade60ab.txt");

fn refused(path: &Path) -> StoreError {
    SqliteStore::open(path, Options::default()).unwrap_err()
}

fn tables(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut names = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

#[test]
fn an_empty_database_gets_the_tables_once_and_where_seed_003_looks_for_them() {
    let (_, listing) = SEED.split_once("creates the following tables:").unwrap();
    let rows = listing.lines().take_while(|line| !line.starts_with('#'));
    let named: Vec<_> = rows.filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|row| row.0).collect();
    assert_eq!(named.len(), 8, "{named:?}");
    let (_directory, path) = place();
    block(open(&path).close()).unwrap();
    let first = tables(&path);
    for table in named {
        assert!(first.iter().any(|name| name == table), "{table} is missing in {first:?}");
    }
    commit(&open(&path), vec![start_one(execution())]);
    assert_eq!(tables(&path), first);
    assert_eq!(block(open(&path).count_executions(None)).unwrap(), 1);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_directory, path) = place();
    let text = "this is a letter, not a database".repeat(200);
    std::fs::write(&path, &text).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.hint().contains("another one"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_directory_and_a_place_that_does_not_exist_are_refused() {
    let (directory, _) = place();
    assert_eq!(refused(directory.path()).kind(), StoreErrorKind::Unusable);
    let error = refused(&directory.path().join("nowhere/stent.db"));
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.hint().contains("directory exists"), "{error}");
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_refused_and_left_alone() {
    for table in ["tasks", "Sessions", "stent_schema"] {
        let (_directory, path) = place();
        let theirs = Connection::open(&path).unwrap();
        theirs.execute_batch(&format!("CREATE TABLE {table} (mine TEXT); INSERT INTO {table} VALUES ('x')")).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert!(error.to_string().contains(table), "{error}");
        let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}

#[test]
fn a_database_with_other_tables_is_shared_with_them() {
    let (_directory, path) = place();
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (7)").unwrap();
    commit(&open(&path), vec![start_one(execution())]);
    assert_eq!(theirs.query_row("SELECT id FROM orders", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
}

#[test]
fn a_newer_schema_is_served_unless_it_says_that_this_client_is_too_old() {
    let (_directory, path) = place();
    drop(open(&path));
    let edit = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    edit("UPDATE stent_schema SET version = 99");
    assert!(SqliteStore::open(&path, Options::default()).is_ok());
    edit("UPDATE stent_schema SET oldest_client = 98");
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.hint().contains("upgrade"), "{error}");
}

#[test]
fn a_damaged_file_says_so() {
    let (_directory, path) = place();
    let store = open(&path);
    commit(&store, (0..200).map(|_| start_one(execution())).collect());
    block(store.close()).unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let error = match SqliteStore::open(&path, Options::default()) {
        Err(error) => error,
        Ok(store) => try_commit(&store, vec![start_one(execution())]).unwrap_err(),
    };
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}

#[test]
fn a_file_that_may_not_be_written_is_refused_as_read_only() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (directory, path) = place();
    drop(open(&path));
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o444);
    mode(directory.path(), 0o555);
    let mut child = crate::processes::child("open", &path);
    if rustix::process::geteuid().is_root() {
        // Root may write anything, so somebody else tries, with a copy of this program that they can reach.
        let program = std::env::temp_dir().join(format!("stent-it-{}", std::process::id()));
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        mode(&program, 0o755);
        child = crate::processes::child_of(&program, "open", &path);
        child.uid(65_534).gid(65_534).current_dir("/");
    }
    let output = child.output().unwrap();
    mode(directory.path(), 0o755);
    drop(std::fs::remove_file(std::env::temp_dir().join(format!("stent-it-{}", std::process::id()))));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("refused ReadOnly"), "{said} {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_full_disk_is_said_nothing_of_the_batch_is_there_and_space_heals_it() {
    let (_directory, path) = place();
    drop(open(&path));
    let size = std::fs::metadata(&path).unwrap().len();
    let small = SqliteStore::open(&path, Options { max_bytes: Some(size + 8_192), ..Options::default() }).unwrap();
    let ids: Vec<_> = (0..500).map(|_| execution()).collect();
    let error = try_commit(&small, ids.iter().map(|id| start_one(*id)).collect()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    assert!(error.is_transient());
    assert_eq!(block(small.count_executions(None)).unwrap(), 0);
    drop(small);
    let large = open(&path);
    assert!(commit(&large, ids.iter().map(|id| start_one(*id)).collect()).iter().all(Result::is_ok));
    assert_eq!(block(large.count_executions(None)).unwrap(), 500);
}

#[test]
fn a_lock_that_stays_is_an_error_after_five_seconds_that_asks_for_ones_own_transaction() {
    let (_directory, path) = place();
    let store = open(&path);
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let error = try_commit(&store, vec![start_one(execution())]).unwrap_err();
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.hint().contains("transaction of your own"), "{error}");
    assert_eq!(block(store.count_executions(None)).unwrap(), 0, "reads go on meanwhile");
    theirs.execute_batch("ROLLBACK").unwrap();
    assert!(commit(&store, vec![start_one(execution())])[0].is_ok());
}

#[test]
fn a_closed_store_leaves_everything_in_the_one_file() {
    let (directory, path) = place();
    let store = open(&path);
    commit(&store, vec![start_one(execution())]);
    block(store.close()).unwrap();
    block(store.close()).unwrap();
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(block(open(&copy).count_executions(None)).unwrap(), 1);
    assert!(commit(&store, vec![start_one(execution())])[0].is_ok(), "a closed store can still be asked");
}

#[test]
fn an_idle_store_leaves_everything_in_the_one_file() {
    let (directory, path) = place();
    let store = open(&path);
    commit(&store, vec![start_one(execution())]);
    let copy = directory.path().join("copy.db");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        std::fs::copy(&path, &copy).unwrap();
        let count = |c: &Connection| c.query_row("SELECT count(*) FROM executions", [], |row| row.get::<_, i64>(0));
        if Connection::open(&copy).is_ok_and(|connection| count(&connection) == Ok(1)) {
            break;
        }
        assert!(Instant::now() < deadline, "the log was never moved into the file");
        std::thread::yield_now();
    }
    assert_eq!(block(store.count_executions(None)).unwrap(), 1);
}

#[test]
fn people_read_words_in_the_overview() {
    let (_directory, path) = place();
    let store = open(&path);
    let id = execution();
    commit(&store, vec![start_one(id)]);
    let theirs = Connection::open(&path).unwrap();
    let row = |view: &str| {
        let sql = format!("SELECT execution_id, function, queue, state FROM {view}");
        theirs.query_row(&sql, [], |row| Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap()
    };
    let expected = [id.uuid().simple().to_string(), "f".to_owned(), "default".to_owned(), "pending".to_owned()];
    assert_eq!(row("stent_overview"), expected);
    assert_eq!(row("stent_tasks"), expected);
}

#[test]
fn a_row_that_cannot_be_read_harms_only_the_command_that_asks_for_it() {
    let (_directory, path) = place();
    let store = open(&path);
    commit(&store, vec![start_one(execution()), start_one(execution())]);
    let me = worker(&store);
    let leases: Vec<_> = claim(&store, me, 2).into_iter().map(|task| task.lease).collect();
    let theirs = Connection::open(&path).unwrap();
    let broken = leases[0].task.execution.as_bytes();
    theirs.execute("UPDATE tasks SET run = 'nonsense' WHERE execution_id = ?1", [broken]).unwrap();
    let id = execution();
    let outcomes = commit(&store, vec![start_one(id), complete(leases[0]), complete(leases[1])]);
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(block(store.execution(id)).unwrap().is_some());
    assert_eq!(commit(&store, vec![step(leases[1], 1)]), [Err(Refusal::Terminal(TaskState::Completed))]);
}

#[test]
fn a_damaged_payload_is_handed_out_and_found_by_who_opens_it() {
    let (_directory, path) = place();
    let store = open(&path);
    commit(&store, vec![start_one(execution()), start_one(execution())]);
    let theirs = Connection::open(&path).unwrap();
    theirs.execute("UPDATE tasks SET args = 'text', options = x'00ff', headers = 7", []).unwrap();
    let me = worker(&store);
    let tasks = claim(&store, me, 2);
    assert_eq!(tasks.len(), 2);
    assert!(tasks[0].spec.args.open().is_err());
}
