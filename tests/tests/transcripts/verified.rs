//! The recordings judged without the library that made them: their bytes are opened, and their Finished messages made
//! again, with the recorded secrets alone.

use tls_core::{ContentType, HandshakeType};
use tls_tests::transcript::decode::{Protection, Record, decode, early_data_was_rejected};
use tls_tests::transcript::fields::is_retry;
use tls_tests::transcript::keys::{Suite, message_hash, verify_data};
use tls_tests::transcript::{Recording, Secret, hex};

use crate::{assert_all, recorded};

#[test]
fn what_a_file_shows_is_what_its_bytes_are() {
    assert_all("show something else than their bytes", |_, recording, text| {
        let rendered = recording.render();
        let at = rendered
            .lines()
            .zip(text.lines())
            .position(|(now, then)| now != then);
        match (rendered == text, at) {
            (true, _) => Ok(()),
            (false, at) => Err(format!(
                "line {:?} is not what would be written now",
                at.map(|at| at + 1)
            )),
        }
    });
}

#[test]
fn every_record_opens_with_the_recorded_secrets() {
    assert_all("do not open", |_, recording, _| {
        for (number, events) in (1..).zip(&recording.connections) {
            let records = decode(events, &recording.secrets);
            let closed = records
                .iter()
                .filter(|record| record.protection == Protection::Closed);
            let results = recording.values("result");
            let mut results =
                results.filter_map(|result| result.strip_prefix(&format!("connection {number}: ")));
            // A handshake that failed has no keys; early data that a server does not take neither.
            let allowed = results.next().is_none_or(|first| !first.starts_with("TLSv1"));
            let rejected = early_data_was_rejected(&records) && !recording.is_client();
            for record in closed {
                let is_early = rejected && record.from_client;
                if !allowed && !is_early {
                    return Err(format!(
                        "connection {number}: a record at {} of {} bytes",
                        record.start, record.len
                    ));
                }
            }
            if records.iter().flat_map(|record| &record.messages).any(|message| {
                let names = message.fields.iter();
                names.filter(|field| field.name == "malformed").count() > 0
            }) {
                return Err(format!("connection {number}: a message is malformed"));
            }
        }
        Ok(())
    });
}

#[test]
fn every_finished_is_right() {
    let count = std::cell::Cell::new(0);
    assert_all("have a wrong Finished", |_, recording, _| {
        for (number, events) in (1..).zip(&recording.connections) {
            let records = decode(events, &recording.secrets);
            let found = check_finished(recording, &records)?;
            let established = format!("connection {number}: TLSv1");
            let established = recording
                .values("result")
                .any(|result| result.starts_with(&established));
            if established && found != 2 {
                return Err(format!("connection {number}: {found} messages"));
            }
            count.set(count.get() + found);
        }
        Ok(())
    });
    assert!(count.get() > recorded().len(), "{} were checked", count.get());
}

/// How many Finished messages of this connection are right.
fn check_finished(recording: &Recording, records: &[Record]) -> Result<usize, String> {
    let mut transcript = Vec::new();
    let mut suite = None;
    let mut random = Vec::new();
    let mut checked = 0;
    let messages = records
        .iter()
        .flat_map(|record| record.messages.iter().map(move |message| (record, message)));
    for (record, message) in messages {
        let bytes = &message.bytes;
        let message_type = HandshakeType(bytes[0]);
        let retry = is_retry(bytes);
        if message_type == HandshakeType::CLIENT_HELLO {
            random = bytes[6..38].to_vec();
        }
        if message_type == HandshakeType::SERVER_HELLO {
            let at = 39 + usize::from(bytes[38]);
            let code = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            suite = Suite::new(code).map(|suite| (suite, code >> 8 == 0x13));
        }
        if let (true, Some((suite, _))) = (retry, suite) {
            transcript = message_hash(suite, &transcript);
        }
        if let (HandshakeType::FINISHED, Some((suite, is_tls13))) = (message_type, suite) {
            let label = match (is_tls13, record.from_client) {
                (false, _) => "CLIENT_RANDOM",
                (true, true) => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                (true, false) => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            };
            let ours = |secret: &&Secret| secret.label == label && secret.client_random == random;
            let secret = recording.secrets.iter().find(ours).ok_or("no secret")?;
            let expected = verify_data(suite, &secret.secret, record.from_client, &transcript);
            if bytes[4..] != expected {
                return Err(format!("{} instead of {}", hex(&bytes[4..]), hex(&expected)));
            }
            checked += 1;
            if checked == 2 {
                break;
            }
        }
        transcript.extend_from_slice(bytes);
    }
    Ok(checked)
}

