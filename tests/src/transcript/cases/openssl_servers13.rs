//! Our client of TLS 1.3 with `openssl s_server`.

use crate::transcript::case::{Case, Program, Setting as Set, Step};
use tls_core::{CipherSuite as C, NamedGroup as G, ProtocolVersion, SignatureScheme as S};

use super::{Change as _, Planned as _, case, plan};

/// A line there, its reverse back, and the end.
const TALK: [Step; 4] = [
    Step::Send("ping\n"),
    Step::Receive("gnip\n"),
    Step::Close,
    Step::AwaitEnd,
];

/// The same when tickets are to be kept.
const REMEMBER: [Step; 5] = [
    Step::Send("ping\n"),
    Step::Receive("gnip\n"),
    Step::ReadTickets(2),
    Step::Close,
    Step::AwaitEnd,
];

fn client(name: &str, arguments: &[&'static str]) -> Case {
    let name = format!("client-tls13-{name}");
    case(name, Program::OpenSsl, ProtocolVersion::TLS13, arguments).steps(&TALK)
}

const REV: &[&str] = &["-tls1_3", "-rev"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, suite) in [
        ("aes128", C::TLS_AES_128_GCM_SHA256),
        ("aes256", C::TLS_AES_256_GCM_SHA384),
        ("chacha20", C::TLS_CHACHA20_POLY1305_SHA256),
    ] {
        cases.push(client(name, REV).set([Set::Suites(vec![suite])]));
    }
    for (name, group) in [
        ("x25519", G::X25519),
        ("secp256r1", G::SECP256R1),
        ("secp384r1", G::SECP384R1),
        ("secp521r1", G::SECP521R1),
    ] {
        cases.push(client(name, REV).set([Set::Groups(vec![group])]));
    }
    let hybrid = vec![G::X25519MLKEM768, G::X25519];
    cases.push(client("hybrid-not-taken", REV).set([Set::Groups(hybrid.clone())]));
    // To record these again takes OpenSSL 3.5 or newer.
    cases.push(client("x25519mlkem768", REV).set([Set::Groups(vec![G::X25519MLKEM768])]));
    cases.push(
        client(
            "x25519mlkem768-hrr",
            &["-tls1_3", "-rev", "-groups", "X25519MLKEM768"],
        )
        .set([Set::Groups(hybrid), Set::KeyShares(vec![G::X25519])]),
    );
    for identity in ["p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"] {
        cases.push(client(identity, REV).identity(identity));
    }
    for (name, scheme) in [
        ("pss-sha384", S::RSA_PSS_RSAE_SHA384),
        ("pss-sha512", S::RSA_PSS_RSAE_SHA512),
    ] {
        let schemes = vec![scheme, S::ECDSA_SECP256R1_SHA256];
        cases.push(client(name, REV).identity("rsa2048").set([Set::Schemes(schemes)]));
    }
    cases.push(
        client("chain-rsa", REV)
            .identity("rsa-chain")
            .set([Set::Roots("rsa-root")]),
    );
    cases.push(
        client("chain-ed25519", REV)
            .identity("ed25519-chain")
            .set([Set::Roots("ed25519-root")]),
    );
    cases.push(client("chain-large", REV).identity("large"));
    cases.extend(extensions());
    cases.extend(client_certificates());
    cases.extend(resumption());
    cases.extend(after_the_handshake());
    cases.extend(refusals());
    cases
}

