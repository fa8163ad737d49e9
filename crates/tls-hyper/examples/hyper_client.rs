//! Gets pages with hyper-util's client and its pool: connections are used again, and new ones resume.
//!
//! ```sh
//! cargo run -p tls-hyper --example hyper_client -- ca.pem https://localhost:8443/ https://localhost:8443/
//! ```

use std::error::Error;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tls_hyper::tls_tokio::MemorySessionCache;
use tls_hyper::{ClientConfig, HttpsConnector, RootStore, TlsInfo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let ca = arguments.next().ok_or("usage: hyper_client CA.pem URL...")?;
    let config = ClientConfig::builder()
        .roots(RootStore::from_pem(&std::fs::read(ca)?)?)
        .session_cache(Arc::new(MemorySessionCache::default()))
        .build()?;
    let connector = HttpsConnector::builder().with_tls_config(config).build()?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);

    for url in arguments {
        let response = client.get(url.parse::<Uri>()?).await?;
        let (head, body) = response.into_parts();
        // To the end: only then the connection can be used again.
        let body = body.collect().await?.to_bytes();
        print!("{url}: {} {:?}, {} bytes", head.status, head.version, body.len());
        match head.extensions.get::<TlsInfo>() {
            Some(tls) => {
                let how = if tls.is_resumed() {
                    "resumed"
                } else {
                    "full handshake"
                };
                println!(", {} {}, {how}", tls.version(), tls.cipher_suite());
            }
            None => println!(", in the clear"),
        }
    }
    Ok(())
}
