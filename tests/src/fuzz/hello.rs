//! ClientHellos as servers get them: a byte for the configuration, one for the size of the records, then handshake
//! messages. The mutator takes the first message apart and puts it together again with something changed, so that most
//! lengths stay right.

use std::cell::OnceCell;

use tls_core::fuzzing::seeded;
use tls_core::{Driver, Progress, ServerConfig};

use super::input::{Choices, Input};
use super::replay::recordings;
use super::scenario::{SCENARIOS, Scenario};
use super::{Seeds, assert_blames_the_peer};
use crate::hello::{Hello, record};
use crate::transcript::decode::decode;

/// What stands before the messages.
const HEADER: usize = 2;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let config = usize::from(input.u8());
    let fragment = match input.u8() {
        0 => 1 << 14,
        fragment => usize::from(fragment) * 16,
    };
    thread_local! {
        static SERVERS: OnceCell<Vec<ServerConfig>> = const { OnceCell::new() };
    }
    let server = SERVERS.with(|servers| {
        let servers = servers.get_or_init(|| SCENARIOS.iter().map(Scenario::server).collect());
        servers[config % servers.len()].clone()
    });
    let mut driver = Driver::server(&server);
    let progress = seeded(1, || {
        let mut progress = driver.advance();
        for fragment in input.rest().chunks(fragment) {
            if progress.is_err() {
                break;
            }
            driver.receive(&record(22, fragment));
            progress = driver.advance();
        }
        if matches!(progress, Ok(Progress::Waiting)) {
            driver.eof();
            progress = driver.advance();
        }
        progress
    });
    match progress {
        Err(error) => {
            assert_blames_the_peer(&error, "a server");
            assert!(error.side().is_some() && error.phase().is_some(), "{error:?}");
        }
        Ok(progress) => panic!("nobody can finish a handshake in the clear: {progress:?}"),
    }
}

/// The first flights of all clients in the recordings, of all lengths.
pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    for (case, recording) in recordings() {
        let is_tls12 = case.name.contains("-tls12-");
        for (number, events) in recording.connections.iter().enumerate() {
            let records = decode(events, &recording.secrets);
            let messages = records
                .iter()
                .filter(|record| record.from_client)
                .flat_map(|r| &r.messages);
            let hellos = messages.filter(|message| message.bytes.first() == Some(&1));
            let hellos: Vec<u8> = hellos.flat_map(|message| message.bytes.clone()).collect();
            let is_new = |seed: &(String, Vec<u8>)| seed.1.len() != hellos.len() + HEADER;
            if !hellos.is_empty() && seeds.iter().all(is_new) {
                let config = if is_tls12 { 5 } else { 0 };
                seeds.push((
                    format!("{}-{number}", case.name),
                    [&[config, 0], &hellos[..]].concat(),
                ));
            }
        }
    }
    for (number, scenario) in (0..).zip(&SCENARIOS) {
        let flight = scenario.first_flight();
        let hello = Hello::parse(&flight).message();
        seeds.push((format!("scenario-{number}"), [&[number, 0], &hello[..]].concat()));
    }
    seeds
}

/// Changes the first ClientHello in an input of `client_hello`, which has this length in a buffer that may be filled,
/// and gives the new length; `None` if there is none.
pub fn mutate(buffer: &mut [u8], len: usize, seed: u32) -> Option<usize> {
    let input = buffer.get(..len)?;
    let (header, messages) = input.split_at_checked(HEADER)?;
    let (mut hello, rest) = parse(messages)?;
    let mut choices = Choices::new(seed.into());
    for _ in 0..=choices.below(3) {
        change(&mut hello, &mut choices);
    }
    let mut message = hello.message();
    if choices.below(16) == 0 {
        // One wrong byte, of a length perhaps.
        let at = choices.below(message.len());
        message[at] = message[at].wrapping_add(choices.byte() | 1);
    }
    let made = [header, &message, rest].concat();
    buffer.get_mut(..made.len())?.copy_from_slice(&made);
    Some(made.len())
}

/// Types that mean something, to servers of one version or the other, and one that does not.
const TYPES: [u16; 25] = [
    0, 1, 5, 10, 11, 13, 15, 16, 18, 21, 22, 23, 27, 28, 35, 41, 42, 43, 44, 45, 47, 50, 51, 0xff01, 0x2a2a,
];

