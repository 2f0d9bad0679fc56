//! Databases and roles: separate, reachable by every address they name, gone when dropped.

use stent_servers::Server;

use crate::psql_at;

#[test]
fn databases_of_one_server_do_not_meet() {
    let (one, other) = (Server::shared().database().unwrap(), Server::shared().database().unwrap());
    one.psql("create table only_here (x int)").unwrap();
    assert_eq!(other.psql("select count(*) from pg_class where relname = 'only_here'").unwrap(), "0");
    assert_ne!(one.url(), other.url());
}

#[test]
fn every_address_leads_to_the_database() {
    let database = Server::shared().database().unwrap();
    for url in [database.url(), database.socket_url()] {
        assert_eq!(psql_at(&url, "select current_database()").unwrap(), database.name(), "{url}");
    }
    let tcp = psql_at(&database.url(), "select inet_server_port()").unwrap();
    assert_eq!(tcp, Server::shared().port().to_string());
    assert_eq!(psql_at(&database.socket_url(), "select inet_server_port() is null").unwrap(), "t");
}

#[test]
fn a_dropped_database_is_gone_although_somebody_is_connected() {
    let database = Server::shared().database().unwrap();
    let mut guest = database.command("psql");
    let mut guest =
        guest.args(["-X", "-c", "select pg_sleep(600)"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let name = database.name().to_owned();
    let count = format!("select count(*) from pg_stat_activity where datname = '{name}' and query like '%sleep%'");
    while Server::shared().psql(&count).unwrap() == "0" {}
    drop(database);
    assert!(!guest.wait().unwrap().success());
    let left = Server::shared().psql(&format!("select count(*) from pg_database where datname = '{name}'")).unwrap();
    assert_eq!(left, "0");
}

#[test]
fn a_role_with_a_password_needs_it_and_one_without_does_not() {
    let server = Server::shared();
    let database = server.database().unwrap();
    let (open, closed) = (server.role().unwrap(), server.role_with_password("it's a:p@ss/word").unwrap());
    assert!(closed.name().starts_with("pw_"));
    for role in [&open, &closed] {
        assert_eq!(database.psql_as(role, "select current_user").unwrap(), role.name());
    }
    let url = database.url_as(&closed);
    assert_eq!(psql_at(&url, "select current_user").unwrap(), closed.name(), "{url}");
    let guessed = url.replace("word@", "guess@");
    assert!(psql_at(&guessed, "select 1").unwrap_err().contains("password authentication failed"));
    let refused = database.psql_as(&open, "create table t ()").unwrap_err();
    assert!(refused.to_string().contains("permission denied for schema public"), "{refused}");
}

#[test]
fn an_error_of_psql_says_what_the_server_said() {
    let database = Server::shared().database().unwrap();
    let error = database.psql("create table t (); select missing from t; drop table t").unwrap_err();
    assert!(error.to_string().contains("column \"missing\" does not exist"), "{error}");
    assert_eq!(database.psql("select count(*) from t").unwrap(), "0", "psql went on after an error");
}

#[test]
fn a_dump_and_a_file_carry_a_database_over() {
    let (from, to) = (Server::shared().database().unwrap(), Server::shared().database().unwrap());
    from.psql("create table t (x text); insert into t values ('kept')").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), from.dump(&["--no-owner"]).unwrap()).unwrap();
    to.psql_file(file.path()).unwrap();
    assert_eq!(to.psql("select x from public.t").unwrap(), "kept");
}

#[test]
fn a_database_sorts_by_bytes_unless_it_is_told_otherwise() {
    let server = Server::shared();
    let sql = "select string_agg(x, '' order by x) from unnest(array['a', 'B', 'c']) x";
    assert_eq!(server.database().unwrap().psql(sql).unwrap(), "Bac");
    let people = server.database_with("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").unwrap();
    assert_eq!(people.psql(sql).unwrap(), "aBc");
}
