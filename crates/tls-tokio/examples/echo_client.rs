//! Sends its standard input to a server, and writes what comes back to its standard output.
//!
//! ```sh
//! echo hello | cargo run -p tls-tokio --example echo_client -- ca.pem localhost 127.0.0.1:8443
//! ```

use tls_tokio::{ClientConfig, RootStore, ServerName, TlsConnector};
use tokio::io::{AsyncWriteExt as _, copy, stdin, stdout};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [roots, name, address] = &arguments[..] else {
        return Err("usage: echo_client ROOTS NAME ADDRESS".into());
    };
    let roots = RootStore::from_pem(&std::fs::read(roots)?)?;
    let connector = TlsConnector::new(ClientConfig::builder().roots(roots).build()?);
    let name = ServerName::try_from(name.clone())?;
    let stream = connector
        .connect(name, TcpStream::connect(address).await?)
        .await?;
    let info = stream.info();
    eprintln!(
        "{}, {}, {:?}",
        info.version(),
        info.cipher_suite(),
        info.handshake_time()
    );

    // Two halves that share no lock: it writes while it reads, whatever either waits for.
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        copy(&mut stdin(), &mut write).await?;
        // close_notify: the server knows that this was all, and answers to the end.
        write.shutdown().await
    };
    let receiving = async {
        let mut stdout = stdout();
        copy(&mut read, &mut stdout).await?;
        stdout.flush().await
    };
    tokio::try_join!(sending, receiving)?;
    Ok(())
}
