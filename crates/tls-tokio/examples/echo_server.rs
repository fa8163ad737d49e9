//! Sends back what it receives. Ctrl-C lets it end what is under way, for ten seconds at most.
//!
//! ```sh
//! cargo run -p tls-tokio --example echo_server -- chain.pem key.pem 127.0.0.1:8443
//! ```

use std::io;
use std::time::Duration;

use tls_tokio::{Accepted, CertifiedKey, ServerConfig, TlsAcceptor, TlsListener, TlsStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [chain, key, address] = &arguments[..] else {
        return Err("usage: echo_server CHAIN KEY ADDRESS".into());
    };
    let certificate = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let acceptor = TlsAcceptor::new(ServerConfig::builder().certificate(certificate).build()?);
    let tcp = TcpListener::bind(address).await?;
    println!("listening on {}", tcp.local_addr()?);

    let mut listener = TlsListener::new(tcp, acceptor)
        .on_failure(|address, failure| eprintln!("{address}: no handshake: {failure}"));
    let handle = listener.handle();
    let draining = tokio::spawn(async move {
        tokio::signal::ctrl_c().await?;
        io::Result::Ok(handle.drain(Duration::from_secs(10)).await)
    });
    while let Some(accepted) = listener.accept().await {
        let Accepted {
            mut stream,
            address,
            guard,
            ..
        } = accepted;
        tokio::spawn(guard.run(async move {
            match echo(&mut stream).await {
                Ok(bytes) => println!("{address}: {bytes} bytes"),
                Err(error) => eprintln!("{address}: {error}"),
            }
        }));
    }
    println!("drained: {}", draining.await??);
    Ok(())
}

/// Serves one client until it closes; says how much it sent.
async fn echo(stream: &mut TlsStream<TcpStream>) -> io::Result<u64> {
    let mut space = vec![0; 16 * 1024];
    let mut bytes = 0;
    loop {
        // A client that is cut off is an error here, and no end.
        let length = stream.read(&mut space).await?;
        let Some(received @ [_, ..]) = space.get(..length) else {
            break;
        };
        stream.write_all(received).await?;
        stream.flush().await?;
        bytes += received.len() as u64;
    }
    stream.shutdown().await?;
    Ok(bytes)
}
