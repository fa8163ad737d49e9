//! Hex dumps that somebody else made.

use super::{Event, Recording, What};

impl Recording {
    /// One connection from a hex dump: of `xxd`, of `hexdump -C`, or bare digits. A line that begins with `>>>` begins a
    /// flow, in the direction that it names as `client to server` or another (as the test data of Go's `crypto/tls`
    /// has it); without any, all is taken to come from whoever sends such a first message.
    ///
    /// # Errors
    /// The line that is none of this.
    pub fn from_dump(text: &str) -> Result<Self, String> {
        let mut events: Vec<Event> = Vec::new();
        let mut named = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(flow) = line.strip_prefix(">>>") {
                named = true;
                let from_client = flow.contains("client to server");
                let what = What::Bytes(Vec::new());
                events.push(Event { from_client, what });
                continue;
            }
            if line.is_empty() || line.starts_with(['#', '=']) {
                continue;
            }
            let row = row(line).ok_or_else(|| format!("line {number} is no hex dump: {line}"))?;
            if events.is_empty() {
                let what = What::Bytes(Vec::new());
                let from_client = false;
                events.push(Event { from_client, what });
            }
            if let Some(Event {
                what: What::Bytes(bytes),
                ..
            }) = events.last_mut()
            {
                bytes.extend(row);
            }
        }
        if let (false, [event]) = (named, &mut events[..])
            && let What::Bytes(bytes) = &event.what
        {
            event.from_client = bytes.get(5) == Some(&1);
        }
        Ok(Self {
            connections: vec![events],
            ..Self::default()
        })
    }
}

/// The bytes in a line, without its offset and its text.
fn row(line: &str) -> Option<Vec<u8>> {
    let (line, is_canonical) = match line.split_once("  |") {
        Some((line, _)) => (line, true),
        None => (line, line.ends_with('|')),
    };
    let rest = match line.split_once(": ") {
        // Two blanks stand between the digits and the text of `xxd`.
        Some((_, rest)) => rest.split("  ").next()?,
        None if is_canonical => line.split_once(' ').map_or("", |(_, rest)| rest),
        None => line,
    };
    let digits: String = rest.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    super::unhex(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_of_all_makes_are_the_same_bytes() {
        let bytes = vec![0x15, 3, 3, 0, 2, 2, 0x28, 0x20, 0x20];
        for dump in [
            "150303000202282020",
            "15:03:03:00:02:02:28:20:20",
            "15 03 03 00\n02 02 28 20 20",
            "00000000: 1503 0300 0202 2820 20                   ......(  ",
            "00000000  15 03 03 00 02 02 28 20  20                       |......(  |",
        ] {
            let recording = Recording::from_dump(dump).unwrap();
            let expected = Event {
                from_client: false,
                what: What::Bytes(bytes.clone()),
            };
            assert_eq!(recording.connections, [[expected]], "{dump}");
        }
        assert!(Recording::from_dump("hello").is_err());
    }

    #[test]
    fn flows_have_the_directions_that_they_name() {
        let dump = ">>> Flow 1 (client to server)\n00000000  16 03  |..|\n>>> Flow 2 (server to client)\n00000000  15  |.|";
        let recording = Recording::from_dump(dump).unwrap();
        let sides: Vec<bool> = recording.connections[0]
            .iter()
            .map(|event| event.from_client)
            .collect();
        assert_eq!(sides, [true, false]);
        let hello = Recording::from_dump("16030100040100").unwrap();
        assert!(hello.connections[0][0].from_client);
    }
}