/// What the recordings must have, by what is in them and not by their names.
#[test]
fn the_recordings_cover_what_there_is() {
    let recordings: Vec<&Recording> = recorded()
        .iter()
        .filter_map(|(_, loaded)| loaded.as_ref().ok())
        .map(|(recording, _)| recording)
        .collect();
    assert!(recordings.len() >= 100, "{}", recordings.len());
    let sides: [(bool, &str); 4] = [
        (true, "TLSv1.2"),
        (true, "TLSv1.3"),
        (false, "TLSv1.2"),
        (false, "TLSv1.3"),
    ];
    let groups = ["x25519", "secp256r1", "secp384r1", "secp521r1"];
    let suites12 = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    let suites13 = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];
    let rsa_pss = [
        "rsa_pss_rsae_sha256",
        "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512",
    ];
    let schemes12 = [
        "rsa_pkcs1_sha256",
        "rsa_pkcs1_sha384",
        "rsa_pkcs1_sha512",
        "rsa_pss_rsae_sha256",
        "ed25519",
    ];
    let ecdsa = [
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "ecdsa_secp521r1_sha512",
        "ed25519",
    ];
    let both = [
        "resumed",
        "alpn=h2",
        "server_name=second.test",
        "failed",
        "close_notify",
        "exporter",
    ];
    let only13 = [
        "X25519MLKEM768",
        "hello_retry_request",
        "early_data=accepted",
        "early_data=rejected",
    ];
    let mut missing = Vec::new();
    for (is_client, version) in sides {
        let is_tls13 = version == "TLSv1.3";
        let short = if is_tls13 { "-tls13-" } else { "-tls12-" };
        let own = recordings.iter().filter(|recording| {
            let is_of = recording.values("name").any(|name| name.contains(short));
            recording.is_client() == is_client && is_of
        });
        let results: Vec<&str> = own.flat_map(|recording| recording.values("result")).collect();
        let wanted: Vec<&str> = match is_tls13 {
            true => [&groups[..], &suites13, &rsa_pss, &ecdsa, &both, &only13].concat(),
            false => [&groups[..], &suites12, &schemes12, &both[..2], &both[3..]].concat(),
        };
        let has = |what: &&str| {
            results
                .iter()
                .any(|result| result.split([' ', ':']).any(|word| word == *what))
        };
        missing.extend(
            wanted
                .into_iter()
                .filter(|what| !has(what))
                .map(|what| (is_client, version, what)),
        );
        let resumed_after_retry = results
            .iter()
            .any(|result| result.contains("resumed") && result.contains("hello_retry_request"));
        assert!(
            resumed_after_retry || !is_tls13,
            "a PSK with a HelloRetryRequest, client: {is_client}"
        );
    }
    assert!(missing.is_empty(), "{missing:?}");

    // What only shows on the wire: (sent by us?, client?, type of message).
    let messages = |ours: bool, client: bool, message: HandshakeType| {
        recordings
            .iter()
            .filter(|recording| recording.is_client() == client)
            .any(|recording| {
                let mut all = recording
                    .connections
                    .iter()
                    .flat_map(|events| decode(events, &recording.secrets));
                all.any(|record| {
                    let of = |m: &tls_tests::transcript::decode::Message| m.bytes[0] == message.0;
                    (record.from_client == client) == ours && record.messages.iter().any(of)
                })
            })
    };
    for client in [true, false] {
        for ours in [true, false] {
            for message in [
                HandshakeType::KEY_UPDATE,
                HandshakeType::CERTIFICATE_VERIFY,
                HandshakeType::FINISHED,
            ] {
                assert!(
                    messages(ours, client, message),
                    "ours: {ours}, client: {client}, {message}"
                );
            }
        }
    }
    assert!(
        messages(false, true, HandshakeType::HELLO_REQUEST),
        "no server asks to renegotiate"
    );
    let split = recordings.iter().any(|recording| {
        let mut records = recording
            .connections
            .iter()
            .flat_map(|events| decode(events, &recording.secrets));
        records.any(|record| record.content_type == ContentType::HANDSHAKE && record.goes_on)
    });
    assert!(split, "no message over several records");
    for peer in ["OpenSSL", "GnuTLS"] {
        let own = recordings
            .iter()
            .filter(|recording| recording.values("peer").any(|of| of.starts_with(peer)));
        assert!(own.count() > 10, "{peer}");
    }
}
