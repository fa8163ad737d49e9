//! The helpers do what they say: a test built on a helper that does not is worth nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;
use tls_tests::counting::CountingIo;
use tls_tests::openssl::{Negotiated, alert_seen, curl, s_client, s_server, send_key_update};
use tls_tests::pki::{Authority, KeyType, Leaf, Validity, pem};
use tls_tests::process::{Process, require_one_or_skip, require_or_skip};
use tls_tests::script::{Memory, Script, ScriptedIo, poll_times};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;
use tokio_test::{assert_pending, assert_ready_eq, assert_ready_ok, task};

const SHORT: Duration = Duration::from_secs(3600);

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

// ---- certificates

#[test]
fn pem_is_read_back_by_another_reader() {
    for length in [1, 2, 3, 47, 48, 49, 200] {
        let der: Vec<u8> = (0..length).map(|i| (i * 37 % 256) as u8).collect();
        let read = CertificateDer::from_pem_slice(pem("CERTIFICATE", &der).as_bytes()).unwrap();
        assert_eq!(read.as_ref(), der);
    }
}

#[tokio::test]
async fn openssl_accepts_each_good_chain_and_names_the_fault_of_each_bad_one() {
    if !require_or_skip("openssl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    let verify = async |leaf: &tls_tests::pki::Identity, name: &str| {
        let files = leaf.write_to(directory.path(), "leaf");
        let mut line = vec![
            "verify",
            "-CAfile",
            path(&root),
            "-verify_hostname",
            name,
            "-purpose",
            "sslserver",
        ];
        if let Some(issuers) = &files.issuers {
            line.extend(["-untrusted", path(issuers)]);
        }
        line.push(path(&files.leaf));
        Process::spawn("openssl", line).finish().await.text()
    };
    for key_type in KeyType::ALL {
        let text = verify(
            &authority.leaf(key_type, &["localhost", "127.0.0.1"]),
            "localhost",
        )
        .await;
        assert!(text.contains("leaf.pem: OK"), "{key_type:?}: {text}");
    }
    let leaf = Leaf::new(KeyType::P256, &["localhost"]);
    let bad = [
        (authority.issue(&leaf), "other.example", "hostname mismatch"),
        (
            authority.issue(&leaf.clone().validity(Validity::Expired)),
            "localhost",
            "certificate has expired",
        ),
        (
            authority.issue(&leaf.clone().validity(Validity::NotYet)),
            "localhost",
            "certificate is not yet valid",
        ),
        (
            authority.issue(&leaf.clone().client()),
            "localhost",
            "unsuitable certificate purpose",
        ),
        (
            Authority::new().issue(&leaf),
            "localhost",
            "unable to get local issuer certificate",
        ),
        (leaf.clone().self_signed(), "localhost", "self-signed certificate"),
        (leaf.ca().self_signed(), "localhost", "self-signed certificate"),
    ];
    for (identity, name, fault) in bad {
        let text = verify(&identity, name).await;
        assert!(text.contains(fault), "{fault}: {text}");
    }
}

// ---- faulty transports

#[tokio::test]
async fn a_script_without_faults_changes_nothing() {
    let (near, mut far) = duplex(1024);
    let mut io = ScriptedIo::new(near, Script::new());
    let tape = io.tape();
    io.write_all(b"question").await.unwrap();
    far.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    io.read_exact(&mut answer).await.unwrap();
    assert_eq!(
        (&answer, tape.read(), tape.written()),
        (b"answer", b"answer".to_vec(), b"question".to_vec())
    );
    assert!(!tape.counts().is_shut_down() && !tape.counts().is_dropped());
    io.shutdown().await.unwrap();
    drop(io);
    assert!(tape.counts().is_shut_down() && tape.counts().is_dropped());
}

#[test]
fn the_first_write_is_pending_once_and_wakes() {
    let mut io = ScriptedIo::new(Memory::new(""), Script::new().first_write_pending());
    let mut write = task::spawn(io.write(b"alert"));
    assert_pending!(write.poll());
    assert!(write.is_woken());
    assert_ready_eq!(write.poll().map_err(|error| error.kind()), Ok(5));
    drop(write);
    assert_ready_ok!(task::spawn(io.write(b"more")).poll());
}

