//! Shows what is in a recorded connection: a file of `tls transcript`, or a hex dump with the key log that opens it.
//!
//! ```sh
//! cargo run -p tls-transcript --example show -- testdata/transcripts/client-tls13-x25519mlkem768.txt
//! cargo run -p tls-transcript --example show -- dump.txt keys.log
//! ```

use std::error::Error;

use tls_transcript::decode::{Protection, decode};
use tls_transcript::{Recording, Secret, unhex};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: show FILE [KEY_LOG]")?;
    let text = std::fs::read_to_string(file)?;
    let mut recording = match Recording::parse(&text) {
        Ok(recording) if !recording.connections.is_empty() => recording,
        _ => Recording::from_dump(&text)?,
    };
    if let Some(key_log) = arguments.next() {
        let key_log = std::fs::read_to_string(key_log)?;
        recording.secrets.extend(key_log.lines().filter_map(secret));
    }
    for (number, events) in (1..).zip(&recording.connections) {
        println!("connection {number}");
        let records = decode(events, &recording.secrets);
        for record in &records {
            println!("{}", if record.from_client { "client" } else { "server" });
            for line in record.lines() {
                println!("  {line}");
            }
        }
        let closed = records
            .iter()
            .filter(|record| record.protection == Protection::Closed)
            .count();
        println!("{} records, {closed} of them closed to us", records.len());
    }
    Ok(())
}

/// A line of a key log: label, the random of the ClientHello, secret.
fn secret(line: &str) -> Option<Secret> {
    let mut words = line.split_ascii_whitespace();
    let (label, client_random, secret) = (words.next()?, words.next()?, words.next()?);
    Some(Secret {
        label: label.to_owned(),
        client_random: unhex(client_random)?,
        secret: unhex(secret)?,
    })
}
