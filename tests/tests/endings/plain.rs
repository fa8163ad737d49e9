//! Plain HTTP on a TLS port gets an answer; what else is no TLS does not.

use super::*;
use tls_tests::script::Memory;
use tls_tokio::{HandshakeFailure, PlainHttpAnswer};

/// What a server's handshake makes of these bytes.
async fn failure(io: Scripted) -> HandshakeFailure<Scripted> {
    let role = Role::server(ProtocolVersion::TLS13);
    role.handshake(io, Some(SECOND)).await.unwrap_err()
}

/// The answer to a request that comes in two parts.
async fn answered(parts: [&[u8]; 2], answer: PlainHttpAnswer<'_>) -> String {
    let (near, mut far) = duplex(64 * 1024);
    let near = ScriptedIo::new(near, Script::new().read_chunk(8));
    let tape = near.tape();
    far.write_all(parts[0]).await.unwrap();
    let failure = failure(near).await;
    let client = async {
        tokio::time::sleep(SECOND / 10).await;
        far.write_all(parts[1]).await.unwrap();
        let mut got = String::new();
        far.read_to_string(&mut got).await.unwrap();
        drop(far);
        got
    };
    let (answered, got) = tokio::join!(failure.answer_plain_http(answer), client);
    assert!(answered.is_ok(), "it is HTTP");
    assert!(tape.counts().is_dropped());
    got
}

const TO: PlainHttpAnswer<'static> = PlainHttpAnswer::RedirectTo {
    authority: "example.test:8443",
};

#[tokio::test(start_paused = true)]
async fn plain_http_is_told_that_this_is_no_place_for_it() {
    let got = answered(
        [b"GET /page HTTP/1.1\r\n", b"Host: here\r\n\r\n"],
        PlainHttpAnswer::BadRequest,
    )
    .await;
    assert!(got.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{got}");
    assert!(got.contains("https") && !got.contains("Location"), "{got}");
}

#[tokio::test(start_paused = true)]
async fn plain_http_is_sent_to_https() {
    for split in 5..30 {
        let request = b"GET /page?question=1 HTTP/1.1\r\nHost: elsewhere\r\n\r\n";
        let (first, second) = request.split_at(split);
        let got = answered([first, second], TO).await;
        assert!(got.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{got}");
        assert!(
            got.contains("\r\nLocation: https://example.test:8443/page?question=1\r\n"),
            "{got}"
        );
        assert!(!got.contains("elsewhere"), "{got}");
    }
    // Without a path there is nowhere to go.
    for request in [
        &b"OPTIONS * HTTP/1.1\r\n\r\n"[..],
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
    ] {
        let got = answered([request, b""], TO).await;
        assert!(got.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{got}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_holds_nothing_for_long() {
    let io = ScriptedIo::new(Memory::then_silent(*b"GET /page"), Script::new());
    let tape = io.tape();
    let failure = Role::server(ProtocolVersion::TLS13)
        .handshake(io, Some(SECOND))
        .await
        .unwrap_err();
    let answered = timeout(SECOND + SOON, failure.answer_plain_http(TO)).await;
    assert!(answered.expect("within a second").is_ok());
    assert!(tape.written().is_empty() && tape.counts().is_dropped());
}

#[tokio::test(start_paused = true)]
async fn other_failures_are_given_back() {
    for first in [
        &b"SSH-2.0-x\r\n"[..],
        b"\x16\x03\x01\x00\x04\x63\x00\x00\x00",
        b"get / HTTP/1.1\r\n",
    ] {
        let io = ScriptedIo::new(Memory::new(first), Script::new());
        let tape = io.tape();
        let failure = Role::server(ProtocolVersion::TLS13)
            .handshake(io, Some(SECOND))
            .await
            .unwrap_err();
        let written = tape.written();
        let failure = failure.answer_plain_http(TO).await.expect_err("not HTTP");
        assert!(!tape.counts().is_dropped());
        assert_eq!(tape.written(), written);
        drop(failure);
    }
}
