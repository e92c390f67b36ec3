use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::config::Config;

/// Whom to trust as the server on https.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// Only these authorities; the system's when `None`.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "ca_file in [server] of agent.conf names {path}, which cannot be read as PEM certificates: {reason}"
    )]
    CaFile { path: PathBuf, reason: String },
}

impl TlsSettings {
    pub fn load(config: &Config) -> Result<Self, TlsError> {
        let authorities = config.ca_file.as_deref().map(read).transpose()?;
        Ok(Self { authorities })
    }

    pub(super) fn authorities(&self) -> Option<&[CertificateDer<'static>]> {
        self.authorities.as_deref()
    }

    /// `None`: the stream uses the system's authorities.
    pub(super) fn client_config(&self) -> io::Result<Option<Arc<ClientConfig>>> {
        let Some(authorities) = &self.authorities else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in authorities {
            roots.add(certificate.clone()).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Some(Arc::new(config)))
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("it holds no certificate".to_owned())) } else { Ok(certificates) }
}
