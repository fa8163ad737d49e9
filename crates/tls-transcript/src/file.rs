//! The text of a recording: header, seeds, and the flows in hex below their decoded records.

use std::fmt::Write as _;

use super::decode::{Record, decode};
use super::{Event, Recording, Secret, Seed, What, hex, unhex};

/// Hex digits of a seed in one line.
const SEED_LINE: usize = 96;

impl Recording {
    /// What is decoded, without the bytes, the secrets and the seeds.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = self.render_header();
        for (number, events) in (1..).zip(&self.connections) {
            let _ = writeln!(text, "\n=== connection {number}");
            render_connection(&mut text, events, &decode(events, &self.secrets), false);
        }
        text
    }

    fn render_header(&self) -> String {
        let lines = self.header.iter().map(|(key, value)| format!("{key}: {value}\n"));
        lines.collect()
    }

    /// The text of the file. What is decoded in it is made of the bytes and the secrets alone.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.render_header();
        for secret in &self.secrets {
            let (random, bytes) = (hex(&secret.client_random), hex(&secret.secret));
            let _ = writeln!(text, "secret: {} {random} {bytes}", secret.label);
        }
        for entry in &self.seeds {
            let _ = writeln!(text, "seed: {} {}", entry.operation, hex(&entry.input));
            for line in hex(&entry.output).as_bytes().chunks(SEED_LINE) {
                let _ = writeln!(text, "  {}", String::from_utf8_lossy(line));
            }
        }
        for (number, events) in (1..).zip(&self.connections) {
            let _ = writeln!(text, "\n=== connection {number}");
            render_connection(&mut text, events, &decode(events, &self.secrets), true);
        }
        text
    }

    /// Reads what [`Self::render`] wrote. Comments are not looked at.
    ///
    /// # Errors
    /// The line that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut recording = Self::default();
        let mut from_client = None;
        // Bytes of the event that are still to come.
        let mut missing = 0;
        for (number, line) in (1..).zip(text.lines()) {
            // `lines` takes away one, and none at the end of the file.
            let line = line.trim_end_matches('\r');
            let wrong = |what: &str| format!("line {number}: {what}: {line}");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if missing > 0 {
                let event = recording
                    .connections
                    .last_mut()
                    .and_then(|events| events.last_mut());
                let Some(What::Bytes(bytes)) = event.map(|event| &mut event.what) else {
                    return Err(wrong("bytes of nothing"));
                };
                let row = dumped(line).ok_or_else(|| wrong("not a line of a hex dump"))?;
                missing = usize::checked_sub(missing, row.len())
                    .ok_or_else(|| wrong("more bytes than announced"))?;
                bytes.extend(row);
            } else if line.starts_with("=== ") {
                recording.connections.push(Vec::new());
                from_client = None;
            } else if let Some(flow) = line.strip_prefix(">>> ") {
                from_client = Some(flow.contains("client to server"));
            } else if let Some(what) = line.strip_prefix("-- ") {
                let what = match what.strip_suffix(" bytes") {
                    Some(count) => {
                        missing = count.parse().map_err(|_| wrong("not a number"))?;
                        What::Bytes(Vec::new())
                    }
                    None if what == "end" => What::End,
                    None if what == "reset" => What::Reset,
                    None => return Err(wrong("unknown event")),
                };
                let from_client = from_client.ok_or_else(|| wrong("an event outside of a flow"))?;
                let events = recording.connections.last_mut();
                events
                    .ok_or_else(|| wrong("an event outside of a connection"))?
                    .push(Event { from_client, what });
            } else if let Some(seed) = line.strip_prefix("  ") {
                let bytes = unhex(seed).ok_or_else(|| wrong("not hexadecimal"))?;
                let entry = recording.seeds.last_mut().ok_or_else(|| wrong("no seed"))?;
                entry.output.extend(bytes);
            } else {
                let (key, value) = line
                    .split_once(": ")
                    .ok_or_else(|| wrong("neither key nor value"))?;
                match key {
                    "secret" => recording
                        .secrets
                        .push(secret(value).ok_or_else(|| wrong("not a secret"))?),
                    "seed" => recording
                        .seeds
                        .push(seed(value).ok_or_else(|| wrong("not a seed"))?),
                    _ => recording.header.push((key.to_owned(), value.to_owned())),
                }
            }
        }
        match missing {
            0 => Ok(recording),
            _ => Err(format!("the file ends {missing} bytes too early")),
        }
    }
}

