use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, version};

use crate::secret::Secret;
use crate::{Address, Error, Result};

/// The longest file of certificates.
const LONGEST_FILE: u64 = 1 << 20;

/// What protects a line: files, which are read when an end of a line is made. Nothing of what they hold is ever printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// A folder with `ca.pem` (the authority whose certificates are trusted), `cert.pem` (this side's certificate, by that
    /// authority) and `key.pem` (its key); for `tls://`, and needed there.
    pub tls: Option<PathBuf>,
    /// A file with a token, which its owner alone may read: the listener asks callers for it.
    pub token: Option<PathBuf>,
}

impl Security {
    /// The token, if there is one.
    pub(crate) fn secret(&self) -> Result<Option<Secret>> {
        self.token.as_deref().map(Secret::read).transpose()
    }

    /// The folder of certificates, if the address wants one.
    fn folder(&self, address: &Address) -> Result<Option<&Path>> {
        let no = |why| Err(Error::Security { address: address.to_string(), why });
        match (address, &self.tls) {
            (Address::Tls(..), None) => no("tls:// needs certificates: --tls DIR, with ca.pem, cert.pem and key.pem"),
            (Address::Tcp(..), Some(_)) => no("tcp:// uses no certificates; write tls://, or leave --tls out"),
            (Address::Unix(_), Some(_)) => no("unix: uses no certificates; leave --tls out"),
            (_, folder) => Ok(folder.as_deref()),
        }
    }

    /// What TLS needs to listen at an address, if that is TLS's.
    pub(crate) fn listening(&self, address: &Address) -> Result<Option<Arc<ServerConfig>>> {
        let Some(folder) = self.folder(address)? else { return Ok(None) };
        let Papers { provider, authority, chain, key } = Papers::read(folder)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(authority.into(), provider.clone());
        let verifier = verifier.build().map_err(|error| Error::file(&folder.join("ca.pem"), error))?;
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13]);
        let config = config.map_err(|error| Error::file(folder, error))?.with_client_cert_verifier(verifier);
        Ok(Some(Arc::new(config.with_single_cert(chain, key).map_err(|error| unpaired(folder, error))?)))
    }

    /// What TLS needs to call an address, if that is TLS's.
    pub(crate) fn calling(&self, address: &Address) -> Result<Option<Arc<ClientConfig>>> {
        let Some(folder) = self.folder(address)? else { return Ok(None) };
        let Papers { provider, authority, chain, key } = Papers::read(folder)?;
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13]);
        let config = config.map_err(|error| Error::file(folder, error))?.with_root_certificates(authority);
        Ok(Some(Arc::new(config.with_client_auth_cert(chain, key).map_err(|error| unpaired(folder, error))?)))
    }
}

fn unpaired(folder: &Path, error: rustls::Error) -> Error {
    Error::file(&folder.join("key.pem"), format!("it does not go with cert.pem: {error}"))
}

/// What a folder of certificates holds.
struct Papers {
    provider: Arc<CryptoProvider>,
    authority: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Papers {
    fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            let bytes = guard::files::read(&path, LONGEST_FILE).map_err(|error| Error::file(&path, error))?;
            Ok((path, bytes))
        };
        let mut authority = RootCertStore::empty();
        let (path, bytes) = read("ca.pem")?;
        for certificate in certificates(&path, &bytes)? {
            authority.add(certificate).map_err(|error| Error::file(&path, error))?;
        }
        let (path, bytes) = read("cert.pem")?;
        let chain = certificates(&path, &bytes)?;
        let (path, bytes) = read("key.pem")?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| Error::file(&path, format!("no key as PEM: {error}")))?;
        Ok(Self { provider: Arc::new(ring::default_provider()), authority, chain, key })
    }
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Error::file(path, "no certificate as PEM (`-----BEGIN CERTIFICATE-----`) is in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(Error::file(path, format!("no certificate as PEM: {error}"))),
    }
}
