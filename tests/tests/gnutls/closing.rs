//! How connections with GnuTLS end.

use super::*;

const PRIORITIES: [&str; 2] = ["NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"];

/// How our server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Shutdown,
    Drop,
    DropHalf,
    Abort,
}

/// What `gnutls-cli` says of it.
async fn said(priority: &str, how: How) -> String {
    let world = World::new();
    let (client, accepted) = world.gnutls_cli(KeyType::P256, priority, |server| server).await;
    let mut stream = accepted.unwrap();
    stream.write_all(b"the last words\n").await.unwrap();
    stream.flush().await.unwrap();
    client.wait_for("the last words").await;
    match how {
        How::Shutdown => stream.shutdown().await.unwrap(),
        How::Drop => drop(stream),
        How::DropHalf => {
            let (read, write) = stream.into_split();
            drop(write);
            // GnuTLS closes without a goodbye where ours comes first.
            let finished = client.finish().await;
            drop(read);
            return finished.text();
        }
        How::Abort => stream.abort(),
    }
    let finished = client.finish().await;
    assert_eq!(
        finished.status.success(),
        how != How::Abort,
        "{}",
        finished.text()
    );
    finished.text()
}

#[tokio::test]
async fn gnutls_sees_each_way_in_which_we_close_as_one_in_order() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    for priority in PRIORITIES {
        for how in [How::Shutdown, How::Drop, How::DropHalf] {
            let text = said(priority, how).await;
            assert!(!text.contains("properly terminated"), "{how:?}: {text}");
            assert!(
                text.contains("Peer has closed the GnuTLS connection"),
                "{how:?}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn gnutls_sees_that_an_aborted_connection_was_cut() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    for priority in PRIORITIES {
        let text = said(priority, How::Abort).await;
        assert!(text.contains("properly terminated"), "{text}");
    }
}

#[tokio::test]
async fn our_client_closes_in_order_with_gnutls() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let world = World::new();
    for priority in PRIORITIES {
        let (server, address) = world.gnutls_serv(KeyType::P256, priority).await;
        for drops in [false, true] {
            let mut stream = world.connect(address, world.client()).await.unwrap();
            echoed(&mut stream, b"a line for an echo\n").await;
            if drops {
                drop(stream);
            } else {
                close(&mut stream).await;
            }
        }
        // It serves on, and nothing was wrong with those before.
        let mut stream = world.connect(address, world.client()).await.unwrap();
        echoed(&mut stream, b"another line\n").await;
        close(&mut stream).await;
        // Whether it listens was asked without a handshake.
        let text = server.text();
        let errors = text
            .lines()
            .filter(|line| line.contains("rror") && !line.contains("in handshake"));
        assert_eq!(errors.count(), 0, "{text}");
        server.kill().await;
    }
}