#[test]
fn every_call_can_be_pending() {
    let mut io = ScriptedIo::new(Memory::new("ab"), Script::new().pending_every(1).read_chunk(1));
    for expected in [b"a", b"b"] {
        let mut byte = [0; 1];
        let mut read = task::spawn(io.read(&mut byte));
        assert_pending!(read.poll());
        assert!(read.is_woken());
        assert_ready_ok!(read.poll());
        drop(read);
        assert_eq!(&byte, expected);
    }
    let mut second = ScriptedIo::new(Memory::new("ab"), Script::new().pending_every(2).read_chunk(1));
    assert_ready_ok!(task::spawn(second.read_u8()).poll());
    assert_pending!(task::spawn(second.read_u8()).poll());
    assert_ready_ok!(task::spawn(second.read_u8()).poll());
}

#[tokio::test]
async fn chunks_bound_each_read_and_write() {
    let mut io = ScriptedIo::new(
        Memory::new("0123456789"),
        Script::new().read_chunk(3).write_chunk(2),
    );
    assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 3);
    assert_eq!(io.write(b"abc").await.unwrap(), 2);
    assert_eq!(
        (io.tape().read(), io.tape().written()),
        (b"012".to_vec(), b"ab".to_vec())
    );
}

#[tokio::test]
async fn eof_and_errors_come_where_they_were_asked_for_and_stay() {
    let mut space = [0; 64];
    let mut io = ScriptedIo::new(Memory::new("0123456789"), Script::new().eof_after(4));
    assert_eq!(io.read(&mut space).await.unwrap(), 4);
    assert_eq!(io.read(&mut space).await.unwrap(), 0);
    assert_eq!(io.read(&mut space).await.unwrap(), 0);

    let broken = Script::new()
        .read_error_at(1, ErrorKind::ConnectionReset)
        .read_chunk(2);
    let mut io = ScriptedIo::new(Memory::new("0123456789"), broken);
    assert_eq!(io.read(&mut space).await.unwrap(), 2);
    for _ in 0..2 {
        assert_eq!(
            io.read(&mut space).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }

    let broken = Script::new().write_error_after(3, ErrorKind::BrokenPipe);
    let mut io = ScriptedIo::new(Memory::new(""), broken);
    assert_eq!(io.write(b"abcdef").await.unwrap(), 3);
    assert_eq!(io.write(b"def").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(io.tape().written(), b"abc");

    let mut io = ScriptedIo::new(
        Memory::new("abc"),
        Script::new().read_error_after(0, ErrorKind::TimedOut),
    );
    assert_eq!(io.read(&mut space).await.unwrap_err().kind(), ErrorKind::TimedOut);
    let mut io = ScriptedIo::new(
        Memory::new("abc"),
        Script::new().write_error_at(0, ErrorKind::TimedOut),
    );
    assert_eq!(io.write(b"x").await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_stall_never_wakes() {
    let mut io = ScriptedIo::new(
        Memory::new("0123"),
        Script::new()
            .read_stall_after(2)
            .write_stall_after(1)
            .stall_shutdown(),
    );
    assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 2);
    assert!(timeout(SHORT, io.read(&mut [0; 64])).await.is_err());
    assert_eq!(io.write(b"xy").await.unwrap(), 1);
    assert!(timeout(SHORT, io.write(b"y")).await.is_err());
    assert!(timeout(SHORT, io.shutdown()).await.is_err());
    let mut silent = Memory::then_silent("ab");
    assert_eq!(silent.read(&mut [0; 64]).await.unwrap(), 2);
    assert!(timeout(SHORT, silent.read(&mut [0; 64])).await.is_err());
    assert_eq!(Memory::new("").read(&mut [0; 64]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_seed_gives_the_same_faults_again_and_no_byte_is_lost() {
    let run = async |seed| {
        let input: Vec<u8> = (0..2000_u32).map(|i| i as u8).collect();
        let mut io = ScriptedIo::new(Memory::new(input.clone()), Script::seeded(seed));
        let mut lengths = Vec::new();
        let mut space = [0; 512];
        loop {
            match io.read(&mut space).await.unwrap() {
                0 => break,
                n => lengths.push(n),
            }
        }
        io.write_all(&input).await.unwrap();
        assert_eq!((io.tape().read(), io.tape().written()), (input.clone(), input));
        lengths
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
    assert!(run(7).await.iter().all(|n| (1..=64).contains(n)));
}

#[tokio::test]
async fn counts_are_kept_beyond_the_transport() {
    let mut io = CountingIo::new(Memory::new("hello"));
    let counts = io.counts();
    io.write_all(b"1234").await.unwrap();
    io.flush().await.unwrap();
    io.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!((counts.bytes_in(), counts.bytes_out()), (5, 4));
    assert_eq!((counts.reads(), counts.writes(), counts.flushes()), (1, 1, 1));
    assert!(!counts.is_shut_down() && !counts.is_dropped());
    io.shutdown().await.unwrap();
    assert!(counts.is_shut_down() && !counts.is_dropped());
    drop(io);
    assert!(counts.is_dropped());
}

#[tokio::test]
async fn poll_times_stops_after_so_many_polls() {
    let three_awaits = || async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        "done"
    };
    assert_eq!(poll_times(three_awaits(), 3).await, None);
    assert_eq!(poll_times(three_awaits(), 4).await, Some("done"));
}

// ---- other programs

#[test]
fn a_missing_program_is_noticed() {
    assert!(tls_tests::process::find("no-such-program-anywhere").is_none());
    assert_eq!(
        require_one_or_skip(&["no-such-program-anywhere", "sh"]),
        Some("sh")
    );
}

#[test]
fn alerts_and_values_are_read_from_what_openssl_prints() {
    let error = "error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:rec_layer_s3.c:1590:SSL alert number 48\n";
    assert_eq!(alert_seen(error), Some(48));
    assert_eq!(alert_seen("no alert"), None);
    assert_eq!(Negotiated::parse("CONNECTED(00000003)\n"), None);
}

#[tokio::test]
async fn a_server_and_a_client_of_openssl_echo_a_mebibyte_each_way() {
    if !require_or_skip("openssl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    let identity = authority
        .leaf(KeyType::P384, &["localhost", "127.0.0.1"])
        .write_to(directory.path(), "server");
    let mut server = s_server(&identity, &["-tls1_3", "-quiet"]).await;
    let verified = [
        "-quiet",
        "-no_ign_eof",
        "-nocommands",
        "-CAfile",
        path(&root),
        "-verify_return_error",
    ];
    let mut client = s_client(server.address, &verified);
    let data: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();

    client.send(&data).await.unwrap();
    assert_eq!(server.process.wait_for_stdout(data.len()).await, data);
    server.process.send(&data).await.unwrap();
    assert_eq!(client.wait_for_stdout(data.len()).await, data);
    client.close_stdin();
    assert!(client.finish().await.status.success());
    assert!(server.process.finish().await.status.success());
}

#[tokio::test]
async fn each_key_type_is_served_by_openssl_and_what_was_negotiated_is_read() {
    if !require_or_skip("openssl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    let expected = [
        (
            KeyType::P256,
            "TLS_AES_128_GCM_SHA256",
            "X25519",
            "ECDSA",
            "SHA256",
        ),
        (
            KeyType::P384,
            "TLS_AES_256_GCM_SHA384",
            "P-256",
            "ECDSA",
            "SHA384",
        ),
        (
            KeyType::P521,
            "TLS_CHACHA20_POLY1305_SHA256",
            "P-384",
            "ECDSA",
            "SHA512",
        ),
        (
            KeyType::Rsa2048,
            "TLS_AES_128_GCM_SHA256",
            "P-521",
            "RSA-PSS",
            "SHA256",
        ),
        (
            KeyType::Ed25519,
            "TLS_AES_128_GCM_SHA256",
            "X25519",
            "Ed25519",
            "",
        ),
    ];
    for (key_type, suite, group, signature, digest) in expected {
        let identity = authority
            .leaf(key_type, &["localhost"])
            .write_to(directory.path(), "server");
        let limited = [
            "-tls1_3",
            "-ciphersuites",
            suite,
            "-groups",
            group,
            "-alpn",
            "h2,http/1.1",
        ];
        let server = s_server(&identity, &limited).await;
        let mut client = s_client(server.address, &["-CAfile", path(&root), "-alpn", "http/1.1"]);
        let text = client.wait_for("Verify return code").await;
        let got = Negotiated::parse(&text).unwrap();
        assert_eq!((got.version.as_str(), got.cipher.as_str()), ("TLSv1.3", suite));
        assert!(
            got.signature.eq_ignore_ascii_case(signature) && got.digest == digest,
            "{text}"
        );
        let name = match group {
            "P-256" => "prime256v1",
            "P-384" => "secp384r1",
            "P-521" => "secp521r1",
            other => other,
        };
        assert_eq!(
            (got.group.as_str(), got.alpn.as_deref()),
            (name, Some("http/1.1")),
            "{text}"
        );
        assert_eq!(
            (got.verify_code, got.reused, got.chain_length),
            (Some(0), false, 2),
            "{text}"
        );
        client.send(b"Q\n").await.unwrap();
        client.finish().await;
        server.process.kill().await;
    }
}

#[tokio::test]
async fn a_refused_certificate_shows_as_an_alert_at_the_server() {
    if !require_or_skip("openssl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let identity = Authority::new()
        .leaf(KeyType::P256, &["localhost"])
        .write_to(directory.path(), "server");
    let stranger = Authority::new().write_root(directory.path());
    let server = s_server(&identity, &["-tls1_3"]).await;
    let client = s_client(
        server.address,
        &["-CAfile", path(&stranger), "-verify_return_error"],
    );
    assert!(!client.finish().await.status.success());
    assert_eq!(server.process.finish().await.alert_seen(), Some(48), "unknown_ca");
}

#[tokio::test]
async fn key_updates_can_be_asked_for_and_seen() {
    if !require_or_skip("openssl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let identity = Authority::new()
        .leaf(KeyType::P256, &["localhost"])
        .write_to(directory.path(), "server");
    let mut server = s_server(&identity, &["-tls1_3", "-msg"]).await;
    let mut client = s_client(server.address, &["-msg"]);
    client.wait_for("Verify return code").await;
    let received = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate";
    send_key_update(&mut client, true).await;
    client.send(b"after the update\n").await.unwrap();
    server.process.wait_for("after the update").await;
    server.process.send(b"answer\n").await.unwrap();
    client.wait_for(received).await;
    client.wait_for("answer").await;

    send_key_update(&mut server.process, false).await;
    let updates = |text: &str| text.matches(received).count();
    client
        .wait_until("sees the second update", |client| updates(&client.text()) == 2)
        .await;
    client.send(b"Q\n").await.unwrap();
    client.finish().await;
    assert_eq!(updates(&server.process.finish().await.text()), 1);
}

#[tokio::test]
async fn curl_gets_a_page_from_openssl() {
    if !require_or_skip("openssl") || !require_or_skip("curl") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    let identity = authority
        .leaf(KeyType::P256, &["127.0.0.1"])
        .write_to(directory.path(), "server");
    let server = s_server(&identity, &["-tls1_3", "-www", "-naccept", "4"]).await;
    let url = format!("https://{}/", server.address);
    let page = curl(&["--tlsv1.3", "--cacert", path(&root), &url]).finish().await;
    assert!(
        page.status.success() && page.text().contains("s_server"),
        "{}",
        page.text()
    );
    let refused = curl(&["--tlsv1.3", &url]).finish().await;
    assert!(!refused.status.success(), "{}", refused.text());
    server.process.kill().await;
}
