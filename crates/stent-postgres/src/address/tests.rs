//! What addresses mean. The environment is a table of each test's own, so that nothing is set for the whole process.

use tokio_postgres::config::{SslNegotiation, TargetSessionAttrs};

use super::*;

fn address(url: &str) -> Address {
    with(url, &[])
}

fn with(url: &str, environment: &[(&str, &str)]) -> Address {
    parse(url, environment).unwrap()
}

fn parse(url: &str, environment: &[(&str, &str)]) -> Result<Address, StoreError> {
    Address::parse(url, &|name| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
}

fn tcp(name: &str, port: u16) -> Host {
    Host::Tcp(name.to_owned(), port)
}

#[test]
fn every_part_of_a_url_is_taken_and_what_was_escaped_is_taken_back() {
    for scheme in ["postgres", "postgresql"] {
        let address =
            address(&format!("{scheme}://a%40da:se%2Fc@r%25et@db.example:5433/my%20db?application_name=shop"));
        assert_eq!((address.user.as_str(), address.database.as_str()), ("a@da", "my db"));
        assert_eq!(address.hosts(), [tcp("db.example", 5433)]);
        assert_eq!(address.password(&address.hosts()[0]).unwrap(), "se/c@r%et");
        assert_eq!(address.application_name, "shop");
    }
}

#[test]
fn several_hosts_and_sockets_are_kept_in_their_order() {
    assert_eq!(
        address("postgres://u@a,b:5433,[::1]:5434,[::2]/d").hosts(),
        [tcp("a", 5432), tcp("b", 5433), tcp("::1", 5434), tcp("::2", 5432)]
    );
    let socket = |port| Host::Socket(PathBuf::from("/run/pg"), port);
    assert_eq!(address("postgres://u@%2Frun%2Fpg:5433/d").hosts(), [socket(5433)]);
    assert_eq!(address("postgres:///d?host=/run/pg").hosts(), [socket(5432)]);
    assert_eq!(address("postgres://u@%2Frun%2Fpg:5433/d").shown(), "postgres://u@%2Frun%2Fpg:5433/d");
    assert_eq!(address("postgres://u@/d?host=/run/pg,b&port=5433").hosts(), [socket(5433), tcp("b", 5433)]);
    assert_eq!(address("postgres://u@/d?host=a,b&port=1,").hosts(), [tcp("a", 1), tcp("b", 5432)]);
}

#[test]
fn of_several_hosts_the_one_that_writes_is_wanted() {
    assert!(!address("postgres://u@a/d").must_write);
    assert!(address("postgres://u@a,b/d").must_write);
    assert!(!address("postgres://u@a,b/d?target_session_attrs=any").must_write);
    assert!(address("postgres://u@a/d?target_session_attrs=read-write").must_write);
    assert!(with("postgres://u@a/d", &[("PGTARGETSESSIONATTRS", "primary")]).must_write);
}

#[test]
fn what_the_url_leaves_out_comes_from_the_environment() {
    let environment = [
        ("PGHOST", "db.example"),
        ("PGPORT", "5433"),
        ("PGUSER", "ada"),
        ("PGPASSWORD", "secret"),
        ("PGDATABASE", "shop"),
        ("PGAPPNAME", "till"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGSSLMODE", "disable"),
    ];
    let address = with("postgres://", &environment);
    assert_eq!(address.shown(), "postgres://ada@db.example:5433/shop");
    assert_eq!(address.password(&address.hosts()[0]).unwrap(), "secret");
    assert_eq!((address.application_name.as_str(), address.options.as_deref()), ("till", Some("-c geqo=off")));
    assert_eq!((address.connect_timeout, address.tls.mode), (Duration::from_secs(3), SslMode::Disable));

    let address = with("postgres://bob:own@other/own?connect_timeout=7&sslmode=require", &environment);
    assert_eq!(address.shown(), "postgres://bob@other:5433/own");
    assert_eq!(address.password(&address.hosts()[0]).unwrap(), "own");
    assert_eq!((address.connect_timeout, address.tls.mode), (Duration::from_secs(7), SslMode::Require));
}

#[test]
fn what_nobody_says_is_as_libpq_has_it() {
    let address = address("postgres://");
    assert_eq!(address.user, whoami::username().unwrap());
    assert_eq!(address.database, address.user);
    let hosts = address.hosts();
    assert!(
        matches!(&hosts[..], [Host::Socket(folder, 5432)] if folder.join(".s.PGSQL.5432").exists())
            || hosts == [tcp("localhost", 5432)],
        "{hosts:?}"
    );
    assert_eq!(address.tls, Tls { mode: SslMode::Prefer, roots: None, ours: None });
    assert_eq!((address.connect_timeout, address.schema, address.pooler), (Duration::from_secs(10), None, None));
    let max_idle = Some(Duration::from_secs(300));
    assert_eq!(address.pool, PoolSize { min: 1, max: 10, max_queries: 50_000, max_idle });
    assert_eq!(with("postgres://u@h", &[]).database, "u");
}

#[test]
fn the_pool_is_as_large_as_the_address_says() {
    let pool = |query: &str| parse(&format!("postgres://u@h/d?{query}"), &[]).map(|address| address.pool);
    let given = pool("min_size=5&max_size=50&max_queries=7&max_inactive_connection_lifetime=0.5").unwrap();
    let max_idle = Some(Duration::from_millis(500));
    assert_eq!(given, PoolSize { min: 5, max: 50, max_queries: 7, max_idle });
    assert_eq!(pool("min_size=20").unwrap().max, 20);
    assert_eq!(pool("max_inactive_connection_lifetime=0").unwrap().max_idle, None);
    for (bad, named) in [
        ("min_size=9&max_size=8", "min_size"),
        ("max_size=0", "max_size"),
        ("max_size=ten", "max_size"),
        ("max_queries=0", "max_queries"),
        ("max_inactive_connection_lifetime=-1", "max_inactive_connection_lifetime"),
    ] {
        let error = pool(bad).unwrap_err();
        assert!(error.kind() == StoreErrorKind::Unusable && error.to_string().contains(named), "{bad}: {error}");
    }
}

#[test]
fn tls_checks_what_libpq_would_check() {
    let tls = |query: &str| parse(&format!("postgres://u@h/d?{query}"), &[]).map(|address| address.tls);
    let roots = Some(PathBuf::from("/r.pem"));
    assert_eq!(tls("sslmode=require").unwrap().mode, SslMode::Require);
    let given = tls("sslmode=require&sslrootcert=/r.pem").unwrap();
    assert_eq!((given.mode, given.roots), (SslMode::VerifyCa, roots.clone()), "roots that are named are used");
    let given = tls("sslmode=verify-full&sslrootcert=/r.pem").unwrap();
    assert_eq!((given.mode, given.roots), (SslMode::VerifyFull, roots));
    let given = tls("sslrootcert=system").unwrap();
    assert_eq!((given.mode, given.roots), (SslMode::VerifyFull, None));
    let ours = Some((PathBuf::from("/c.pem"), PathBuf::from("/k.pem")));
    assert_eq!(tls("sslcert=/c.pem&sslkey=/k.pem").unwrap().ours, ours);
    for bad in ["sslmode=on", "sslmode=require&sslrootcert=system", "sslcert=/c.pem", "channel_binding=maybe"] {
        assert_eq!(tls(bad).unwrap_err().kind(), StoreErrorKind::Unusable, "{bad}");
    }
}

#[test]
fn a_schema_is_a_name_and_nothing_more() {
    let named = address("postgres://u@h/d?schema=My%20%22own%22%3B");
    assert_eq!(named.schema.as_deref(), Some("My \"own\";"));
    assert!(named.prelude().contains(r#"SET LOCAL search_path TO "My ""own"";""#), "{}", named.prelude());
    assert!(named.session().contains(r#"SET search_path TO "My ""own"";""#), "{}", named.session());
    assert!(!address("postgres://u@h/d").prelude().contains("search_path"));
    let long = "x".repeat(64);
    for bad in [long.as_str(), "pg_stent", "information_schema", "a%00b"] {
        let error = parse(&format!("postgres://u@h/d?schema={bad}"), &[]).unwrap_err();
        assert!(error.to_string().contains("schema"), "{error}");
    }
}

#[test]
fn everything_in_a_prelude_ends_with_its_transaction() {
    let prelude = address("postgres://u@h/d?schema=s").prelude();
    assert!(prelude.split(';').all(|one| one.trim().starts_with("SET LOCAL ")), "{prelude}");
    assert!(prelude.contains("idle_in_transaction_session_timeout"), "{prelude}");
}

#[test]
fn an_address_that_is_none_is_refused_with_a_hint_and_without_its_secrets() {
    for (bad, said) in [
        ("", "PostgreSQL"),
        ("localhost", "PostgreSQL"),
        ("sqlite://stent.db", "sqlite:"),
        ("mysql://u:secret@h/d", "mysql:"),
        ("postgres:u:secret@h", "postgres:"),
        ("postgres://u:se/secret@h/d", "%2F"),
        ("postgres://u:se?secret@h/d", "%3F"),
        ("postgres://u:secret", "port"),
        ("postgres://u:secret%@h/d", "%25"),
        ("postgres://u:secret%zz@h/d", "%25"),
        ("postgres://u:secret%ff@h/d", "UTF-8"),
        ("postgres://u:secret@h:0/d", "65535"),
        ("postgres://u:secret@h:65536/d", "65535"),
        ("postgres://u:secret@[::1/d", "port"),
        ("postgres://u:secret@[::1]5432/d", "brackets"),
        ("postgres://u:secret@/d?host=a,b,c&port=1,2", "3 hosts and 2 ports"),
        ("postgres://u:secret@h/d?target_session_attrs=standby", "target_session_attrs"),
        ("postgres://u:secret@h/d?pooler=perhaps", "pooler is one of true, false"),
        ("postgres://u:secret@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgres://u:secret@h/d?maxsize=5", "\"maxsize\""),
    ] {
        let error = parse(bad, &[]).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unusable, "{bad}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(said) && !shown.contains("secret") && !error.hint().is_empty(), "{bad}: {shown}");
    }
    let error = parse("postgres://h/d?maxsize=5", &[]).unwrap_err();
    assert!(error.hint().contains("max_size") && error.hint().contains("sslmode"), "{error}");
}

#[test]
fn a_password_is_never_shown() {
    for address in [address("postgres://u:secret@h/d?schema=s"), with("postgres://u@h/d", &[("PGPASSWORD", "secret")])]
    {
        assert_eq!(address.password(&address.hosts()[0]).unwrap(), "secret");
        let shown = format!("{address} {address:?} {}", address.shown());
        assert!(!shown.contains("secret") && shown.contains("u@h:5432/d"), "{shown}");
    }
}

#[test]
fn a_password_that_nobody_gives_is_looked_up_in_the_password_file() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    std::fs::write(&file, "db.example:5433:*:ada:over tcp\nlocalhost:*:*:ada:by socket\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let home = home.path().to_str().unwrap();
    let found = |url: &str, environment: &[(&str, &str)]| {
        let address = with(url, environment);
        address.password(&address.hosts()[0])
    };
    assert_eq!(found("postgres://ada@db.example:5433", &[("HOME", home)]).unwrap(), "over tcp");
    assert_eq!(found("postgres://ada@%2Frun%2Fpg", &[("HOME", home)]).unwrap(), "by socket");
    assert_eq!(found("postgres://bob@db.example:5433", &[("HOME", home)]), None);
    assert_eq!(found("postgres://ada:own@db.example:5433", &[("HOME", home)]).unwrap(), "own");
    let elsewhere = [("PGPASSFILE", file.to_str().unwrap()), ("HOME", "/nowhere")];
    assert_eq!(found("postgres://ada@db.example:5433", &elsewhere).unwrap(), "over tcp");
}

#[test]
fn a_configuration_of_tokio_postgres_means_what_its_url_means() {
    for url in [
        "postgres://ann:s3cret@db.example:5433/shop?application_name=till&connect_timeout=3&sslmode=require",
        "postgres://ann@a,b:5433/shop?target_session_attrs=read-write",
        "postgres://ann@a,b/shop?channel_binding=disable&sslmode=disable",
        "postgres://ann@/shop?host=/run/pg&port=5433&options=-c%20search_path%3Dtill",
    ] {
        let (ours, theirs) = (address(url), Address::of_config(&url.parse().unwrap()).unwrap());
        assert_eq!(theirs.shown(), ours.shown());
        for host in ours.hosts() {
            assert_eq!(theirs.password(&host), ours.password(&host));
        }
        assert_eq!((theirs.tls, theirs.must_write), (ours.tls, ours.must_write), "{url}");
        assert_eq!((theirs.options, theirs.application_name), (ours.options, ours.application_name), "{url}");
        assert_eq!((theirs.connect_timeout, theirs.channel_binding), (ours.connect_timeout, ours.channel_binding));
    }
    let mut numbered = Config::new();
    numbered.user("ann").host("db.example").hostaddr([127, 0, 0, 1].into()).port(5433);
    assert_eq!(Address::of_config(&numbered).unwrap().hosts(), [tcp("127.0.0.1", 5433)]);
}

#[test]
fn a_configuration_that_does_not_serve_a_store_is_refused_by_what_is_wrong() {
    let refused = |change: &dyn Fn(&mut Config), word: &str| {
        let mut config = Config::new();
        config.user("ann").password("s3cret").host("a");
        change(&mut config);
        let error = Address::of_config(&config).unwrap_err();
        assert!(error.to_string().contains(word) && !format!("{error:?}").contains("s3cret"), "{error:?}");
    };
    refused(&|config| drop(config.target_session_attrs(TargetSessionAttrs::ReadOnly).clone()), "writes");
    refused(&|config| drop(config.ssl_negotiation(SslNegotiation::Direct).clone()), "TLS");
    refused(&|config| drop(config.password([0xff]).clone()), "password");
    refused(&|config| drop(config.host("b,c").clone()), "comma");
    refused(&|config| drop(config.port(1).port(2).clone()), "ports");
}
