//! Servers that share a Redis, so that each resumes what any of them made, and a client that visits them in turn.
//!
//! ```sh
//! (umask 077; head -c 32 /dev/urandom > store.key)
//! cargo run -p tls-redis --example fleet -- serve redis://127.0.0.1/ store.key chain.pem key.pem 127.0.0.1:8441
//! cargo run -p tls-redis --example fleet -- serve redis://127.0.0.1/ store.key chain.pem key.pem 127.0.0.1:8442
//! cargo run -p tls-redis --example fleet -- visit ca.pem localhost 127.0.0.1:8441 127.0.0.1:8442
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tls_redis::{Redis, RedisTicketKeys, StoreKey};
use tls_tokio::{
    Accepted, CertifiedKey, ClientConfig, MemorySessionCache, RootStore, ServerConfig, ServerName,
    TlsAcceptor, TlsConnector, TlsListener,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a handshake may wait for Redis before it goes on in full. The default is 100 ms, which is long for a Redis
/// next door; a machine that runs everything at once can be slower.
const BUDGET: Duration = Duration::from_secs(20);

/// For a client to say goodbye.
const LIMIT: Duration = Duration::from_secs(5);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", redis, store_key, chain, key, address] => {
            serve(redis, store_key, [chain, key], address).await
        }
        ["visit", roots, name, ref addresses @ ..] => Box::pin(visit(roots, name, addresses)).await,
        _ => Err("usage: fleet serve REDIS STORE_KEY CHAIN KEY ADDRESS | visit ROOTS NAME ADDRESS...".into()),
    }
}

/// One server of the fleet.
async fn serve(redis: &str, store_key: &str, [chain, key]: [&str; 2], address: &str) -> Outcome<()> {
    // Seals what Redis keeps, and is the same in the whole fleet.
    let secret: [u8; 32] = std::fs::read(store_key)?
        .try_into()
        .map_err(|_| "a store key is 32 bytes")?;
    let redis = Redis::new(redis, StoreKey::new(secret))?
        .with_prefix("fleet:")
        .with_budget(BUDGET);
    if let Err(error) = redis.ping().await {
        eprintln!("full handshakes until Redis answers: {error}");
    }
    let certificate = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let config = ServerConfig::builder()
        .certificate(certificate)
        .ticket_keys(Arc::new(RedisTicketKeys::new(redis)))
        .build()?;

    let tcp = TcpListener::bind(address).await?;
    println!("listening on {}", tcp.local_addr()?);
    let mut listener = TlsListener::new(tcp, TlsAcceptor::new(config));
    while let Some(Accepted {
        mut stream, guard, ..
    }) = listener.accept().await
    {
        tokio::spawn(guard.run(async move {
            let resumed = stream.info().is_resumed();
            let greeting = if resumed { "welcome back\n" } else { "welcome\n" };
            stream.write_all(greeting.as_bytes()).await?;
            stream.graceful_shutdown(LIMIT).await;
            io::Result::Ok(())
        }));
    }
    Ok(())
}

/// A client that keeps its sessions: to it the servers are one, since they have one name.
async fn visit(roots: &str, name: &str, addresses: &[&str]) -> Outcome<()> {
    let config = ClientConfig::builder()
        .roots(RootStore::from_pem(&std::fs::read(roots)?)?)
        .session_cache(Arc::new(MemorySessionCache::new(16)))
        .build()?;
    let connector = TlsConnector::new(config);
    let name = ServerName::try_from(name.to_owned())?;
    for address in addresses {
        let tcp = TcpStream::connect(address).await?;
        let mut stream = connector.connect(name.clone(), tcp).await?;
        let mut greeting = String::new();
        stream.read_to_string(&mut greeting).await?;
        stream.shutdown().await?;
        print!("{address}: {greeting}");
    }
    Ok(())
}
