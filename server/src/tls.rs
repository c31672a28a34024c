//! TLS by the server itself, with certificate files that are read again when they change.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::ring::{self, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use thiserror::Error;

use crate::config::Tls;

/// Why there is no TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM")]
    Pem {
        /// Its path.
        path: String,
        /// What it should hold.
        what: &'static str,
    },
    /// The two do not belong together, or the key is of a kind that is not known.
    #[error("certificate and key do not belong together: {0}")]
    Pair(rustls::Error),
}

/// The certificate in use.
#[derive(Debug)]
pub struct Certificates {
    files: (PathBuf, PathBuf),
    current: RwLock<(Arc<CertifiedKey>, Changed)>,
}

/// When the two files were last changed.
type Changed = [Option<SystemTime>; 2];

impl Certificates {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(tls: &Tls) -> Result<Arc<Self>, TlsError> {
        let files = (tls.certificate.clone(), tls.key.clone());
        let changed = changed(&files);
        let current = RwLock::new((Arc::new(read(&files)?), changed));
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads them again if they have changed; gives whether they have. What cannot be used replaces nothing, and is tried
    /// again: the other file may still be on its way.
    ///
    /// # Errors
    /// When the new ones cannot be used.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let changed = changed(&self.files);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).1 == changed {
            return Ok(false);
        }
        let key = Arc::new(read(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (key, changed);
        Ok(true)
    }

    /// The settings of a listener that uses them.
    ///
    /// # Errors
    /// Never, with the versions that are compiled in.
    pub fn server_config(self: Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder =
            builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]).map_err(TlsError::Pair)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone())
    }
}

fn changed((certificate, key): &(PathBuf, PathBuf)) -> Changed {
    [certificate, key].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read((certificate, key): &(PathBuf, PathBuf)) -> Result<CertifiedKey, TlsError> {
    let text = |path: &PathBuf| {
        fs::read(path).map_err(|error| TlsError::File { path: path.display().to_string(), error })
    };
    let pem = |path: &PathBuf, what| TlsError::Pem { path: path.display().to_string(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text(certificate)?).collect();
    let chain =
        chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| pem(certificate, "certificate"))?;
    let secret = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|_| pem(key, "private key"))?;
    let secret = sign::any_supported_type(&secret).map_err(TlsError::Pair)?;
    let pair = CertifiedKey::new(chain, secret);
    pair.keys_match().map_err(TlsError::Pair)?;
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Files {
        tls: Tls,
        _folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = Self {
                tls: Tls { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") },
                _folder: folder,
            };
            let made = make();
            files.write(&made.0, &made.1, 0);
            files
        }

        fn write(&self, certificate: &str, key: &str, age_s: u64) {
            for (path, text) in [(&self.tls.certificate, certificate), (&self.tls.key, key)] {
                fs::write(path, text).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + age_s);
                fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
        }
    }

    fn make() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn serial(certificates: &Certificates) -> Vec<u8> {
        certificates.current.read().unwrap().0.cert[0].to_vec()
    }

    #[test]
    fn changed_files_are_read_again_and_broken_ones_replace_nothing() {
        let files = Files::new();
        let certificates = Certificates::load(&files.tls).unwrap();
        let first = serial(&certificates);
        assert!(!certificates.reload_if_changed().unwrap());

        let (one, two) = (make(), make());
        files.write(&one.0, &two.1, 10);
        assert!(matches!(certificates.reload_if_changed(), Err(TlsError::Pair(_))));
        files.write("garbage", &one.1, 20);
        assert!(matches!(certificates.reload_if_changed(), Err(TlsError::Pem { .. })));
        fs::remove_file(&files.tls.key).unwrap();
        files.write(&one.0, "", 30);
        assert!(matches!(certificates.reload_if_changed(), Err(TlsError::Pem { .. })));
        assert_eq!(serial(&certificates), first);

        files.write(&one.0, &one.1, 40);
        assert!(certificates.reload_if_changed().unwrap());
        assert_ne!(serial(&certificates), first);
        assert!(Certificates::server_config(certificates).is_ok());
    }

    /// The certificate that a client is shown, which trusts only the one it is given.
    async fn dial(server: &Arc<ServerConfig>, trusted: &str) -> std::io::Result<Vec<u8>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (near, far) = tokio::io::duplex(64 * 1024);
        let accepting = tokio_rustls::TlsAcceptor::from(Arc::clone(server)).accept(far);
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let dialling = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, near);
        let (_accepted, dialled) = tokio::join!(accepting, dialling);
        let dialled = dialled?;
        let (_, session) = dialled.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        Ok(session.peer_certificates().unwrap()[0].to_vec())
    }

    #[tokio::test]
    async fn a_client_is_shown_the_new_certificate_after_a_reload() {
        let (first, second) = (make(), make());
        let files = Files::new();
        files.write(&first.0, &first.1, 1);
        let certificates = Certificates::load(&files.tls).unwrap();
        let server = Arc::clone(&certificates).server_config().unwrap();
        let shown = dial(&server, &first.0).await.unwrap();

        files.write(&second.0, &first.1, 2);
        assert!(certificates.reload_if_changed().is_err());
        assert_eq!(dial(&server, &first.0).await.unwrap(), shown, "a mismatched pair replaces nothing");

        files.write(&second.0, &second.1, 3);
        assert!(certificates.reload_if_changed().unwrap());
        assert!(dial(&server, &first.0).await.is_err(), "the old one is gone");
        assert_ne!(dial(&server, &second.0).await.unwrap(), shown);
    }
}
