//! `tls transcript`, against `tls serve` and by itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tls_tests::process::Process;
use tls_tests::transcript::decode::{Protection, decode};
use tls_tests::transcript::{Recording, What};

use crate::support::{Server, TLS, path, port, run, stderr};

fn stored(name: &str) -> String {
    format!(
        "{}/../../testdata/transcripts/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// A transcript in which everything can be read.
fn assert_readable(text: &str) -> Recording {
    let recording = Recording::parse(text).unwrap();
    assert!(!recording.connections.is_empty());
    for events in &recording.connections {
        let records = decode(events, &recording.secrets);
        assert!(
            records
                .iter()
                .all(|record| record.protection != Protection::Closed),
            "{text}"
        );
        let finished = records
            .iter()
            .flat_map(|record| &record.messages)
            .filter(|message| message.bytes[0] == 20);
        assert_eq!(finished.count(), 2);
    }
    recording
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_recorded_is_shown_with_its_data() {
    let server = Server::start(&["--echo"]).await;
    let file = server.directory.path().join("transcript.txt");
    let (ca, target) = (server.ca(), server.target());
    let line = [
        "transcript",
        "record",
        path(&file),
        "connect",
        &target,
        "--ca",
        path(&ca),
    ];
    let mut client = Process::spawn(TLS, line);
    client.send(b"a line for the record\n").await.unwrap();
    client.wait_for("a line for the record").await;
    client.close_stdin();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = std::fs::read_to_string(&file).unwrap();
    let recording = assert_readable(&text);
    assert!(recording.is_client());

    let shown = run(&["transcript", "show", path(&file)]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("ClientHello: ") && shown.contains("host_name: localhost"),
        "{shown}"
    );
    assert!(shown.contains(r#""a line for the record\n""#), "{shown}");
    assert!(!shown.contains("\nsecret: "), "{shown}");

    let again = run(&["transcript", "record", path(&file), "connect", &target]).await;
    assert!(stderr(&again).contains("cannot create"), "{}", stderr(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_recorded_through_a_relay() {
    let directory = tempfile::tempdir().unwrap();
    let (file, ca) = (
        directory.path().join("transcript.txt"),
        directory.path().join("ca.pem"),
    );
    let serve = [
        "serve",
        "--echo",
        "--once",
        "--listen",
        "127.0.0.1:0",
        "--ca-out",
        path(&ca),
    ];
    let line = [&["transcript", "record", path(&file)][..], &serve].concat();
    let server = Process::spawn(TLS, line);
    port(&server).await;
    let said = server.text();
    let (_, rest) = said.split_once("recording on 127.0.0.1:").unwrap();
    let target = format!("localhost:{}", rest.split(',').next().unwrap());
    let client = run(&["connect", &target, "--ca", path(&ca)]).await;
    assert!(client.status.success(), "{}", client.text());
    let finished = server.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert!(!assert_readable(&std::fs::read_to_string(&file).unwrap()).is_client());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_somebody_elses_hello_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump.txt");
    std::fs::write(
        &file,
        ">>> Flow 2 (server to client)\n00000000  15 03 03 00 02 02 28  |......(|\n",
    )
    .unwrap();
    let shown = run(&["transcript", "show", path(&file)]).await;
    assert!(
        shown.text().contains("fatal handshake_failure"),
        "{}",
        shown.text()
    );
    std::fs::write(&file, "no dump at all\n").unwrap();
    let refused = run(&["transcript", "show", path(&file)]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("line 1 is no hex dump"),
        "{}",
        stderr(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_the_server_said() {
    let name = stored("client-tls13-aes128");
    let recording = Recording::parse(&std::fs::read_to_string(&name).unwrap()).unwrap();
    let replay = Process::spawn(TLS, ["transcript", "replay", &name, "--listen", "127.0.0.1:0"]);
    let mut socket = TcpStream::connect(("127.0.0.1", port(&replay).await)).unwrap();
    let mut first = true;
    for event in &recording.connections[0] {
        let What::Bytes(bytes) = &event.what else {
            continue;
        };
        if event.from_client {
            let mut bytes = bytes.clone();
            // One byte of the first flight is another.
            bytes[20] ^= u8::from(std::mem::take(&mut first));
            socket.write_all(&bytes).unwrap();
        } else {
            let mut got = vec![0; bytes.len()];
            socket.read_exact(&mut got).unwrap();
            assert_eq!(got, *bytes);
        }
    }
    let finished = replay.finish().await;
    let text = stderr(&finished);
    assert!(finished.status.success(), "{text}");
    assert!(text.contains("other than recorded from byte 20 on"), "{text}");
    assert!(text.contains("bytes, as recorded"), "{text}");
    let wrong = run(&[
        "transcript",
        "replay",
        &name,
        "--listen",
        "127.0.0.1:0",
        "--connection",
        "2",
    ])
    .await;
    assert_eq!(wrong.status.code(), Some(2));
}
