//! Serves the files of a directory by HTTPS. Ctrl-C ends it when those who are being served have their files.
//!
//! ```sh
//! cargo run -p tls-hyper --example file_server -- 127.0.0.1:8443 chain.pem key.pem public
//! ```

use std::error::Error;
use std::time::Duration;

use tls_hyper::{CertifiedKey, ServerConfig, TlsAcceptor, TlsListener};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, chain, key, directory] = arguments.as_slice() else {
        return Err("usage: file_server LISTEN CHAIN.pem KEY.pem DIRECTORY".into());
    };
    let key = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let config = ServerConfig::builder()
        .certificate(key)
        .alpn(["h2", "http/1.1"])
        .build()?;
    let tcp = TcpListener::bind(listen).await?;
    println!("https://{}/", tcp.local_addr()?);

    let listener = TlsListener::new(tcp, TlsAcceptor::new(config))
        .on_failure(|address, failure| eprintln!("{address}: {failure}"));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let served = tls_hyper::serve(listener, ServeDir::new(directory));
    println!("{:?}", served.until(stop, Duration::from_secs(10)).await);
    Ok(())
}
