//! Files of recordings, and hex dumps of others.

use super::input::Input;
use super::replay::recordings;
use super::{MAX_INPUT, Seeds};
use crate::transcript::{Recording, decode::decode};

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(Input::new(bytes).rest());
    if let Ok(recording) = Recording::parse(&text) {
        let rendered = recording.render();
        assert_eq!(Recording::parse(&rendered).as_ref(), Ok(&recording), "{rendered}");
        assert!(recording.summary().len() <= rendered.len());
    }
    if let Ok(recording) = Recording::from_dump(&text) {
        for events in &recording.connections {
            for record in decode(events, &recording.secrets) {
                for at in 0..record.content.len().min(64) {
                    assert!(!record.place(at).is_empty());
                }
            }
        }
    }
}

/// The short ones.
pub(super) fn seeds() -> Seeds {
    const SHORT: usize = 12 * 1024;
    let texts = recordings()
        .iter()
        .map(|(case, recording)| (case.name.clone(), recording.render()));
    let mut seeds: Seeds = texts
        .filter(|(_, text)| text.len() < SHORT.min(MAX_INPUT))
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    let dumps = [
        (
            "xxd",
            "00000000: 1603 0100 0501 0000 0100            ..........\n",
        ),
        (
            "wireshark",
            "00000000  16 03 01 00 05 01 00 00  01 00   ........ ..\n    00000000  15 03 03 00 02 02 28   ......(\n",
        ),
        ("hex", "16030100050100000100\n"),
    ];
    seeds.extend(dumps.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    seeds
}
