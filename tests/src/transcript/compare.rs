//! How a replay that differs is shown: the first byte, where it lies, and both flights side by side.

use std::fmt::Write as _;

use super::decode::{Record, decode};
use super::run::Replay;
use super::{Event, Recording, What, direction, hex};

/// Characters of one of the two columns.
const COLUMN: usize = 78;

/// What differs, for people; `None` if nothing does.
#[must_use]
pub fn difference(recording: &Recording, replay: &Replay) -> Option<String> {
    let mut text = String::new();
    if let Some((number, departure)) = &replay.departure {
        let events = &recording.connections[*number];
        let flow = flow_of(events, departure.event);
        let _ = writeln!(text, "connection {}, flow {flow}:", number + 1);
        let recorded = events.get(departure.event);
        match (&departure.written, recorded) {
            (
                Some(written),
                Some(Event {
                    from_client,
                    what: What::Bytes(bytes),
                }),
            ) if *from_client == recording.is_client() => {
                let event = Event {
                    from_client: *from_client,
                    what: What::Bytes(written.clone()),
                };
                let mut now = events[..departure.event].to_vec();
                now.push(event);
                let expected = decode(&events[..=departure.event], &recording.secrets);
                let got = decode(&now, &replay.secrets);
                let of = |records: Vec<Record>| -> Vec<Record> {
                    records
                        .into_iter()
                        .filter(|record| record.event == departure.event)
                        .collect()
                };
                flights(&mut text, (bytes, &of(expected)), (written, &of(got)));
            }
            (Some(written), recorded) => {
                let what = recorded.map_or_else(|| "nothing more happens".to_owned(), describe);
                let _ = writeln!(
                    text,
                    "we write {} bytes ({}..), and in the recording {what}",
                    written.len(),
                    hex(&written[..written.len().min(8)])
                );
            }
            (None, recorded) => {
                let what = recorded.map_or_else(|| "nothing more happens".to_owned(), describe);
                let _ = writeln!(text, "we want to read or are done, and in the recording {what}");
            }
        }
    }
    // What follows from that is not shown.
    if !text.is_empty() {
        return Some(text);
    }
    let results: Vec<_> = recording.values("result").collect();
    if results != replay.facts {
        let _ = writeln!(text, "results:");
        let now: Vec<_> = replay.facts.iter().map(String::as_str).collect();
        side_by_side(&mut text, &results, &now);
    }
    for what in &replay.off_tape {
        let _ = writeln!(text, "seeds: {what}");
    }
    (!text.is_empty()).then_some(text)
}

fn describe(event: &Event) -> String {
    let what = match &event.what {
        What::Bytes(bytes) => format!("{} bytes", bytes.len()),
        What::End => "the end".to_owned(),
        What::Reset => "a reset".to_owned(),
    };
    format!("comes: {what}, {}", direction(event.from_client))
}

fn flow_of(events: &[Event], place: usize) -> usize {
    let mut flows = events
        .iter()
        .take(place + 1)
        .map(|event| event.from_client)
        .collect::<Vec<_>>();
    flows.dedup();
    flows.len()
}

fn flights(text: &mut String, recorded: (&[u8], &[Record]), now: (&[u8], &[Record])) {
    let at = first_difference(recorded.0, now.0);
    let byte = |bytes: &[u8]| {
        bytes
            .get(at)
            .map_or_else(|| "nothing".to_owned(), |byte| format!("{byte:#04x}"))
    };
    let (was, is) = (byte(recorded.0), byte(now.0));
    let _ = writeln!(text, "byte {at} of the flight was {was} and is {is}");
    let pairs = recorded.1.iter().zip(now.1);
    let content = |record: &Record| (record.content_type, record.content.clone());
    if let Some((was, is)) = pairs.into_iter().find(|(was, is)| content(was) != content(is)) {
        // What differs at first is often no more than a length: the first thing of the same length that differs, or
        // that is there or not, says more.
        let place = was.place(first_difference(&was.content, &is.content));
        let _ = writeln!(text, "first difference in plain: {place}");
        if let Some(field) = first_field(was, is) {
            let _ = writeln!(text, "first field that differs: {field}");
        }
    }
    let lines = |records: &[Record]| records.iter().flat_map(Record::lines).collect::<Vec<_>>();
    let (was, is) = (lines(recorded.1), lines(now.1));
    let was: Vec<_> = was.iter().map(String::as_str).collect();
    let is: Vec<_> = is.iter().map(String::as_str).collect();
    side_by_side(text, &was, &is);
}

