//! Every recording, cut at each boundary between the peer's records, and with a byte flipped in each of its messages: it
//! ends with the right error, and never by a panic or by waiting.

use tls_core::{AlertDescription, Error, ErrorKind, Misbehaviour};
use tls_tests::transcript::case::Case;
use tls_tests::transcript::decode::{Protection, Record, decode, early_data_was_rejected};
use tls_tests::transcript::run::{Replay, replay_case};
use tls_tests::transcript::wire::Wire;
use tls_tests::transcript::{Event, Recording, What};

use crate::assert_all;

/// A replay up to this connection, in which the peer says these bytes whatever we say, and ends; and how many of them
/// were read.
fn replay_with(case: &Case, recording: &Recording, connection: usize, bytes: &[u8]) -> (Replay, usize) {
    let mut cut = recording.clone();
    cut.connections.truncate(connection + 1);
    let deaf = Wire::deaf(case.is_client(), bytes.to_vec());
    let replay = replay_case(case, &cut, |number| match number == connection {
        true => deaf.clone(),
        false => Wire::replay(case.is_client(), cut.connections[number].clone()),
    });
    (replay, deaf.read_so_far())
}

/// All that the peer says on a connection.
fn said_by_peer(case: &Case, events: &[Event]) -> Vec<u8> {
    let theirs = events
        .iter()
        .filter(|event| event.from_client != case.is_client());
    let bytes = theirs.filter_map(|event| match &event.what {
        What::Bytes(bytes) => Some(&bytes[..]),
        What::End | What::Reset => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// The records of the peer.
fn records_of_peer(case: &Case, recording: &Recording, connection: usize) -> Vec<Record> {
    let records = decode(&recording.connections[connection], &recording.secrets);
    records
        .into_iter()
        .filter(|record| record.from_client != case.is_client())
        .collect()
}

/// What the recording says of a connection.
fn results(recording: &Recording, connection: usize) -> Vec<&str> {
    let prefix = format!("connection {}: ", connection + 1);
    recording
        .values("result")
        .filter_map(|result| result.strip_prefix(&prefix))
        .collect()
}

#[test]
fn a_recording_cut_between_records_is_truncated() {
    assert_all("do not notice that they were cut", |case, recording, _| {
        for connection in 0..recording.connections.len() {
            let bytes = said_by_peer(case, &recording.connections[connection]);
            for record in records_of_peer(case, recording, connection) {
                let (replay, _) = replay_with(case, recording, connection, &bytes[..record.start]);
                let place = format!("connection {}, cut at {}", connection + 1, record.start);
                let truncated = replay
                    .last
                    .error
                    .as_ref()
                    .is_some_and(|error| matches!(error.kind(), ErrorKind::Truncated));
                if !truncated && replay.last.facts != results(recording, connection) {
                    return Err(format!("{place}: {:?}", replay.last.facts));
                }
                // What is known by then must be known: nobody has finished before the peer's Finished.
                if record.start == 0 && (!truncated || replay.last.established) {
                    return Err(format!("{place}: established by nothing"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_recording_with_a_flipped_byte_fails_for_that_reason() {
    let flipped = std::cell::Cell::new(0);
    assert_all("do not notice a flipped byte", |case, recording, _| {
        for connection in 0..recording.connections.len() {
            let bytes = said_by_peer(case, &recording.connections[connection]);
            let skips =
                early_data_was_rejected(&decode(&recording.connections[connection], &recording.secrets));
            for record in records_of_peer(case, recording, connection) {
                for at in places(&record) {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1;
                    let (replay, read) = replay_with(case, recording, connection, &changed);
                    let place = format!("connection {}, byte {at} of the peer's", connection + 1);
                    let recorded = results(recording, connection);
                    flipped.set(flipped.get() + 1);
                    let Some(error) = &replay.last.error else {
                        // Skipped as what cannot be opened, or never looked at.
                        let skipped = skips && record.protection == Protection::Closed;
                        let unseen =
                            read < record.start + record.len || after_the_end(&recorded, &replay, case);
                        match skipped || unseen {
                            true => continue,
                            false => return Err(format!("{place}: no error, {:?}", replay.last.facts)),
                        }
                    };
                    let is_same = replay.last.facts == recorded;
                    // A server that skips early data takes what does not open for more of it.
                    let waits = skips && record.from_client && matches!(error.kind(), ErrorKind::Truncated);
                    if !is_same && !waits {
                        is_right(error, &record).map_err(|what| format!("{place}: {what}: {error}"))?;
                    }
                }
            }
        }
        Ok(())
    });
    assert!(flipped.get() > 1000, "{} bytes were flipped", flipped.get());
}

/// Whether the plan ends before the peer has said all, so that its last words go unread: where we close and do not wait.
fn after_the_end(recorded: &[&str], replay: &Replay, case: &Case) -> bool {
    let waits = case.connections.iter().any(|plan| {
        plan.steps
            .iter()
            .any(|step| matches!(step, tls_tests::transcript::case::Step::AwaitEnd))
    });
    !waits && replay.last.facts == recorded
}

/// A byte in the middle of each message of a record, as it is on the wire; of a protected record one in the middle of
/// its ciphertext for each. A dummy change_cipher_spec is no message.
fn places(record: &Record) -> Vec<usize> {
    let content = record.start + 5;
    if record.content_type.0 == 20 {
        return Vec::new();
    }
    if record.messages.is_empty() {
        return vec![content + (record.len - 5) / 2];
    }
    // A protected record of TLS 1.2 has an explicit nonce in front: any byte of the record will do.
    let inside = |at: isize| usize::try_from(at).unwrap_or(0).min(record.len - 6);
    let messages = record.messages.iter();
    let middle =
        messages.map(|message| message.start + isize::try_from(message.bytes.len() / 2).unwrap_or(0));
    middle.map(|at| content + inside(at)).collect()
}

/// Whether an error fits a flipped byte in this record.
fn is_right(error: &Error, record: &Record) -> Result<(), String> {
    if error.alert() == Some(AlertDescription::INTERNAL_ERROR) {
        return Err("an internal error".to_owned());
    }
    let is_protected = record.protection != Protection::None;
    match error.kind() {
        ErrorKind::Misbehaved(Misbehaviour::BadRecordMac) => Ok(()),
        _ if is_protected => Err("not a bad MAC".to_owned()),
        ErrorKind::BadBytes(_)
        | ErrorKind::Misbehaved(_)
        | ErrorKind::NothingInCommon(_)
        | ErrorKind::Certificate(_)
        | ErrorKind::AlertReceived(_)
        | ErrorKind::Truncated => Ok(()),
        _ => Err("not the peer's fault".to_owned()),
    }
}
