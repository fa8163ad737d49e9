//! Peers that never read: whatever is called ends within its limit, and the socket is closed then.

use super::*;
use std::os::fd::AsRawFd;
use tls_tests::both_versions;
use tls_tests::sides::establish;
use tls_tokio::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

both_versions!(
    real async
    a_stuck_peer_cannot_keep_our_socket,
);

/// Short, since it runs in real time.
const LIMIT: Duration = Duration::from_millis(150);

/// Far more than any limit here.
const MUCH: Duration = Duration::from_secs(20);

/// What `/proc` calls a socket.
fn socket(tcp: &TcpStream) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", tcp.as_raw_fd())).unwrap();
    link.to_str().unwrap().to_owned()
}

/// How many file descriptors of this process stand for it.
fn descriptors(socket: &str) -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|link| link.to_str() == Some(socket))
        .count()
}

async fn a_stuck_peer_cannot_keep_our_socket(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for role in Role::both(version) {
        for how in ["shutdown", "graceful", "halves", "drop", "drop halves"] {
            let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (client, server) = establish(version, client.unwrap(), server.unwrap().0).await;
            let (mut ours, _stuck) = if role.is_client() {
                (client, server)
            } else {
                (server, client)
            };
            ours.set_shutdown_timeout(LIMIT);
            // All buffers on the way are full.
            while timeout(LIMIT, ours.write_all(&[7; 64 * 1024])).await.is_ok() {}
            let socket = socket(ours.get_ref());
            assert_eq!(descriptors(&socket), 1);
            let started = Instant::now();
            match how {
                "shutdown" => {
                    assert_eq!(ours.shutdown().await.unwrap_err().kind(), Io::TimedOut);
                    drop(ours);
                }
                "graceful" => {
                    let end = ours.graceful_shutdown(LIMIT).await;
                    assert!(matches!(end, Shutdown::TimedOut), "{end:?}");
                    drop(ours);
                }
                "halves" => {
                    let (read, mut write) = ours.into_split();
                    assert_eq!(write.shutdown().await.unwrap_err().kind(), Io::TimedOut);
                    drop((read, write));
                }
                "drop" => drop(ours),
                _ => {
                    let (read, write) = ours.into_split();
                    drop(write);
                    drop(read);
                }
            }
            assert!(started.elapsed() < MUCH, "{how}: {:?}", started.elapsed());
            assert_eq!(descriptors(&socket), 0, "{role:?}, {how}");
        }
    }
}
