//! TLS by rustls with its ring provider, given to each configuration by name: a process's default provider belongs to the
//! program, not to us. What each `sslmode` checks of the server's certificate is decided here and nowhere else.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{SslMode, Tls};

/// What agrees on TLS, made at its first use: roots are read once, and later connections resume the session.
#[derive(Clone, Default)]
pub(crate) struct Connector(Arc<OnceLock<MakeRustlsConnect>>);

impl Connector {
    /// One for these rules. Where TLS is not used at all (a unix socket) the library still wants one, and no file is read
    /// for it.
    pub(super) fn get(&self, tls: &Tls, is_used: bool) -> Result<MakeRustlsConnect, StoreError> {
        if !is_used {
            let unused = Tls { mode: SslMode::Disable, roots: None, ours: None };
            return Ok(MakeRustlsConnect::new(configuration(&unused)?));
        }
        if let Some(made) = self.0.get() {
            return Ok(made.clone());
        }
        let made = MakeRustlsConnect::new(configuration(tls)?);
        Ok(self.0.get_or_init(|| made).clone())
    }
}

fn configuration(tls: &Tls) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |error| unusable("could not set up TLS", error);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    let verifier: Arc<dyn ServerCertVerifier> = match tls.mode {
        SslMode::VerifyFull => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(tls.roots.as_deref())?), provider)
                .build()
                .map_err(|error| unusable("could not set up TLS", error))?
        }
        SslMode::VerifyCa => Arc::new(Lenient { roots: Some(roots(tls.roots.as_deref())?), provider }),
        _ => Arc::new(Lenient { roots: None, provider }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &tls.ours else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    builder.with_client_auth_cert(certificates(certificate)?, key).map_err(failed)
}

/// The roots to trust: those of a file, else the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = store.add_parsable_certificates(found.certs);
        if added == 0 {
            return Err(StoreError::new(StoreErrorKind::Unusable, "this system has no trusted certificates")
                .with_hint("install its ca-certificates, or name the server's root in sslrootcert"));
        }
        return Ok(store);
    };
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| unreadable(file, error))?;
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unreadable(file, error))?;
    if certificates.is_empty() {
        let message = format!("{} has no certificate in it", file.display());
        return Err(StoreError::new(StoreErrorKind::Unusable, message).with_hint("it holds one or more, as PEM"));
    }
    Ok(certificates)
}

fn unreadable(file: &Path, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    unusable(&format!("could not use {}", file.display()), error)
}

fn unusable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::new(StoreErrorKind::Unusable, format!("{what}: {error}"))
        .with_hint("check sslmode, sslrootcert, sslcert and sslkey in the address")
        .with_source(error)
}

/// For the modes that do not ask for a host's name: any certificate (`require` and below, against listeners only), or
/// any that a root signed (`verify-ca`). That the server has the certificate's key is checked in any case.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            rustls::client::verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(certificate)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
