//! Records in all shapes: padded, split small, with and without dummy change_cipher_spec.

use tls_core::Padding;
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;

use crate::{Listener, World, assert_no_error, close, connect, expect, noise, send};

both_versions! {
    our_server_reads_records_of_every_shape_and_answers_in_its_own,
    our_client_reads_records_of_every_shape_and_answers_in_its_own,
    small_writes_arrive_one_by_one_and_in_order,
}

const SIZE: usize = 200_000;

/// Options of OpenSSL that change the records it sends.
const SHAPES: [&[&str]; 6] = [
    &["-record_padding", "512"],
    &["-record_padding", "16384"],
    &["-max_send_frag", "512"],
    &["-max_send_frag", "1024", "-split_send_frag", "513"],
    &["-max_send_frag", "700", "-record_padding", "333"],
    &["-no_middlebox"],
];

async fn our_server_reads_records_of_every_shape_and_answers_in_its_own(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (turn, shape) in SHAPES.into_iter().enumerate() {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &[&[version, "-brief", "-nocommands"], shape].concat());
        let padding = [
            Padding::None,
            Padding::MultipleOf(1000),
            Padding::MultipleOf(16384),
        ][turn % 3];
        let config = world.server().padding(padding).build().unwrap();
        let mut stream = listener.accept(config).await.unwrap();
        let (ours, theirs) = (noise(SIZE, 4), noise(SIZE, 5));
        client.send(&theirs).await.unwrap();
        expect(&mut stream, &theirs).await;
        send(&mut stream, &ours).await;
        assert!(client.wait_for_stdout(SIZE).await == ours, "{shape:?}");
        client.close_stdin();
        close(&mut stream).await;
        assert_no_error(&client.finish().await);
    }
}

async fn our_client_reads_records_of_every_shape_and_answers_in_its_own(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (turn, shape) in SHAPES.into_iter().enumerate() {
        let mut server = s_server(&files, &[&[version, "-quiet"], shape].concat()).await;
        let padding = [
            Padding::None,
            Padding::MultipleOf(1000),
            Padding::MultipleOf(16384),
        ][turn % 3];
        let config = world.client().padding(padding).build().unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        let (ours, theirs) = (noise(SIZE, 6), noise(SIZE, 7));
        send(&mut stream, &ours).await;
        assert!(server.process.wait_for_stdout(SIZE).await == ours, "{shape:?}");
        let (sent, ()) = tokio::join!(server.process.send(&theirs), expect(&mut stream, &theirs));
        sent.unwrap();
        close(&mut stream).await;
        assert_no_error(&server.process.finish().await);
    }
}

async fn small_writes_arrive_one_by_one_and_in_order(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &[version, "-brief", "-nocommands"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    let data = noise(2_000, 8);
    for byte in &data {
        send(&mut stream, &[*byte]).await;
    }
    assert!(client.wait_for_stdout(data.len()).await == data);
    client.close_stdin();
    close(&mut stream).await;
    assert_no_error(&client.finish().await);
}

/// How many change_cipher_spec records were sent (`>>>`) or received (`<<<`), by the headers that `-msg` shows.
fn dummies(text: &str, direction: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let headers = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with(direction) && pair[0].contains("RecordHeader"));
    headers
        .filter(|pair| pair[1].trim_start().starts_with("14 03 03 00 01"))
        .count()
}

#[tokio::test]
async fn our_server_sends_a_dummy_change_cipher_spec_to_who_asks_for_compatibility() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (arguments, expected) in [(&[][..], 1), (&["-no_middlebox"][..], 0)] {
        for (groups, extra) in [("X25519", 0), ("P-256:X25519", 1)] {
            let (listener, address) = Listener::new().await;
            let mut client = s_client(
                address,
                &[&["-tls1_3", "-msg", "-groups", groups], arguments].concat(),
            );
            let config = world
                .server()
                .groups([tls_core::NamedGroup::X25519])
                .build()
                .unwrap();
            let mut stream = listener.accept(config).await.unwrap();
            assert_eq!(stream.info().had_hello_retry_request(), extra == 1);
            client.wait_for("Verify return code").await;
            client.send(b"Q\n").await.unwrap();
            close(&mut stream).await;
            let finished = client.finish().await;
            let text = finished.text();
            assert_eq!(dummies(&text, "<<<"), expected, "{arguments:?} {groups}: {text}");
            assert_eq!(dummies(&text, ">>>"), expected, "{arguments:?} {groups}: {text}");
            assert_no_error(&finished);
        }
    }
}

#[tokio::test]
async fn our_client_asks_for_compatibility_unless_told_not_to() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (enabled, expected) in [(true, 1), (false, 0)] {
        for group in ["X25519", "P-256"] {
            let server = s_server(&files, &["-tls1_3", "-msg", "-groups", group]).await;
            let config = world.client().middlebox_compatibility(enabled).build().unwrap();
            let mut stream = connect(server.address, config).await.unwrap();
            assert_eq!(stream.info().had_hello_retry_request(), group == "P-256");
            close(&mut stream).await;
            let finished = server.process.finish().await;
            let text = finished.text();
            assert_eq!(dummies(&text, "<<<"), expected, "{enabled} {group}: {text}");
            // OpenSSL sends its own whether asked or not.
            assert_eq!(dummies(&text, ">>>"), 1, "{enabled} {group}: {text}");
            assert_no_error(&finished);
        }
    }
}