fn extensions() -> Vec<Case> {
    let alpn = |protocols: &[&'static str]| [Set::Alpn(protocols.to_vec())];
    let names = [
        "-tls1_3",
        "-rev",
        "-servername",
        "second.test",
        "-cert2",
        "{pki}/second-leaf.pem",
        "-key2",
        "{pki}/second-key.pem",
    ];
    let fatal = [&names[..], &["-servername_fatal"]].concat();
    vec![
        client("alpn", &["-tls1_3", "-rev", "-alpn", "h2,http/1.1"]).set(alpn(&["http/1.1", "h2"])),
        client("alpn-ignored", REV).set(alpn(&["h2"])),
        client("alpn-no-match", &["-tls1_3", "-rev", "-alpn", "h2"]).set(alpn(&["acme"])),
        // It sends no chain with its second certificate.
        client("sni", &names)
            .set([Set::Roots("intermediate")])
            .plans([plan(&TALK).to("second.test")]),
        client("sni-none", &names).set([Set::SendServerName(false)]),
        client("sni-unknown", &fatal),
        client("middlebox-off", &["-tls1_3", "-rev", "-no_middlebox"])
            .set([Set::MiddleboxCompatibility(false)]),
        client("padding", &["-tls1_3", "-rev", "-record_padding", "256"]),
        client("split-records", &["-tls1_3", "-rev", "-max_send_frag", "512"]).identity("rsa4096"),
        client("hrr", &["-tls1_3", "-rev", "-groups", "P-256"]),
        client("hrr-secp384r1", &["-tls1_3", "-rev", "-groups", "P-384"]),
    ]
}

const ASKING: &[&str] = &[
    "-tls1_3",
    "-rev",
    "-Verify",
    "3",
    "-CAfile",
    "{pki}/root-ca.pem",
    "-verify_return_error",
];

fn client_certificates() -> Vec<Case> {
    let own = ["p256", "p384", "p521", "rsa2048", "ed25519"];
    let files = [
        "client-p256",
        "client-p384",
        "client-p521",
        "client-rsa2048",
        "client-ed25519",
    ];
    let mut cases: Vec<Case> = (own.iter().zip(files))
        .map(|(name, file)| {
            client(&format!("client-certificate-{name}"), ASKING).set([Set::Certificate(file)])
        })
        .collect();
    let optional = ["-tls1_3", "-rev", "-verify", "3", "-CAfile", "{pki}/root-ca.pem"];
    cases.push(client("client-certificate-none", &optional));
    cases.push(client("client-certificate-missing", ASKING));
    cases.push(client("client-certificate-unknown-ca", ASKING).set([Set::Certificate("client-stranger")]));
    cases
}

fn resumption() -> Vec<Case> {
    let remember = || [Set::SessionCache];
    let early = ["-tls1_3", "-early_data"];
    let retry = [&["-groups", "P-256"][..], REV].concat();
    let first = [Step::ReadTickets(2), Step::Close, Step::AwaitEnd];
    let second = [
        Step::Say("answer\n"),
        Step::Receive("answer\n"),
        Step::Close,
        Step::AwaitEnd,
    ];
    vec![
        client("resumption", REV)
            .set(remember())
            .plans([plan(&REMEMBER), plan(&TALK)]),
        client("resumption-hrr", &retry)
            .set(remember())
            .plans([plan(&REMEMBER), plan(&TALK)]),
        client("resumption-refused", REV)
            .set(remember())
            .plans([plan(&REMEMBER), plan(&TALK).arguments(&["-naccept", "1"])]),
        client("early-data", &early)
            .set(remember())
            .plans([plan(&first), plan(&second).early("early\n")]),
        client("early-data-rejected", &early).set(remember()).plans([
            plan(&first),
            plan(&second).early("early\n").arguments(&["-naccept", "1"]),
        ]),
    ]
}

fn after_the_handshake() -> Vec<Case> {
    let label = "EXPORTER-transcript";
    vec![
        client("key-update", REV).steps(&[
            Step::KeyUpdate(false),
            Step::Send("ping\n"),
            Step::Receive("gnip\n"),
            Step::KeyUpdate(true),
            Step::Send("pong\n"),
            Step::Receive("gnop\n"),
            Step::Close,
            Step::AwaitEnd,
        ]),
        client("key-update-of-peer", &["-tls1_3"]).steps(&[
            Step::Say("k\n"),
            Step::Pause,
            Step::Say("one\n"),
            Step::Receive("one\n"),
            Step::Say("K\n"),
            Step::Pause,
            Step::Say("two\n"),
            Step::Receive("two\n"),
            Step::Send("three\n"),
            Step::Close,
            Step::AwaitEnd,
        ]),
        client(
            "exporter",
            &["-tls1_3", "-keymatexport", label, "-keymatexportlen", "32"],
        )
        .steps(&[
            Step::Say("bye\n"),
            Step::Receive("bye\n"),
            Step::Say("Q\n"),
            Step::Export(label),
            Step::AwaitEnd,
        ]),
        client("close-by-peer", &["-tls1_3", "-WWW"]).steps(&[
            Step::Send("GET /Cargo.toml HTTP/1.0\r\n\r\n"),
            Step::AwaitEnd,
            Step::Close,
        ]),
        client("truncated-by-peer", &["-tls1_3"]).steps(&[
            Step::Say("bye\n"),
            Step::Receive("bye\n"),
            Step::Say("Q\n"),
            Step::AwaitEnd,
        ]),
    ]
}

fn refusals() -> Vec<Case> {
    let only = |suite: C| [Set::Suites(vec![suite])];
    vec![
        client("expired", REV).identity("expired"),
        client("wrong-name", REV).identity("wrong-name"),
        client("unknown-ca", REV).identity("stranger"),
        client("wrong-usage", REV).identity("client-p256"),
        client(
            "no-suite",
            &["-tls1_3", "-rev", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        )
        .set(only(C::TLS_AES_128_GCM_SHA256)),
        client("no-group", &["-tls1_3", "-rev", "-groups", "P-521"]),
        client("no-scheme", REV)
            .identity("rsa2048")
            .set([Set::Schemes(vec![S::ECDSA_SECP256R1_SHA256])]),
        client("no-version", &["-tls1_2", "-rev"]),
    ]
}
