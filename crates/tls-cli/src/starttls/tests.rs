use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::dialogue::MAX_SAID;
use super::{Error, Protocol, negotiate};

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What the server says, each followed by what it expects to hear.
type Script<'a> = &'a [(&'a [u8], &'a [u8])];

/// Plays the server, in pieces of `piece` bytes, then closes: the result, and what the client sent last and the server
/// did not expect.
async fn play(protocol: Protocol, script: Script<'_>, piece: usize) -> (Result<(), Error>, Vec<u8>) {
    let (mut client, mut server) = duplex(MAX_SAID * 2);
    let serving = async {
        'script: for (says, hears) in script {
            for part in says.chunks(piece) {
                // A client that has given up hears and says nothing more.
                if server.write_all(part).await.is_err() {
                    break 'script;
                }
                tokio::task::yield_now().await;
            }
            let mut heard = vec![0; hears.len()];
            if server.read_exact(&mut heard).await.is_err() {
                break;
            }
            assert_eq!(heard.escape_ascii().to_string(), hears.escape_ascii().to_string());
        }
        server.shutdown().await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let negotiating = async {
        let result = negotiate(protocol, &mut client, OWN).await;
        drop(client);
        result
    };
    tokio::join!(negotiating, serving)
}

/// The error of a script, which must be the same however it is cut up.
async fn error(protocol: Protocol, script: Script<'_>) -> Error {
    let (in_pieces, _) = play(protocol, script, 1).await;
    let (whole, sent) = play(protocol, script, usize::MAX).await;
    let (in_pieces, whole) = (in_pieces.unwrap_err(), whole.unwrap_err());
    // What comes unasked may come later, and then the handshake meets it.
    if !matches!(whole, Error::Unasked { .. }) {
        assert_eq!(in_pieces.to_string(), whole.to_string());
    }
    assert_eq!(sent, b"", "nothing is sent after a failure");
    whole
}

const EHLO: &[u8] = b"EHLO [192.0.2.1]\r\n";
const OFFER: &[u8] = b"250-mx.example.com\r\n250-SIZE 1000\r\n250-starttls\r\n250 HELP\r\n";
const CAPABILITY: &[u8] = b"a1 CAPABILITY\r\n";
const CAPABLE: &[u8] = b"* CAPABILITY IMAP4rev1 StartTLS LOGINDISABLED\r\na1 OK done\r\n";
const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

#[tokio::test]
async fn smtp_goes_by_ehlo_to_starttls() {
    let scripts: [Script<'_>; 2] = [
        &[
            (b"220 mx.example.com ESMTP\r\n", EHLO),
            (OFFER, b"STARTTLS\r\n"),
            (b"220 go ahead\r\n", b""),
        ],
        // Greetings and answers of several lines, and of a code alone.
        &[
            (b"220-mx.example.com\r\n220-no spam\r\n220\r\n", EHLO),
            (b"250-mx\r\n250 STARTTLS\r\n", b"STARTTLS\r\n"),
            (b"220-go\r\n220 ahead\r\n", b""),
        ],
    ];
    for script in scripts {
        for piece in [1, 7, usize::MAX] {
            let (result, sent) = play(Protocol::Smtp, script, piece).await;
            result.unwrap();
            assert_eq!(sent, b"");
        }
    }
}

#[tokio::test]
async fn an_own_address_of_ipv6_is_written_as_smtp_wants_it() {
    let (mut client, mut server) = duplex(1024);
    server.write_all(b"220 a\r\n").await.unwrap();
    let own = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let mut said = [0; 17];
    tokio::select! {
        result = negotiate(Protocol::Smtp, &mut client, own) => panic!("{result:?}"),
        read = server.read_exact(&mut said) => { read.unwrap(); }
    }
    assert_eq!(said.escape_ascii().to_string(), "EHLO [IPv6:::1]\\r\\n");
}

