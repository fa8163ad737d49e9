//! KeyUpdate, sent by each side to each side.

use tls_tests::openssl::{s_client, s_server, send_key_update};
use tls_tests::pki::KeyType;
use tls_tests::process::{Process, require_or_skip};

use crate::{Listener, World, assert_no_error, close, connect, expect, noise, send};

const RECEIVED: &str = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate";
const SENT: &str = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate";

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// Waits until `s_client` has received so many KeyUpdates and sent so many.
async fn counted(client: &Process, received: usize, sent: usize) {
    client
        .wait_until(
            &format!("has received {received} KeyUpdates and sent {sent}"),
            |client| {
                let text = client.text();
                count(&text, RECEIVED) == received && count(&text, SENT) == sent
            },
        )
        .await;
}

#[tokio::test]
async fn our_server_answers_a_key_update_that_asks_for_one_and_no_other() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &["-tls1_3", "-msg"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    client.wait_for("Verify return code").await;

    let mut answers = 0;
    for (round, asks) in [true, false, true, true, false].into_iter().enumerate() {
        send_key_update(&mut client, asks).await;
        let line = format!("line {round}\n");
        client.send(line.as_bytes()).await.unwrap();
        expect(&mut stream, line.as_bytes()).await;
        let reply = format!("reply {round}");
        send(&mut stream, format!("{reply}\n").as_bytes()).await;
        client.wait_for(&reply).await;
        answers += usize::from(asks);
        counted(&client, answers, round + 1).await;
    }
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    let finished = client.finish().await;
    assert_eq!(count(&finished.text(), RECEIVED), 3);
    assert_no_error(&finished);
}

#[tokio::test]
async fn our_client_answers_a_key_update_while_it_only_reads() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let mut server = s_server(&world.localhost_files(KeyType::P256), &["-tls1_3", "-msg"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    for (round, asks) in [true, false, true].into_iter().enumerate() {
        send_key_update(&mut server.process, asks).await;
        let line = format!("line {round}\n");
        server.process.send(line.as_bytes()).await.unwrap();
        expect(&mut stream, line.as_bytes()).await;
    }
    // s_server reads under the new keys only if our answers left before this.
    send(&mut stream, b"after three updates\n").await;
    server.process.wait_for("after three updates").await;
    close(&mut stream).await;
    let finished = server.process.finish().await;
    assert_eq!(count(&finished.text(), SENT), 3);
    assert_eq!(count(&finished.text(), RECEIVED), 2);
    assert_no_error(&finished);
}

#[tokio::test]
async fn openssl_answers_the_key_updates_that_our_server_asks_for() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &["-tls1_3", "-msg"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    client.wait_for("Verify return code").await;
    for round in 1..=3 {
        stream.request_key_update().unwrap();
        let data = format!("under our key {round}");
        send(&mut stream, format!("{data}\n").as_bytes()).await;
        client.wait_for(&data).await;
        // OpenSSL answers before the next data it has to send.
        let answer = format!("under their key {round}\n");
        client.send(answer.as_bytes()).await.unwrap();
        expect(&mut stream, answer.as_bytes()).await;
        counted(&client, round, round).await;
    }
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    assert_no_error(&client.finish().await);
}

#[tokio::test]
async fn openssl_answers_the_key_updates_that_our_client_asks_for() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let mut server = s_server(&world.localhost_files(KeyType::P256), &["-tls1_3", "-msg"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    for round in 1..=3 {
        stream.request_key_update().unwrap();
        let data = format!("under our key {round}");
        send(&mut stream, format!("{data}\n").as_bytes()).await;
        server.process.wait_for(&data).await;
        let answer = format!("under their key {round}\n");
        server.process.send(answer.as_bytes()).await.unwrap();
        expect(&mut stream, answer.as_bytes()).await;
    }
    close(&mut stream).await;
    let finished = server.process.finish().await;
    assert_eq!(count(&finished.text(), RECEIVED), 3);
    assert_eq!(count(&finished.text(), SENT), 3);
    assert_no_error(&finished);
}

#[tokio::test]
async fn a_key_update_leaves_with_a_flush_alone() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &["-tls1_3", "-msg"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    client.wait_for("Verify return code").await;
    stream.request_key_update().unwrap();
    send(&mut stream, b"").await;
    client.wait_for(RECEIVED).await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    assert_no_error(&client.finish().await);
}

#[tokio::test]
async fn key_updates_in_the_middle_of_much_data_disturb_nothing() {
    if !require_or_skip("openssl") {
        return;
    }
    const PIECE: usize = 50_000;
    const PIECES: usize = 20;
    let world = World::new();
    let (ours, theirs) = (noise(PIECE * PIECES, 9), noise(PIECE * PIECES, 10));
    let mut server = s_server(&world.localhost_files(KeyType::P256), &["-tls1_3", "-quiet"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    for (ours, theirs) in ours.chunks(PIECE).zip(theirs.chunks(PIECE)) {
        stream.request_key_update().unwrap();
        // OpenSSL answers somewhere in the data that it sends meanwhile.
        let (sent, ()) = tokio::join!(server.process.send(theirs), async {
            send(&mut stream, ours).await;
            expect(&mut stream, theirs).await;
        });
        sent.unwrap();
    }
    assert!(server.process.wait_for_stdout(ours.len()).await == ours);
    close(&mut stream).await;
    assert_no_error(&server.process.finish().await);
}