/// The first field, lengths apart, whose value is not the same.
fn first_field(was: &Record, is: &Record) -> Option<String> {
    let fields = |record: &Record| -> Vec<(String, String)> {
        let messages = record.messages.iter();
        let fields = messages.flat_map(|message| {
            let name = message
                .fields
                .first()
                .map_or(String::new(), |field| field.name.clone());
            let fields = message.fields.iter().skip(1);
            fields.map(move |field| (format!("{} of {name}", field.name), field.value.clone()))
        });
        fields.filter(|(name, _)| !name.contains("length")).collect()
    };
    let (was, is) = (fields(was), fields(is));
    let at = was.iter().zip(&is).position(|(was, is)| was != is);
    let at = at.unwrap_or_else(|| was.len().min(is.len()));
    let shown = |fields: &[(String, String)]| {
        fields.get(at).map_or_else(
            || "nothing".to_owned(),
            |(name, value)| format!("{name} ({value})"),
        )
    };
    (at < was.len() || at < is.len()).then(|| format!("{} became {}", shown(&was), shown(&is)))
}

/// Where two byte strings part.
#[must_use]
pub fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let same = one.iter().zip(other).position(|(one, other)| one != other);
    same.unwrap_or_else(|| one.len().min(other.len()))
}

/// The lines in two columns, the same beside the same; a mark stands where they differ.
fn side_by_side(text: &mut String, was: &[&str], is: &[&str]) {
    let cut = |line: &str| line.chars().take(COLUMN).collect::<String>();
    let _ = writeln!(text, "    {:COLUMN$}   now", "recorded");
    // The longest common subsequence of what follows each pair of places.
    let mut common = vec![vec![0_usize; is.len() + 1]; was.len() + 1];
    for one in (0..was.len()).rev() {
        for other in (0..is.len()).rev() {
            common[one][other] = match was[one] == is[other] {
                true => common[one + 1][other + 1] + 1,
                false => common[one + 1][other].max(common[one][other + 1]),
            };
        }
    }
    let (mut one, mut other) = (0, 0);
    while one < was.len() || other < is.len() {
        let pair = (was.get(one), is.get(other));
        let (left, mark, right) = match pair {
            (Some(left), Some(right)) if left == right => (Some(left), ' ', Some(right)),
            // Two lines that both have no partner stand beside each other.
            (Some(left), Some(right)) if common[one][other] == common[one + 1][other + 1] => {
                (Some(left), '!', Some(right))
            }
            (Some(left), Some(_)) if common[one + 1][other] >= common[one][other + 1] => {
                (Some(left), '<', None)
            }
            (Some(left), None) => (Some(left), '<', None),
            (_, right) => (None, '>', right),
        };
        (one, other) = (
            one + usize::from(left.is_some()),
            other + usize::from(right.is_some()),
        );
        // Long lines are shown from before the place where they differ.
        let same = match (mark, left, right) {
            ('!', Some(left), Some(right)) => left
                .chars()
                .zip(right.chars())
                .take_while(|(l, r)| l == r)
                .count(),
            _ => 0,
        };
        let indent = left
            .or(right)
            .map_or(0, |line| line.len() - line.trim_start().len());
        let skipped = if same > COLUMN / 2 { same - COLUMN / 4 } else { 0 };
        let shown = |line: Option<&&str>| match line {
            Some(line) if skipped > indent => {
                let rest: String = line.chars().skip(skipped).collect();
                cut(&format!("{}..{rest}", " ".repeat(indent)))
            }
            Some(line) => cut(line),
            None => String::new(),
        };
        let _ = writeln!(text, "  {mark} {:COLUMN$} | {}", shown(left), shown(right));
    }
}
