//! The options of `tls serve` that say who the server is, and who may come in.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tls_tokio::tls_core::{CertificateResolver, MemoryCertificates, PeerVerifier};
use tls_tokio::{
    ClientAuth, Reload, ReloadingCertificates, ReloadingVerifier, RevocationLists, WebPkiVerifier,
};

use crate::args::{Limit, seconds};
use crate::console;
use crate::failure::Failure;
use crate::setup;

/// Certificates, and what is asked of clients.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityArguments {
    /// The certificate chain as PEM: the server's certificate, then its issuers, without the root
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of the certificate as PEM (PKCS#8, SEC1 or PKCS#1)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Where to write the development CA's certificate [default: one file per port in the user's state directory]
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pub(crate) ca_out: Option<PathBuf>,

    /// Ask clients for a certificate, and verify it with the roots in this PEM file; who has none may come in
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Refuse clients whose certificates these lists revoke, PEM; they must cover all issuers. May be repeated
    #[arg(long, value_name = "FILE", requires = "client_ca")]
    client_crl: Vec<PathBuf>,

    /// Refuse clients without a certificate
    #[arg(long, requires = "client_ca")]
    require_client_cert: bool,

    /// Look at the files of certificate, key, client CA and revocation lists so often, and use what is new in them
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = seconds)]
    reload: Option<Limit>,
}

impl IdentityArguments {
    /// The certificate to present, if there is one: else that of a development CA. To be called within the runtime.
    pub(crate) async fn certificates(&self) -> Result<Option<Arc<dyn CertificateResolver>>, Failure> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(None);
        };
        let Some(interval) = self.interval() else {
            let certificate = setup::certificate(Some(cert), Some(key))?;
            return Ok(Some(Arc::new(MemoryCertificates::new(certificate))));
        };
        let certificates = ReloadingCertificates::builder()
            .identity(cert, key)
            .interval(interval)
            .on_reload(report)
            .load()
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        Ok(Some(Arc::new(certificates)))
    }

    /// Whether clients are asked for a certificate, and may have none.
    pub(crate) async fn client_auth(&self) -> Result<Option<ClientAuth>, Failure> {
        let Some(roots) = &self.client_ca else {
            return Ok(None);
        };
        let verifier: Arc<dyn PeerVerifier> = match self.interval() {
            None => Arc::new(self.verifier(roots)?),
            Some(interval) => {
                let mut builder = ReloadingVerifier::builder(roots)
                    .interval(interval)
                    .on_reload(report);
                for list in &self.client_crl {
                    builder = builder.revocation_lists(list);
                }
                let verifier = builder.load().await;
                Arc::new(verifier.map_err(|error| Failure::new(error.to_string()))?)
            }
        };
        Ok(Some(match self.require_client_cert {
            true => ClientAuth::required(verifier),
            false => ClientAuth::requested(verifier),
        }))
    }

    fn verifier(&self, roots: &Path) -> Result<WebPkiVerifier, Failure> {
        let verifier = WebPkiVerifier::new(setup::roots(roots)?);
        if self.client_crl.is_empty() {
            return Ok(verifier);
        }
        let mut lists = Vec::new();
        for list in &self.client_crl {
            lists.extend(setup::read_file(list)?);
            lists.push(b'\n');
        }
        let lists = RevocationLists::from_pem(&lists)
            .map_err(|error| Failure::new(format!("--client-crl: {error}")))?;
        Ok(verifier.revocation_lists(lists))
    }

    /// How often the files are looked at, if they are.
    fn interval(&self) -> Option<Duration> {
        self.reload?.0
    }
}

/// Says what became of files that were seen to have changed.
fn report(reload: Reload<'_>) {
    let files: Vec<_> = reload
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let files = files.join(", ");
    match reload.result {
        Ok(()) => console::say(format_args!("reloaded {files}")),
        Err(error) => console::say(format_args!("not reloaded: {files}: {error}")),
    }
}
