//! Our server with `openssl s_client`, both versions.

use crate::transcript::case::{Case, Plan, Program, Setting as Set, Step};
use tls_core::{CipherSuite as C, NamedGroup as G, ProtocolVersion, SignatureScheme as S};

use super::{Change as _, Planned as _, case, plan};

/// A line from the client, one back, and the end.
const TALK: [Step; 6] = [
    Step::Say("ping\n"),
    Step::Receive("ping\n"),
    Step::Send("pong\n"),
    Step::EndInput,
    Step::AwaitEnd,
    Step::Close,
];

const NAMED: [&str; 3] = ["-servername", "server.test", "-verify_return_error"];

fn server(version: ProtocolVersion, name: &str, arguments: &[&'static str]) -> Case {
    let (short, option) = match version {
        ProtocolVersion::TLS12 => ("tls12", "-tls1_2"),
        _ => ("tls13", "-tls1_3"),
    };
    let own = |argument: &&str| NAMED.contains(argument) && arguments.contains(&"-noservername");
    let named = NAMED.iter().filter(|argument| !own(argument));
    // No two of these at once.
    let option = (!arguments.iter().any(|argument| argument.starts_with("-tls1_"))).then_some(option);
    let arguments: Vec<_> = option.iter().chain(named).chain(arguments).copied().collect();
    case(
        format!("server-{short}-{name}"),
        Program::OpenSsl,
        version,
        &arguments,
    )
    .steps(&TALK)
}

fn server13(name: &str, arguments: &[&'static str]) -> Case {
    server(ProtocolVersion::TLS13, name, arguments)
}

fn server12(name: &str, arguments: &[&'static str]) -> Case {
    server(ProtocolVersion::TLS12, name, arguments)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = suites_and_keys();
    for version in [ProtocolVersion::TLS13, ProtocolVersion::TLS12] {
        cases.extend(extensions(version));
        cases.extend(client_certificates(version));
        cases.extend(endings(version));
    }
    cases.extend(resumption());
    cases.extend(after_the_handshake());
    cases
}

fn suites_and_keys() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, suite) in [
        ("aes128", C::TLS_AES_128_GCM_SHA256),
        ("aes256", C::TLS_AES_256_GCM_SHA384),
        ("chacha20", C::TLS_CHACHA20_POLY1305_SHA256),
    ] {
        cases.push(server13(name, &[]).set([Set::Suites(vec![suite])]));
    }
    for (name, suite, identity) in [
        ("ecdsa-aes128", C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "p256"),
        ("ecdsa-aes256", C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "p256"),
        (
            "ecdsa-chacha20",
            C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            "p256",
        ),
        ("rsa-aes128", C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "rsa2048"),
        ("rsa-aes256", C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "rsa2048"),
        (
            "rsa-chacha20",
            C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            "rsa2048",
        ),
    ] {
        cases.push(server12(name, &[]).set([Set::Suites(vec![suite]), Set::Certificate(identity)]));
    }
    for (name, group) in [
        ("x25519", G::X25519),
        ("secp256r1", G::SECP256R1),
        ("secp384r1", G::SECP384R1),
        ("secp521r1", G::SECP521R1),
    ] {
        // In TLS 1.3 s_client has a share for its first group alone: the others are asked for.
        cases.push(server13(name, &[]).set([Set::Groups(vec![group])]));
        cases.push(server12(name, &[]).set([Set::Groups(vec![group])]));
    }
    for identity in ["p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"] {
        cases.push(server13(identity, &[]).set([Set::Certificate(identity)]));
        cases.push(server12(identity, &[]).set([Set::Certificate(identity)]));
    }
    for (name, sigalgs) in [
        ("pss-sha384", "RSA-PSS+SHA384:ECDSA+SHA256"),
        ("pss-sha512", "RSA-PSS+SHA512:ECDSA+SHA256"),
    ] {
        cases.push(server13(name, &["-sigalgs", sigalgs]).set([Set::Certificate("rsa2048")]));
    }
    for (name, sigalgs) in [
        ("pss-sha256", "RSA-PSS+SHA256:ECDSA+SHA256"),
        ("pss-sha384", "RSA-PSS+SHA384:ECDSA+SHA256"),
        ("pss-sha512", "RSA-PSS+SHA512:ECDSA+SHA256"),
        ("pkcs1-sha256", "RSA+SHA256:ECDSA+SHA256"),
        ("pkcs1-sha384", "RSA+SHA384:ECDSA+SHA256"),
        ("pkcs1-sha512", "RSA+SHA512:ECDSA+SHA256"),
    ] {
        cases.push(server12(name, &["-sigalgs", sigalgs]).set([Set::Certificate("rsa2048")]));
    }
    cases.push(server13("hrr", &["-groups", "P-521:X25519"]));
    // To record these again takes OpenSSL 3.5 or newer.
    let hybrid = [Set::Groups(vec![G::X25519MLKEM768])];
    for (name, groups) in [
        ("x25519mlkem768", "X25519MLKEM768:X25519"),
        ("x25519mlkem768-hrr", "*X25519:X25519MLKEM768"),
    ] {
        cases.push(server13(name, &["-groups", groups]).set(hybrid.clone()));
    }
    cases.push(server13("chain-large", &[]).set([Set::Certificate("large")]));
    cases.push(server12("chain-large", &[]).set([Set::Certificate("large")]));
    cases
}

fn extensions(version: ProtocolVersion) -> Vec<Case> {
    let alpn = |protocols: &[&'static str]| [Set::Alpn(protocols.to_vec())];
    vec![
        server(version, "alpn", &["-alpn", "http/1.1,h2"]).set(alpn(&["h2", "http/1.1"])),
        server(version, "alpn-ignored", &["-alpn", "h2"]),
        server(version, "alpn-no-match", &["-alpn", "acme"]).set(alpn(&["h2"])),
        server(version, "sni", &["-servername", "second.test"])
            .set([Set::Certificate("p256"), Set::Certificate("second")]),
        server(version, "sni-none", &["-noservername"]),
        server(version, "sni-unknown", &["-servername", "unknown.test"])
            .set([Set::Certificate("p256"), Set::Certificate("second")]),
        server(version, "split-records", &["-max_send_frag", "512"]).steps(&[
            Step::Say(LONG),
            Step::Receive(LONG),
            Step::EndInput,
            Step::AwaitEnd,
            Step::Close,
        ]),
    ]
}

/// More than s_client puts into a record of 512 bytes.
const LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567\n",
);

fn client_certificates(version: ProtocolVersion) -> Vec<Case> {
    let required = || [Set::ClientAuth { required: true }];
    let presented = |name: &str, arguments: &[&'static str]| {
        server(version, &format!("client-certificate-{name}"), arguments).set(required())
    };
    vec![
        presented(
            "p256",
            &[
                "-cert",
                "{pki}/client-p256-leaf.pem",
                "-key",
                "{pki}/client-p256-key.pem",
                "-cert_chain",
                "{pki}/client-p256-issuers.pem",
            ],
        ),
        presented(
            "p384",
            &[
                "-cert",
                "{pki}/client-p384-leaf.pem",
                "-key",
                "{pki}/client-p384-key.pem",
                "-cert_chain",
                "{pki}/client-p384-issuers.pem",
            ],
        ),
        presented(
            "p521",
            &[
                "-cert",
                "{pki}/client-p521-leaf.pem",
                "-key",
                "{pki}/client-p521-key.pem",
                "-cert_chain",
                "{pki}/client-p521-issuers.pem",
            ],
        ),
        presented(
            "rsa2048",
            &[
                "-cert",
                "{pki}/client-rsa2048-leaf.pem",
                "-key",
                "{pki}/client-rsa2048-key.pem",
                "-cert_chain",
                "{pki}/client-rsa2048-issuers.pem",
            ],
        ),
        presented(
            "ed25519",
            &[
                "-cert",
                "{pki}/client-ed25519-leaf.pem",
                "-key",
                "{pki}/client-ed25519-key.pem",
                "-cert_chain",
                "{pki}/client-ed25519-issuers.pem",
            ],
        ),
        presented(
            "unknown-ca",
            &[
                "-cert",
                "{pki}/client-stranger-leaf.pem",
                "-key",
                "{pki}/client-stranger-key.pem",
                "-cert_chain",
                "{pki}/client-stranger-issuers.pem",
            ],
        ),
        presented("missing", &[]),
        server(version, "client-certificate-none", &[]).set([Set::ClientAuth { required: false }]),
    ]
}

fn resumption() -> Vec<Case> {
    let write = ["-sess_out", "{tmp}/session"];
    let read = ["-sess_in", "{tmp}/session"];
    let twice = || [plan(&TALK).arguments(&write), plan(&TALK).arguments(&read)];
    let refused = || {
        let first = plan(&TALK).arguments(&write);
        [first, plan(&TALK).arguments(&read).with([Set::Tickets(0)])]
    };
    let early = ["-sess_in", "{tmp}/session", "-early_data", "{pki}/early.txt"];
    let with_early = |steps: &[Step]| -> [Plan; 2] {
        let first = plan(&TALK).early("").arguments(&write);
        [first, plan(steps).early("").arguments(&early)]
    };
    let told = [
        Step::Receive("early data\n"),
        Step::Send("got it\n"),
        Step::EndInput,
        Step::AwaitEnd,
        Step::Close,
    ];
    vec![
        server13("resumption", &[]).plans(twice()),
        server13("resumption-stateful", &[])
            .set([Set::SessionStore])
            .plans(twice()),
        server13("resumption-hrr", &["-groups", "P-521:P-256"]).plans(twice()),
        server13("resumption-refused", &[]).plans(refused()),
        server13("early-data", &[])
            .set([Set::MaxEarlyData(1000)])
            .plans(with_early(&told)),
        server13("early-data-rejected", &[])
            .set([Set::MaxEarlyData(1000)])
            .plans([
                plan(&TALK).early("").arguments(&write),
                plan(&TALK).arguments(&early),
            ]),
        server12("resumption-ticket", &[]).plans(twice()),
        server12("resumption-id", &["-no_ticket"])
            .set([Set::SessionStore])
            .plans(twice()),
        server12("resumption-refused", &[]).plans(refused()),
    ]
}

fn after_the_handshake() -> Vec<Case> {
    let label = "EXPORTER-transcript";
    let exporting = ["-keymatexport", label, "-keymatexportlen", "32"];
    let exported = [Step::Export(label), Step::EndInput, Step::AwaitEnd, Step::Close];
    vec![
        server13("exporter", &exporting).steps(&exported),
        server12("exporter", &exporting).steps(&exported),
        server13("key-update", &[]).steps(&[
            Step::KeyUpdate(false),
            Step::Send("one\n"),
            Step::KeyUpdate(true),
            Step::Send("two\n"),
            Step::Pause,
            Step::Say("ping\n"),
            Step::Receive("ping\n"),
            Step::EndInput,
            Step::AwaitEnd,
            Step::Close,
        ]),
        server13("key-update-of-peer", &[]).steps(&[
            Step::Say("k\n"),
            Step::Pause,
            Step::Say("one\n"),
            Step::Receive("one\n"),
            Step::Say("K\n"),
            Step::Pause,
            Step::Say("two\n"),
            Step::Receive("two\n"),
            Step::Send("three\n"),
            Step::EndInput,
            Step::AwaitEnd,
            Step::Close,
        ]),
        server12("renegotiation-refused", &["-legacy_renegotiation"]).steps(&[
            Step::Say("before\n"),
            Step::Receive("before\n"),
            Step::Say("R\n"),
            Step::AwaitEnd,
        ]),
        server12("fallback", &["-fallback_scsv"])
            .set([Set::Versions(ProtocolVersion::TLS12, ProtocolVersion::TLS13)]),
    ]
}

fn endings(version: ProtocolVersion) -> Vec<Case> {
    let short = |name: &str, arguments: &[&'static str]| server(version, name, arguments);
    let other_version = match version {
        ProtocolVersion::TLS12 => server12("no-version", &["-tls1_3"]),
        _ => server13("no-version", &["-tls1_2"]),
    };
    let suites = match version {
        ProtocolVersion::TLS12 => short("no-suite", &["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"])
            .set([Set::Suites(vec![C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])]),
        _ => short("no-suite", &["-ciphersuites", "TLS_AES_256_GCM_SHA384"])
            .set([Set::Suites(vec![C::TLS_AES_128_GCM_SHA256])]),
    };
    vec![
        short("close", &[]).steps(&[Step::Send("bye\n"), Step::Close, Step::AwaitEnd]),
        short("alert-unknown-ca", &[]).set([Set::Certificate("stranger")]),
        short("alert-expired", &[]).set([Set::Certificate("expired")]),
        short("alert-wrong-name", &["-verify_hostname", "server.test"]).set([Set::Certificate("wrong-name")]),
        short("no-group", &["-groups", "P-521"]),
        short("no-scheme", &["-sigalgs", "ECDSA+SHA384"])
            .set([Set::Schemes(vec![S::ECDSA_SECP256R1_SHA256])]),
        suites,
        other_version,
    ]
}
