//! Somebody on the way cuts the TCP stream, at each byte of a response.

use super::*;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tls_tests::both_versions;
use tokio::net::{TcpListener, TcpStream};

both_versions!(
    real async
    a_cut_at_any_byte_leaves_the_whole_records_before_it_and_an_error,
);

const PARTS: [&[u8]; 3] = [b"one ", b"two, which is longer, ", b"three"];

/// A server that echoes two bytes, then answers two more with three records and a goodbye.
async fn serve(listener: &TcpListener, version: ProtocolVersion) {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut tls = Role::server(version)
        .handshake(tcp, Some(10 * SECOND))
        .await
        .unwrap();
    let mut request = [0; 2];
    tls.read_exact(&mut request).await.unwrap();
    say(&mut tls, &request).await.unwrap();
    tls.read_exact(&mut request).await.unwrap();
    for part in PARTS {
        if say(&mut tls, part).await.is_err() {
            return;
        }
    }
    let _ = tls.shutdown().await;
}

/// Passes everything on until it is armed; then so many bytes of the server's, and cuts.
async fn attack(
    listener: &TcpListener,
    server: SocketAddr,
    armed: &AtomicBool,
    mut left: usize,
    reset: bool,
) {
    let (client, _) = listener.accept().await.unwrap();
    let server = TcpStream::connect(server).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let forward = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        // The server may have gone first: keep both sockets for the cut.
        (from_client, to_server)
    });
    let mut space = [0; 4096];
    loop {
        if armed.load(SeqCst) && left == 0 {
            break;
        }
        let count = from_server.read(&mut space).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        let passed = if armed.load(SeqCst) {
            count.min(left)
        } else {
            count
        };
        if armed.load(SeqCst) {
            left -= passed;
        }
        to_client.write_all(&space[..passed]).await.unwrap();
    }
    if reset {
        to_client.as_ref().set_zero_linger().unwrap();
        // Without a FIN before it.
        to_client.forget();
    }
    forward.abort();
    let _ = forward.await;
}

async fn a_cut_at_any_byte_leaves_the_whole_records_before_it_and_an_error(version: ProtocolVersion) {
    let overhead = if version == ProtocolVersion::TLS12 { 29 } else { 22 };
    let total: usize = PARTS.iter().map(|part| part.len() + overhead).sum();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (server_address, proxy_address) = (server.local_addr().unwrap(), proxy.local_addr().unwrap());
    let with_goodbye = total + 2 + overhead;
    for cut in 0..=with_goodbye {
        for reset in [false, true] {
            // Every seventh by a reset too, which may take bytes with it that were passed on.
            if reset && cut % 7 != 0 {
                continue;
            }
            let armed = AtomicBool::new(false);
            let client = async {
                let tcp = TcpStream::connect(proxy_address).await.unwrap();
                let mut tls = Role::client(version)
                    .handshake(tcp, Some(10 * SECOND))
                    .await
                    .unwrap();
                say(&mut tls, b"hi").await.unwrap();
                tls.read_exact(&mut [0; 2]).await.unwrap();
                armed.store(true, SeqCst);
                // With nothing to pass on, the proxy may be faster.
                let _ = say(&mut tls, b"go").await;
                let (data, end) = read_all(&mut tls).await;
                (data, end, tls.read(&mut [0; 9]).await)
            };
            let ((data, end, again), (), ()) = tokio::join!(
                client,
                serve(&server, version),
                attack(&proxy, server_address, &armed, cut, reset)
            );
            let mut whole = Vec::new();
            let mut wire = 0;
            for part in PARTS {
                wire += part.len() + overhead;
                if wire <= cut {
                    whole.extend_from_slice(part);
                }
            }
            if cut == with_goodbye && !reset {
                end.unwrap();
                assert_eq!((data, again.unwrap()), (whole, 0));
                continue;
            }
            if reset {
                assert!(whole.starts_with(&data), "{cut}: {data:?}");
                if cut == with_goodbye && end.is_ok() {
                    continue;
                }
            } else {
                assert_eq!(data, whole, "cut after {cut} bytes");
                assert_eq!(
                    end.as_ref().unwrap_err().kind(),
                    Io::UnexpectedEof,
                    "cut after {cut} bytes"
                );
            }
            end.expect_err("never a clean end");
            again.expect_err("nor at the second look");
        }
    }
}