#[tokio::test]
async fn imap_goes_by_its_capabilities_to_starttls() {
    let scripts: [Script<'_>; 2] = [
        &[
            (b"* OK ready\r\n", CAPABILITY),
            (CAPABLE, b"a2 STARTTLS\r\n"),
            (b"a2 OK begin\r\n", b""),
        ],
        // Untagged lines may come at any time.
        &[
            (b"* ok [CAPABILITY IMAP4rev1] ready\r\n", CAPABILITY),
            (
                b"* OK still here\r\n* CAPABILITY STARTTLS\r\na1 ok\r\n",
                b"a2 STARTTLS\r\n",
            ),
            (b"* OK soon\r\na2 OK\r\n", b""),
        ],
    ];
    for script in scripts {
        for piece in [1, 7, usize::MAX] {
            let (result, sent) = play(Protocol::Imap, script, piece).await;
            result.unwrap();
            assert_eq!(sent, b"");
        }
    }
}

#[tokio::test]
async fn postgres_is_asked_by_a_request_of_its_own() {
    let script: Script<'_> = &[(b"", SSL_REQUEST), (b"S", b"")];
    let (result, sent) = play(Protocol::Postgres, script, 1).await;
    result.unwrap();
    assert_eq!(sent, b"");
}

#[tokio::test]
async fn a_server_without_an_offer_gets_no_handshake() {
    let smtp = error(
        Protocol::Smtp,
        &[(b"220 a\r\n", EHLO), (b"250-starttls\r\n250 SIZE\r\n", b"")],
    );
    let smtp_name_alone = error(
        Protocol::Smtp,
        &[(b"220 a\r\n", EHLO), (b"250 STARTTLS\r\n", b"")],
    );
    let imap = error(
        Protocol::Imap,
        &[
            (b"* OK\r\n", CAPABILITY),
            (b"* CAPABILITY IMAP4rev1\r\na1 OK STARTTLS\r\n", b""),
        ],
    );
    let authenticated = error(Protocol::Imap, &[(b"* PREAUTH welcome\r\n", b"")]);
    let postgres = error(Protocol::Postgres, &[(b"", SSL_REQUEST), (b"N", b"")]);
    for error in [
        smtp.await,
        smtp_name_alone.await,
        imap.await,
        authenticated.await,
        postgres.await,
    ] {
        assert!(matches!(error, Error::NotOffered { .. }), "{error:?}");
        assert!(error.to_string().contains("does not offer TLS"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_is_shown_with_the_servers_words() {
    let greeting = error(Protocol::Smtp, &[(b"554-no\r\n554 go away\r\n", b"")]).await;
    let ehlo = error(Protocol::Smtp, &[(b"220 a\r\n", EHLO), (b"502 what\r\n", b"")]).await;
    let smtp = error(
        Protocol::Smtp,
        &[
            (b"220 a\r\n", EHLO),
            (OFFER, b"STARTTLS\r\n"),
            (b"454 no TLS now\r\n", b""),
        ],
    )
    .await;
    let bye = error(Protocol::Imap, &[(b"* BYE too many\r\n", b"")]).await;
    let imap = error(
        Protocol::Imap,
        &[
            (b"* OK\r\n", CAPABILITY),
            (CAPABLE, b"a2 STARTTLS\r\n"),
            (b"a2 NO not now\r\n", b""),
        ],
    )
    .await;
    for (error, words) in [
        (greeting, "554 go away"),
        (ehlo, "502 what"),
        (smtp, "454 no TLS now"),
        (bye, "BYE too many"),
        (imap, "a2 NO not now"),
    ] {
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn the_text_of_an_error_of_postgres_is_not_shown() {
    let script: Script<'_> = &[
        (b"", SSL_REQUEST),
        (b"ESFATAL\0MYou won, see example.test\0\0", b""),
    ];
    let error = error(Protocol::Postgres, script).await;
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(!error.to_string().contains("won"), "{error}");
}

#[tokio::test]
async fn bytes_behind_the_go_ahead_are_refused() {
    let smtp: Script<'_> = &[
        (b"220 a\r\n", EHLO),
        (OFFER, b"STARTTLS\r\n"),
        (b"220 go\r\n250 injected\r\n", b""),
    ];
    let imap: Script<'_> = &[
        (b"* OK\r\n", CAPABILITY),
        (CAPABLE, b"a2 STARTTLS\r\n"),
        (b"a2 OK go\r\n* OK injected\r\n", b""),
    ];
    let postgres: Script<'_> = &[(b"", SSL_REQUEST), (b"Sinjected", b"")];
    for (protocol, script, count) in [
        (Protocol::Smtp, smtp, 14),
        (Protocol::Imap, imap, 15),
        (Protocol::Postgres, postgres, 8),
    ] {
        let (result, sent) = play(protocol, script, usize::MAX).await;
        assert!(
            matches!(result, Err(Error::Unasked { count: n }) if n == count),
            "{protocol:?} {result:?}"
        );
        assert_eq!(sent, b"");
    }
}

#[tokio::test]
async fn an_answer_before_its_command_is_refused() {
    let early_go_ahead = [OFFER, b"220 go ahead\r\n"].concat();
    let scripts: [(Protocol, Script<'_>); 3] = [
        (Protocol::Smtp, &[(b"220 a\r\n250 early\r\n", b"")]),
        (Protocol::Smtp, &[(b"220 a\r\n", EHLO), (&early_go_ahead, b"")]),
        (Protocol::Imap, &[(b"* OK\r\na1 OK\r\n", b"")]),
    ];
    for (protocol, script) in scripts {
        let error = error(protocol, script).await;
        assert!(matches!(error, Error::Unasked { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_belongs_to_another_protocol_is_named() {
    let cases: [(Protocol, Script<'_>, &str); 9] = [
        (Protocol::Smtp, &[(b"* OK ready\r\n", b"")], "* OK ready"),
        (Protocol::Smtp, &[(b"SSH-2.0-x\r\n", b"")], "SSH-2.0-x"),
        (Protocol::Smtp, &[(b"+20 a\r\n", b"")], "+20 a"),
        (Protocol::Smtp, &[(b"220 a\n", b"")], "220 a"),
        (Protocol::Smtp, &[(b"220-a\r\n250 b\r\n", b"")], "250 b"),
        (Protocol::Smtp, &[(b"220 \xff\r\n", b"")], "220 "),
        (Protocol::Imap, &[(b"220 mx\r\n", b"")], "220 mx"),
        (
            Protocol::Imap,
            &[(b"* OK\r\n", CAPABILITY), (b"a2 OK\r\n", b"")],
            "a2 OK",
        ),
        (Protocol::Postgres, &[(b"", SSL_REQUEST), (b"\x15", b"")], "x15"),
    ];
    for (protocol, script, part) in cases {
        let error = error(protocol, script).await;
        assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_close_says_what_was_waited_for() {
    let cases: [(Protocol, Script<'_>, &str); 5] = [
        (Protocol::Smtp, &[], "a greeting"),
        (Protocol::Smtp, &[(b"220-a\r\n22", b"")], "a greeting"),
        (
            Protocol::Smtp,
            &[(b"220 a\r\n", EHLO), (OFFER, b"STARTTLS\r\n")],
            "a reply to STARTTLS",
        ),
        (Protocol::Imap, &[(b"* OK\r\n", CAPABILITY)], "a response"),
        (Protocol::Postgres, &[(b"", SSL_REQUEST)], "SSLRequest"),
    ];
    for (protocol, script, part) in cases {
        let error = error(protocol, script).await;
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_comes_to_an_end_is_given_up() {
    let long = vec![b'2'; MAX_SAID + 1];
    let many = b"220-a\r\n".repeat(MAX_SAID / 7 + 1);
    for endless in [&long, &many] {
        let (result, _) = play(Protocol::Smtp, &[(endless, b"")], usize::MAX).await;
        assert!(matches!(result, Err(Error::TooLong { .. })), "{result:?}");
    }
}