fn change(hello: &mut Hello, choices: &mut Choices) {
    let count = hello.extensions.len();
    let one = choices.below(count);
    let other = choices.below(count);
    match choices.below(16) {
        0 if count > 0 => drop(hello.extensions.remove(one)),
        1 if count > 0 => hello.extensions.insert(other, hello.extensions[one].clone()),
        2 if count > 0 => hello.extensions.swap(one, other),
        3 if count > 0 => hello.extensions[one].0 = TYPES[choices.below(TYPES.len())],
        4 if count > 0 => hello.extensions[one].1 = hello.extensions[other].1.clone(),
        5 => {
            let content = (0..choices.below(40)).map(|_| choices.byte()).collect();
            hello
                .extensions
                .insert(other, (TYPES[choices.below(TYPES.len())], content));
        }
        6 => hello.version = [3, choices.byte() % 6],
        7 => hello.random[choices.below(32)] ^= 1 << choices.below(8),
        8 => change_list(&mut hello.session_id, 1, choices),
        9 => change_list(&mut hello.suites, 2, choices),
        10 => change_list(&mut hello.compression, 1, choices),
        _ if count > 0 => change_content(&mut hello.extensions[one].1, choices),
        _ => {}
    }
}

/// A list without its length: items of this size are dropped, doubled, or changed.
fn change_list(list: &mut Vec<u8>, size: usize, choices: &mut Choices) {
    let at = choices.below(list.len() / size + 1) * size;
    let item = list.get(at..at + size).map(<[u8]>::to_vec);
    match (choices.below(4), item) {
        (0, Some(_)) => drop(list.drain(at..at + size)),
        (1, Some(item)) => drop(list.splice(at..at, item)),
        (2, Some(_)) => list[at + size - 1] ^= choices.byte() | 1,
        _ => drop(list.splice(at..at, (0..size).map(|_| choices.byte()).collect::<Vec<_>>())),
    }
}

/// The content of an extension, which begins with a length more often than not: that is made right again.
fn change_content(content: &mut Vec<u8>, choices: &mut Choices) {
    let prefix = match content[..] {
        [high, low, ..] if usize::from(high) << 8 | usize::from(low) == content.len() - 2 => 2,
        [len, ..] if usize::from(len) == content.len() - 1 => 1,
        _ => 0,
    };
    let mut list = content.split_off(prefix);
    let size = 1 + choices.below(4);
    match choices.below(6) {
        0 => list.truncate(choices.below(list.len() + 1)),
        1 => list.extend_from_within(choices.below(list.len())..),
        _ => change_list(&mut list, size, choices),
    }
    let len = u32::try_from(list.len()).unwrap_or(0).to_be_bytes();
    content.clear();
    content.extend(&len[4 - prefix..]);
    content.extend(list);
}

/// The first message, a ClientHello, and what follows it.
fn parse(messages: &[u8]) -> Option<(Hello, &[u8])> {
    let mut rest = messages;
    if take(&mut rest, 1)? != [1] {
        return None;
    }
    let mut body = take_vec(&mut rest, 3)?;
    let version = take(&mut body, 2)?.try_into().ok()?;
    let random = take(&mut body, 32)?.try_into().ok()?;
    let session_id = take_vec(&mut body, 1)?.to_vec();
    let suites = take_vec(&mut body, 2)?.to_vec();
    let compression = take_vec(&mut body, 1)?.to_vec();
    let mut block = take_vec(&mut body, 2)?;
    let mut extensions = Vec::new();
    while !block.is_empty() {
        let extension = u16::from_be_bytes(take(&mut block, 2)?.try_into().ok()?);
        extensions.push((extension, take_vec(&mut block, 2)?.to_vec()));
    }
    let hello = Hello {
        message_type: 1,
        version,
        random,
        session_id,
        suites,
        compression,
        extensions,
    };
    Some((hello, rest))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn take_vec<'a>(rest: &mut &'a [u8], prefix: usize) -> Option<&'a [u8]> {
    let len = take(rest, prefix)?
        .iter()
        .fold(0, |len, byte| len << 8 | usize::from(*byte));
    take(rest, len)
}

#[cfg(test)]
mod tests {
    use tls_core::ClientHello;

    use super::*;

    #[test]
    fn most_changed_hellos_parse_and_none_are_as_before() {
        let (_, seed) = seeds().swap_remove(0);
        let (mut parsed, mut same) = (0, 0);
        for number in 0..1000 {
            let mut buffer = seed.clone();
            buffer.resize(super::super::MAX_INPUT, 0);
            let len = mutate(&mut buffer, seed.len(), number).unwrap();
            same += u32::from(buffer[..len] == seed);
            parsed += u32::from(ClientHello::parse(&buffer[HEADER..len]).is_ok());
        }
        assert!(parsed > 200 && same < 100, "{parsed} parsed, {same} as before");
        assert_eq!(mutate(&mut [0; 100], 50, 1), None);
    }
}