fn secret(value: &str) -> Option<Secret> {
    let mut words = value.split(' ');
    Some(Secret {
        label: words.next()?.to_owned(),
        client_random: unhex(words.next()?)?,
        secret: unhex(words.next()?)?,
    })
}

fn seed(value: &str) -> Option<Seed> {
    let (operation, input) = value.split_once(' ')?;
    Some(Seed {
        operation: operation.to_owned(),
        input: unhex(input)?.try_into().ok()?,
        output: Vec::new(),
    })
}

/// The bytes of `00010  16 03 ...  |....|`.
fn dumped(line: &str) -> Option<Vec<u8>> {
    let (_, rest) = line.split_once("  ")?;
    let (digits, _) = rest.split_once("  |")?;
    digits
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

fn render_connection(text: &mut String, events: &[Event], records: &[Record], with_bytes: bool) {
    let (mut flow, mut last) = (0, None);
    for (place, event) in events.iter().enumerate() {
        if last != Some(event.from_client) {
            flow += 1;
            last = Some(event.from_client);
            let direction = direction(event.from_client);
            let _ = writeln!(text, "\n>>> flow {flow} ({direction})");
        }
        for record in records.iter().filter(|record| record.event == place) {
            for line in record.lines() {
                let mark = if with_bytes { "# " } else { "" };
                let _ = writeln!(text, "{mark}{line}");
            }
        }
        match &event.what {
            What::Bytes(bytes) => {
                let _ = writeln!(text, "-- {} bytes", bytes.len());
                if with_bytes {
                    text.push_str(&dump(bytes));
                }
            }
            What::End => text.push_str("-- end\n"),
            What::Reset => text.push_str("-- reset\n"),
        }
    }
}

/// `client to server`, or the other way.
#[must_use]
pub fn direction(from_client: bool) -> &'static str {
    match from_client {
        true => "client to server",
        false => "server to client",
    }
}

/// Offset, sixteen bytes in hex, and the same as ASCII.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 5);
    for (row, bytes) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:05x} ", row * 16);
        for place in 0..16 {
            match bytes.get(place) {
                Some(byte) => write!(text, " {byte:02x}"),
                None => write!(text, "   "),
            }
            .unwrap_or_default();
        }
        let ascii = bytes.iter().map(|byte| match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(text, "  |{}|", ascii.collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let bytes = |from_client, bytes: &[u8]| Event {
            from_client,
            what: What::Bytes(bytes.to_vec()),
        };
        let end = |what| Event {
            from_client: false,
            what,
        };
        let recording = Recording {
            header: vec![
                ("name".into(), "client-x".into()),
                ("result".into(), "a: b".into()),
            ],
            secrets: vec![Secret {
                label: "CLIENT_RANDOM".into(),
                client_random: vec![1; 32],
                secret: vec![2; 48],
            }],
            seeds: vec![Seed {
                operation: "random".into(),
                input: [3; 8],
                output: (0..200).collect(),
            }],
            connections: vec![
                vec![bytes(true, &[b'|'; 33]), bytes(false, &[]), end(What::End)],
                vec![end(What::Reset)],
            ],
        };
        assert_eq!(Recording::parse(&recording.render()), Ok(recording.clone()));
        assert!(!recording.summary().contains("7c 7c"));
    }

    #[test]
    fn carriage_returns_at_the_end_of_a_line_are_not_read() {
        let values = |text: &str| {
            let recording = Recording::parse(text).unwrap();
            recording
                .header
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        assert_eq!(values("name: a\r\npeer: b\r\r\ndate: c\r"), ["a", "b", "c"]);
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let good = "=== connection 1\n>>> flow 1 (client to server)\n-- 2 bytes\n00000  01 02  |..|\n";
        assert!(Recording::parse(good).is_ok());
        for (from, to, line) in [
            ("-- 2 bytes", "-- 1 bytes", "line 4: more bytes"),
            ("-- 2 bytes", "-- two bytes", "line 3: not a number"),
            ("-- 2 bytes", "-- 3 bytes", "the file ends 1 bytes too early"),
            ("01 02", "01 0x", "line 4: not a line of a hex dump"),
            (
                ">>> flow 1 (client to server)\n",
                "",
                "line 2: an event outside of a flow",
            ),
            (
                "=== connection 1\n",
                "",
                "line 2: an event outside of a connection",
            ),
            ("=== connection 1\n", "seed: x\n", "line 1: not a seed"),
            ("=== connection 1\n", "what\n", "line 1: neither key nor value"),
        ] {
            let error = Recording::parse(&good.replace(from, to)).unwrap_err();
            assert!(error.starts_with(line), "{error}");
        }
    }
}
