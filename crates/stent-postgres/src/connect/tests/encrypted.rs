//! TLS with a server of the test's own and certificates made for it: what each `sslmode` lets through.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stent_servers::Database;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A root, and certificates that it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Certificate and key for a host, as PEM.
    fn certificate(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn root(&self, folder: &Path, name: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, self.issuer.pem()).unwrap();
        file
    }
}

/// A server that offers TLS with a certificate.
struct Encrypting {
    database: Database,
    server: Server,
    folder: TempDir,
}

impl Encrypting {
    fn start(authority: &Authority) -> Self {
        let server = Server::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let database = server.database().unwrap();
        let encrypting = Self { database, server, folder };
        encrypting.take(authority, "127.0.0.1");
        encrypting
    }

    /// The server shows a certificate for this host from now on.
    fn take(&self, authority: &Authority, host: &str) {
        let (certificate, key) = authority.certificate(host);
        let (certificate_file, key_file) =
            (self.folder.path().join("server.crt"), self.folder.path().join("server.key"));
        std::fs::write(&certificate_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        // The server takes only a key that is its own account's and nobody else's.
        let socket = self.server.sockets().join(format!(".s.PGSQL.{}", self.server.port()));
        let account = std::fs::metadata(socket).unwrap();
        chown(&key_file, Some(account.uid()), Some(account.gid())).unwrap();
        std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600)).unwrap();
        let set = |name: &str, value: &str| format!("ALTER SYSTEM SET {name} = '{value}';");
        let settings = [
            set("ssl_cert_file", certificate_file.to_str().unwrap()),
            set("ssl_key_file", key_file.to_str().unwrap()),
            set("ssl", "on"),
        ];
        for setting in settings {
            self.server.psql(&setting).unwrap();
        }
        self.server.psql("SELECT pg_reload_conf()").unwrap();
    }

    /// Connects once the server has taken what it was told, and says whether TLS is in use.
    async fn uses_tls(&self, query: &str) -> Result<bool, StoreError> {
        let mut connected = to(&format!("{}?{query}", self.database.url())).await?;
        assert!(connected.is_direct, "TLS ends at the server itself");
        Ok(ask(&mut connected, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").await == "t")
    }

    /// Waits until the server shows what it was told to: it rereads its files in its own time.
    async fn until(&self, query: &str, is_let_in: bool) {
        let begun = std::time::Instant::now();
        loop {
            let outcome = self.uses_tls(query).await;
            if outcome.as_ref().ok() == is_let_in.then_some(&true) {
                return;
            }
            let log = || std::fs::read_to_string(self.server.log().unwrap()).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(20), "{outcome:?}, and the server says {}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[test]
fn each_mode_of_tls_lets_through_what_libpq_would() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let server = Encrypting::start(&authority);
    let ours = format!("sslrootcert={}", authority.root(server.folder.path(), "root.crt").display());
    let another = format!("sslrootcert={}", other.root(server.folder.path(), "another.crt").display());
    on_one_thread(async {
        server.until("sslmode=require", true).await;
        for (query, used) in [
            ("sslmode=disable", false),
            ("sslmode=allow", false),
            ("sslmode=prefer", true),
            ("", true),
            ("sslmode=require", true),
            (&format!("sslmode=verify-ca&{ours}"), true),
            (&format!("sslmode=verify-full&{ours}"), true),
        ] {
            assert_eq!(server.uses_tls(query).await.unwrap(), used, "{query}");
        }
        for query in [
            format!("sslmode=require&{another}"),
            format!("sslmode=verify-ca&{another}"),
            format!("sslmode=verify-full&{another}"),
            "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(),
        ] {
            let error = server.uses_tls(&query).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unusable, "{query}");
            assert!(error.hint().contains("sslrootcert"), "{query}: {error}");
        }

        server.take(&authority, "db.example");
        server.until(&format!("sslmode=verify-full&{ours}"), false).await;
        assert!(
            server.uses_tls(&format!("sslmode=verify-ca&{ours}")).await.unwrap(),
            "the host's name is not asked for"
        );
        let error = server.uses_tls(&format!("sslmode=verify-full&{ours}")).await.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Unusable && error.to_string().contains("certificate"), "{error}");
    });
}

#[test]
fn a_password_can_be_bound_to_the_tls_connection() {
    let server = Encrypting::start(&Authority::new("ours"));
    let role = server.server.role_with_password("secret").unwrap();
    on_one_thread(async {
        server.until("sslmode=require", true).await;
        assert!(to(&format!("{}?channel_binding=require", server.database.url_as(&role))).await.is_ok());
        let url = format!("{}?channel_binding=require&sslmode=disable", server.database.url_as(&role));
        assert_eq!(failure(&url).await.kind(), StoreErrorKind::Unusable);
    });
}

#[test]
fn a_server_without_tls_is_refused_only_where_tls_is_required() {
    let database = Server::shared().database().unwrap();
    on_one_thread(async {
        assert!(to(&format!("{}?sslmode=prefer", database.url())).await.is_ok());
        let error = failure(&format!("{}?sslmode=require", database.url())).await;
        assert!(error.kind() == StoreErrorKind::Unusable && error.hint().contains("sslmode"), "{error}");
        // On a socket nobody listens in.
        assert!(to(&format!("{}&sslmode=verify-full", database.socket_url())).await.is_ok());
    });
}

#[test]
fn a_server_whose_tls_does_not_work_is_reached_without_where_that_is_allowed() {
    let database = Server::shared().database().unwrap();
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let offers_and_leaves = async {
            let (mut asked, _) = listener.accept().await.unwrap();
            asked.read_exact(&mut [0; 8]).await.unwrap();
            asked.write_all(b"S").await.unwrap();
            drop(asked);
        };
        let then_passes_on = async {
            offers_and_leaves.await;
            let (mut ours, _) = listener.accept().await.unwrap();
            let mut theirs = TcpStream::connect(Server::shared().address()).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
        };
        let url = database.url_at(port);
        tokio::select! {
            connected = to(&url) => drop(connected.unwrap()),
            () = then_passes_on => panic!("the connection ended"),
        }
    });
}
