//! A router by server name: reads the ClientHello, looks the name up, and copies both ways between client and backend.
//! It ends no TLS and has no keys: the client sees the backend's certificate.
//!
//! ```sh
//! cargo run -p tls-tokio --example sni_router -- 127.0.0.1:8443 one.example=127.0.0.1:4431 two.example=127.0.0.1:4432
//! ```

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tls_tokio::{AlertDescription, ConnectionContext, PendingAccept};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout_at;

/// For the whole ClientHello, and for the backend to be reached.
const LIMIT: Duration = Duration::from_secs(10);

/// Backends by the names that clients ask for, in lower case.
pub(crate) type Table = HashMap<String, SocketAddr>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments
        .next()
        .ok_or("usage: sni_router LISTEN NAME=BACKEND...")?;
    let mut table = Table::new();
    for argument in arguments {
        let (name, backend) = argument.split_once('=').ok_or("not NAME=BACKEND")?;
        table.insert(name.to_ascii_lowercase(), backend.parse()?);
    }
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, table).await?;
    Ok(())
}

/// Routes for ever.
pub(crate) async fn serve(listener: TcpListener, table: Table) -> io::Result<()> {
    let table = Arc::new(table);
    loop {
        let (client, address) = listener.accept().await?;
        let table = Arc::clone(&table);
        tokio::spawn(async move {
            match route(client, &table).await {
                Ok(name) => println!("{address}: {name}"),
                Err(error) => println!("{address}: {error}"),
            }
        });
    }
}

/// Serves one client to the end; returns the name it asked for.
async fn route(client: TcpStream, table: &Table) -> io::Result<String> {
    let pending = PendingAccept::read(client, ConnectionContext::new(), Some(LIMIT)).await?;
    // Any case is the same name (RFC 6066 section 3).
    let name = pending.client_hello().server_name().map(str::to_ascii_lowercase);
    let Some((name, backend)) = name.and_then(|name| table.get_key_value(&name)) else {
        return Err(pending.refuse(AlertDescription::UNRECOGNIZED_NAME).await.into());
    };
    let connected = match pending.deadline() {
        Some(deadline) => timeout_at(deadline, TcpStream::connect(backend)).await,
        None => Ok(TcpStream::connect(backend).await),
    };
    let Ok(Ok(mut backend)) = connected else {
        return Err(pending.refuse(AlertDescription::INTERNAL_ERROR).await.into());
    };
    let (mut client, received) = pending.into_parts();
    backend.write_all(&received).await?;
    drop(received);
    copy_bidirectional(&mut client, &mut backend).await?;
    Ok(name.clone())
}
